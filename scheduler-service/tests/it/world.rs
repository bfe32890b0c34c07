//! The other services, as far as jobs see them: videos and media in memory, behind real HTTP.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use common::error::{ApiError, Code};
use common::ids::VideoId;
use common::messages::{MediaRecord, Receipt, VideoRecord, VideoState, Visibility};
use common::time::Timestamp;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// What a test does to one call.
pub enum Fault {
    /// Tells that the call came, and goes on when the test says so; before its effect or after it.
    Gate {
        reached: mpsc::UnboundedSender<()>,
        release: oneshot::Receiver<()>,
        effect_first: bool,
    },
}

#[derive(Default)]
pub struct Things {
    pub videos: BTreeMap<String, VideoRecord>,
    /// Purged for good: their receipts.
    pub purged: BTreeMap<String, Receipt>,
    pub media: BTreeMap<String, MediaRecord>,
    /// What deletions removed.
    pub removed: BTreeMap<String, Receipt>,
    /// `METHOD path` of every call, in order.
    pub calls: Vec<String>,
    /// For the next calls that contain the text.
    pub faults: Vec<(&'static str, Fault)>,
    /// For all calls that contain the text: this status; 0 answers as something that is not the service.
    pub broken: Vec<(String, u16)>,
    pub tokens: HashMap<String, &'static str>,
    pub sessions_to_expire: u64,
    pub uploads_to_expire: u64,
    pub videos_to_expire: u64,
    pub orphan_files: u64,
    /// Objects that are due, and since when each call wanted them checked.
    pub to_scrub: u64,
    pub scrubs: Vec<Value>,
    pub damaged: u64,
    /// Objects that stay due.
    pub stuck: u64,
    /// The clock of api-service is at 1 plus this; purge times here are small numbers.
    pub later: i64,
    pub operations: Vec<String>,
    /// Of a version that takes no batches.
    pub before_batches: bool,
    /// Requests that carried many calls.
    pub batches: usize,
    /// Videos whose deletion takes longer than those beside it.
    pub slow: Vec<String>,
}

/// The server; it ends with [`World::stop`].
pub struct World {
    pub url: String,
    things: Arc<Mutex<Things>>,
    handle: ServerHandle,
}

pub fn video_id(n: usize) -> VideoId {
    let mut n = n;
    let mut text = vec![b'0'; 12];
    for byte in text.iter_mut().rev() {
        *byte = b"0123456789abcdefghjkmnpqrstvwxyz"[n % 32];
        n /= 32;
    }
    String::from_utf8(text).unwrap().parse().unwrap()
}

impl World {
    pub fn start() -> World {
        let things = Arc::new(Mutex::new(Things::default()));
        let data = Data::new(things.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        drop(actix_web::rt::spawn(server));
        World { url, things, handle }
    }

    pub fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap()
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }

    /// A trashed video that is due, with stored media of that many bytes.
    pub fn trashed(&self, n: usize, bytes: u64) -> VideoId {
        self.video(n, VideoState::Trashed);
        self.media(n, bytes)
    }

    pub fn video(&self, n: usize, state: VideoState) -> VideoId {
        let id = video_id(n);
        let purge_at = matches!(state, VideoState::Trashed | VideoState::Purging).then_some(Timestamp(1));
        let record = VideoRecord {
            id: id.clone(),
            state,
            created_at: Timestamp(1),
            purge_at,
            version: 7,
            min_grant: 2,
        };
        self.things().videos.insert(id.to_string(), record);
        id
    }

    /// Old enough for every grace; hidden as its video says.
    pub fn media(&self, n: usize, bytes: u64) -> VideoId {
        let id = video_id(n);
        let mut things = self.things();
        let state = things.videos.get(id.as_str()).map(|video| video.state);
        let hidden = matches!(state, Some(VideoState::Trashed | VideoState::Purging));
        let created_at = Timestamp(1);
        let record = MediaRecord {
            id: id.clone(),
            live: true,
            hidden,
            objects: 2,
            bytes,
            created_at,
        };
        things.media.insert(id.to_string(), record);
        id
    }

    pub fn calls(&self, containing: &str) -> usize {
        self.things()
            .calls
            .iter()
            .filter(|call| call.contains(containing))
            .count()
    }

