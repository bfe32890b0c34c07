//! A request whose client is gone or hangs gives way to the next one, and what it brought is kept.

use super::client::{Client, create, offset_of, patch_head, plays, stalled};
use crate::{
    app::{App, SOON, on_each_app, on_each_app_with, start_service},
    clip::clip,
};
use common::{
    db::{Backend, DbError},
    ids::Id,
    testing::{eventually, raw::Raw},
};
use diesel::RunQueryDsl;
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use stream_service::{
    store::ObjectKey,
    tus::{Known, Upload, rows},
};

#[test]
fn a_new_request_takes_an_upload_over_from_a_stalled_one_and_loses_nothing() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 6));
        let upload = create(&client, &bytes).await;
        // The stall timeout is a minute and the test's patience less than half of it: only a takeover ends it.
        let mut first = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let at = eventually("all that was sent is saved", SOON, || async {
            Some(client.offset(&upload).await)
        })
        .await;
        first.answer().await.check_problem(409, "conflict");
        assert!((262_144..=500_000).contains(&at), "{at}");
        client.send(&upload, at, &bytes[at..]).await;
        plays(&app, &client, &bytes).await;
        assert_eq!(app.state.limits.uploads.held(), 0);
    });
}

#[test]
fn a_patch_takes_over_too_and_is_told_the_true_offset() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 7));
        let upload = create(&client, &bytes).await;
        let mut first = stalled(&app, &client, &upload, &bytes, 500_000).await;
        let second = client.patch(&upload, 0, bytes.clone()).await;
        let at = offset_of(&second).unwrap();
        let (status, code, problem) = App::problem(second).await;
        assert_eq!(
            (status, code.as_str(), &problem["offset"]),
            (409, "offset_mismatch", &at.into())
        );
        first.answer().await.check_problem(409, "conflict");
        client.send(&upload, at, &bytes[at..]).await;
        plays(&app, &client, &bytes).await;
    });
}

#[test]
fn a_stalled_request_does_not_count_against_the_one_that_takes_over() {
    on_each_app_with(
        |config| config.stream.max_uploads_per_user = 1,
        |app| async move {
            let (client, bytes) = (Client::new(&app), clip(900_000, 7));
            let upload = create(&client, &bytes).await;
            let _first = stalled(&app, &client, &upload, &bytes, 500_000).await;
            let other = client
                .creation(&[("upload-length", "900000")], Some(bytes.clone()))
                .await;
            assert_eq!(App::problem(other).await.1, "too_many_uploads");
            let at = client.offset(&upload).await;
            client.send(&upload, at, &bytes[at..]).await;
            plays(&app, &client, &bytes).await;
        },
    );
}

#[test]
fn of_many_requests_at_once_the_bytes_come_out_whole() {
    on_each_app(|app| async move {
        for round in 0..4u8 {
            let (client, bytes) = (Client::new(&app), clip(400_000, round));
            let upload = create(&client, &bytes).await;
            let answers = join_all((0..4).map(|_| client.patch(&upload, 0, bytes.clone()))).await;
            let taken = answers.iter().filter(|answer| answer.status() == 204).count();
            assert!(taken <= 1, "the same bytes were taken {taken} times");
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
            assert!(
                statuses.iter().all(|status| [204, 409].contains(status)),
                "{statuses:?}"
            );
            let at = client.offset(&upload).await;
            if at < bytes.len() {
                assert_eq!(taken, 0);
                client.send(&upload, at, &bytes[at..]).await;
            }
            plays(&app, &client, &bytes).await;
        }
    });
}

#[test]
fn promise_9_no_permit_is_left_by_clients_that_leave() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 2));
        let upload = create(&client, &bytes).await;
        let mut at = 0;
        for _ in 0..4 {
            let mut raw = Raw::connect(&app.running.public).await;
            raw.send(&patch_head(&app, &client, &upload, at, bytes.len() - at, ""))
                .await;
            raw.send_bytes(&bytes[at..at + 100_000]).await;
            eventually("it is being received", SOON, || async {
                (app.state.limits.uploads.held() == 1).then_some(())
            })
            .await;
            drop(raw);
            eventually("it has ended", SOON, || async {
                (app.state.uploads.objects().is_empty() && app.state.limits.uploads.held() == 0).then_some(())
            })
            .await;
            let kept = client.offset(&upload).await;
            assert!((at..=at + 100_000).contains(&kept), "{kept} after {at}");
            at = kept;
        }
        client.delete(&upload).await;
        app.nothing_is_left().await;
    });
}

