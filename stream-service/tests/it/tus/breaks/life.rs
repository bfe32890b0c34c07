//! One upload from its creation to the video, with breaks in between.

use super::{
    killed::kill_a_client,
    server::Server,
    wire::{Framing, Speech, answer, connect, offset, send},
};
use crate::clip::{clip, sha256};
use common::{
    ids::VideoId,
    testing::{random::Random, raw::Answer},
};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, time::timeout};

/// Breaks of one upload at most.
const BREAKS: usize = 12;

/// Requests that it may take to end an upload which nobody breaks but the server's death.
const PATIENCE: usize = 60;

/// How long a request that may be hanging is listened to.
const HANGING: Duration = Duration::from_millis(500);

/// How a request ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An RST somewhere in the body.
    Reset,
    /// The connection ends somewhere in the body.
    Close,
    /// The client sends no more, and listens.
    HalfClose,
    /// The connection ends within the head.
    Head,
    /// All is sent, and the connection is gone before the answer.
    Unheard,
    /// It hangs, and another request takes over.
    Takeover,
    /// The process of the client is killed.
    ClientKill,
    /// The process of the server is killed while the request is under way.
    ServerKill,
}

const KINDS: [(Kind, usize); 7] = [
    (Kind::Reset, 5),
    (Kind::Close, 5),
    (Kind::HalfClose, 4),
    (Kind::Head, 1),
    (Kind::Unheard, 3),
    (Kind::Takeover, 3),
    (Kind::ClientKill, 1),
];

pub struct Life<'a> {
    server: &'a Server,
    video: VideoId,
    bytes: Vec<u8>,
    path: String,
    /// The highest offset that any answer has told.
    acknowledged: usize,
    /// The highest byte that was ever sent: nothing beyond it can be acknowledged.
    sent: usize,
}

/// Where the upload is, as HEAD says.
struct Told {
    offset: usize,
    stored: bool,
}

impl<'a> Life<'a> {
    pub async fn begin(server: &'a Server, random: &mut Random) -> Self {
        let size = match random.below(server.few()) {
            // More than what is saved at once while a request goes on (16 MiB).
            0 => 17_000_000 + random.below(20_000_000),
            1..10 => 300_000 + random.below(3_000_000),
            _ => 2_000 + random.below(300_000),
        };
        let mut life = Self {
            server,
            video: VideoId::random(),
            bytes: clip(size, random.below(256) as u8),
            path: String::new(),
            acknowledged: 0,
            sent: 0,
        };
        let speech = speech(random);
        let length = (!random.once_in(4)).then_some(size);
        for _ in 0..PATIENCE {
            let asked = life.ask(speech, "POST", &speech.creation(length), b"").await;
            if let Some(created) = asked {
                assert_eq!(created.status, 201, "{} {}", created.head, created.text());
                life.path = created.header("location").unwrap().to_owned();
                return life;
            }
        }
        panic!("no upload can be begun");
    }

    pub async fn live(mut self, random: &mut Random) {
        for _ in 0..BREAKS {
            let told = self.told(speech(random)).await;
            if told.stored || !self.server.more_breaks() {
                break;
            }
            self.break_once(told.offset, random).await;
        }
        self.end(random).await;
        self.check().await;
    }

    /// The bytes of the video are those that were sent, and so is its hash.
    async fn check(&self) {
        for _ in 0..PATIENCE {
            if let Some((stored, etag)) = self.server.stored(&self.video).await {
                let sum = |bytes: &[u8]| format!("\"{}\"", sha256(bytes));
                assert!(
                    stored == self.bytes,
                    "the bytes of {} differ: {} came of {}, the first other one at {:?}, the last at {:?}; the ETag is that of what was sent: {}, of what came: {}",
                    self.path,
                    stored.len(),
                    self.bytes.len(),
                    stored.iter().zip(&self.bytes).position(|(came, sent)| came != sent),
                    stored.iter().zip(&self.bytes).rposition(|(came, sent)| came != sent),
                    etag == sum(&self.bytes),
                    etag == sum(&stored)
                );
                assert_eq!(etag, format!("\"{}\"", sha256(&stored)), "the hash of {}", self.path);
                self.server.delete(&self.video).await;
                return;
            }
        }
        panic!("{} can't be read", self.path);
    }

    /// Sends what is left until all is there and stored.
    async fn end(&mut self, random: &mut Random) {
        for _ in 0..PATIENCE {
            let speech = speech(random);
            let told = self.told(speech).await;
            if told.stored {
                return;
            }
            let at = told.offset;
            let (body, total) = (self.bytes[at..].to_vec(), Some(self.bytes.len()));
            let fields = speech.append(at, total) + &Framing::Declared.field(body.len());
            self.sent = self.bytes.len();
            let Some(answer) = self.ask(speech, "PATCH", &fields, &body).await else {
                continue;
            };
            // 409: a request whose connection was cut long ago reached the service only now, and took over.
            assert!(
                [200, 204, 409].contains(&answer.status),
                "{} {}",
                answer.head,
                answer.text()
            );
            self.heard(&answer);
        }
        panic!("{} does not come to its end", self.path);
    }

