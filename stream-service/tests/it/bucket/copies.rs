//! Several copies of the service over one database and one bucket.

use super::on_bucket;
use crate::{
    app::{App, SOON, on_app_of, start_service},
    clip::{clip, sha256},
    tus::client::{Client, create, offset_of, patch_head},
};
use bytes::Bytes;
use common::{
    db::{Backend, DbError},
    ids::VideoId,
    messages::Sweep,
    testing::{Running, eventually, raw::Raw},
};
use s3_server::{Effect, Fault};
use std::{rc::Rc, time::Duration};
use stream_service::state::State;

const LARGE: usize = 17_000_000;
const REAL: Sweep = Sweep { dry_run: false };

/// Another copy.
struct Copy {
    running: Running,
    state: State,
}

impl Copy {
    async fn of(app: &App) -> Self {
        let (running, state) = start_service(app.running.config.clone()).await;
        Self { running, state }
    }

    /// The same client, which is sent here.
    fn client(&self, app: &App, client: &Client) -> Client {
        Client::at(
            &self.running.public,
            app.http.clone(),
            client.video.clone(),
            client.token.clone(),
        )
    }

    async fn stop(self) {
        drop(self.state);
        self.running.stop().await;
    }
}

#[test]
fn an_upload_whose_requests_land_on_different_copies() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let other = Copy::of(&app).await;
        let (here, bytes) = (Client::new(&app), clip(40_000_000, 3));
        let there = other.client(&app, &here);
        let upload = create(&here, &bytes).await;
        let mut at = 0;
        for (turn, piece) in [1000, 9_000_000, 1, 5_000_000, 0, 16 << 20, 3_000_000, bytes.len()]
            .into_iter()
            .enumerate()
        {
            let (client, asked) = if turn % 2 == 0 {
                (&here, &there)
            } else {
                (&there, &here)
            };
            let to = bytes.len().min(at + piece);
            client.send(&upload, at, &bytes[at..to]).await;
            assert_eq!(asked.offset(&upload).await, to);
            at = to;
        }
        assert!(bucket.only_object().await == bytes);
        let stored = app.db.read(|conn| {
            let row = diesel::RunQueryDsl::get_result::<Hash>(diesel::sql_query("SELECT sha256 FROM objects"), conn)?;
            Ok::<_, DbError>(row.sha256)
        });
        assert_eq!(stored.await.unwrap(), sha256(&bytes));
        other.stop().await;
    });
}

/// Connections of this database that wait for a lock.
async fn waiting(app: &App) -> i64 {
    let waiting = app.db.read(|conn| {
        let text = "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let row = diesel::RunQueryDsl::get_result::<Count>(diesel::sql_query(text), conn)?;
        Ok::<_, DbError>(row.count)
    });
    waiting.await.unwrap()
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// What it brought since the last save is whole parts, so that the tail behind them has the length of the one before.
#[test]
fn promise_1_a_request_that_is_taken_over_while_it_saves_keeps_every_byte_in_its_place() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let (little, save) = (300_000, 16 << 20);
        let (client, bytes) = (Client::new(&app), clip(20_000_000, 3));
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..little]).await;
        let mut first = Raw::connect(&app.running.public).await;
        let head = patch_head(&app, &client, &upload, little, bytes.len() - little, "");
        first.send(&head).await;
        first.send_bytes(&bytes[little..little + save - 1]).await;
        eventually("two parts are there", SOON, || async {
            (bucket.lies().await.uploads.first()?.1 == 16 << 20).then_some(())
        })
        .await;
        // The ledger takes its time.
        let (go, held) = std::sync::mpsc::channel::<()>();
        let (entered, inside) = tokio::sync::oneshot::channel();
        let db = app.db.clone();
        let locked = actix_web::rt::spawn(async move {
            let locked = db.write(move |conn| {
                let forever = "SET LOCAL idle_in_transaction_session_timeout = 0";
                diesel::RunQueryDsl::execute(diesel::sql_query(forever), conn)?;
                diesel::RunQueryDsl::execute(diesel::sql_query("SELECT 1 FROM tus_uploads FOR UPDATE"), conn)?;
                entered.send(()).unwrap();
                held.recv_timeout(SOON).ok();
                Ok::<_, DbError>(())
            });
            locked.await
        });
        inside.await.unwrap();
        first.send_bytes(&bytes[little + save - 1..little + save]).await;
        eventually("it saves", SOON, || async { (waiting(&app).await == 1).then_some(()) }).await;
        let taken = async {
            eventually("it is taken over, and saves again", SOON, || async {
                (waiting(&app).await == 2).then_some(())
            })
            .await;
            go.send(()).unwrap();
        };
        let (offset, ()) = futures_util::future::join(client.offset(&upload), taken).await;
        locked.await.unwrap().unwrap();
        assert_eq!(offset, little + save);
        client.send(&upload, offset, &bytes[offset..]).await;
        assert!(bucket.only_object().await == bytes);
    });
}

