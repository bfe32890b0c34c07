//! Forty clients that do anything at any moment, on a bus that loses and reorders, while sessions end: each sees every room
//! without a gap or a repeat for as long as it is in it, and in the end nothing is left of any of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use common::ids::VideoId;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::api::User;
use super::client::{Came, Client, masked};
use super::knock::Knock;
use super::rooms::expect_entries;
use super::site::{CONNECTIONS, Site};
use common::testing::random::Random;

const ACTORS: usize = 40;
const LIVES: usize = 4;
/// Fewer calls than a connection may make at once.
const STEPS: usize = 30;
const SESSION_ENDS: usize = 5;

struct World {
    site: Site,
    rooms: Vec<VideoId>,
    /// The present session of each user.
    sessions: RefCell<Vec<User>>,
    over: Cell<bool>,
}

/// What one connection is owed: the last number of each room it is in.
#[derive(Default)]
struct Owed(HashMap<String, i64>);

impl Owed {
    fn entry(&mut self, entry: &Value) {
        let room = entry["videoID"].as_str().unwrap();
        let last = self
            .0
            .get_mut(room)
            .unwrap_or_else(|| panic!("not in the room of {entry}"));
        assert_eq!(entry["seq"], *last + 1, "{entry}");
        *last += 1;
    }

    fn frame(&mut self, frame: &Value) {
        match frame["event"].as_str().unwrap() {
            "OnRecvDanmaku" => self.entry(&frame["data"]),
            "OnRecvNewMessages" => frame["data"]
                .as_array()
                .unwrap()
                .iter()
                .for_each(|entry| self.entry(entry)),
            "JoinRoom" if frame["errCode"] == 0 => self.joined(&frame["data"]),
            _ => {}
        }
    }

    fn joined(&mut self, joined: &Value) {
        let room = joined["videoID"].as_str().unwrap().to_owned();
        let events = joined["events"].as_array().unwrap();
        assert_eq!(joined["complete"], true, "nobody is far behind");
        let head = joined["seq"].as_i64().unwrap();
        if let Some(last) = events.last() {
            assert_eq!(last["seq"], head);
        }
        if let Some(known) = self.0.get(&room) {
            assert_eq!(*known, head, "a member that joins again has got all that was sent");
        }
        self.0.insert(room, head);
    }
}

/// `None`: the connection was closed.
async fn ask(client: &mut Client, owed: &mut Owed, function: &str, data: Value) -> Option<Value> {
    let operation = client.begin_or_not(function, data).await?;
    loop {
        let Came::Text(frame) = client.came().await else {
            return None;
        };
        owed.frame(&frame);
        if frame["operationID"] == operation.as_str() {
            return Some(frame);
        }
    }
}

async fn step(world: &World, random: &RefCell<Random>, client: &mut Client, owed: &mut Owed) -> Option<()> {
    let (what, room) = {
        let mut random = random.borrow_mut();
        (random.below(12), random.pick(&world.rooms))
    };
    match what {
        0..4 => {
            let last = owed.0.get(room.as_str()).copied();
            let data = match last {
                Some(last) if what < 2 => json!({"videoID": room, "afterSeq": last}),
                _ => json!({"videoID": room}),
            };
            ask(client, owed, "JoinRoom", data).await?;
        }
        4 | 5 => {
            ask(client, owed, "LeaveRoom", json!({"videoID": room})).await?;
            owed.0.remove(room.as_str());
        }
        6 => {
            ask(client, owed, "Logout", json!({})).await?;
            owed.0.clear();
            ask(client, owed, "Login", json!({})).await?;
        }
        7 => {
            // Nobody reads for a moment.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        8 => {
            let login = json!({"rooms": [{"videoID": room}]});
            let answer = ask(client, owed, "Login", login).await?;
            if answer["data"]["rooms"][0]["errCode"] == 0 {
                owed.joined(&answer["data"]["rooms"][0]);
            }
        }
        _ => {
            ask(client, owed, "GetSelfUserInfo", json!({})).await?;
        }
    }
    Some(())
}

/// One connection from its beginning to one of its ends.
async fn life(world: &World, random: &RefCell<Random>) -> bool {
    let user = {
        let mut random = random.borrow_mut();
        random.pick(&world.sessions.borrow())
    };
    let Ok(mut client) = Knock::by(&user).try_enter(world.site.base()).await else {
        return false;
    };
    let (mut owed, steps) = (Owed::default(), 1 + random.borrow_mut().below(STEPS));
    if ask(&mut client, &mut owed, "Login", json!({})).await.is_none() {
        return false;
    }
    for _ in 0..steps {
        if step(world, random, &mut client, &mut owed).await.is_none() {
            return false;
        }
    }
    if random.borrow_mut().once_in(3) {
        client.try_send(&masked(0x88, b"")).await;
    } else if random.borrow_mut().once_in(2) {
        // In the middle of everything.
        client
            .begin_or_not("JoinRoom", json!({"videoID": world.rooms[0]}))
            .await;
        client.begin_or_not("Logout", json!({})).await;
    }
    true
}

/// Speaks in all rooms until all lives are over; a part of it is not told, or later.
async fn speak(world: &World, random: &RefCell<Random>) {
    let (mut late, mut ends) = (Vec::new(), 0);
    while !world.over.get() {
        let room = random.borrow_mut().pick(&world.rooms);
        let entry = world.site.unpublished(&room, "words");
        match random.borrow_mut().below(6) {
            0 => {}
            1 => late.push(entry),
            _ => {
                world.site.publish(&entry);
                late.drain(..).for_each(|entry| world.site.publish(&entry));
            }
        }
        if ends < SESSION_ENDS && random.borrow_mut().once_in(30) {
            ends += 1;
            let at = random.borrow_mut().below(world.sessions.borrow().len());
            let ended = world.sessions.borrow()[at].clone();
            world.sessions.borrow_mut()[at] = world.site.api.again(&ended);
            world.site.revoke(&ended);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix_web::test]
async fn whatever_forty_clients_do_each_sees_its_rooms_without_gap_or_repeat_and_nothing_is_left_of_them() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 100).await;
    let rooms: Vec<VideoId> = (0..3).map(|_| site.api.room()).collect();
    let sessions = ["ann", "bob", "eve"].map(|name| site.api.user(name)).to_vec();
    let world = World {
        site,
        rooms,
        sessions: RefCell::new(sessions),
        over: Cell::new(false),
    };
    let random = RefCell::new(Random::from_clock());
    let lives = async {
        let lived = join_all((0..ACTORS).map(async |_| {
            let mut whole = 0;
            for _ in 0..LIVES {
                whole += usize::from(life(&world, &random).await);
            }
            whole
        }))
        .await;
        world.over.set(true);
        lived.iter().sum::<usize>()
    };
    let (whole, ()) = futures_util::future::join(lives, speak(&world, &random)).await;
    assert!(
        whole > ACTORS * LIVES / 3,
        "{whole} lives went to their end by themselves"
    );
    let World { site, rooms, .. } = world;
    site.until_metric(CONNECTIONS, 0).await;
    let mut observer = site.logged_in(&site.api.user("observer")).await;
    for room in &rooms {
        // The last one tells of all before it.
        let last = site.danmaku(room, "last").seq;
        let joined = observer.call("JoinRoom", json!({"videoID": room, "afterSeq": 0})).await;
        assert_eq!(joined["memberCount"], 1, "nobody else is counted");
        let got = joined["seq"].as_i64().unwrap();
        if got < last {
            expect_entries(&mut observer, got + 1, last).await;
        }
    }
    observer.leave().await;
    site.stop().await;
}
