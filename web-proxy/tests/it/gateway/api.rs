//! An api-service as the gateway sees it, down to when it answers: users with sessions, rooms with logs. It counts what it
//! is asked, and on demand holds answers back, fails, or is away (its connections end without an answer).

mod control;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use common::error::Code;
use common::ids::{Id, VideoId};
use common::messages::{RoomEntry, TokenOwner};
use common::testing::INTERNAL_TOKEN;
use common::testing::raw::{Answer, Raw};
use common::time::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A person with one session.
#[derive(Debug, Clone)]
pub struct User {
    pub token: String,
    pub owner: TokenOwner,
}

impl User {
    pub fn name(&self) -> &str {
        &self.owner.username
    }

    pub fn id(&self) -> &Id {
        &self.owner.user
    }
}

/// The log of a video and who may see it.
#[derive(Default)]
struct Room {
    private_to: Option<Id>,
    entries: Vec<RoomEntry>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, TokenOwner>,
    rooms: HashMap<VideoId, Room>,
    /// `METHOD /path`, as they came in.
    calls: Vec<String>,
    /// Requests whose line contains this wait here.
    holds: Vec<(String, watch::Receiver<bool>)>,
    /// Answers to requests whose line contains this wait here: they were decided before.
    late: Vec<(String, watch::Receiver<bool>)>,
    /// Requests whose line contains this get this answer.
    answers: Vec<(String, u16, String)>,
    away: bool,
}

/// The fake. Cheap to clone; it serves on the test's own thread.
#[derive(Clone)]
pub struct Api {
    pub base: String,
    state: Rc<RefCell<State>>,
}

