//! `104 (Upload Resumption Supported)`: the address of an upload before its bytes.

use super::{
    client::{Client, plays},
    draft::told,
};
use crate::{
    app::{App, SOON, on_each_app},
    clip::clip,
};
use common::testing::{eventually, raw::Raw};

/// A creation with all bytes, of which only some are sent. `fields`: the version, and what else its head is to say.
async fn creation(app: &App, client: &Client, fields: &str, bytes: &[u8], sent: usize) -> Raw {
    let mut raw = Raw::connect(&app.running.public).await;
    raw.send(&format!(
        "POST /uploads HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nUpload-Draft-Interop-Version: {fields}\r\n\
         Upload-Complete: ?1\r\nContent-Length: {}\r\n\r\n",
        client.token,
        bytes.len(),
    ))
    .await;
    raw.send_bytes(&bytes[..sent]).await;
    raw
}

/// The same, and the address that 104 tells.
async fn optimistic(app: &App, client: &Client, bytes: &[u8], sent: usize) -> (Raw, String) {
    let mut raw = creation(app, client, "8", bytes, sent).await;
    let interim = raw.head().await;
    assert_eq!(interim.status, 104, "{}", interim.head);
    assert_eq!(interim.header("upload-draft-interop-version"), Some("8"));
    assert!(interim.header("upload-limit").unwrap().starts_with("max-size="));
    let upload = interim.header("location").unwrap().to_owned();
    (raw, upload)
}

#[test]
fn the_address_is_told_before_the_bytes_so_that_a_cut_creation_goes_on() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 3));
        // Before the first byte, and then all goes well.
        let (mut raw, upload) = optimistic(&app, &client, &bytes, 0).await;
        raw.send_bytes(&bytes).await;
        let created = raw.answer().await;
        assert_eq!(
            (created.status, created.header("location")),
            (201, Some(upload.as_str()))
        );
        plays(&app, &client, &bytes).await;
        // Cut in the middle.
        let client = Client::new(&app);
        let (raw, upload) = optimistic(&app, &client, &bytes, 500_000).await;
        drop(raw);
        let (at, complete) = told(&client, &upload).await;
        assert!(at <= 500_000 && complete == "?0", "{at} {complete}");
        client.append(&upload, at, &bytes[at..], true).await;
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn a_cut_creation_whose_address_nobody_knows_leaves_nothing() {
    on_each_app(|app| async move {
        // Version 7 knows another 104, and a proxy keeps it to itself.
        let proxied = [
            "Via: 1.1 edge",
            "X-Forwarded-For: 192.0.2.1",
            "Forwarded: for=192.0.2.1",
        ];
        let proxied = proxied.map(|field| format!("8\r\n{field}"));
        for fields in ["7".to_owned()].iter().chain(&proxied) {
            let (client, bytes) = (Client::new(&app), clip(900_000, 3));
            let raw = creation(&app, &client, fields, &bytes, 500_000).await;
            eventually("it is being received", SOON, || async {
                (app.bytes_on_disk() > 0).then_some(())
            })
            .await;
            drop(raw);
            app.nothing_is_left().await;
        }
    });
}
