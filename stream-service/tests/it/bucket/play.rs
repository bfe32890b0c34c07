//! Playing from a bucket: as from a disk, and what happens when the store fails before or while bytes are sent.

use super::{Bucket, on_bucket, on_bucket_with};
use crate::{
    app::{App, SOON},
    ranges::{conforms_at, spelled_for_the_app},
    wire::{narrow, request},
};
use common::{db::Backend, messages::Visibility, testing::eventually};
use s3_server::{Effect, Fault, Server};
use std::{cell::Cell, rc::Rc, sync::atomic::Ordering, time::Duration};

const SIZE: usize = 3_000_000;

/// Where requests for bytes of objects go.
const OBJECTS: &str = "/media/of/tests/";

/// Once with bytes that the kernel moves, and once with bytes that are copied.
fn in_a_bucket<Fut: Future<Output = ()>>(body: impl Fn(Rc<App>, Rc<Bucket>) -> Fut) {
    for moves in [true, false] {
        on_bucket_with(
            Backend::Sqlite,
            |config| config.server.zero_copy = moves,
            |app, bucket| {
                let body = body(app.clone(), bucket);
                async move {
                    body.await;
                    assert_eq!(relayed(&app).await > 0, moves);
                }
            },
        );
    }
}

/// Reads to the end, and says how that was.
async fn rest(answer: &mut reqwest::Response, seen: &mut Vec<u8>) -> reqwest::Result<()> {
    while let Some(piece) = answer.chunk().await? {
        seen.extend_from_slice(&piece);
    }
    Ok(())
}

/// Bytes that went from the store to viewers inside the kernel. They are counted when they are gone, which a viewer may notice first.
async fn relayed(app: &App) -> u64 {
    app.nothing_is_held().await;
    app.state.metrics.relayed_bytes.get()
}

/// Requests for bytes that the store got since the last call.
fn gets(server: &Server) -> usize {
    let requests = server.requests();
    let wanted = |request: &&String| request.starts_with(&format!("GET {OBJECTS}")) && !request.contains('?');
    requests.iter().filter(wanted).count()
}

#[test]
fn ranges_in_front_of_the_app() {
    in_a_bucket(|app, _| async move { conforms_at(&app, |path| path).await });
}

#[test]
fn ranges_through_the_app() {
    in_a_bucket(|app, _| async move { conforms_at(&app, spelled_for_the_app).await });
}

#[test]
fn ranges_with_the_ledger_in_postgres() {
    on_bucket(Backend::Postgres, |app, _| async move {
        conforms_at(&app, |path| path).await
    });
}

#[test]
fn each_answer_asks_the_store_for_its_bytes_once() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, bytes) = app.stored(SIZE).await;
        gets(server);
        let url = app.file_url(&video);
        assert_eq!(app.http.head(&url).send().await.unwrap().status(), 200);
        let ask = |name: &'static str, value: &'static str| app.http.get(&url).header(name, value).send();
        assert_eq!(ask("range", "bytes=99999999-").await.unwrap().status(), 416);
        let etag = app.get(&video).await.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(gets(server), 1, "only what has bytes");
        let unchanged = app.http.get(&url).header("if-none-match", etag).send().await.unwrap();
        assert_eq!((unchanged.status().as_u16(), gets(server)), (304, 0));
        let all = app.get(&video).await.bytes().await.unwrap();
        assert!(all == bytes && gets(server) == 1);
        let two = ask("range", "bytes=0-9,1000000-1999999").await.unwrap();
        assert_eq!(two.status(), 206);
        assert!(two.bytes().await.unwrap().len() > 1_000_010);
        assert_eq!(gets(server), 2);
        app.nothing_is_held().await;
    });
}

#[test]
fn one_range_is_moved_and_several_are_copied() {
    on_bucket(Backend::Sqlite, |app, _| async move {
        let (video, bytes) = app.stored(SIZE).await;
        assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
        assert_eq!(relayed(&app).await, SIZE as u64);
        let url = app.file_url(&video);
        let ask = |range: &'static str| app.http.get(&url).header("range", range).send();
        assert_eq!(ask("bytes=5-14").await.unwrap().bytes().await.unwrap(), bytes[5..15]);
        assert_eq!(relayed(&app).await, SIZE as u64 + 10);
        assert!(
            ask("bytes=0-9,1000000-1999999")
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
                .len()
                > 1_000_010
        );
        app.http.head(&url).send().await.unwrap();
        assert_eq!(relayed(&app).await, SIZE as u64 + 10);
        app.nothing_is_held().await;
    });
}

