//! Resumable Uploads for HTTP, where a table of single requests does not show it: what follows on what.

use super::client::{BYTES, Client, offset_of, plays, stalled};
use crate::{
    app::{App, SOON, on_each_app, on_each_app_with},
    clip::{clip, sha256},
    crash::on_each_place,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{
    config::Config,
    ids::VideoId,
    testing::{eventually, raw::Raw},
};
use reqwest::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

async fn create(client: &Client, complete: &str, body: Vec<u8>) -> Response {
    let request = client.draft("POST", "/uploads").header("upload-complete", complete);
    request.body(body).send().await.unwrap()
}

fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn begun(client: &Client) -> String {
    let created = create(client, "?0", Vec::new()).await;
    assert_eq!(created.status(), 201);
    location(&created)
}

/// Offset and completeness, as HEAD says them.
pub async fn told(client: &Client, upload: &str) -> (usize, String) {
    let head = client.draft("HEAD", upload).send().await.unwrap();
    assert_eq!(head.status(), 204);
    let complete = head.headers()["upload-complete"].to_str().unwrap().to_owned();
    (offset_of(&head).unwrap(), complete)
}

fn check_stored(answer: &Value, bytes: &[u8]) {
    assert_eq!(answer["sha256"], sha256(bytes));
    assert_eq!(answer["sizeBytes"], bytes.len());
}

#[test]
fn the_answer_to_the_last_byte_is_that_of_a_whole_upload() {
    on_each_app(|app| async move {
        let bytes = clip(300_000, 3);
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&bytes)));
        // At once.
        let client = Client::new(&app);
        let created = create(&client, "?1", bytes.clone()).await;
        assert_eq!(
            (created.status().as_u16(), &created.headers()["upload-complete"]),
            (201, &"?1".parse().unwrap())
        );
        assert_eq!(created.headers()["repr-digest"], digest);
        let upload = location(&created);
        check_stored(&created.json().await.unwrap(), &bytes);
        assert_eq!(told(&client, &upload).await, (bytes.len(), "?1".into()));
        plays(&app, &client, &bytes).await;
        // In pieces of a length that nobody knows before the end.
        let client = Client::new(&app);
        let upload = begun(&client).await;
        client.append(&upload, 0, &bytes[..100_000], false).await;
        client.append(&upload, 100_000, &bytes[100_000..], false).await;
        assert_eq!(told(&client, &upload).await, (bytes.len(), "?0".into()));
        assert_eq!(
            app.get(&client.video).await.status(),
            404,
            "nobody has said that this is all"
        );
        let last = client.append(&upload, bytes.len(), &[], true).await;
        assert_eq!(last.headers()["repr-digest"], digest);
        check_stored(&last.json().await.unwrap(), &bytes);
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn an_upload_goes_on_in_the_other_protocol() {
    on_each_app(|app| async move {
        let bytes = clip(300_000, 4);
        let client = Client::new(&app);
        let upload = client.create(&[("upload-length", "300000")]).await;
        client.send(&upload, 0, &bytes[..50_000]).await;
        client.append(&upload, 50_000, &bytes[50_000..120_000], false).await;
        client.send(&upload, 120_000, &bytes[120_000..200_000]).await;
        client.append(&upload, 200_000, &bytes[200_000..], true).await;
        assert_eq!(client.offset(&upload).await, bytes.len());
        plays(&app, &client, &bytes).await;
        // The other way round, with a length that tus is told with the last bytes.
        let client = Client::new(&app);
        let upload = begun(&client).await;
        client.append(&upload, 0, &bytes[..50_000], false).await;
        assert_eq!(client.head(&upload).await.headers()["upload-defer-length"], "1");
        let last = client.request("PATCH", &upload).header("content-type", BYTES);
        let last = last
            .header("upload-offset", 50_000)
            .header("upload-length", bytes.len());
        assert_eq!(last.body(bytes[50_000..].to_vec()).send().await.unwrap().status(), 204);
        assert_eq!(told(&client, &upload).await, (bytes.len(), "?1".into()));
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn an_error_of_the_whole_file_says_that_the_upload_is_over() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let upload = begun(&client).await;
        client.append(&upload, 0, &[7; 3000], false).await;
        let last = client.appending(&upload, 3000, true).send().await.unwrap();
        assert_eq!(last.headers()["upload-complete"], "?1");
        let (status, code, problem) = App::problem(last).await;
        assert_eq!((status, code.as_str()), (415, "unsupported_media"));
        assert!(problem["found"].is_string());
        assert_eq!(client.draft("HEAD", &upload).send().await.unwrap().status(), 410);
        let at_once = create(&client, "?1", vec![7; 3000]).await;
        assert_eq!(at_once.headers()["upload-complete"], "?1");
        assert_eq!(at_once.status(), 415);
        app.nothing_is_left().await;
    });
}

fn patch_in_chunks(client: &Client, upload: &str, at: usize, last: bool, bytes: &[u8]) -> String {
    let complete = if last { "?1" } else { "?0" };
    let text = std::str::from_utf8(bytes).unwrap();
    format!(
        "PATCH {upload} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: {complete}\r\n\
         Content-Type: application/partial-upload\r\nUpload-Offset: {at}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n",
        client.token,
        bytes.len(),
    )
}

#[test]
fn bytes_in_chunks_beyond_the_length_end_the_upload() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let created = client.draft("POST", "/uploads").header("upload-complete", "?0");
        let created = created.header("upload-length", 10).send().await.unwrap();
        let upload = location(&created);
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&patch_in_chunks(&client, &upload, 0, false, b"hello")).await;
        raw.send("0\r\n\r\n").await;
        assert_eq!(raw.answer().await.status, 204);
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&patch_in_chunks(&client, &upload, 5, false, b"hello, world"))
            .await;
        let refused = raw.answer().await;
        refused.check_problem(400, "bad_request");
        let kind = "https://iana.org/assignments/http-problem-types#inconsistent-upload-length";
        assert_eq!(refused.json()["type"], kind);
        assert_eq!(client.draft("HEAD", &upload).send().await.unwrap().status(), 410);
        app.nothing_is_left().await;
    });
}

