//! One connection to a broker, from its welcome to its end. Reading and writing go on side by side; nothing here waits for a
//! listener, and what a listener can't take its own bounded queue drops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::address::{BrokerServer, Credentials};
use super::protocol::{Connect, Op, Parser, ServerInfo, Writer};

/// How often the broker is asked for a sign of life: silence is noticed within a second (see `NatsBus::is_current`).
const PING_EVERY: Duration = Duration::from_millis(400);

/// A broker that does not answer for so long is left.
const DEAD_AFTER: Duration = Duration::from_secs(4);

/// Bytes put together for one write.
const WRITE: usize = 64 * 1024;

/// What a closing bus gets to send its last messages in.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A buffer that a large message made larger than this is given back.
const KEPT: usize = 256 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// A person must mend something. The reason continues the broker's address.
    Refused(String),
    /// It may come.
    Away(String),
}

impl Failure {
    pub fn is_refusal(&self) -> bool {
        matches!(self, Failure::Refused(_))
    }
}

pub struct Session {
    stream: TcpStream,
    parser: Parser,
    inbox: BytesMut,
    out: BytesMut,
    /// PINGs that are not answered, oldest first.
    pings: VecDeque<Ping>,
    max_payload: usize,
    /// The broker knows all that this process wants to hear.
    in_step: bool,
    /// When a message was too large last, and it was said so.
    warned: Option<Instant>,
}

