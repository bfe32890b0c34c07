//! A store that is away, full, or refuses, while the service runs: a clean answer, and what was acknowledged goes on.

use super::on_bucket;
use crate::{
    app::App,
    clip::clip,
    tus::client::{Client, create, offset_of},
};
use common::{
    db::Backend,
    ids::VideoId,
    messages::{StoreReport, Sweep},
};
use reqwest::Response;
use s3_server::{Effect, Fault};
use std::collections::HashSet;

const LARGE: usize = 17_000_000;
const REAL: Sweep = Sweep { dry_run: false };

async fn is_away(response: Response) {
    assert!(response.headers().contains_key("retry-after"));
    let (status, code, _) = App::problem(response).await;
    assert_eq!((status, code.as_str()), (503, "upstream_unavailable"));
}

#[test]
fn promise_1_a_store_that_goes_away_in_an_upload_loses_nothing_acknowledged() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(2 * LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..9_000_000]).await;
        bucket.server.stop();
        is_away(client.patch(&upload, 9_000_000, bytes[9_000_000..].to_vec()).await).await;
        assert_eq!(client.offset(&upload).await, 9_000_000);
        bucket.server.start_again().unwrap();
        // Now it goes when the first part has been taken, for longer than anybody waits.
        bucket.server.fail(
            Fault::new("PUT", Effect::Answer(503, "SlowDown"))
                .of("partNumber")
                .after(1),
        );
        is_away(client.patch(&upload, 9_000_000, bytes[9_000_000..].to_vec()).await).await;
        bucket.server.heal();
        let at = client.offset(&upload).await;
        assert!(at >= 9_000_000);
        client.send(&upload, at, &bytes[at..]).await;
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn a_store_that_goes_away_at_the_end_is_waited_for_by_head() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        for size in [300_000, LARGE] {
            let (client, bytes) = (Client::new(&app), clip(size, 3));
            let upload = create(&client, &bytes).await;
            client.send(&upload, 0, &bytes[..1000]).await;
            // What completes an upload, what writes a small object, what a probe reads.
            for method in ["POST", "PUT", "GET"] {
                let fault = Fault::new(method, Effect::Answer(503, "SlowDown"));
                let fault = if method == "PUT" { fault.after(1) } else { fault };
                bucket.server.fail(fault.of(client.video.as_str()));
            }
            let refused = client.patch(&upload, 1000, bytes[1000..].to_vec()).await;
            let refused = refused.status().as_u16();
            assert_eq!(refused, 503);
            assert_eq!(app.get(&client.video).await.status(), 404);
            bucket.server.heal();
            let at = client.offset(&upload).await;
            if at < size {
                client.send(&upload, at, &bytes[at..]).await;
            }
            assert!(bucket.only_object().await == bytes);
            app.client().delete_media(&client.video).await.unwrap();
            bucket.is_empty().await;
        }
    });
}

#[test]
fn a_put_gets_a_clean_503_and_what_it_left_goes_with_the_next_sweep() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        bucket.server.fail(
            Fault::new("PUT", Effect::Answer(503, "SlowDown"))
                .of("partNumber")
                .after(1),
        );
        is_away(app.put(&VideoId::random(), clip(LARGE, 1)).await).await;
        bucket.server.heal();
        app.nothing_is_left().await;
        bucket.is_empty().await;
        // Away for good: it is told before the body comes.
        bucket.server.stop();
        is_away(app.put(&VideoId::random(), clip(LARGE, 1)).await).await;
        bucket.server.start_again().unwrap();
        app.client().reconcile(REAL).await.unwrap();
        app.nothing_is_left().await;
        bucket.is_empty().await;
        assert_eq!(app.client().reconcile(REAL).await.unwrap(), StoreReport::default());
    });
}

