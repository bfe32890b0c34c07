//! Every row of the error table of docs/http-api.md, provoked through the edge. The rows of codes that need a service to
//! be away or a disk to be full stand in `promises.rs`; `offset_mismatch` and `checksum_mismatch` come with tus.

use reqwest::Method;
use serde_json::{Value, json};

use crate::media;
use crate::person::{Answer, Person, client};
use crate::site::{Home, files};

async fn raw(person: &Person, method: Method, path: &str, content_type: &str, body: &str) -> Answer {
    let request = person
        .request(method, path)
        .header("content-type", content_type)
        .body(body.to_owned());
    person.try_send(request).await.unwrap()
}

async fn every_row(home: &Home, base: &str) {
    let (ann, bob) = (Person::register(base, "ann").await, Person::register(base, "bob").await);
    let nobody = Person {
        token: "not-a-token".into(),
        ..ann.clone()
    };
    let clip = media::clip("ordinary/video-h264-001.mp4");
    let id = ann.publish("Here", &clip).await;

    raw(&ann, Method::POST, "/api/v1/videos", "application/json", "{")
        .await
        .problem(400, "bad_request");
    raw(&ann, Method::POST, "/api/v1/videos", "text/plain", "{}")
        .await
        .problem(400, "bad_request");
    ann.get("/api/v1/videos?limit=many").await.problem(400, "bad_request");
    nobody.get("/api/v1/users/me").await.problem(401, "unauthenticated");
    let wrong = json!({ "username": "ann", "password": "wrong wrong wrong" });
    let unknown = json!({ "username": "nobody-here", "password": "wrong wrong wrong" });
    let (a, b) = (
        ann.post("/api/v1/sessions", wrong).await,
        ann.post("/api/v1/sessions", unknown).await,
    );
    a.problem(401, "wrong_credentials");
    b.problem(401, "wrong_credentials");
    assert_eq!(
        a.body["detail"], b.body["detail"],
        "the answer does not tell whether the name exists"
    );
    ann.get("/api/v1/jobs").await.problem(403, "forbidden");
    ann.get("/api/v1/nothing").await.problem(404, "not_found");
    bob.delete(&format!("/api/v1/videos/{id}"))
        .await
        .problem(404, "not_found");
    let wrong_method = ann.call(Method::PUT, "/api/v1/videos", json!({})).await;
    wrong_method.problem(405, "method_not_allowed");
    assert!(wrong_method.headers["allow"].to_str().unwrap().contains("POST"));
    Person::try_register(base, "ann")
        .await
        .unwrap()
        .err()
        .unwrap()
        .problem(409, "username_taken");
    ann.post(&format!("/api/v1/videos/{id}/restore"), json!({}))
        .await
        .problem(409, "conflict");
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(100_000));
    let too_large = raw(&ann, Method::POST, "/api/v1/videos", "application/json", &large).await;
    too_large.problem(413, "body_too_large");
    assert!(too_large.body["maxBytes"].as_u64().unwrap() > 0);
    let range = ann.http.get(ann.source(&id).await).header("range", "bytes=99999999-");
    let range = ann.try_send(range).await.unwrap();
    range.problem(416, "range_not_satisfiable");
    assert_eq!(range.headers["content-range"], format!("bytes */{}", clip.bytes.len()));
    let invalid = ann.post("/api/v1/videos", json!({ "title": "" })).await;
    invalid.problem(422, "invalid");
    assert_eq!(invalid.body["errors"][0]["pointer"], "/title");
    ann.call(
        Method::PATCH,
        &format!("/api/v1/videos/{id}"),
        json!({ "state": "ready" }),
    )
    .await
    .problem(422, "invalid");

    not_videos(home, &ann).await;
    let (gone, upload) = ann.create("Soon gone").await;
    ann.delete(&format!("/api/v1/videos/{gone}?permanent=true"))
        .await
        .expect(202);
    ann.receipt(&gone).await;
    ann.upload(&upload, &clip).await.problem(410, "gone");
}

/// What is not a video is refused with what was found, and nothing of it stays.
async fn not_videos(home: &Home, ann: &Person) {
    let before = files(&home.data().join("media"));
    let (_, upload) = ann.create("Not a video").await;
    let mut refused: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("text".into(), b"hello, world".repeat(1000)),
    ];
    if let Some(folder) = media::folder() {
        for entry in std::fs::read_dir(folder.join("not-video")).unwrap().map(Result::unwrap) {
            refused.push((
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read(entry.path()).unwrap(),
            ));
        }
    }
    for (name, bytes) in refused {
        let answer = ann.try_send(ann.put(&upload, bytes)).await.unwrap();
        assert_eq!(answer.status, 415, "{name}: {}", answer.body);
        answer.problem(415, "unsupported_media");
        assert!(
            answer.body["detail"].as_str().unwrap().len() > 10,
            "{name}: {}",
            answer.body
        );
    }
    assert_eq!(files(&home.data().join("media")), before);
}

#[tokio::test]
async fn embedded() {
    let home = Home::new();
    let site = home.serve(&["stream.rate=1000", "stream.burst=1000"]);
    every_row(&home, &site.base).await;
    site.stop();
}

#[tokio::test]
async fn through_the_proxy() {
    let home = Home::new();
    let site = home.roles(&["stream.rate=1000", "stream.burst=1000"]);
    every_row(&home, &site.base).await;
    site.stop();
}

#[tokio::test]
async fn the_document_is_the_same_in_both_ways_to_run() {
    let (one, four) = (Home::new(), Home::new());
    let (embedded, apart) = (one.serve(&[]), four.roles(&[]));
    let mut documents = Vec::new();
    for base in [&embedded.base, &apart.base] {
        let response = client().get(format!("{base}/openapi.json")).send().await.unwrap();
        assert!(
            !response.headers().contains_key("x-sluice-missing"),
            "{:?}",
            response.headers()
        );
        documents.push(response.json::<Value>().await.unwrap());
    }
    assert_eq!(documents[0]["paths"], documents[1]["paths"]);
    assert!(documents[0]["paths"].as_object().unwrap().len() > 15);
    embedded.stop();
    apart.stop();
}

#[tokio::test]
async fn every_answer_bears_the_security_headers_and_the_operation_id() {
    let home = Home::new();
    let site = home.serve(&[]);
    let http = client();
    for path in [
        "/",
        "/v/whatever",
        "/api/v1/videos",
        "/api/v1/nothing",
        "/media/x/y/file",
        "/healthz",
        "/openapi.json",
    ] {
        let request = http
            .get(format!("{}{path}", site.base))
            .header("accept", "text/html")
            .header("x-operation-id", "my-operation");
        let response = request.send().await.unwrap();
        let headers = response.headers();
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy"] {
            assert!(headers.contains_key(name), "{path} lacks {name}");
        }
        assert_eq!(headers["x-request-id"], "my-operation", "{path}");
    }
    let document: Value = http
        .get(format!("{}/openapi.json", site.base))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    for path in [
        "/api/v1/videos",
        "/api/v1/sessions",
        "/uploads/by-video/{video_id}",
        "/api/v1/jobs",
    ] {
        let known: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let shape = |path: &str| {
            path.split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part })
                .collect::<Vec<_>>()
                .join("/")
        };
        assert!(
            known.iter().any(|known| shape(known) == shape(path)),
            "{path} is not in {known:?}"
        );
    }
    site.stop();
}
