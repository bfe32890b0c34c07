//! `kill -9` under people who talk: clients come back, nobody misses anything that was acknowledged, nobody gets anything twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use super::resume::{Follower, TALKATIVE};
use super::rooms::couple;
use super::socket::{Heard, Hello, PATIENCE, Socket};
use crate::person::Person;
use crate::site::Home;

/// Comments that were acknowledged, and those of which it is not known.
#[derive(Default)]
pub struct Said {
    acknowledged: Vec<String>,
    cut: Vec<String>,
}

impl Said {
    pub fn add(&mut self, more: Said) {
        self.acknowledged.extend(more.acknowledged);
        self.cut.extend(more.cut);
    }

    /// Checks what somebody was given against what was said and against the log itself.
    pub fn check(&self, follower: &Follower, log: &[Value]) {
        // What was shown before a kill was in the log already: it is the same entry now.
        assert_eq!(follower.entries[..log.len()], *log);
        let mut texts = follower.texts();
        texts.sort_unstable();
        let all = texts.len();
        texts.dedup();
        assert_eq!(all, texts.len(), "nothing stands twice");
        for text in &self.acknowledged {
            let found = texts.binary_search(&text.as_str()).is_ok();
            assert!(found, "{text} was acknowledged and is lost");
        }
        let invented = |text: &&&str| !self.acknowledged.iter().chain(&self.cut).any(|said| said == **text);
        let invented: Vec<_> = texts.iter().filter(invented).collect();
        assert!(invented.is_empty(), "{invented:?} was never said");
    }
}

pub async fn talks(person: Person, id: String, name: String, stop: Arc<AtomicBool>) -> Said {
    let mut said = Said::default();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{name} {n}");
        let request = person.request(reqwest::Method::POST, &format!("/api/v1/videos/{id}/comments"));
        match person.try_change(request.json(&json!({ "text": text }))).await {
            Ok(answer) => {
                answer.expect(201);
                said.acknowledged.push(text);
            }
            Err(_) => {
                said.cut.push(text);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    said
}

/// Follows until the connection ends, or `goal` is reached, once it is known.
async fn follows(follower: &mut Follower, socket: &mut Socket, goal: &AtomicU64) {
    loop {
        for event in socket.take_kept() {
            if event["data"]["kind"].is_string() {
                follower.take(event["data"].clone());
            }
        }
        match socket.hear(Duration::from_millis(200)).await {
            Some(Heard::Frame(event)) if event["data"]["kind"].is_string() => follower.take(event["data"].clone()),
            Some(Heard::Frame(_)) => {}
            None if follower.last() < goal.load(Ordering::Relaxed) => {}
            _ => return,
        }
    }
}

/// The first entries of a log, as many as a page has, and its end.
pub async fn log_of(person: &Person, id: &str) -> (Vec<Value>, u64) {
    let path = format!("/api/v1/videos/{id}/events?limit=1000");
    let log = person.get(&path).await.expect(200);
    (log["items"].as_array().unwrap().clone(), log["seq"].as_u64().unwrap())
}

#[tokio::test]
async fn promise_1_and_17_after_kill_9_clients_come_back_and_the_log_has_no_gap_and_no_twin() {
    let home = Home::new();
    let mut site = home.serve(&TALKATIVE);
    let (mut ann, mut bob, id) = couple(&site).await;
    let mut followers: Vec<Follower> = (0..4).map(|_| Follower::new(&id)).collect();
    let mut said = Said::default();
    for round in 0..5 {
        let stop = Arc::new(AtomicBool::new(false));
        let mut following = Vec::new();
        for mut follower in followers.drain(..) {
            let mut socket = Socket::logged_in(&bob).await;
            follower.join(&mut socket).await.unwrap();
            following.push(tokio::spawn(async move {
                // To the end of the connection.
                follows(&mut follower, &mut socket, &AtomicU64::new(u64::MAX)).await;
                follower
            }));
        }
        let talking: Vec<_> = (0..3)
            .map(|n| tokio::spawn(talks(ann.clone(), id.clone(), format!("{round} {n}"), stop.clone())))
            .collect();
        let pause = rand::rng().random_range(100..500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        site.kill();
        stop.store(true, Ordering::Relaxed);
        for talk in talking {
            said.add(talk.await.unwrap());
        }
        for follow in following {
            followers.push(follow.await.unwrap());
        }
        site = home.serve(&TALKATIVE);
        ann.base.clone_from(&site.base);
        bob.base.clone_from(&site.base);
    }
    let (log, head) = log_of(&bob, &id).await;
    assert!(said.acknowledged.len() > 10, "the kills met work");
    for follower in &mut followers {
        let mut socket = Socket::logged_in(&bob).await;
        follower.join(&mut socket).await.unwrap();
        follower.follow(&mut socket, head).await;
        assert_eq!(follower.last(), head);
        said.check(follower, &log);
    }
    site.stop();
}

/// Comes back whenever it is cut, until it has everything.
pub async fn comes_back_always(id: String, person: Person, goal: Arc<AtomicU64>) -> (Follower, usize) {
    let (mut follower, mut connections) = (Follower::new(&id), 0);
    loop {
        let goal_is_reached = || (1..=follower.last()).contains(&goal.load(Ordering::Relaxed));
        if goal_is_reached() {
            return (follower, connections);
        }
        if let Some(Ok(mut socket)) = Hello::of(&person).connect().await
            && socket
                .try_call("Login", json!({}))
                .await
                .is_ok_and(|reply| reply["errCode"] == 0)
            && follower.join(&mut socket).await.is_ok()
        {
            connections += 1;
            follows(&mut follower, &mut socket, &goal).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Single services are killed and started again: the gateway, or the service that has the log.
#[tokio::test]
async fn promise_1_and_17_single_services_are_killed_and_nobody_misses_anything() {
    let home = Home::new();
    let mut site = home.roles(&TALKATIVE);
    let (ann, bob, id) = couple(&site).await;
    let (goal, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let following: Vec<_> = (0..4)
        .map(|_| tokio::spawn(comes_back_always(id.clone(), bob.clone(), goal.clone())))
        .collect();
    let talking: Vec<_> = (0..2)
        .map(|n| tokio::spawn(talks(ann.clone(), id.clone(), format!("{n}"), stop.clone())))
        .collect();
    for victim in [3, 0, 3, 0, 3] {
        let pause = rand::rng().random_range(200..1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        home.kill_and_restart(&mut site.processes[victim]);
    }
    stop.store(true, Ordering::Relaxed);
    let mut said = Said::default();
    for talk in talking {
        said.add(talk.await.unwrap());
    }
    let (log, head) = log_of(&bob, &id).await;
    goal.store(head, Ordering::Relaxed);
    assert!(
        said.acknowledged.len() > 10 && !said.cut.is_empty(),
        "the kills met work"
    );
    for follow in following {
        let (follower, connections) = tokio::time::timeout(PATIENCE, follow)
            .await
            .expect("it gets there")
            .unwrap();
        assert!(connections >= 2, "it was cut");
        said.check(&follower, &log);
    }
    site.stop();
}