#[test]
fn chunks_that_end_before_the_length_are_kept_and_are_not_all() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let created = client.draft("POST", "/uploads").header("upload-complete", "?0");
        let upload = location(&created.header("upload-length", 10).send().await.unwrap());
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&patch_in_chunks(&client, &upload, 0, true, b"hello")).await;
        raw.send("0\r\n\r\n").await;
        raw.answer().await.check_problem(400, "bad_request");
        assert_eq!(told(&client, &upload).await, (5, "?0".into()));
    });
}

#[test]
fn a_request_that_is_cut_is_not_the_end_whatever_it_said() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(300_000, 5));
        let upload = begun(&client).await;
        client.append(&upload, 0, &bytes[..100_000], false).await;
        for half_closed in [true, false] {
            let mut raw = Raw::connect(&app.running.public).await;
            // In chunks, whose number only the last one tells: without it these are not all.
            raw.send(&patch_in_chunks(&client, &upload, 100_000, true, b"")).await;
            if half_closed {
                tokio::io::AsyncWriteExt::shutdown(&mut raw.io).await.unwrap();
                raw.rest().await;
            }
            drop(raw);
            assert_eq!(told(&client, &upload).await, (100_000, "?0".into()));
        }
        let before = app.state.metrics.received_bytes.get();
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&format!(
            "PATCH {upload} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nUpload-Draft-Interop-Version: 8\r\nUpload-Complete: ?1\r\n\
             Content-Type: application/partial-upload\r\nUpload-Offset: 100000\r\nContent-Length: 200000\r\n\r\n",
            client.token
        ))
        .await;
        raw.send_bytes(&bytes[100_000..250_000]).await;
        // Not only admitted: then nothing is known of it.
        eventually("it is being received", SOON, || async {
            (app.state.metrics.received_bytes.get() > before).then_some(())
        })
        .await;
        drop(raw);
        let (at, complete) = told(&client, &upload).await;
        assert!((100_000..=250_000).contains(&at) && complete == "?0", "{at} {complete}");
        // Its length is known by then, and stays.
        let other = client
            .appending(&upload, at, true)
            .body(vec![7; 10])
            .send()
            .await
            .unwrap();
        assert_eq!(other.status(), 400);
        client.append(&upload, at, &bytes[at..], true).await;
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn promise_1_kills_lose_no_acknowledged_byte_of_the_draft() {
    on_each_place(async |dir, database, key| {
        let bytes = clip(30_000_000, 3);
        let video = VideoId::random();
        let mut process = crate::crash::Process::start(dir, database, key);
        let (mut client, mut acknowledged) = (process.tus(&video), 0);
        let upload = begun(&client).await;
        for round in 0..4 {
            let (at, complete) = told(&client, &upload).await;
            assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
            if complete == "?1" {
                break;
            }
            client.append(&upload, at, &bytes[at..at + 1_000_000], false).await;
            acknowledged = at + 1_000_000;
            // The kill is inside of the request for the rest.
            let rest = client
                .appending(&upload, acknowledged, true)
                .body(bytes[acknowledged..].to_vec());
            tokio::select! {
                _ = rest.send() => {}
                () = tokio::time::sleep(Duration::from_millis(20 * round + 5)) => {}
            }
            process.kill();
            process = crate::crash::Process::start(dir, database, key);
            client = process.tus(&video);
        }
        let (at, complete) = told(&client, &upload).await;
        assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
        if complete == "?0" {
            client.append(&upload, at, &bytes[at..], true).await;
        }
        assert!(process.get(&video).await.bytes().await.unwrap() == bytes);
        drop(process);
    });
}