#[test]
fn connections_to_the_store_are_used_again() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let before = bucket.server.connections();
        for _ in 0..20 {
            assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
        }
        // The client has one connection, which is on one thread.
        assert_eq!(bucket.server.connections() - before, 1);
        // The store ends them all while nobody uses them.
        bucket.server.stop();
        bucket.server.start_again().unwrap();
        for _ in 0..5 {
            assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
        }
        assert_eq!(bucket.server.connections() - before, 2);
        assert_eq!(relayed(&app).await, 25 * SIZE as u64);
    });
}

/// As when the process behind it is gone without a word.
#[test]
fn a_kept_connection_on_which_nothing_comes_is_given_up_for_a_new_one() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, bytes) = app.stored(SIZE).await;
        assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
        let before = bucket.server.connections();
        let silent = Effect::Hang(10 * SOON);
        bucket.server.fail(Fault::new("GET", silent).of(OBJECTS).times(1));
        // As often as a request is repeated: the silence is none of its tries.
        let busy = Effect::Answer(503, "SlowDown");
        bucket.server.fail(Fault::new("GET", busy).of(OBJECTS).times(3));
        gets(&bucket.server);
        let again = async { app.get(&video).await.bytes().await.unwrap() };
        let again = tokio::time::timeout(2 * SOON, again).await;
        assert!(again.expect("nobody waits for as long as the store is silent") == bytes);
        assert_eq!(gets(&bucket.server), 5);
        assert_eq!(bucket.server.connections() - before, 1);
        assert_eq!(relayed(&app).await, 2 * SIZE as u64);
    });
}

#[test]
fn answers_that_do_not_say_their_length_are_copied() {
    on_bucket(Backend::Sqlite, |app, bucket| async move {
        let (video, bytes) = app.stored(SIZE).await;
        bucket.server.fail(Fault::new("GET", Effect::Chunks).of(OBJECTS));
        gets(&bucket.server);
        for asked in [2, 1, 1] {
            assert!(app.get(&video).await.bytes().await.unwrap() == bytes);
            assert_eq!(gets(&bucket.server), asked, "only the first finds out");
        }
        assert_eq!(relayed(&app).await, 0);
        app.nothing_is_held().await;
    });
}

#[test]
fn an_object_that_was_replaced_is_not_gone_on_with() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, bytes) = app.stored(SIZE).await;
        server.fail(Fault::new("GET", Effect::Stall(1_000_000)).of(OBJECTS).times(1));
        let mut viewer = app.get(&video).await;
        let mut seen = viewer.chunk().await.unwrap().unwrap().to_vec();
        server.stop();
        let folder = server.folder().join("media");
        let object = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&object, vec![7; SIZE]).unwrap();
        gets(server);
        server.start_again().unwrap();
        let ended = rest(&mut viewer, &mut seen).await;
        assert_eq!(gets(server), 1, "the rest is asked for, and refused");
        assert!(ended.is_err() && seen.len() <= 1_000_000 && seen == bytes[..seen.len()]);
        app.nothing_is_held().await;
    });
}

#[test]
fn a_store_that_breaks_off_is_asked_for_the_rest() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, bytes) = app.stored(SIZE).await;
        gets(server);
        server.fail(Fault::new("GET", Effect::Cut(700_000)).of(OBJECTS).times(3));
        let all = app.get(&video).await.bytes().await.unwrap();
        assert!(all == bytes);
        assert_eq!(gets(server), 4);
        // And one that is overloaded before it answers.
        server.fail(Fault::new("GET", Effect::Answer(503, "SlowDown")).of(OBJECTS).times(2));
        let all = app.get(&video).await.bytes().await.unwrap();
        assert!(all == bytes);
        assert_eq!(gets(server), 3);
        app.nothing_is_held().await;
    });
}

#[test]
fn a_store_that_only_breaks_off_ends_the_connection() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, bytes) = app.stored(SIZE).await;
        server.fail(Fault::new("GET", Effect::Cut(1000)).of(OBJECTS));
        let mut answer = app.get(&video).await;
        assert_eq!(
            (answer.status().as_u16(), answer.content_length()),
            (200, Some(SIZE as u64))
        );
        let mut seen = Vec::new();
        let ended = rest(&mut answer, &mut seen).await;
        assert!(ended.is_err(), "an end before its length");
        assert!(
            seen == bytes[..5_000],
            "the viewer got {} bytes of what came",
            seen.len()
        );
        app.nothing_is_held().await;
        server.heal();
        assert_eq!(app.get(&video).await.bytes().await.unwrap().len(), SIZE);
    });
}