#[derive(diesel::QueryableByName)]
struct Hash {
    #[diesel(sql_type = diesel::sql_types::Text)]
    sha256: String,
}

#[test]
fn the_hash_goes_with_the_upload_and_nothing_is_read_twice() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let other = Copy::of(&app).await;
        let (here, bytes) = (Client::new(&app), clip(2 * LARGE, 3));
        let upload = create(&here, &bytes).await;
        here.send(&upload, 0, &bytes[..LARGE]).await;
        bucket.server.requests();
        let there = other.client(&app, &here);
        assert_eq!(there.patch(&upload, LARGE, bytes[LARGE..].to_vec()).await.status(), 204);
        let key = bucket.lies().await.objects.remove(0).0;
        let reads = bucket.server.requests();
        let reads: Vec<_> = reads
            .iter()
            .filter(|request| request.starts_with("GET") && request.ends_with(&key))
            .collect();
        assert!(reads.len() <= 4, "the head and the tables: {reads:?}");
        other.stop().await;
    });
}

#[test]
fn what_one_that_was_taken_over_still_sends_changes_nothing() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let other = Copy::of(&app).await;
        let (here, bytes) = (Client::new(&app), clip(40_000_000, 3));
        let there = other.client(&app, &here);
        let upload = create(&here, &bytes).await;
        here.send(&upload, 0, &bytes[..9_000_000]).await;
        // Its parts are on their way for longer than the other copy needs, and hold other bytes.
        bucket.server.requests();
        bucket.server.fail(
            Fault::new("PUT", Effect::Late(Duration::from_secs(3)))
                .of("partNumber")
                .times(1),
        );
        let mut stale = Raw::connect(&app.running.public).await;
        stale
            .send(&patch_head(
                &app,
                &here,
                &upload,
                9_000_000,
                bytes.len() - 9_000_000,
                "",
            ))
            .await;
        stale.send_bytes(&vec![7; 9_000_000]).await;
        eventually("its part is on its way", SOON, || async {
            bucket
                .server
                .requests()
                .iter()
                .any(|request| request.contains("partNumber"))
                .then_some(())
        })
        .await;
        assert_eq!(there.offset(&upload).await, 9_000_000);
        there.send(&upload, 9_000_000, &bytes[9_000_000..20_000_000]).await;
        stale.answer().await.check_problem(409, "conflict");
        tokio::time::sleep(Duration::from_secs(3)).await;
        there.send(&upload, 20_000_000, &bytes[20_000_000..]).await;
        assert!(bucket.only_object().await == bytes);
        app.client().reconcile(REAL).await.unwrap();
        assert_eq!(bucket.lies().await.objects.len(), 1);
        other.stop().await;
    });
}