#[test]
fn promise_2_a_kill_between_the_last_byte_and_the_video_is_mended_by_head() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(300_000, 3));
        let upload = begun(&client).await;
        client.append(&upload, 0, &bytes, false).await;
        // What such a crash leaves of a request that said that these are all.
        app.sql("UPDATE tus_uploads SET complete = TRUE, length = 300000").await;
        assert_eq!(told(&client, &upload).await, (bytes.len(), "?1".into()));
        plays(&app, &client, &bytes).await;
        assert_eq!(app.told.lock().unwrap().ready.len(), 1);
    });
}

#[test]
fn a_head_that_reads_a_whole_file_counts_as_an_upload() {
    let one = |config: &mut Config| config.stream.max_uploads = 1;
    on_each_app_with(one, |app| async move {
        let (client, other, bytes) = (Client::new(&app), Client::new(&app), clip(300_000, 3));
        let upload = begun(&client).await;
        client.append(&upload, 0, &bytes, false).await;
        app.sql("UPDATE tus_uploads SET complete = TRUE, length = 300000").await;
        let theirs = super::client::create(&other, &bytes).await;
        let running = stalled(&app, &other, &theirs, &bytes, 280_000).await;
        let refused = client.draft("HEAD", &upload).send().await.unwrap();
        assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
        assert!(app.told.lock().unwrap().ready.is_empty());
        drop(running);
        eventually("the other one has ended", SOON, || async {
            (app.state.limits.uploads.held() == 0).then_some(())
        })
        .await;
        assert_eq!(told(&client, &upload).await, (bytes.len(), "?1".into()));
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn bytes_under_a_digest_are_all_or_nothing() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(300_000, 3));
        let digest = |bytes: &[u8]| format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)));
        let upload = begun(&client).await;
        let wrong = client
            .appending(&upload, 0, true)
            .header("content-digest", digest(b"other"));
        let refused = wrong.body(bytes.clone()).send().await.unwrap();
        assert_eq!(App::problem(refused).await.1, "checksum_mismatch");
        assert_eq!(told(&client, &upload).await, (0, "?0".into()));
        let right = client
            .appending(&upload, 0, true)
            .header("content-digest", digest(&bytes));
        assert_eq!(right.body(bytes.clone()).send().await.unwrap().status(), 200);
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn a_part_of_a_file_is_no_whole_upload() {
    on_each_app(|app| async move {
        let video = VideoId::random();
        let part = app.http.put(app.put_url(&video)).bearer_auth(app.upload_token(&video));
        let refused = part
            .header("upload-complete", "?0")
            .body(clip(5_000, 1))
            .send()
            .await
            .unwrap();
        assert_eq!(App::problem(refused).await.1, "bad_request");
        app.nothing_is_left().await;
    });
}