/// A PING; its PONG says that the broker has dealt with all that was sent before.
struct Ping {
    at: Instant,
    /// Subscriptions sent before it.
    numbers: Vec<u64>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Session {
    /// Connects and introduces itself; the broker has said that we may read and write below `prefix`.
    pub async fn open(server: &BrokerServer, credentials: &Credentials, prefix: &str) -> Result<Session, Failure> {
        let away = |error: std::io::Error| Failure::Away(format!("{server}: {error}"));
        let stream = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(away)?;
        // Messages are small and wanted at once.
        stream.set_nodelay(true).map_err(away)?;
        let mut session = Session {
            stream,
            parser: Parser::default(),
            inbox: BytesMut::new(),
            out: BytesMut::new(),
            pings: VecDeque::new(),
            max_payload: 0,
            in_step: false,
            warned: None,
        };
        session.introduce(credentials, prefix).await?;
        Ok(session)
    }

    async fn introduce(&mut self, credentials: &Credentials, prefix: &str) -> Result<(), Failure> {
        let Op::Info(info) = self.read().await? else {
            return Err(Failure::Refused(
                "is no NATS server: it does not begin with INFO".into(),
            ));
        };
        check(&info)?;
        self.max_payload = info.max_payload;
        let name = format!("sluice-{}", std::process::id());
        let (user, pass, auth_token) = match credentials {
            Credentials::None => (None, None, None),
            Credentials::Token(token) => (None, None, Some(token.expose())),
            Credentials::User { user, password } => (Some(user.expose()), Some(password.expose()), None),
        };
        let mut write = Writer(&mut self.out);
        write.connect(&Connect {
            verbose: false,
            pedantic: false,
            tls_required: false,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            name: &name,
            protocol: 1,
            echo: false,
            headers: false,
            user,
            pass,
            auth_token,
        });
        // A broker that lets us in but allows nothing would look like one that nobody talks on.
        let allowed = format!("{prefix}.hello");
        write.subscribe(&allowed, 0);
        write.publish(&allowed, b"");
        write.unsubscribe(0);
        write.ping();
        self.stream
            .write_all_buf(&mut self.out)
            .await
            .map_err(|error| Failure::Away(error.to_string()))?;
        loop {
            match self.read().await? {
                Op::Pong => return Ok(()),
                Op::Error(text) if text.starts_with("Permissions Violation") => {
                    return Err(Failure::Refused(format!(
                        "doesn't let this user publish and subscribe below `{prefix}` ({text})"
                    )));
                }
                Op::Error(text) if text.contains("Authoriz") || text.contains("Authentication") => {
                    return Err(Failure::Refused(format!("{} ({text})", credentials.hint())));
                }
                Op::Error(text) => return Err(Failure::Away(text)),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Result<Op, Failure> {
        loop {
            match self.parser.next(&mut self.inbox) {
                Ok(Some(op)) => return Ok(op),
                Ok(None) => {}
                Err(error) => return Err(Failure::Refused(format!("is no NATS server: {error}"))),
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(Failure::Away("the connection was closed".into())),
                Ok(_) => {}
                Err(error) => return Err(Failure::Away(error.to_string())),
            }
        }
    }

    /// Serves until the connection ends; why it did. `first`: nobody was interrupted.
    pub async fn run(mut self, shared: &Arc<Shared>, first: bool, open: &CancellationToken) -> String {
        shared.state().interests.ask_again();
        let mut clock = tokio::time::interval(PING_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first PONG comes after all that is asked for now.
        self.fill(shared, true);
        loop {
            if self.out.is_empty() {
                self.fill(shared, false);
            }
            let (mut reader, mut writer) = self.stream.split();
            let step = tokio::select! {
                read = reader.read_buf(&mut self.inbox) => match read {
                    Ok(0) => Err("the broker closed the connection".to_owned()),
                    Ok(_) => self.take(shared, first),
                    Err(error) => Err(error.to_string()),
                },
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => match written {
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                },
                () = shared.work.notified(), if self.out.is_empty() => Ok(()),
                _ = clock.tick() => self.tick(shared),
                () = open.cancelled() => {
                    self.last_words(shared).await;
                    return "closed".into();
                }
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    /// Puts together what is to be sent next. `ping`: ask for a sign of life in any case.
    fn fill(&mut self, shared: &Shared, ping: bool) {
        let mut state = shared.state();
        let asked = state.interests.take_asked();
        let mut write = Writer(&mut self.out);
        for (number, subject) in &asked {
            write.subscribe(&subject.name(&shared.prefix), *number);
        }
        shared
            .metrics
            .subscriptions
            .set(i64::try_from(state.interests.len()).unwrap_or(i64::MAX));
        while self.out.len() < WRITE {
            let Some((subject, payload)) = state.outgoing.pop() else {
                break;
            };
            let mut write = Writer(&mut self.out);
            if payload.len() <= self.max_payload {
                write.publish(&subject, &payload);
                continue;
            }
            // Who listens is told that there is something to be read.
            write.publish(&subject, b"");
            shared.metrics.lost_by_size();
            if self
                .warned
                .is_none_or(|warned| warned.elapsed() > Duration::from_secs(60))
            {
                self.warned = Some(Instant::now());
                log::warn!(
                    "A message of {} bytes is larger than the broker's max_payload of {}: other processes read the record instead",
                    payload.len(),
                    self.max_payload
                );
            }
        }
        let flushes = match state.outgoing.is_empty() {
            true => std::mem::take(&mut state.flushes),
            false => Vec::new(),
        };
        if ping || !asked.is_empty() || !flushes.is_empty() {
            Writer(&mut self.out).ping();
            self.pings.push_back(Ping {
                at: Instant::now(),
                numbers: asked.into_iter().map(|(number, _)| number).collect(),
                flushes,
            });
        }
    }

    /// Deals with what came in.
    fn take(&mut self, shared: &Shared, first: bool) -> Result<(), String> {
        if self.in_step {
            shared.hear();
        }
        while let Some(op) = self.parser.next(&mut self.inbox).map_err(|error| error.to_string())? {
            match op {
                Op::Message { sid, payload } => {
                    shared.metrics.received.inc();
                    let state = shared.state();
                    match state.interests.subject(sid) {
                        // What was too large for the broker comes as nothing.
                        Some(subject) if payload.is_empty() => shared.local.missed(subject, 1),
                        Some(subject) => shared.local.publish(subject, &payload),
                        None => {}
                    }
                }
                Op::PassedOver { sid } => {
                    if let Some(subject) = shared.state().interests.subject(sid) {
                        shared.local.missed(subject, 1);
                    }
                }
                Op::Ping => Writer(&mut self.out).pong(),
                Op::Pong => self.pong(shared, first),
                Op::Ok => {}
                Op::Info(info) => self.max_payload = info.max_payload,
                Op::Error(text) if text.starts_with("Permissions Violation") || text == "Invalid Subject" => {
                    log::warn!("The broker refuses: {text}");
                }
                Op::Error(text) => return Err(text),
            }
        }
        if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
            self.inbox = BytesMut::new();
        }
        Ok(())
    }

    fn pong(&mut self, shared: &Shared, first: bool) {
        let Some(ping) = self.pings.pop_front() else { return };
        let mut state = shared.state();
        for number in ping.numbers {
            if let Some(subject) = state.interests.establish(number) {
                shared.local.established(subject);
            }
        }
        if !self.in_step {
            self.in_step = true;
            if !first {
                shared.local.resumed();
            }
            if let Some((since, _)) = state.away.take() {
                log::info!("The bus is back after {:.1} s", since.elapsed().as_secs_f64());
            }
            shared.metrics.connected.set(1);
            shared.hear();
        }
        for flush in ping.flushes {
            // Whoever waited may have given up.
            let (Ok(()) | Err(())) = flush.send(());
        }
    }

    fn tick(&mut self, shared: &Shared) -> Result<(), String> {
        match self.pings.front() {
            Some(ping) if ping.at.elapsed() > DEAD_AFTER => return Err(format!("no answer within {DEAD_AFTER:?}")),
            Some(_) => {}
            None => self.fill(shared, true),
        }
        let mut write = Writer(&mut self.out);
        let deserted = shared.state().interests.take_deserted(Instant::now());
        deserted.into_iter().for_each(|number| write.unsubscribe(number));
        Ok(())
    }

    async fn last_words(&mut self, shared: &Shared) {
        let sending = async {
            loop {
                self.stream.write_all_buf(&mut self.out).await?;
                self.fill(shared, false);
                if self.out.is_empty() {
                    return std::io::Result::Ok(());
                }
            }
        };
        // The others poll.
        drop(tokio::time::timeout(LAST_WORDS, sending).await);
    }
}

/// Whether we can work with this broker.
fn check(info: &ServerInfo) -> Result<(), Failure> {
    if info.tls_required {
        return Err(Failure::Refused(
            "asks for TLS, which this version doesn't speak: the broker belongs on the private network".into(),
        ));
    }
    if info.proto < 1 {
        return Err(Failure::Refused(format!(
            "is NATS {}, which can't keep our own messages from us; 2.0 or newer is needed",
            info.version
        )));
    }
    Ok(())
}