    /// The next call that contains the text waits; the first of the pair hears of it, the second lets it go on.
    pub fn gate(&self, call: &'static str, effect_first: bool) -> (mpsc::UnboundedReceiver<()>, oneshot::Sender<()>) {
        let (reached, arrivals) = mpsc::unbounded_channel();
        let (go, release) = oneshot::channel();
        self.things().faults.push((
            call,
            Fault::Gate {
                reached,
                release,
                effect_first,
            },
        ));
        (arrivals, go)
    }
}

#[derive(Deserialize)]
struct After {
    after: Option<String>,
    limit: usize,
}

/// One call, alone or of many.
struct Asked {
    method: String,
    path: String,
    operation: Option<String>,
    body: Value,
}

async fn answer(request: HttpRequest, body: web::Bytes, things: Data<Arc<Mutex<Things>>>) -> HttpResponse {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = request.path();
    let one: fn(&Value) -> (&'static str, String) = match path {
        "/internal/purges/begin" => |call| ("POST", format!("/internal/videos/{}/purge/begin", text(&call["video"]))),
        "/internal/purges/done" => |call| ("POST", format!("/internal/videos/{}/purge/done", text(&call["video"]))),
        "/internal/deletions" => |call| ("DELETE", format!("/internal/media/{}", text(&call["video"]))),
        _ => {
            let operation = request.headers().get("x-operation-id");
            let asked = Asked {
                method: request.method().to_string(),
                path: path.to_owned(),
                operation: operation.map(|id| id.to_str().unwrap().to_owned()),
                body,
            };
            return answer_one(asked, request.query_string(), &things).await;
        }
    };
    {
        let mut things = things.lock().unwrap();
        if things.before_batches {
            return problem(404, "There is nothing at this address.");
        }
        things.batches += 1;
    }
    let calls = body["calls"].as_array().expect("a list of calls");
    let each = calls.iter().map(async |call| {
        let (method, path) = one(call);
        if method == "DELETE" && things.lock().unwrap().slow.iter().any(|video| *video == call["video"]) {
            return Some(json!({ "problem": late() }));
        }
        let asked = Asked {
            method: method.to_owned(),
            path,
            operation: Some(text(&call["operationID"]).to_owned()),
            body: call.clone(),
        };
        let answer = answer_one(asked, "", &things).await;
        let good = answer.status().is_success();
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        let body: Value = if body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&body).ok()?
        };
        Some(json!({ if good { "done" } else { "problem" }: body }))
    });
    let outcomes: Option<Vec<Value>> = join_all(each).await.into_iter().collect();
    match outcomes {
        Some(outcomes) => HttpResponse::Ok().json(json!({ "outcomes": outcomes })),
        None => HttpResponse::BadGateway().body("not in our language"),
    }
}