#[test]
fn promise_19_a_drain_cuts_an_upload_at_a_saved_offset() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(900_000, 2));
        let upload = create(&client, &bytes).await;
        let mut running = stalled(&app, &client, &upload, &bytes, 500_000).await;
        app.running.platform.drain.begin();
        running.answer().await.check_problem(503, "overloaded");
        let saved = app.db.read(|conn| {
            let row = diesel::sql_query("SELECT acknowledged FROM tus_uploads").get_result::<Saved>(conn)?;
            Ok::<_, common::db::DbError>(row.acknowledged)
        });
        assert!(saved.await.unwrap() >= 262_144);
    });
}

/// How long a request that hangs keeps the one after it from writing. The promise is a time: the quickest of three counts, so that
/// a busy machine breaks nothing, and a takeover that waits for a timer of a second or more never does it in time.
async fn quickest_takeover(app: &App, other: &str) -> Duration {
    let mut times = Vec::new();
    for round in 0..3 {
        let (client, bytes) = (Client::new(app), clip(900_000, round));
        let there = Client::at(other, app.http.clone(), client.video.clone(), client.token.clone());
        let upload = create(&client, &bytes).await;
        let _hanging = stalled(app, &client, &upload, &bytes, 500_000).await;
        let began = Instant::now();
        let at = there.offset(&upload).await;
        there.send(&upload, at, &bytes[at..at + 10_000]).await;
        times.push(began.elapsed());
        client.delete(&upload).await;
    }
    times.into_iter().min().unwrap()
}

#[test]
fn a_takeover_takes_less_than_a_second() {
    on_each_app(|app| async move {
        let here = quickest_takeover(&app, &app.running.public).await;
        assert!(here < Duration::from_secs(1), "{here:?}");
        if app.db.backend() == Backend::Postgres {
            // Another process hears of it from the row that they share.
            let (other, other_state) = start_service(app.running.config.clone()).await;
            let there = quickest_takeover(&app, &other.public).await;
            assert!(there < Duration::from_secs(1), "{there:?}");
            drop(other_state);
            other.stop().await;
        }
    });
}

#[derive(diesel::QueryableByName)]
struct Saved {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    acknowledged: i64,
}

#[test]
fn another_process_takes_an_upload_over() {
    on_each_app(|app| async move {
        if app.db.backend() == Backend::Sqlite {
            // One process is all that a SQLite file has.
            return;
        }
        let (other, other_state) = start_service(app.running.config.clone()).await;
        let (client, bytes) = (Client::new(&app), clip(900_000, 4));
        let there = Client::at(
            &other.public,
            app.http.clone(),
            client.video.clone(),
            client.token.clone(),
        );
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..100_000]).await;
        let mut first = Raw::connect(&app.running.public).await;
        first
            .send(&patch_head(&app, &client, &upload, 100_000, 800_000, ""))
            .await;
        first.send_bytes(&bytes[100_000..500_000]).await;
        eventually("it is being received", SOON, || async {
            (app.state.limits.uploads.held() == 1).then_some(())
        })
        .await;
        // What the first process has not acknowledged is sent again, and what it still writes goes nowhere.
        let at = there.offset(&upload).await;
        assert!((100_000..=500_000).contains(&at), "{at}");
        there.send(&upload, at, &bytes[at..at + 10_000]).await;
        first.answer().await.check_problem(409, "conflict");
        client.send(&upload, at + 10_000, &bytes[at + 10_000..]).await;
        plays(&app, &client, &bytes).await;
        assert_eq!(there.offset(&upload).await, bytes.len());
        drop(other_state);
        other.stop().await;
    });
}

#[test]
fn what_is_acknowledged_never_goes_back() {
    on_each_app(|app| async move {
        let client = Client::new(&app);
        let upload = create(&client, &clip(9_000, 3)).await;
        let key = ObjectKey {
            video: client.video.clone(),
            object: upload.rsplit('/').next().unwrap().parse().unwrap(),
        };
        let (holder, keep) = (Id::now(), Duration::from_secs(60));
        let (object, by) = (key.object.clone(), holder.clone());
        let taken = app
            .db
            .write(move |conn| Ok::<_, DbError>(rows::take(conn, &key, &by, keep)?));
        let Known::Is(known) = taken.await.unwrap() else {
            panic!("it is there");
        };
        let acknowledge = |offset, kept: &'static str| {
            let (object, holder) = (object.clone(), holder.clone());
            let upload = Upload {
                offset,
                ..known.clone()
            };
            app.db.write(move |conn| {
                let done = rows::acknowledge(conn, &object, &holder, (&upload, kept, keep))?;
                Ok::<_, DbError>(done.is_some())
            })
        };
        assert!(acknowledge(7, "at its end").await.unwrap());
        // Saved before that, and nobody waited for it any more.
        assert!(!acknowledge(5, "on the way").await.unwrap());
        assert!(acknowledge(7, "again").await.unwrap());
        assert_eq!(client.offset(&upload).await, 7);
    });
}
