//! Limits as people meet them: fair, visible, given back.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Response;

use crate::media;
use crate::person::{Answer, Person, slow_body};
use crate::site::{Home, files};

fn visible(answer: &Answer) {
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing: {answer:?}"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert!(header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(header("ratelimit-policy").contains("q="), "{answer:?}");
    assert!(header("ratelimit").contains("r="), "{answer:?}");
}

#[tokio::test]
async fn requests_beyond_the_rate_are_429_with_the_rate_in_the_headers() {
    let home = Home::new();
    let site = home.serve(&["stream.rate=1", "stream.burst=5"]);
    let ann = Person::register(&site.base, "ann").await;
    let id = ann.publish("Popular", &media::clip("ordinary/midroll-5s.mp4")).await;
    let source = ann.source(&id).await;
    let ask = || async {
        Answer::read(ann.http.get(&source).header("range", "bytes=0-0").send().await.unwrap())
            .await
            .unwrap()
    };
    let answers = join_all((0..20).map(|_| ask())).await;
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    let served = answers.iter().filter(|answer| answer.status == 206).count();
    assert!(
        refused.len() >= 13 && served >= 1 && refused.len() + served == 20,
        "{served} served, {} refused",
        refused.len()
    );
    for answer in refused {
        answer.problem(429, "too_many_requests");
        visible(answer);
        assert!(
            answer.headers.contains_key("ratelimit") && answer.headers.contains_key("ratelimit-policy"),
            "{answer:?}"
        );
    }
    // The wait that was named is enough.
    common::testing::eventually("served again", Duration::from_secs(10), || async {
        (ask().await.status == 206).then_some(())
    })
    .await;
    site.stop();
}

/// Opens the video and reads its head only.
async fn hold(ann: &Person, source: &str) -> Result<Response, Answer> {
    let response = ann.http.get(source).send().await.unwrap();
    if response.status() == 200 {
        Ok(response)
    } else {
        Err(Answer::read(response).await.unwrap())
    }
}

#[tokio::test]
async fn promise_9_streams_at_once_are_limited_and_come_back_when_the_viewer_leaves() {
    let home = Home::new();
    // Paced, so that a stream stays open while it is held.
    let site = home.serve(&[
        "stream.max_streams_per_client=3",
        "stream.pace=100 KiB",
        "stream.rate=1000",
        "stream.burst=1000",
    ]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let id = ann.publish("Long", &clip).await;
    let source = ann.source(&id).await;
    for round in 0..5 {
        let mut held = Vec::new();
        for _ in 0..3 {
            let open = common::testing::eventually("a stream is free", Duration::from_secs(10), || async {
                hold(&ann, &source).await.ok()
            });
            let mut stream = open.await.bytes_stream();
            stream.next().await.unwrap().unwrap();
            held.push(stream);
        }
        let refused = hold(&ann, &source).await.unwrap_err();
        refused.problem(429, "too_many_streams");
        visible(&refused);
        // Somebody else is not ann.
        let bob = Person::register(&site.base, &format!("bob{round}")).await;
        assert!(hold(&bob, &bob.source(&id).await).await.is_ok());
        drop(held);
    }
    site.stop();
}

#[tokio::test]
async fn uploads_at_once_are_limited_and_sizes_are_counted() {
    let home = Home::new();
    let site = home.serve(&["stream.max_uploads_per_user=1", "stream.max_upload=100 KiB"]);
    let ann = Person::register(&site.base, "ann").await;
    let (_, first) = ann.create("First").await;
    let (_, second) = ann.create("Second").await;
    assert_eq!(first["maxBytes"], 100 * 1024);

    // Declared too large: refused by the head, whatever the body would be.
    let large = media::clip("ordinary/bear-1280x720.mp4");
    let answer = ann.upload(&first, &large).await;
    answer.problem(413, "body_too_large");
    assert_eq!(answer.body["maxBytes"], 100 * 1024);

    // One that does not say its size is counted.
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        large.bytes.chunks(8192).map(|chunk| Ok(chunk.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    ann.try_send(ann.put(&first, body))
        .await
        .unwrap()
        .problem(413, "body_too_large");

    // The second one at once is refused; when the first is over it may come.
    let small = media::clip("ordinary/testvid_1022ms.mp4");
    let (sender, body) = slow_body();
    let slow = tokio::spawn(ann.put(&first, body).send());
    sender.send(small.bytes[..1000].to_vec()).unwrap();
    common::testing::eventually("the first upload runs", Duration::from_secs(10), || async {
        (!files(&home.data().join("media")).is_empty()).then_some(())
    })
    .await;
    let refused = ann.upload(&second, &small).await;
    refused.problem(429, "too_many_uploads");
    visible(&refused);
    sender.send(small.bytes[1000..].to_vec()).unwrap();
    drop(sender);
    assert_eq!(slow.await.unwrap().unwrap().status(), 201);
    ann.upload(&second, &small).await.expect(201);
    site.stop();
}

#[tokio::test]
async fn sign_in_attempts_are_limited_per_account() {
    let home = Home::new();
    let site = home.serve(&["api.sign_in_attempts=3"]);
    let ann = Person::register(&site.base, "ann").await;
    let try_password = |password: &'static str| {
        let body = serde_json::json!({ "username": "ann", "password": password });
        ann.post("/api/v1/sessions", body)
    };
    for _ in 0..3 {
        try_password("not the password").await.problem(401, "wrong_credentials");
    }
    let refused = try_password("a long enough passphrase").await;
    refused.problem(429, "too_many_requests");
    visible(&refused);
    ann.get("/api/v1/users/me").await.expect(200);
    site.stop();
}