#[test]
fn what_came_before_a_store_gave_up_is_the_viewers() {
    in_a_bucket(|app, bucket| async move {
        let (video, bytes) = app.stored(SIZE).await;
        bucket.server.fail(Fault::new("GET", Effect::Cut(20_000)).of(OBJECTS));
        // With less room than what comes, and not reading it before all is over.
        let mut viewer = narrow(&app).await;
        gets(&bucket.server);
        viewer.send(&request("GET", &app.file_path(&video), "")).await;
        let asked = Cell::new(0);
        eventually("the store has broken off five times", SOON, || async {
            asked.set(asked.get() + gets(&bucket.server));
            (asked.get() == 5).then_some(())
        })
        .await;
        app.nothing_is_held().await;
        let came = viewer.rest().await;
        let head = came.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert!(came[head..] == bytes[..100_000], "{} bytes", came.len() - head);
    });
}

#[test]
fn a_store_that_restarts_in_the_middle_is_not_noticed() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, bytes) = app.stored(SIZE).await;
        app.state.limits.pace.store(1_000_000, Ordering::Relaxed);
        let mut viewer = app.get(&video).await;
        let mut seen = viewer.chunk().await.unwrap().unwrap().to_vec();
        server.stop();
        server.start_again().unwrap();
        app.state.limits.pace.store(0, Ordering::Relaxed);
        while let Some(piece) = viewer.chunk().await.unwrap() {
            seen.extend_from_slice(&piece);
        }
        assert!(seen == bytes);
        app.nothing_is_held().await;
    });
}

#[test]
fn what_is_known_before_the_answer_is_a_problem_document() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, _) = app.stored(100_000).await;
        server.fail(Fault::new("GET", Effect::Answer(403, "AccessDenied")));
        let refused = app.get(&video).await;
        let retry = refused.headers().contains_key("retry-after");
        let (status, _, problem) = App::problem(refused).await;
        assert!(status == 503 && retry, "{problem}");
        assert!(!problem.to_string().contains("AccessDenied"), "{problem}");
        server.heal();

        server.fail(Fault::new("GET", Effect::Answer(500, "InternalError")));
        gets(server);
        assert_eq!(App::problem(app.get(&video).await).await.0, 503);
        assert_eq!(gets(server), 4, "as often as anything is repeated");
        server.heal();

        server.stop();
        assert_eq!(App::problem(app.get(&video).await).await.0, 503);
        server.start_again().unwrap();
        assert_eq!(app.get(&video).await.status(), 200);

        // Lost, or shortened, behind our back.
        let object = std::fs::read_dir(server.folder().join("media"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::write(&object, b"short").unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 500);
        std::fs::remove_file(&object).unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 404);
        app.nothing_is_held().await;
    });
}

#[test]
fn a_viewer_who_leaves_closes_the_connection_to_the_store() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, _) = app.stored(SIZE).await;
        // Half of the bytes, then silence: whoever waits for more holds its permit.
        server.fail(Fault::new("GET", Effect::Stall(1_000_000)).of(OBJECTS));
        let mut viewer = app.get(&video).await;
        viewer.chunk().await.unwrap().unwrap();
        assert_eq!(app.state.limits.streams.held(), 1);
        drop(viewer);
        app.nothing_is_held().await;
        eventually("nobody waits for the store", SOON, || async {
            (server.stalled() == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn promise_13_a_stream_from_a_bucket_is_cut_when_its_video_is_hidden() {
    in_a_bucket(|app, bucket| async move {
        let server = &bucket.server;
        let (video, _) = app.stored(SIZE).await;
        server.fail(Fault::new("GET", Effect::Stall(1_000_000)).of(OBJECTS));
        let mut viewer = app.get(&video).await;
        viewer.chunk().await.unwrap().unwrap();
        let hidden = Visibility {
            hidden: true,
            version: 2,
            min_grant: 0,
        };
        app.client().set_hidden(&video, hidden).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), async {
            while let Ok(Some(_)) = viewer.chunk().await {}
        });
        ended.await.expect("the stream ends");
        app.nothing_is_held().await;
        eventually("nobody waits for the store", SOON, || async {
            (server.stalled() == 0).then_some(())
        })
        .await;
        assert_eq!(App::problem(app.get(&video).await).await.0, 404);
    });
}