#[test]
fn promise_5_a_full_bucket_is_a_clean_507() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..1000]).await;
        for (status, code) in [(507, "InsufficientStorage"), (403, "QuotaExceeded")] {
            bucket.server.fail(Fault::new("PUT", Effect::Answer(status, code)));
            for size in [2_000, LARGE] {
                bucket.server.requests();
                let refused = App::problem(app.put(&VideoId::random(), clip(size, 1)).await).await;
                assert_eq!((refused.0, refused.1.as_str()), (507, "storage_full"));
                // The store closes while a part is still being sent, and is understood nevertheless: nothing is sent twice.
                let sent = bucket.server.requests();
                let parts: Vec<_> = sent.iter().filter(|request| request.starts_with("PUT")).collect();
                assert!(parts.iter().collect::<HashSet<_>>().len() == parts.len(), "{parts:?}");
            }
            let refused = client.patch(&upload, 1000, bytes[1000..].to_vec()).await;
            assert_eq!(App::problem(refused).await.0, 507);
            bucket.server.heal();
            app.client().reconcile(REAL).await.unwrap();
            let rows = app.rows().await;
            assert_eq!(rows.len(), 1, "nothing is half stored: {rows:?}");
            assert_eq!(client.offset(&upload).await, 1000);
        }
        client.send(&upload, 1000, &bytes[1000..]).await;
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn credentials_that_are_taken_away_are_a_clean_503() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..9_000_000]).await;
        bucket.server.fail(Fault::new("", Effect::Answer(403, "AccessDenied")));
        is_away(app.put(&VideoId::random(), clip(5_000, 1)).await).await;
        is_away(client.patch(&upload, 9_000_000, bytes[9_000_000..].to_vec()).await).await;
        bucket.server.heal();
        client.send(&upload, 9_000_000, &bytes[9_000_000..]).await;
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn promise_1_a_whole_upload_survives_whatever_the_store_says_at_its_end() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let upload = create(&client, &bytes).await;
        let mut at = 9_000_000;
        client.send(&upload, 0, &bytes[..at]).await;
        for (status, code) in [(520, "Unknown"), (400, "ExpiredToken"), (501, "NotImplemented")] {
            bucket
                .server
                .fail(Fault::new("POST", Effect::Answer(status, code)).of("uploadId"));
            let refused = client.patch(&upload, at, bytes[at..].to_vec()).await;
            assert!(refused.status().is_server_error(), "{code}: {}", refused.status());
            at = LARGE;
            bucket.server.heal();
            assert_eq!(app.rows().await.len(), 1, "{code}");
        }
        // Asking for the offset ends it.
        assert_eq!(client.offset(&upload).await, LARGE);
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn answers_that_are_lost_change_nothing() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        // Done and not told, once of each: the begin of an upload, a part, a tail, the end.
        for (method, has) in [
            ("POST", "uploads"),
            ("PUT", "partNumber"),
            ("PUT", ".tail-"),
            ("POST", "uploadId"),
        ] {
            bucket.server.fail(Fault::new(method, Effect::Lose).of(has).times(1));
            let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
            let upload = create(&client, &bytes).await;
            client.send(&upload, 0, &bytes[..9_000_000]).await;
            let last = client.patch(&upload, 9_000_000, bytes[9_000_000..].to_vec()).await;
            assert_eq!((last.status().as_u16(), offset_of(&last)), (204, Some(LARGE)), "{has}");
            app.client().reconcile(REAL).await.unwrap();
            assert!(bucket.only_object().await == bytes, "{has}");
            app.client().delete_media(&client.video).await.unwrap();
            bucket.is_empty().await;
        }
    });
}

#[test]
fn a_purge_waits_for_a_store_that_is_away() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, bytes) = app.stored(10_000).await;
        bucket.server.fail(Fault::new("", Effect::Answer(503, "SlowDown")));
        assert!(app.client().delete_media(&video).await.is_err());
        bucket.server.heal();
        let receipt = app.client().delete_media(&video).await.unwrap();
        assert_eq!((receipt.objects, receipt.bytes), (1, bytes.len() as u64));
        bucket.is_empty().await;
    });
}