#[test]
fn promise_1_an_object_that_the_store_is_still_putting_together_is_waited_for() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(LARGE, 3));
        let length = LARGE.to_string();
        let upload = client
            .create(&[("upload-length", &length), ("upload-concat", "partial")])
            .await;
        client.send(&upload, 0, &bytes).await;
        // As a copy leaves it that was killed while it completed the upload: over, and the object is not there yet.
        app.sql("UPDATE tus_uploads SET concat = ''").await;
        let known = bucket.client.list_multiparts("").await.unwrap().remove(0);
        assert!(bucket.client.abort(&known.key, &known.id).await.unwrap());
        bucket.server.requests();
        let appears = async {
            eventually("its end is asked for", SOON, || async {
                let requests = bucket.server.requests();
                requests.iter().any(|request| request.starts_with("HEAD")).then_some(())
            })
            .await;
            assert_eq!(app.rows().await.len(), 1, "it is not given up");
            let whole = Bytes::from(bytes.clone());
            bucket.client.put(&known.key, whole).await.unwrap();
        };
        let (offset, ()) = futures_util::future::join(client.offset(&upload), appears).await;
        assert_eq!(offset, LARGE);
        assert!(bucket.only_object().await == bytes);
    });
}

#[test]
fn promise_1_a_commit_that_fails_loses_nothing_that_was_acknowledged() {
    on_bucket(Backend::Postgres, |app, _bucket| a_commit_that_fails(app));
    on_app_of(Backend::Postgres, |_| (), a_commit_that_fails);
}

async fn a_commit_that_fails(app: Rc<App>) {
    let (client, bytes) = (Client::new(&app), clip(300_000, 3));
    let upload = create(&client, &bytes).await;
    // For longer than anybody waits for a lock. Only the commit of the video writes to it.
    let (entered, inside) = tokio::sync::oneshot::channel();
    let db = app.db.clone();
    let locked = actix_web::rt::spawn(async move {
        let locked = db.write(move |conn| {
            diesel::RunQueryDsl::execute(diesel::sql_query("LOCK TABLE outbox IN EXCLUSIVE MODE"), conn)?;
            entered.send(()).unwrap();
            diesel::RunQueryDsl::execute(diesel::sql_query("SELECT CAST(pg_sleep(9) AS TEXT)"), conn)?;
            Ok::<_, DbError>(())
        });
        locked.await
    });
    inside.await.unwrap();
    let unclear = client.patch(&upload, 0, bytes.clone()).await;
    assert_eq!(App::problem(unclear).await.0, 503);
    locked.await.unwrap().unwrap();
    assert_eq!(client.offset(&upload).await, bytes.len());
    assert!(app.get(&client.video).await.bytes().await.unwrap() == bytes);
    eventually("it is told once", SOON, || async {
        (app.told.lock().unwrap().ready.len() == 1).then_some(())
    })
    .await;
}

#[test]
fn a_last_part_that_another_request_has_replaced_is_sent_again() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        for (times, status) in [(1, 204), (2, 500)] {
            let (client, bytes) = (Client::new(&app), clip(LARGE, times as u8));
            let upload = create(&client, &bytes).await;
            let replaced = Fault::new("POST", Effect::Answer(400, "InvalidPart")).of("uploadId");
            bucket.server.fail(replaced.times(times));
            let sent = client.patch(&upload, 0, bytes.clone()).await;
            assert_eq!(sent.status(), status);
            assert_eq!(client.offset(&upload).await, LARGE);
            assert!(app.get(&client.video).await.bytes().await.unwrap() == bytes);
        }
    });
}

/// HEAD makes the video while a request that was long under way takes the upload, and gets no further.
#[test]
fn a_head_whose_upload_is_taken_meanwhile_looks_again() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let (client, bytes) = (Client::new(&app), clip(300_000, 3));
        let other = Copy::of(&app).await;
        let there = other.client(&app, &client);
        let upload = client
            .create(&[("upload-length", "300000"), ("upload-concat", "partial")])
            .await;
        client.send(&upload, 0, &bytes).await;
        app.sql("UPDATE tus_uploads SET concat = ''").await;
        bucket.server.requests();
        bucket
            .server
            .fail(Fault::new("PUT", Effect::Late(Duration::from_secs(1))).times(1));
        let taken = async {
            eventually("the video is being made", SOON, || async {
                let requests = bucket.server.requests();
                requests.iter().any(|request| request.starts_with("PUT")).then_some(())
            })
            .await;
            let late = there.patch(&upload, 5, b"late".to_vec()).await;
            assert_eq!(App::problem(late).await.1, "offset_mismatch");
        };
        let (offset, ()) = futures_util::future::join(client.offset(&upload), taken).await;
        assert_eq!(offset, bytes.len());
        assert!(bucket.only_object().await == bytes);
        other.stop().await;
    });
}