/// Requests held back; dropping it lets them go on.
pub struct Held(#[expect(dead_code, reason = "its end is what counts")] watch::Sender<bool>);

impl Api {
    pub async fn new() -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api {
            base: format!("http://{}", listener.local_addr().unwrap()),
            state: Rc::default(),
        };
        let serving = api.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(serving.clone().serve(Raw::over(io)));
            }
        });
        api
    }

    async fn serve(self, mut raw: Raw) {
        loop {
            // A connection kept open has no deadline here; the edge closes it.
            let Ok(head) = tokio::time::timeout(Duration::from_secs(15), raw.until(b"\r\n\r\n")).await else {
                return;
            };
            let Some(head) = head else { return };
            let head = Answer {
                status: 0,
                head,
                body: Vec::new(),
            };
            let body = match head.header("content-length") {
                Some(_) => raw.body(&head).await.0,
                None => Vec::new(),
            };
            let Some((status, answer)) = self.one(&head, &body).await else {
                return;
            };
            let kind = if status < 400 {
                "application/json"
            } else {
                "application/problem+json"
            };
            let length = answer.len();
            let text =
                format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{answer}");
            use tokio::io::AsyncWriteExt;
            if raw.io.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// One request; `None` when api-service is away.
    async fn one(&self, head: &Answer, body: &[u8]) -> Option<(u16, String)> {
        let line = head.head.lines().next().unwrap();
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        self.state.borrow_mut().calls.push(line.clone());
        let holds = holding(&self.state.borrow().holds, &line);
        released(holds).await;
        if self.state.borrow().away {
            return None;
        }
        let told = {
            let state = self.state.borrow();
            let told = state.answers.iter().find(|(part, _, _)| line.contains(part.as_str()));
            told.map(|(_, status, text)| (*status, text.clone()))
        };
        let answer = told.unwrap_or_else(|| self.answer(&line, head, body));
        let late = holding(&self.state.borrow().late, &line);
        released(late).await;
        Some(answer)
    }

    fn answer(&self, line: &str, head: &Answer, body: &[u8]) -> (u16, String) {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: HashMap<&str, i64> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let bearer = head
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer "));
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        if segments[0] == "internal" && bearer != Some(INTERNAL_TOKEN) {
            return problem(Code::Unauthenticated);
        }
        match (method, &segments[..]) {
            ("POST", ["internal", "tokens", "parse"]) => match self.owner(body["token"].as_str()) {
                Some(owner) => (200, serde_json::to_string(&owner).unwrap()),
                None => problem(Code::Unauthenticated),
            },
            ("POST", ["internal", "sessions", "check"]) => (200, self.check_sessions(&body).to_string()),
            ("POST", ["internal", "rooms", "heads"]) => (200, self.heads(&body).to_string()),
            ("GET", ["internal", "videos", id, "events"]) => self.log(id, None, &query),
            ("GET", ["api", "v1", "videos", id, "events"]) => self.log(id, Some(self.owner(bearer)), &query),
            ("GET", ["api", "v1", "users", "me"]) => match self.owner(bearer) {
                Some(owner) => (200, json!({ "id": owner.user, "username": owner.username }).to_string()),
                None => problem(Code::Unauthenticated),
            },
            ("DELETE", ["api", "v1", "sessions", "current"]) => match self.owner(bearer) {
                Some(owner) => {
                    self.end_session(&owner.session);
                    (204, String::new())
                }
                None => problem(Code::Unauthenticated),
            },
            _ => problem(Code::NotFound),
        }
    }

    fn owner(&self, token: Option<&str>) -> Option<TokenOwner> {
        self.state.borrow().sessions.get(token?).cloned()
    }

    fn check_sessions(&self, body: &Value) -> Value {
        let state = self.state.borrow();
        let good = body["sessions"].as_array().unwrap().iter().filter(|session| {
            let session: Id = session.as_str().unwrap().parse().unwrap();
            let mut open = state
                .sessions
                .values()
                .filter(|owner| owner.expires_at > Timestamp::now());
            open.any(|owner| owner.session == session)
        });
        json!({ "sessions": good.collect::<Vec<_>>() })
    }

    fn heads(&self, body: &Value) -> Value {
        let state = self.state.borrow();
        let heads = body["videos"].as_array().unwrap().iter().filter_map(|video| {
            let room = state.rooms.get(&video.as_str()?.parse::<VideoId>().ok()?)?;
            Some(json!({ "videoID": video, "seq": room.entries.len() }))
        });
        json!({ "heads": heads.collect::<Vec<_>>() })
    }

    /// `asker`: `None` for the gateway itself, else who asks, if anybody.
    fn log(&self, id: &str, asker: Option<Option<TokenOwner>>, query: &HashMap<&str, i64>) -> (u16, String) {
        let state = self.state.borrow();
        let Some(room) = id.parse::<VideoId>().ok().and_then(|id| state.rooms.get(&id)) else {
            return problem(Code::NotFound);
        };
        if let (Some(owner), Some(asker)) = (&room.private_to, asker)
            && asker.is_none_or(|asker| asker.user != *owner)
        {
            return problem(Code::NotFound);
        }
        let all = &room.entries;
        let items: Vec<&RoomEntry> = match query.get("last") {
            Some(last) => all.iter().skip(all.len().saturating_sub(*last as usize)).collect(),
            None => {
                let after = query.get("afterSeq").copied().unwrap_or(0);
                let limit = query.get("limit").copied().unwrap_or(100);
                assert!((1..=1000).contains(&limit), "{query:?}");
                all.iter()
                    .filter(|entry| entry.seq > after)
                    .take(limit as usize)
                    .collect()
            }
        };
        let more = items
            .last()
            .filter(|last| !query.contains_key("last") && last.seq < all.len() as i64);
        let next = more.map(|last| last.seq);
        (
            200,
            json!({ "items": items, "next": next, "seq": all.len() }).to_string(),
        )
    }
}

fn holding(holds: &[(String, watch::Receiver<bool>)], line: &str) -> Vec<watch::Receiver<bool>> {
    let held = holds.iter().filter(|(part, _)| line.contains(part.as_str()));
    held.map(|(_, hold)| hold.clone()).collect()
}

async fn released(holds: Vec<watch::Receiver<bool>>) {
    for mut hold in holds {
        // An error: the hold was dropped.
        drop(hold.wait_for(|over| *over).await);
    }
}

fn problem(code: Code) -> (u16, String) {
    let entry = code.entry();
    let text = json!({ "type": format!("/problems/{}", entry.code), "title": entry.title, "status": entry.status,
        "detail": entry.title, "code": entry.code, "errCode": entry.number, "operationID": "api" });
    (entry.status, text.to_string())
}
