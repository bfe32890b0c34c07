//! `kill -9` of each kind of copy, and of the broker, while people upload, watch, talk and delete: nothing acknowledged is
//! lost, the other copy serves on, and nobody who follows a room misses anything or sees it twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::block_in_place;

use super::fleet::{Fleet, Store};
use crate::gateway::kills::{Said, comes_back_always, log_of, talks};
use crate::gateway::socket::PATIENCE;
use crate::kill::{self, Shared, lives, number};
use crate::media::small_clips;
use crate::person::Person;

/// Who does random things; each changes between the edges.
const PEOPLE: usize = 4;

/// After this long without a word the upload of a killed process is nobody's (`stream_service::ledger::sweep::SILENCE_MS`), and a second.
const SILENCE: Duration = Duration::from_secs(31);

/// How long people act around one kill.
const STRETCH: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_and_2_hold_while_each_kind_of_copy_is_killed_on_a_shared_folder() {
    each_kind_is_killed(Store::Folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_1_and_2_hold_while_each_kind_of_copy_is_killed_on_s3() {
    each_kind_is_killed(Store::S3).await;
}

async fn each_kind_is_killed(store: Store) {
    let seed = number("SLUICE_TEST_SEED", rand::random::<u32>().into());
    eprintln!("SLUICE_TEST_SEED={seed} replays this run");
    let mut dice = StdRng::seed_from_u64(seed);
    let settings = [
        &kill::SETTINGS[..],
        &["api.posts_per_second=100000", "api.post_burst=100000"],
    ]
    .concat();
    let mut fleet = Fleet::start(store, &settings).await;
    let (history, clips): (Shared, _) = (Arc::default(), Arc::new(small_clips()));
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::register(&fleet.edges[n % 2], &format!("person{n}")).await);
    }
    // Two follow what two say about a video of somebody who is left alone.
    let host = Person::register(&fleet.edges[0], "host").await;
    let room = host.publish("A room", &clips[0]).await;
    let (goal, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let following: Vec<_> = (0..4)
        .map(|n| tokio::spawn(comes_back_always(room.clone(), fleet.at(&host, n), goal.clone())))
        .collect();
    let talking: Vec<_> = (0..2)
        .map(|n| {
            let talker = fleet.at(&host, n);
            tokio::spawn(talks(talker, room.clone(), format!("talker {n}"), stop.clone()))
        })
        .collect();
    let before = Mutex::new((0, 0));
    let mut last_kill = Instant::now();
    for (kind, which) in [
        ("api", 0),
        ("stream", 1),
        ("scheduler", 0),
        ("proxy", 1),
        ("broker", 0),
        ("api", 1),
        ("stream", 0),
    ] {
        let until = Instant::now() + STRETCH;
        let acting: Vec<_> = people
            .iter()
            .enumerate()
            .map(|(n, person)| {
                // Who is at an edge that is killed goes on when it is back.
                let (person, rng) = (fleet.at(person, n + which), StdRng::seed_from_u64(dice.random()));
                tokio::spawn(lives::live(n, person, history.clone(), clips.clone(), rng, Some(until)))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(dice.random_range(100..800))).await;
        match kind {
            "broker" => block_in_place(|| fleet.broker.stop()),
            _ => block_in_place(|| fleet.kill(kind, which)),
        }
        last_kill = Instant::now();
        // The others serve meanwhile.
        tokio::time::sleep(STRETCH / 2).await;
        match kind {
            "broker" => block_in_place(|| fleet.broker.start_again()),
            _ => block_in_place(|| fleet.start_again(kind, which)),
        }
        for act in join_all(acting).await {
            act.unwrap();
        }
        fleet.is_ready().await;
        kill::look(&people, &history, Some(&mut dice)).await;
        let now = {
            let history = history.lock().unwrap();
            (history.acknowledged, history.cut)
        };
        let was = std::mem::replace(&mut *before.lock().unwrap(), now);
        eprintln!("{kind} {which}: {} acknowledged, {} cut", now.0 - was.0, now.1 - was.1);
        assert!(now.0 > was.0, "nothing was acknowledged around the kill of {kind}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut said = Said::default();
    for talk in talking {
        said.add(talk.await.unwrap());
    }
    let (log, head) = log_of(&host, &room).await;
    goal.store(head, Ordering::Relaxed);
    for follow in following {
        let (follower, _) = tokio::time::timeout(PATIENCE, follow)
            .await
            .expect("it gets there")
            .unwrap();
        said.check(&follower, &log);
    }
    host.delete(&format!("/api/v1/videos/{room}?permanent=true"))
        .await
        .expect(202);
    host.receipt(&room).await;
    let history = kill::settle(&people, &history).await;
    // Before that a reconcile leaves what is cut to its time, which must not come between two of them.
    tokio::time::sleep_until((last_kill + SILENCE).into()).await;
    kill::reconciled(|| fleet.stored(), &fleet.edges[0], &history).await;
    fleet.stop();
}
