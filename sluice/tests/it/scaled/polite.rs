//! SIGTERM to one copy of each kind while people upload, watch, talk and delete through a balancer: no request fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::block_in_place;

use super::fleet::{Fleet, Store};
use crate::media::{Clip, clip, filled};
use crate::person::{Person, client};

/// As operations.md says it for several copies.
const SETTINGS: [&str; 8] = [
    "server.drain_delay=3s",
    "stream.rate=100000",
    "stream.burst=100000",
    "api.posts_per_second=100000",
    "api.post_burst=100000",
    "api.sign_in_attempts=1000",
    "stream.max_uploads_per_user=50",
    "log.level=warn",
];

/// What a balancer knows: the edges that are ready, asked every 200 ms.
type Ready = Arc<Mutex<Vec<String>>>;

async fn balance(edges: Vec<String>, ready: Ready, stop: Arc<AtomicBool>) {
    let http = client();
    while !stop.load(Ordering::Relaxed) {
        let mut good = Vec::new();
        for edge in &edges {
            let answer = http.get(format!("{edge}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                good.push(edge.clone());
            }
        }
        assert!(!good.is_empty(), "no edge is ready");
        *ready.lock().unwrap() = good;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

struct Load {
    ready: Ready,
    turn: AtomicUsize,
    stop: Arc<AtomicBool>,
    done: AtomicUsize,
}

impl Load {
    /// `person` at the edge whose turn it is.
    fn at(&self, person: &Person) -> Person {
        let ready = self.ready.lock().unwrap();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        Person {
            base: ready[turn % ready.len()].clone(),
            ..person.clone()
        }
    }

    /// The whole life of a video, again and again; every answer must be good.
    async fn live(&self, person: Person, clip: Clip) {
        while !self.stop.load(Ordering::Relaxed) {
            let (id, upload) = self.at(&person).create("Short-lived").await;
            self.at(&person).upload(&upload, &clip).await.expect(201);
            loop {
                let video = self.at(&person).video(&id).await.expect(200);
                if video["state"] == "ready" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for n in 0..3 {
                let source = self.at(&person).source(&id).await;
                let part = person.http.get(source).header("range", format!("bytes={n}000-{n}999"));
                let part = part.send().await.unwrap();
                assert_eq!(part.status(), 206);
                let (start, end) = (n * 1000, n * 1000 + 1000);
                assert_eq!(part.bytes().await.unwrap(), &clip.bytes[start..end]);
                let comment = format!("/api/v1/videos/{id}/comments");
                self.at(&person)
                    .post(&comment, json!({ "text": "hello" }))
                    .await
                    .expect(201);
            }
            self.at(&person)
                .delete(&format!("/api/v1/videos/{id}"))
                .await
                .expect(202);
            let path = format!("/api/v1/videos/{id}/restore");
            self.at(&person).post(&path, json!({})).await.expect(200);
            let path = format!("/api/v1/videos/{id}?permanent=true");
            self.at(&person).delete(&path).await.expect(202);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_19_a_polite_stop_of_any_copy_fails_no_request() {
    let mut fleet = Fleet::start(Store::S3, &SETTINGS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let ready: Ready = Arc::new(Mutex::new(fleet.edges.clone()));
    let balancing = tokio::spawn(balance(fleet.edges.clone(), ready.clone(), stop.clone()));
    let load = Arc::new(Load {
        ready,
        turn: AtomicUsize::new(0),
        stop: stop.clone(),
        done: AtomicUsize::new(0),
    });
    let mut living = Vec::new();
    for n in 0..3 {
        let person = Person::register(&fleet.edges[n % 2], &format!("person{n}")).await;
        // One of them so long that an edge does not copy it.
        let name = "ordinary/testvid_1022ms.mp4";
        let (load, clip) = (load.clone(), if n == 1 { filled(name, 1_300_000) } else { clip(name) });
        living.push(tokio::spawn(async move { load.live(person, clip).await }));
    }
    for (kind, which) in [("api", 0), ("stream", 1), ("scheduler", 0), ("proxy", 1)] {
        let before = load.done.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
        block_in_place(|| fleet.stop_one(kind, which));
        // Without it for a while.
        tokio::time::sleep(Duration::from_secs(1)).await;
        block_in_place(|| fleet.start_again(kind, which));
        fleet.is_ready().await;
        let done = load.done.load(Ordering::Relaxed) - before;
        eprintln!("{done} requests around the stop of one {kind}");
        assert!(done > 10, "the stop of {kind} met no work");
        assert!(
            living.iter().all(|life| !life.is_finished()),
            "a request failed around the stop of {kind}"
        );
    }
    stop.store(true, Ordering::Relaxed);
    for life in living {
        life.await.unwrap();
    }
    balancing.await.unwrap();
    fleet.stop();
}
