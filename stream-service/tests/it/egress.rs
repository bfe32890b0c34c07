//! The egress budget of a day: counted as sent, refused in words, kept over restarts, shared by copies, new at midnight.

use crate::app::{App, SOON, on_each_app, on_each_app_with, start_service};
use common::{
    config::{ByteSize, Config},
    db::{Backend, DbError},
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    testing::eventually,
    time::Timestamp,
};
use futures_util::StreamExt;
use reqwest::Response;
use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};
use stream_service::limit::{
    client::ClientKey,
    egress::{Day, Row},
    refusals::Reason,
    rows,
};

const SIZE: usize = 300_000;

fn budget(bytes: u64) -> impl Fn(&mut Config) + Sync {
    move |config| config.stream.egress_per_user_day = ByteSize(bytes)
}

/// A path that plays the video for this user, or for nobody.
fn path(app: &App, video: &VideoId, user: Option<&Id>) -> String {
    let mut grant: Grant = app.play_grant(video);
    assert_eq!(grant.permission, Permission::Play);
    grant.user = user.cloned();
    format!("/media/{}/{video}/file", app.sign(&grant))
}

async fn play(app: &App, base: &str, path: &str, range: &str) -> Response {
    let asked = app.http.get(format!("{base}{path}")).header("range", range);
    asked.send().await.unwrap()
}

fn key(user: &Id) -> ClientKey {
    ClientKey::of(Some(user), "192.0.2.1".parse().unwrap())
}

/// What the database has of a client.
async fn stored(app: &App, client: ClientKey) -> u64 {
    let day = Day::of(app.state.limits.egress.now());
    let used = app
        .db
        .read(move |conn| stream_service::limit::rows::egress::used(conn, day, client));
    used.await.unwrap()
}

#[test]
fn a_budget_that_is_used_up_is_refused_in_words_until_the_day_ends() {
    on_each_app_with(budget(500_000), |app| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let (ann, bob) = (Id::now(), Id::now());
        let ann_path = path(&app, &video, Some(&ann));
        let base = app.running.public.clone();
        let first = play(&app, &base, &ann_path, "bytes=0-").await;
        let limit = first.headers()["ratelimit"].to_str().unwrap().to_owned();
        assert!(limit.contains("\"egress\";r=500000;t="), "{limit}");
        assert_eq!(first.bytes().await.unwrap(), bytes);
        let second = play(&app, &base, &ann_path, "bytes=0-").await;
        let limit = second.headers()["ratelimit"].to_str().unwrap().to_owned();
        assert!(limit.contains("\"egress\";r=200000;t="), "{limit}");
        assert_eq!(
            second.bytes().await.unwrap(),
            bytes,
            "what was begun is sent to its end"
        );
        let third = play(&app, &base, &ann_path, "bytes=0-0").await;
        let headers = third.headers().clone();
        let (status, code, problem) = App::problem(third).await;
        assert_eq!((status, code.as_str()), (429, "budget_spent"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("600000 bytes") && detail.contains("500000"), "{detail}");
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let left = Day::of(Timestamp::now()).ends().since(Timestamp::now()).as_secs();
        let wait: u64 = text("retry-after").parse().unwrap();
        assert!(wait.abs_diff(left) <= 5, "{wait} s, the day has {left}");
        assert_eq!(
            text("ratelimit-policy"),
            "\"egress\";q=500000;qu=\"content-bytes\";w=86400"
        );
        assert!(
            text("ratelimit").starts_with("\"egress\";r=0;t="),
            "{}",
            text("ratelimit")
        );
        // What costs no bytes is not refused, and bob is not ann.
        let head = app.http.head(format!("{base}{ann_path}")).send().await.unwrap();
        assert_eq!(head.status(), 200);
        let other = play(&app, &base, &path(&app, &video, Some(&bob)), "bytes=0-").await;
        assert_eq!(other.status(), 206);
        let nobody = play(&app, &base, &path(&app, &video, None), "bytes=0-").await;
        assert!(!nobody.headers()["ratelimit"].to_str().unwrap().contains("egress"));
        let refusal = app.state.limits.refusals.latest().remove(0);
        assert_eq!((refusal.client, refusal.reason), (key(&ann), Reason::Egress));
        assert_eq!(
            (refusal.reached, refusal.most, refusal.video),
            (600_000, 500_000, Some(video))
        );
        assert!(refusal.operation.is_some());
        drop((other, nobody));
    });
}