#[test]
fn an_upload_is_played_through_another_copy() {
    on_bucket(Backend::Postgres, |app, _bucket| async move {
        let other = Copy::of(&app).await;
        let (video, bytes) = app.stored(LARGE).await;
        let url = format!("{}{}", other.running.public, app.file_path(&video));
        let whole = app.http.get(&url).send().await.unwrap();
        assert_eq!(whole.headers()["etag"], format!("\"{}\"", sha256(&bytes)));
        assert!(whole.bytes().await.unwrap() == bytes);
        for (from, to) in [(0, 99), (8_388_600, 8_388_700), (LARGE - 5, LARGE - 1)] {
            let range = app.http.get(&url).header("range", format!("bytes={from}-{to}"));
            let range = range.send().await.unwrap();
            assert_eq!(range.status(), 206);
            assert!(range.bytes().await.unwrap() == bytes[from..=to]);
        }
        other.stop().await;
    });
}

#[test]
fn a_part_that_came_to_one_copy_is_joined_by_another() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let other = Copy::of(&app).await;
        let (here, bytes) = (Client::new(&app), clip(LARGE, 3));
        let there = other.client(&app, &here);
        let mut parts = Vec::new();
        for (client, from, to) in [(&here, 0, 9_000_000), (&there, 9_000_000, LARGE)] {
            let length = (to - from).to_string();
            let part = client
                .create(&[("upload-length", &length), ("upload-concat", "partial")])
                .await;
            client.send(&part, 0, &bytes[from..to]).await;
            parts.push(part);
        }
        let list = format!("final;{}", parts.join(" "));
        let upload = here.create(&[("upload-concat", &list)]).await;
        assert_eq!(there.offset(&upload).await, LARGE);
        assert!(bucket.only_object().await == bytes);
        other.stop().await;
    });
}

#[test]
fn a_put_whose_copy_died_is_removed_by_another() {
    on_bucket(Backend::Postgres, |app, bucket| async move {
        let other = Copy::of(&app).await;
        let (client, bytes) = (Client::new(&app), clip(2 * LARGE, 3));
        let video = VideoId::random();
        let host = app.running.public.strip_prefix("http://").unwrap();
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&format!(
            "PUT /uploads/by-video/{video} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            app.upload_token(&video),
            bytes.len()
        ))
        .await;
        raw.send_bytes(&bytes[..LARGE]).await;
        eventually("its parts are there", SOON, || async {
            (bucket.lies().await.bytes() >= 16 << 20).then_some(())
        })
        .await;
        // As if its process had not been heard of for long.
        app.sql("UPDATE objects SET heartbeat_at = 0").await;
        let mut config = app.running.config.clone();
        config.internal.stream = vec![other.running.internal.clone()];
        let there = common::clients::Clients::new(&config).unwrap().stream;
        assert_eq!(there.expire_uploads(REAL).await.unwrap().count, 1);
        bucket.is_empty().await;
        // It lives after all, and ends without a trace.
        raw.send_bytes(&bytes[LARGE..]).await;
        raw.answer().await.check_problem(409, "conflict");
        app.nothing_is_left().await;
        bucket.is_empty().await;
        // A new one goes on to its end.
        let upload = create(&client, &bytes).await;
        let sent = client.patch(&upload, 0, bytes.clone()).await;
        assert_eq!(offset_of(&sent), Some(bytes.len()));
        other.stop().await;
    });
}
