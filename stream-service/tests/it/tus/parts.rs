//! Concatenation.

use super::client::{Client, offset_of, plays};
use crate::{
    app::{App, on_each_app},
    clip::clip,
};
use futures_util::future::join_all;

#[test]
fn parts_sent_in_parallel_become_one_video() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(1_000_000, 8));
        let cuts = [(0, 333_333), (333_333, 700_000), (700_000, 1_000_000)];
        let parts = join_all(cuts.map(|(from, to)| {
            let (client, bytes) = (&client, &bytes);
            async move {
                let part = client
                    .create(&[
                        ("upload-length", &(to - from).to_string()),
                        ("upload-concat", "partial"),
                    ])
                    .await;
                client.send(&part, 0, &bytes[from..from + 1000]).await;
                client.send(&part, 1000, &bytes[from + 1000..to]).await;
                part
            }
        }))
        .await;
        // Addresses as clients write them: paths and absolute ones.
        let list = format!("final;{}{} {} {}", app.running.public, parts[0], parts[1], parts[2]);
        let upload = client
            .create(&[("upload-concat", &list), ("upload-metadata", "filename YQ==")])
            .await;
        plays(&app, &client, &bytes).await;
        let head = client.head(&upload).await;
        assert_eq!(offset_of(&head), Some(bytes.len()));
        assert_eq!(head.headers()["upload-concat"], format!("final;{}", parts.join(" ")));
        assert_eq!(head.headers()["upload-metadata"], "filename YQ==");
        assert_eq!(client.head(&parts[0]).await.status(), 410, "the parts are gone");
        assert_eq!((app.files().len(), app.rows().await.len()), (1, 1));
    });
}

#[test]
fn only_whole_parts_of_the_same_video_are_joined() {
    on_each_app(|app| async move {
        let (client, stranger) = (Client::limited(&app, 6_000), Client::new(&app));
        let partial = ("upload-concat", "partial");
        let open = client.create(&[("upload-length", "3000"), partial]).await;
        let usual = client.create(&[("upload-length", "3000")]).await;
        let whole = client.create(&[("upload-length", "4000"), partial]).await;
        client.send(&whole, 0, &[7; 4000]).await;
        let theirs = stranger.create(&[("upload-length", "4000"), partial]).await;
        stranger.send(&theirs, 0, &[7; 4000]).await;
        let gone = client.create(&[("upload-length", "4000"), partial]).await;
        client.delete(&gone).await;
        for (list, status) in [(&open, 409), (&usual, 409), (&theirs, 404), (&gone, 410)] {
            let refused = client
                .creation(&[("upload-concat", &format!("final;{whole} {list}"))], None)
                .await;
            assert_eq!(refused.status(), status, "{list}");
        }
        client.send(&open, 0, &[7; 3000]).await;
        let large = client
            .creation(&[("upload-concat", &format!("final;{whole} {open}"))], None)
            .await;
        let (status, _, problem) = App::problem(large).await;
        assert_eq!((status, &problem["maxBytes"]), (413, &6000.into()));
        // Not a video: the parts stay, so that they can be joined in another order.
        let damaged = client
            .creation(&[("upload-concat", &format!("final;{whole}"))], None)
            .await;
        assert_eq!(damaged.status(), 415);
        assert_eq!(client.offset(&whole).await, 4000);
    });
}

#[test]
fn the_same_parts_joined_in_two_orders_at_once_do_not_wait_for_each_other() {
    on_each_app(|app| async move {
        for _ in 0..5 {
            let (client, bytes) = (Client::new(&app), clip(10_000, 2));
            let mut parts = Vec::new();
            for half in bytes.chunks(5_000) {
                let part = client.create(&[("upload-length", "5000"), ("upload-concat", "partial")]);
                let part = part.await;
                client.send(&part, 0, half).await;
                parts.push(part);
            }
            let right = format!("final;{} {}", parts[0], parts[1]);
            let wrong = format!("final;{} {}", parts[1], parts[0]);
            let (right, wrong) = ([("upload-concat", right.as_str())], [("upload-concat", wrong.as_str())]);
            let (right, wrong) = tokio::join!(client.creation(&right, None), client.creation(&wrong, None));
            assert_eq!(right.status(), 201);
            // No video; or the parts are gone, or the video has its file.
            assert!([415, 410, 409].contains(&wrong.status().as_u16()), "{}", wrong.status());
            plays(&app, &client, &bytes).await;
        }
    });
}
