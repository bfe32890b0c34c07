//! The journey of a new user, in both ways to run: register, upload a real file, play and seek, comment, delete, undo,
//! delete for good, read the receipt.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::media;
use crate::person::Person;
use crate::site::{ADMIN_PASSWORD, Home, Site, files};

async fn journey(home: &Home, site: &Site) {
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let ann = Person::register(&site.base, "ann").await;
    let bob = Person::register(&site.base, "bob").await;

    let (id, upload) = ann.create("A bear").await;
    let uploaded = ann.upload(&upload, &clip).await.expect(201);
    assert_eq!(uploaded["sizeBytes"], clip.bytes.len());
    assert_eq!(uploaded["sha256"], clip.sha256());
    let video = ann.wait_for(&id, "ready").await;
    assert_eq!(video["sizeBytes"], clip.bytes.len());
    if media::folder().is_some() {
        assert_eq!((&video["width"], &video["height"]), (&json!(1280), &json!(720)));
        let ms = video["durationMs"].as_u64().unwrap();
        assert!((2600..2900).contains(&ms), "{ms} ms");
    }

    // Somebody else finds it, plays it and seeks.
    let list = bob.get("/api/v1/videos?q=bear").await.expect(200);
    assert_eq!(list["items"][0]["id"], id);
    assert_eq!(bob.download(&id).await, clip.bytes);
    let source = bob.source(&id).await;
    let part = bob
        .http
        .get(&source)
        .header("range", "bytes=1000-1999")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        format!("bytes 1000-1999/{}", clip.bytes.len())
    );
    assert_eq!(part.bytes().await.unwrap(), &clip.bytes[1000..2000]);

    // They talk.
    let said = bob
        .post(
            &format!("/api/v1/videos/{id}/comments"),
            json!({ "text": "What a bear!" }),
        )
        .await
        .expect(201);
    let said = said.get("comment").unwrap_or(&said).clone();
    let comments = ann.get(&format!("/api/v1/videos/{id}/comments")).await.expect(200);
    assert_eq!(comments["items"][0]["text"], "What a bear!");
    assert_eq!(comments["items"][0]["author"]["username"], "bob");
    assert_eq!(comments["items"][0]["id"], said["id"]);

    // Deleted: unlisted and unplayable at once, also by a link that was given out before.
    ann.delete(&format!("/api/v1/videos/{id}")).await.expect(202);
    bob.video(&id).await.problem(404, "not_found");
    let list = bob.get("/api/v1/videos").await.expect(200);
    assert_eq!(list["items"], json!([]));
    common::testing::eventually("the old link is dead", Duration::from_secs(10), || async {
        let status = bob.http.get(&source).send().await.unwrap().status().as_u16();
        (status == 404).then_some(())
    })
    .await;

    // Undone: everything is back, the comment too.
    ann.post(&format!("/api/v1/videos/{id}/restore"), json!({}))
        .await
        .expect(200);
    common::testing::eventually("it plays again", Duration::from_secs(10), || async {
        let status = bob.http.get(&source).send().await.unwrap().status().as_u16();
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(bob.download(&id).await, clip.bytes);
    assert_eq!(bob.video(&id).await.expect(200)["commentCount"], 1);

    // For good: the receipt says what the disk lost.
    let on_disk = files(&home.data().join("media"));
    assert_eq!(
        on_disk.iter().map(|(_, size)| size).sum::<u64>(),
        clip.bytes.len() as u64
    );
    ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
        .await
        .expect(202);
    let receipt = ann.receipt(&id).await;
    assert_eq!(
        (&receipt["objects"], &receipt["bytes"]),
        (&json!(on_disk.len()), &json!(clip.bytes.len()))
    );
    assert_eq!(files(&home.data().join("media")), []);
    ann.video(&id).await.problem(404, "not_found");
    bob.get(&format!("/api/v1/videos/{id}/deletion"))
        .await
        .problem(404, "not_found");

    // Signed out: everywhere, within a second.
    ann.delete("/api/v1/sessions/current").await.expect(204);
    ann.get("/api/v1/users/me").await.problem(401, "unauthenticated");
}

async fn survives_a_restart(home: &Home, start: impl Fn(&Home) -> Site) {
    let clip = media::clip("ordinary/video-h264-001.mp4");
    let mut site = start(home);
    let ann = Person::register(&site.base, "ann").await;
    let id = ann.publish("Kept", &clip).await;
    site.kill();
    let site = start(home);
    let ann = Person {
        base: site.base.clone(),
        ..ann
    };
    assert_eq!(
        ann.download(&id).await,
        clip.bytes,
        "the session and the video are still there"
    );
    let admin = Person::sign_in(&site.base, "admin", ADMIN_PASSWORD).await;
    let summary = admin.get("/api/v1/jobs/summary").await;
    assert_eq!(summary.status, 200, "{}", summary.body);
    ann.get("/api/v1/jobs").await.problem(403, "forbidden");
    site.stop();
}

#[tokio::test]
async fn embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    journey(&home, &site).await;
    site.stop();
}

#[tokio::test]
async fn four_processes_on_sqlite() {
    let home = Home::new();
    let site = home.roles(&[]);
    journey(&home, &site).await;
    site.stop();
}

#[tokio::test]
async fn embedded_survives_kill_and_restart() {
    survives_a_restart(&Home::new(), |home| home.serve(&[])).await;
}

#[tokio::test]
async fn four_processes_survive_kill_and_restart() {
    survives_a_restart(&Home::new(), |home| home.roles(&[])).await;
}

#[tokio::test]
async fn a_form_upload_and_hostile_names_leave_nothing_behind() {
    let home = Home::new();
    let site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/testvid_1022ms.mp4");
    let long = "n".repeat(300);
    let names = [
        "../../../../tmp/escaped.mp4",
        "a\\0b.mp4",
        "a%0d%0aSet-Cookie: x=1.mp4",
        &long,
        "\u{202e}4pm.exe",
        "-rf.mp4",
    ];
    for name in names {
        let (id, upload) = ann.create("A form").await;
        let head = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/html\r\n\r\n"
        );
        let body = [head.as_bytes(), &clip.bytes, b"\r\n--b0undary--\r\n"].concat();
        let url = format!("{}{}", site.base, upload["url"].as_str().unwrap());
        let request = ann
            .http
            .request(Method::POST, url)
            .bearer_auth(upload["grant"].as_str().unwrap());
        let request = request
            .header("content-type", "multipart/form-data; boundary=b0undary")
            .body(body);
        ann.try_send(request).await.unwrap().expect(201);
        let video = ann.wait_for(&id, "ready").await;
        assert_eq!(video["sizeBytes"], clip.bytes.len());
        let served = ann.http.get(ann.source(&id).await).send().await.unwrap();
        assert_eq!(served.headers()["content-type"], "video/mp4");
        assert_eq!(served.headers()["x-content-type-options"], "nosniff");
    }
    for (path, _) in files(&home.data()) {
        let path = path.strip_prefix(home.data()).unwrap().to_str().unwrap().to_owned();
        assert!(
            path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)),
            "{path}"
        );
        assert!(!path.contains("escaped") && !path.contains(&long), "{path}");
    }
    site.stop();
}
