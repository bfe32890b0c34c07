//! Who was away comes back with the last number it has and gets the rest, each entry once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::rooms::couple;
use super::socket::{Heard, Socket};
use crate::person::Person;
use crate::site::{Home, Site};

pub const TALKATIVE: [&str; 3] = ["api.posts_per_second=100000", "api.post_burst=100000", "log.level=warn"];

/// Somebody who follows a room as docs/gateway.md says it is done.
pub struct Follower {
    pub video: String,
    /// Everything it was given, in order, without a gap or a twin.
    pub entries: Vec<Value>,
    /// Replies that it needed to catch up, over all.
    pub pages: usize,
}

impl Follower {
    pub fn new(video: &str) -> Self {
        Follower {
            video: video.to_owned(),
            entries: Vec::new(),
            pages: 0,
        }
    }

    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Joins after the last entry it has and pages until it is complete. What is pushed meanwhile stays in the socket. The
    /// error is a refusal, or the end of the connection.
    pub async fn join(&mut self, socket: &mut Socket) -> Result<(), Heard> {
        loop {
            let asked = json!({ "videoID": self.video, "afterSeq": self.last() });
            let reply = socket.try_call("JoinRoom", asked).await?;
            if reply["errCode"] != 0 {
                return Err(Heard::Frame(reply));
            }
            self.pages += 1;
            for entry in reply["data"]["events"].as_array().unwrap() {
                assert_eq!(entry["seq"], self.last() + 1, "a page goes on where the last one ended");
                self.entries.push(entry.clone());
            }
            if reply["data"]["complete"] == true {
                assert!(
                    self.last() >= reply["data"]["seq"].as_u64().unwrap() || self.pages > 1,
                    "{reply}"
                );
                return Ok(());
            }
        }
    }

    /// Takes what was pushed until it has `count` entries.
    pub async fn follow(&mut self, socket: &mut Socket, count: u64) {
        while self.last() < count {
            let entry = socket.entry().await;
            self.take(entry);
        }
    }

    /// What is pushed comes in order and once, also after pages: they end where the pushing began.
    pub fn take(&mut self, entry: Value) {
        assert_eq!(entry["seq"], self.last() + 1, "neither a gap nor a twin");
        self.entries.push(entry);
    }

    pub fn texts(&self) -> Vec<&str> {
        self.entries
            .iter()
            .filter_map(|entry| entry["data"]["text"].as_str())
            .collect()
    }
}

/// `count` comments and danmaku by `people`, all at once; the texts.
async fn say(people: &[Person], id: &str, name: &str, count: usize) -> Vec<String> {
    let said = people.iter().enumerate().map(|(n, person)| async move {
        let mut texts = Vec::new();
        for i in 0..count / people.len() {
            let text = format!("{name} {n} {i}");
            let (what, body) = match i % 2 {
                0 => ("comments", json!({ "text": text })),
                _ => ("danmaku", json!({ "text": text, "atMs": i })),
            };
            person
                .post(&format!("/api/v1/videos/{id}/{what}"), body)
                .await
                .expect(201);
            texts.push(text);
        }
        texts
    });
    join_all(said).await.concat()
}

async fn comes_back(site: &Site, away: usize) {
    let (ann, bob, id) = couple(site).await;
    let mut people = vec![ann.clone()];
    for n in 0..7 {
        people.push(Person::register(&site.base, &format!("person{n}")).await);
    }
    let mut follower = Follower::new(&id);
    let mut socket = Socket::logged_in(&bob).await;
    follower.join(&mut socket).await.unwrap();
    let mut texts = say(&people, &id, "before", 16).await;
    follower.follow(&mut socket, 16).await;
    // Cut: not a word of goodbye.
    drop(socket);
    texts.extend(say(&people, &id, "away", away).await);
    let mut socket = Socket::logged_in(&bob).await;
    // People go on talking while it catches up.
    let (joined, more) = tokio::join!(follower.join(&mut socket), say(&people, &id, "back", 160));
    joined.unwrap();
    texts.extend(more);
    follower.follow(&mut socket, texts.len() as u64).await;
    if away > 1_000 {
        assert!(
            follower.pages >= 3,
            "more than a page is fetched in pages: {}",
            follower.pages
        );
    }
    let mut got: Vec<String> = follower.texts().into_iter().map(str::to_owned).collect();
    got.sort();
    texts.sort();
    assert_eq!(got, texts, "each exactly once");
    // It is the log, word for word.
    let mut log = Vec::new();
    while log.len() < texts.len() {
        let path = format!("/api/v1/videos/{id}/events?limit=1000&afterSeq={}", log.len());
        let page = bob.get(&path).await.expect(200);
        log.extend(page["items"].as_array().unwrap().clone());
    }
    assert_eq!(follower.entries, log);
}

#[tokio::test]
async fn promise_17_who_was_cut_off_while_1500_entries_were_written_has_each_once_embedded() {
    let home = Home::new();
    let site = home.serve(&TALKATIVE);
    comes_back(&site, 1_504).await;
    site.stop();
}

#[tokio::test]
async fn promise_17_who_was_cut_off_has_each_entry_once_in_four_processes() {
    let home = Home::new();
    let site = home.roles(&TALKATIVE);
    comes_back(&site, 304).await;
    site.stop();
}

/// Many are cut at once and come back together, while the room goes on.
#[tokio::test]
async fn a_crowd_that_comes_back_together_misses_nothing() {
    let home = Home::new();
    let site = home.serve(&[&TALKATIVE[..], &["gateway.max_connections_per_platform=100"]].concat());
    let (ann, bob, id) = couple(&site).await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let (mut follower, mut socket) = (Follower::new(&id), Socket::logged_in(&bob).await);
        follower.join(&mut socket).await.unwrap();
        crowd.push((follower, socket));
    }
    say(std::slice::from_ref(&ann), &id, "one", 30).await;
    for (follower, socket) in &mut crowd {
        follower.follow(socket, 30).await;
    }
    let cut: Vec<Follower> = crowd.into_iter().map(|(follower, _)| follower).collect();
    say(std::slice::from_ref(&ann), &id, "two", 30).await;
    let back = cut.into_iter().map(|mut follower| {
        let bob = bob.clone();
        async move {
            // The places of those that were cut come back as their ends are noticed.
            let mut socket = common::testing::eventually("a place", Duration::from_secs(30), || async {
                let hello = super::socket::Hello::of(&bob);
                hello.connect().await.expect("somebody listens").ok()
            })
            .await;
            let rooms = json!({ "rooms": [{ "videoID": follower.video, "afterSeq": follower.last() }] });
            let reply = socket.ok("Login", rooms).await;
            for entry in reply["rooms"][0]["events"].as_array().unwrap() {
                follower.take(entry.clone());
            }
            follower.follow(&mut socket, 90).await;
            follower
        }
    });
    let (crowd, _) = tokio::join!(join_all(back), say(std::slice::from_ref(&ann), &id, "three", 30));
    let log = bob
        .get(&format!("/api/v1/videos/{id}/events?limit=1000"))
        .await
        .expect(200);
    for follower in crowd {
        assert_eq!(json!(follower.entries), log["items"]);
    }
    site.stop();
}