fn late() -> Value {
    let late = ApiError::new(Code::Overloaded, "ask again");
    json!(late.problem())
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

async fn answer_one(asked: Asked, query: &str, things: &Mutex<Things>) -> HttpResponse {
    let call = format!("{} {}", asked.method, asked.path);
    let fault = {
        let mut things = things.lock().unwrap();
        things.calls.push(call.clone());
        things.operations.extend(asked.operation.clone());
        if let Some((_, status)) = things.broken.iter().find(|(text, _)| call.contains(text.as_str())) {
            return match status {
                0 => HttpResponse::BadGateway().body("not in our language"),
                status => problem(*status, "broken on purpose"),
            };
        }
        let at = things.faults.iter().position(|(text, _)| call.contains(text));
        at.map(|at| things.faults.remove(at).1)
    };
    let effect = || things.lock().unwrap().effect(&asked, query);
    match fault {
        None => effect(),
        Some(Fault::Gate {
            reached,
            release,
            effect_first,
        }) => {
            let early = effect_first.then(effect);
            reached.send(()).ok();
            release.await.ok();
            early.unwrap_or_else(effect)
        }
    }
}

fn problem(status: u16, detail: &str) -> HttpResponse {
    let code = common::error::Code::from_status(status).entry();
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
        .content_type("application/problem+json")
        .json(json!({
            "type": format!("/problems/{}", code.code), "title": code.title, "status": status, "detail": detail,
            "code": code.code, "errCode": code.number, "operationID": "",
        }))
}

impl Things {
    fn effect(&mut self, asked: &Asked, query: &str) -> HttpResponse {
        let path: Vec<&str> = asked.path.trim_start_matches("/internal/").split('/').collect();
        let json = &asked.body;
        let dry_run = json["dryRun"] == true;
        match (asked.method.as_str(), path.as_slice()) {
            ("POST", ["tokens", "parse"]) => self.parse_token(json),
            ("GET", ["videos"]) => page(query, &self.videos),
            ("GET", ["media"]) => page(query, &self.media),
            ("POST", ["videos", "expire"]) => swept(&mut self.videos_to_expire, dry_run),
            ("POST", ["sessions", "expire"]) => swept(&mut self.sessions_to_expire, dry_run),
            ("POST", ["uploads", "expire"]) => swept(&mut self.uploads_to_expire, dry_run),
            ("POST", ["reconcile"]) => {
                let orphan_files = if dry_run {
                    self.orphan_files
                } else {
                    std::mem::take(&mut self.orphan_files)
                };
                HttpResponse::Ok().json(json!({ "orphanFiles": orphan_files, "samples": [] }))
            }
            ("POST", ["scrub"]) => self.scrub(json),
            ("POST", ["videos", id, "purge", "begin"]) => self.purge_begin(id),
            ("POST", ["videos", id, "purge", "done"]) => {
                let receipt: Receipt = serde_json::from_value(json["receipt"].clone()).unwrap();
                self.purge_done(id, receipt)
            }
            ("POST", ["videos", id, "media-failed"]) => self.media_failed(id),
            ("DELETE", ["media", id]) => {
                let gone = self.media.remove(*id);
                let now = gone.map(|media| Receipt {
                    objects: media.objects,
                    bytes: media.bytes,
                });
                let receipt = self.removed.entry((*id).to_owned()).or_insert(now.unwrap_or_default());
                HttpResponse::Ok().json(receipt)
            }
            ("POST", ["media", id, "announce"]) => match (self.media.get(*id), self.videos.get_mut(*id)) {
                (Some(media), Some(video)) if media.live => {
                    video.state = VideoState::Ready;
                    HttpResponse::NoContent().finish()
                }
                _ => problem(404, "no live source"),
            },
            ("PUT", ["media", id, "hidden"]) => {
                let wish: Visibility = serde_json::from_value(json.clone()).unwrap();
                assert_eq!(wish.version, 7);
                self.media.get_mut(*id).unwrap().hidden = wish.hidden;
                HttpResponse::NoContent().finish()
            }
            (method, path) => panic!("{method} {path:?} is not a call of a job"),
        }
    }

    /// Three objects in a call, of which one was not known to be damaged.
    fn scrub(&mut self, json: &Value) -> HttpResponse {
        self.scrubs.push(json["before"].clone());
        let objects = self.to_scrub.min(3);
        self.to_scrub -= objects;
        self.damaged += u64::from(objects > 0);
        HttpResponse::Ok().json(json!({
            "objects": objects, "bytes": 10 * objects, "found": u64::from(objects > 0), "left": self.to_scrub + self.stuck,
            "damaged": self.damaged, "samples": ["a thing"],
        }))
    }

    fn parse_token(&self, json: &Value) -> HttpResponse {
        let Some(role) = json["token"].as_str().and_then(|token| self.tokens.get(token)) else {
            return problem(401, "nobody");
        };
        let id = common::ids::Id::now();
        HttpResponse::Ok().json(json!({
            "userID": id, "sessionID": id, "username": "someone", "role": role, "expiresAt": "2100-01-01T00:00:00.000Z",
        }))
    }

    fn purge_begin(&mut self, id: &str) -> HttpResponse {
        if self.purged.contains_key(id) {
            return problem(410, "purged");
        }
        match self.videos.get_mut(id) {
            None => problem(404, "no such video"),
            Some(video) if video.state == VideoState::Trashed && video.purge_at > Some(Timestamp(1 + self.later)) => {
                problem(409, "it is not due")
            }
            Some(video) if matches!(video.state, VideoState::Trashed | VideoState::Purging) => {
                video.state = VideoState::Purging;
                HttpResponse::NoContent().finish()
            }
            Some(_) => problem(409, "it was restored"),
        }
    }

    /// The first receipt stays; a different one would be a broken promise.
    fn purge_done(&mut self, id: &str, receipt: Receipt) -> HttpResponse {
        assert_eq!(
            *self.purged.entry(id.to_owned()).or_insert(receipt),
            receipt,
            "two receipts of {id}"
        );
        self.videos.remove(id);
        HttpResponse::NoContent().finish()
    }

    fn media_failed(&mut self, id: &str) -> HttpResponse {
        match self.videos.get_mut(id) {
            None => problem(404, "no such video"),
            Some(video) => {
                video.state = VideoState::Failed;
                HttpResponse::NoContent().finish()
            }
        }
    }
}

/// In batches of two, as a service would bound one call.
fn swept(left: &mut u64, dry_run: bool) -> HttpResponse {
    let count = if dry_run { *left } else { (*left).min(2) };
    if !dry_run {
        *left -= count;
    }
    HttpResponse::Ok().json(json!({ "count": count }))
}

fn page<T: serde::Serialize>(query: &str, all: &BTreeMap<String, T>) -> HttpResponse {
    let query = Query::<After>::from_query(query).unwrap();
    let after = query.after.clone().unwrap_or_default();
    let rest: Vec<(&String, &T)> = all
        .range(after.clone()..)
        .filter(|(id, _)| **id > after)
        .take(query.limit + 1)
        .collect();
    let next = (rest.len() > query.limit).then(|| rest[query.limit - 1].0);
    let items: Vec<&T> = rest.iter().take(query.limit).map(|(_, item)| *item).collect();
    HttpResponse::Ok().json(json!({ "items": items, "next": next }))
}
