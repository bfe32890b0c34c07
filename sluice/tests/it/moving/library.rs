//! A library of two people, made by the real services, and what must be true of it wherever it is served.

use reqwest::Method;
use serde_json::{Value, json};

use super::SOON;
use crate::media::{Clip, hex, small_clips};
use crate::person::Person;
use crate::site::{Home, Site};
use sha2::{Digest, Sha256};

pub struct Library {
    ann: Person,
    bob: Person,
    /// Ready videos: id and SHA-256.
    videos: Vec<(String, String)>,
    /// In the trash.
    trashed: (String, String),
    /// An upload that is under way: its address and ticket.
    unfinished: String,
    /// Comments of the first video, as they were shown.
    comments: Value,
    danmaku: Value,
    secrets: Vec<(String, String)>,
    clip: Clip,
}

impl Library {
    /// Makes it in the data folder of `home`; nothing runs there any more when it is done.
    pub async fn make(home: &Home) -> Library {
        let site = home.serve(&[]);
        let library = Library::fill(home, &site).await;
        site.stop();
        library
    }

    pub async fn fill(home: &Home, site: &Site) -> Library {
        let (ann, bob) = (
            Person::register(&site.base, "ann").await,
            Person::register(&site.base, "bob").await,
        );
        let clips = small_clips();
        let mut videos = Vec::new();
        for (n, clip) in clips.iter().take(4).enumerate() {
            let owner = if n % 2 == 0 { &ann } else { &bob };
            let id = owner
                .publish(&format!("video {n}: it's \"quoted\" 弹幕 🎬"), clip)
                .await;
            videos.push((id, clip.sha256()));
        }
        let first = videos[0].0.clone();
        for n in 0..5 {
            let body = json!({ "text": format!("comment {n}\nof ann's {{\"json\": true}} é") });
            bob.post(&format!("/api/v1/videos/{first}/comments"), body)
                .await
                .expect(201);
            let body = json!({ "text": format!("弹幕 {n}"), "atMs": n * 100 });
            ann.post(&format!("/api/v1/videos/{first}/danmaku"), body)
                .await
                .expect(201);
        }
        let (gone, hash) = videos.pop().unwrap();
        bob.delete(&format!("/api/v1/videos/{gone}")).await.expect(202);
        let (_, upload) = ann.create("under way").await;
        let unfinished = begin_upload(&ann, &upload, &clips[0]).await;
        let secret = |name: &str| std::fs::read_to_string(home.data().join("secrets").join(name)).unwrap();
        let secrets = vec![
            (
                "SLUICE_SECRETS__INTERNAL_TOKEN".to_owned(),
                secret("internal_token").trim().to_owned(),
            ),
            (
                "SLUICE_SECRETS__GRANT_KEYS".to_owned(),
                secret("grant_keys").trim().to_owned(),
            ),
        ];
        Library {
            comments: shown(&ann, &first, "comments").await,
            danmaku: shown(&ann, &first, "danmaku").await,
            ann,
            bob,
            videos,
            trashed: (gone, hash),
            unfinished,
            secrets,
            clip: clips[0].clone(),
        }
    }

    /// Those of the data folder that it was made in.
    pub fn secrets(&self) -> Vec<(String, String)> {
        self.secrets.clone()
    }

    fn there(&self, person: &Person, base: &str) -> Person {
        Person {
            base: base.to_owned(),
            ..person.clone()
        }
    }

    /// Sessions, videos to the last bit, comments, danmaku and the trash are as they were.
    pub async fn is_served(&self, base: &str) {
        let (ann, bob) = (self.there(&self.ann, base), self.there(&self.bob, base));
        for person in [&ann, &bob] {
            let me = person.get("/api/v1/users/me").await.expect(200);
            assert_eq!(me["username"], person.username.as_str());
        }
        for (id, hash) in &self.videos {
            let bytes = bob.download(id).await;
            assert_eq!(&hex(&Sha256::digest(&bytes)), hash, "{id}");
        }
        let first = &self.videos[0].0;
        assert_eq!(shown(&ann, first, "comments").await, self.comments);
        assert_eq!(shown(&ann, first, "danmaku").await, self.danmaku);
        assert_eq!(bob.video(&self.trashed.0).await.expect(200)["state"], "trashed");
    }

    /// And life goes on: what was in the trash comes back, uploads that were under way begin anew, new things are made and purged.
    pub async fn goes_on(&self, base: &str) {
        let (ann, bob) = (self.there(&self.ann, base), self.there(&self.bob, base));
        let (trashed, hash) = &self.trashed;
        bob.post(&format!("/api/v1/videos/{trashed}/restore"), json!({}))
            .await
            .expect(200);
        assert_eq!(&hex(&Sha256::digest(bob.download(trashed).await)), hash);
        let address = format!("{base}{}", self.unfinished);
        let head = ann
            .http
            .request(Method::HEAD, &address)
            .header("tus-resumable", "1.0.0");
        let status = head
            .bearer_auth(&self.ann.token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16();
        assert!(
            [401, 403, 404, 410].contains(&status),
            "an upload without its bytes does not go on: {status}"
        );
        let id = ann.publish("after", &self.clip).await;
        assert_eq!(hex(&Sha256::digest(ann.download(&id).await)), self.clip.sha256());
        let first = &self.videos[0].0;
        ann.post(
            &format!("/api/v1/videos/{first}/danmaku"),
            json!({ "text": "after", "atMs": 1 }),
        )
        .await
        .expect(201);
        common::testing::eventually("the new danmaku is shown", SOON, || async {
            let all = shown(&ann, first, "danmaku").await;
            all.to_string().contains("after").then_some(())
        })
        .await;
    }
}

/// Somebody with an account.
pub async fn somebody(base: &str) {
    Person::register(base, "somebody").await;
}

async fn shown(person: &Person, video: &str, what: &str) -> Value {
    person
        .get(&format!("/api/v1/videos/{video}/{what}?limit=100"))
        .await
        .expect(200)["items"]
        .clone()
}

/// Sends the first half of a clip by tus; the path of the upload.
async fn begin_upload(person: &Person, upload: &Value, clip: &Clip) -> String {
    let grant = upload["grant"].as_str().unwrap();
    let made = person
        .http
        .post(format!("{}/uploads", person.base))
        .bearer_auth(grant)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", clip.bytes.len())
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let path = match location.find("/uploads/") {
        Some(at) => location[at..].to_owned(),
        None => location,
    };
    let half = clip.bytes[..clip.bytes.len() / 2].to_vec();
    let sent = person
        .http
        .patch(format!("{}{path}", person.base))
        .bearer_auth(grant)
        .header("tus-resumable", "1.0.0")
        .header("upload-offset", 0)
        .header("content-type", "application/offset+octet-stream")
        .body(half)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 204);
    path
}
