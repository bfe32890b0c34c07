//! What happens to a video and to an account shows on all devices of its owner, and on nobody else's.

use serde_json::{Value, json};

use super::socket::Socket;
use crate::media;
use crate::person::{PASSWORD, Person, slow_body};
use crate::site::Home;

#[tokio::test]
async fn the_owners_second_device_sees_what_becomes_of_a_video() {
    let home = Home::new();
    let site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let bob = Person::register(&site.base, "bob").await;
    let phone = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let mut second = Socket::logged_in(&phone).await;
    let mut strangers = Socket::logged_in(&bob).await;
    // Connected, but not logged in: no event stream.
    let mut silent = Socket::open(&phone).await;

    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let (id, upload) = ann.create("Seen elsewhere").await;
    let (sender, body) = slow_body();
    let running = tokio::spawn(ann.put(&upload, body).send());
    let (half, rest) = clip.bytes.split_at(clip.bytes.len() / 2);
    sender.send(half.to_vec()).unwrap();
    let progress = second.event("OnUploadProgress").await;
    assert_eq!(progress["videoID"], id);
    let received = progress["receivedBytes"].as_u64().unwrap();
    assert!(received <= half.len() as u64, "{progress}");
    assert!(progress.as_object().unwrap().contains_key("totalBytes"), "{progress}");
    sender.send(rest.to_vec()).unwrap();
    drop(sender);
    assert_eq!(running.await.unwrap().unwrap().status(), 201);
    let video = json!({ "videoID": id });
    assert_eq!(second.event("OnVideoReady").await, video);

    let delete = ann.delete(&format!("/api/v1/videos/{id}")).await.expect(202);
    assert_eq!(delete["video"]["state"], "trashed");
    assert_eq!(second.event("OnVideoTrashed").await, video);
    ann.post(&format!("/api/v1/videos/{id}/restore"), json!({}))
        .await
        .expect(200);
    assert_eq!(second.event("OnVideoRestored").await, video);
    ann.delete(&format!("/api/v1/videos/{id}?permanent=true"))
        .await
        .expect(202);
    assert_eq!(second.event("OnVideoPurged").await, video);
    let receipt = second.ok("GetDeletion", video.clone()).await;
    assert_eq!(
        receipt["receipt"]["bytes"],
        clip.bytes.len(),
        "the receipt is there when it is told"
    );

    for socket in [&mut strangers, &mut silent] {
        socket.is_alive().await;
        let heard: Vec<&Value> = socket.kept().collect();
        assert!(heard.is_empty(), "{heard:?}");
    }
    site.stop();
}

#[tokio::test]
async fn a_file_that_is_no_video_is_told_too() {
    let home = Home::new();
    let site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let mut socket = Socket::logged_in(&ann).await;
    let (id, upload) = ann.create("Words").await;
    let refused = ann
        .try_send(ann.put(&upload, b"no video at all ".repeat(500)))
        .await
        .unwrap();
    refused.problem(415, "unsupported_media");
    let state = ann.video(&id).await.expect(200)["state"].clone();
    if state == "failed" {
        assert_eq!(socket.event("OnVideoFailed").await, json!({ "videoID": id }));
    }
    socket.is_alive().await;
    assert!(socket.kept().all(|event| event["event"] != "OnVideoReady"));
    site.stop();
}

#[tokio::test]
async fn a_changed_name_shows_on_all_devices_and_in_what_is_said_next() {
    let home = Home::new();
    let site = home.serve(&[]);
    let ann = Person::register(&site.base, "ann").await;
    let phone = Person::sign_in(&site.base, "ann", PASSWORD).await;
    let id = ann.publish("A room", &media::clip("ordinary/testvid_1022ms.mp4")).await;
    let (mut page, mut device) = (Socket::logged_in(&ann).await, Socket::logged_in(&phone).await);
    let changed = page
        .ok("SetSelfInfo", json!({ "displayName": "Ann of the hill" }))
        .await;
    assert_eq!(changed["displayName"], "Ann of the hill");
    for socket in [&mut page, &mut device] {
        assert_eq!(socket.event("OnSelfInfoUpdated").await, changed);
    }
    device.ok("JoinRoom", json!({ "videoID": id })).await;
    page.ok("PostComment", json!({ "videoID": id, "text": "hi" })).await;
    assert_eq!(device.entry().await["data"]["author"]["displayName"], "Ann of the hill");
    site.stop();
}