    /// HEAD until it is answered. What it says is at least all that was ever acknowledged.
    async fn told(&mut self, speech: Speech) -> Told {
        for _ in 0..PATIENCE {
            let Some(answer) = self.ask(speech, "HEAD", "", b"").await else {
                continue;
            };
            assert!([200, 204].contains(&answer.status), "{}: {}", self.path, answer.head);
            let offset = offset(&answer).unwrap();
            let before = self.acknowledged;
            assert!(
                offset >= before,
                "{offset} of {before} acknowledged bytes of {} are left",
                self.path
            );
            self.heard(&answer);
            // In tus all bytes are a video once HEAD has answered; the draft says it.
            let stored = match speech {
                Speech::Tus => offset == self.bytes.len() && answer.header("upload-length").is_some(),
                Speech::Draft => answer.header("upload-complete") == Some("?1"),
            };
            let all = self.bytes.len();
            assert!(
                !stored || offset == all,
                "{} is stored with {offset} of {all} bytes",
                self.path
            );
            return Told { offset, stored };
        }
        panic!("HEAD of {} is never answered", self.path);
    }

    /// An offset that any answer tells is acknowledged.
    fn heard(&mut self, answer: &Answer) {
        if let Some(offset) = offset(answer) {
            let (path, sent) = (&self.path, self.sent);
            assert!(offset <= sent, "{path}: {offset} bytes of {sent} that were sent");
            self.acknowledged = self.acknowledged.max(offset);
        }
    }

    /// One request and its answer; `None` when the server dies meanwhile, or refuses a body before it is sent and the answer is
    /// lost with the connection.
    async fn ask(&self, speech: Speech, method: &str, fields: &str, body: &[u8]) -> Option<Answer> {
        let generation = self.server.generation();
        let path = if method == "POST" { "/uploads" } else { &self.path };
        let head = speech.head(method, path, &self.server.token(&self.video), fields);
        let asked = async {
            let mut raw = connect(&self.server.base()).await?;
            send(&mut raw, &[head.as_bytes(), body].concat()).await;
            answer(&mut raw, method == "HEAD").await
        };
        let answered = asked.await;
        let killed = self.server.generation() != generation;
        if answered.is_none() && body.is_empty() {
            assert!(killed, "{method} {} is not answered by a server that lives", self.path);
        } else if answered.is_none() && killed {
            self.server.count(Kind::ServerKill);
        }
        answered
    }

    async fn break_once(&mut self, at: usize, random: &mut Random) {
        let kind = kind(random);
        let speech = speech(random);
        let framing = if random.once_in(3) {
            Framing::Chunked
        } else {
            Framing::Declared
        };
        let left = self.bytes.len() - at;
        let length = if random.once_in(3) {
            left
        } else {
            random.below(left + 1)
        };
        let total = (length == left && (speech == Speech::Tus || random.once_in(2))).then_some(self.bytes.len());
        let fields = speech.append(at, total) + &framing.field(length);
        let head = speech.head("PATCH", &self.path, &self.server.token(&self.video), &fields);
        let body = framing.body(&self.bytes[at..at + length]);
        self.sent = self.sent.max(at + length);
        let generation = self.server.generation();
        if kind == Kind::ClientKill {
            kill_a_client(&self.server.base(), &head, &body, random).await;
        } else {
            let request = [head.as_bytes(), &body].concat();
            let cut = match kind {
                Kind::Head => random.below(head.len()),
                Kind::Unheard => request.len(),
                _ => head.len() + random.below(body.len() + 1),
            };
            self.cut(kind, &request[..cut], random).await;
        }
        let died = self.server.generation() != generation;
        self.server.count(if died { Kind::ServerKill } else { kind });
    }

    /// Sends what there is of a request and ends it.
    async fn cut(&mut self, kind: Kind, request: &[u8], random: &mut Random) {
        let Some(mut raw) = connect(&self.server.base()).await else {
            return;
        };
        // In two pieces, so that a break is not always at the end of what the server reads at once.
        let (first, second) = request.split_at(random.below(request.len() + 1));
        if !send(&mut raw, first).await {
            return;
        }
        if random.once_in(2) {
            tokio::time::sleep(Duration::from_micros(random.below(3_000) as u64)).await;
        }
        if !send(&mut raw, second).await {
            return;
        }
        match kind {
            Kind::Reset => raw.io.set_zero_linger().unwrap(),
            Kind::Unheard if random.once_in(2) => raw.io.set_zero_linger().unwrap(),
            Kind::HalfClose => {
                if raw.io.shutdown().await.is_ok()
                    && let Some(answer) = answer(&mut raw, false).await
                {
                    self.heard(&answer);
                }
            }
            Kind::Takeover => {
                // Whoever asks next takes over; the one that hung is told so, or has been answered before.
                self.told(speech(random)).await;
                // It may also have come to the service after that one, and hang on.
                if random.once_in(2)
                    && let Ok(Some(answer)) = timeout(HANGING, answer(&mut raw, false)).await
                {
                    assert!(
                        [200, 204, 400, 409].contains(&answer.status),
                        "{} {}",
                        answer.head,
                        answer.text()
                    );
                    self.heard(&answer);
                }
            }
            _ => {}
        }
    }
}

fn speech(random: &mut Random) -> Speech {
    if random.once_in(2) { Speech::Tus } else { Speech::Draft }
}

fn kind(random: &mut Random) -> Kind {
    let mut left = random.below(KINDS.iter().map(|(_, weight)| weight).sum());
    for (kind, weight) in KINDS {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return kind,
        }
    }
    unreachable!("below the sum of the weights")
}