#[test]
fn without_an_account_the_address_has_a_budget_of_its_own() {
    let tune = |config: &mut Config| config.stream.egress_per_address_day = ByteSize(100_000);
    on_each_app_with(tune, |app| async move {
        let (video, _) = app.stored(SIZE).await;
        let base = app.running.public.clone();
        let nobody = path(&app, &video, None);
        play(&app, &base, &nobody, "bytes=0-99999").await.bytes().await.unwrap();
        let refused = App::problem(play(&app, &base, &nobody, "bytes=0-0").await).await;
        assert_eq!(refused.1, "budget_spent");
        assert!(refused.2["detail"].as_str().unwrap().contains("your network"));
        let user = play(&app, &base, &path(&app, &video, Some(&Id::now())), "bytes=0-").await;
        assert!(
            !user.headers()["ratelimit"].to_str().unwrap().contains("egress"),
            "users have none here"
        );
    });
}

#[test]
fn of_streams_that_run_when_the_budget_ends_one_is_sent_to_its_end() {
    on_each_app_with(budget(1_000_000), |app| async move {
        let (video, bytes) = app.stored(6_000_000).await;
        let path = path(&app, &video, Some(&Id::now()));
        // Slow enough that all of them run when the budget ends: each is 200,000 bytes ahead.
        app.state.limits.pace.store(100_000, Ordering::Relaxed);
        let base = app.running.public.clone();
        let streams = (0..4).map(|_| async {
            let response = play(&app, &base, &path, "bytes=0-").await;
            assert_eq!(response.status(), 206);
            response.bytes_stream()
        });
        let streams = futures_util::future::join_all(streams).await;
        let read = streams.into_iter().map(|mut stream| async move {
            let mut got = 0;
            while let Some(piece) = stream.next().await {
                match piece {
                    Ok(piece) => got += piece.len(),
                    Err(_) => return (got, false),
                }
            }
            (got, true)
        });
        let cut = eventually("three have ended", SOON, || async {
            (app.state.limits.refusals.count(Reason::EgressCut) == 3).then(|| {
                app.state.limits.pace.store(0, Ordering::Relaxed);
            })
        });
        let (read, ()) = futures_util::future::join(futures_util::future::join_all(read), cut).await;
        let whole: Vec<_> = read.iter().filter(|(_, whole)| *whole).collect();
        assert_eq!((whole.len(), whole[0].0), (1, bytes.len()), "{read:?}");
        assert_eq!(app.state.limits.refusals.count(Reason::EgressCut), 3);
        eventually("all permits are back", SOON, || async {
            (app.state.limits.streams.held() == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn bytes_of_a_viewer_that_leaves_are_counted_as_sent_and_written_down() {
    on_each_app_with(budget(100_000_000), |app| async move {
        let (video, bytes) = app.stored(8_000_000).await;
        let ann = Id::now();
        let path = path(&app, &video, Some(&ann));
        let base = app.running.public.clone();
        play(&app, &base, &path, "bytes=0-999999").await.bytes().await.unwrap();
        app.state.limits.pace.store(100_000, Ordering::Relaxed);
        drop(play(&app, &base, &path, "bytes=0-").await);
        eventually("it has noticed", SOON, || async {
            (app.state.limits.streams.held() == 0).then_some(())
        })
        .await;
        let counted = app.state.limits.egress.find(key(&ann)).unwrap().used();
        assert!(
            (1_000_000..5_000_000).contains(&counted),
            "{counted} of {}",
            bytes.len()
        );
        eventually("it is written down", SOON, || async {
            (stored(&app, key(&ann)).await == counted).then_some(())
        })
        .await;
    });
}

#[test]
fn a_process_that_ends_writes_down_what_it_sent_and_the_next_one_knows() {
    on_each_app_with(budget(300_000), |app| async move {
        let (video, _) = app.stored(SIZE).await;
        let ann = Id::now();
        let path = path(&app, &video, Some(&ann));
        // Another process, with the same media.
        let (mut config, dir) = (app.running.config.clone(), tempfile::tempdir().unwrap());
        config.server.data_dir = dir.path().display().to_string();
        let (first, state) = start_service(config.clone()).await;
        for file in app.files() {
            let copy = dir
                .path()
                .join("media")
                .join(file.strip_prefix(app.media_dir()).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(file, copy).unwrap();
        }
        let answer = play(&app, &first.public, &path, "bytes=0-299998").await;
        assert_eq!(answer.bytes().await.unwrap().len(), 299_999);
        drop(state);
        first.stop().await;
        assert_eq!(
            stored(&app, key(&ann)).await,
            299_999,
            "at its end, whatever its turn was"
        );
        let (second, state) = start_service(config).await;
        play(&app, &second.public, &path, "bytes=0-0")
            .await
            .bytes()
            .await
            .unwrap();
        let refused = App::problem(play(&app, &second.public, &path, "bytes=0-0").await).await;
        assert!(
            refused.2["detail"].as_str().unwrap().contains("300000 bytes"),
            "{}",
            refused.2
        );
        drop(state);
        second.stop().await;
    });
}

#[test]
fn copies_of_the_service_share_the_budget() {
    on_each_app_with(budget(1_000_000), |app| async move {
        if app.db.backend() == Backend::Sqlite {
            return;
        }
        let (video, _) = app.stored(SIZE).await;
        let path = path(&app, &video, Some(&Id::now()));
        let (other, state) = start_service(app.running.config.clone()).await;
        let bases = [app.running.public.clone(), other.public.clone()];
        // In turns, until both refuse: each knows what the other sent within two turns of the loop.
        let mut served = 0;
        let mut refused = [false, false];
        for turn in 0.. {
            let answer = play(&app, &bases[turn % 2], &path, "bytes=0-99999").await;
            if answer.status() == 429 {
                refused[turn % 2] = true;
            } else {
                served += answer.bytes().await.unwrap().len();
                refused[turn % 2] = false;
            }
            if refused == [true, true] {
                break;
            }
            assert!(
                served < 2_100_000,
                "each would give the whole budget if they did not share it"
            );
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        assert!((1_000_000..1_700_000).contains(&served), "{served}");
        drop(state);
        other.stop().await;
    });
}

#[test]
fn another_day_is_another_budget_also_for_copies_and_streams_that_run() {
    on_each_app_with(budget(100_000), |app| async move {
        let (video, bytes) = app.stored(4_000_000).await;
        let (ann, base) = (Id::now(), app.running.public.clone());
        let path = path(&app, &video, Some(&ann));
        // It runs over midnight, with more than the budget of this day; slowly, so that a busy machine hears of midnight before its end.
        app.state.limits.pace.store(500_000, Ordering::Relaxed);
        let running = play(&app, &base, &path, "bytes=0-").await;
        eventually("the budget is used up", SOON, || async {
            (play(&app, &base, &path, "bytes=0-0").await.status() == 429).then_some(())
        })
        .await;
        let today = Day::of(app.state.limits.egress.now());
        let midnight = today.ends().since(app.state.limits.egress.now());
        app.state.db.shift_clock(i64::try_from(midnight.as_millis()).unwrap());
        eventually("it is another day", SOON, || async {
            (Day::of(app.state.limits.egress.now()) > today).then_some(())
        })
        .await;
        let rest = running.bytes().await.unwrap();
        assert_eq!(rest, bytes);
        let account = app.state.limits.egress.find(key(&ann)).unwrap();
        assert!(account.used() > 0 && account.used() < bytes.len() as u64);
        // Both days are in the database, together the whole.
        eventually("both days are written", SOON, || async {
            let days = [today, Day(today.0 + 1)];
            let client = key(&ann);
            let used = app.db.read(move |conn| {
                let used = days.map(|day| stream_service::limit::rows::egress::used(conn, day, client).unwrap());
                Ok::<_, common::db::DbError>(used)
            });
            let [before, after] = used.await.unwrap();
            (before >= 100_000 && after > 0 && before + after == bytes.len() as u64).then_some(())
        })
        .await;
    });
}

#[test]
fn the_sums_of_many_clients_are_asked_at_once_and_nobody_is_left_out() {
    on_each_app(|app| async move {
        let day = Day(12_345);
        let client = |number: u32| ClientKey::V4(number.to_be_bytes());
        let asked = app.db.write(move |conn| {
            // Two parts of some clients, another day of others, and nothing of most.
            let row = |day: Day, number: u32, bytes| Row {
                day,
                client: client(number),
                part: Id::now(),
                bytes,
            };
            let rows = [(day, 1, 5), (day, 1, 6), (day, 1_100, 7), (Day(day.0 + 1), 2, 8)];
            let rows = rows.map(|(day, number, bytes)| row(day, number, bytes));
            rows::egress::write(conn, 1, &rows)?;
            let all: Vec<_> = (0..1_200).map(client).collect();
            Ok::<_, DbError>(rows::egress::sums(conn, day, &all)?)
        });
        let sums: HashMap<_, _> = asked.await.unwrap().into_iter().collect();
        assert_eq!(sums.len(), 1_200);
        let used: HashMap<_, _> = sums.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        assert_eq!(used, HashMap::from([(client(1), 11), (client(1_100), 7)]));
    });
}
