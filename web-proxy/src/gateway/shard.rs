//! One thread of the gateway. It owns its connections and rooms, so nothing of them is locked; what the threads share is in
//! [`Shared`]. Connections arrive from the listener's threads and stay where they arrived.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::ids::VideoId;
use common::messages::{RoomList, TokenOwner};
use common::time::Timestamp;
use rand::RngExt;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Shared;
use super::api::Api;
use super::connection::{self, Connection, MAX_MESSAGE, SCRATCH};
use super::envelope::DataForm;
use super::frame::{self, CloseCode};
use super::functions::Caller;
use super::outbound::Class;
use super::places::Place;
use super::room::{Frames, encode};
use super::rooms::{MAX_PER_CONNECTION, Rooms};
use super::session::{CALL_BURST, CALLS_PER_SECOND, MAX_IN_FLIGHT};
use super::users::Users;

/// Between two looks at the clock for all connections. A look at ten thousand costs a fraction of a millisecond.
const TICK: Duration = Duration::from_millis(250);

/// How often the record is asked how far its rooms are: what the bus lost is found by then (promise 17).
const HEADS_EVERY: Duration = Duration::from_secs(5);

/// All gateways hear at the same moment that the broker is back; they ask within this time.
const HEADS_SPREAD: Duration = Duration::from_millis(500);

/// Rooms of one such question.
const HEADS_PAGE: usize = 1_000;

/// Connections closed a second when the process stops, at the least: who comes back comes to the others.
const CLOSES_PER_SECOND: usize = 500;

/// An accepted connection on its way to its thread.
pub struct Arrival {
    pub socket: std::net::TcpStream,
    /// The head of the 101, not sent yet.
    pub head: Vec<u8>,
    pub received: Vec<u8>,
    pub place: Place,
    pub owner: Arc<TokenOwner>,
    pub token: String,
    pub platform: u8,
    pub form: DataForm,
    pub address: IpAddr,
    pub operation: String,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody ended it.
    SignedOut,
    /// It is not among those that are open any more; it may have run out.
    NotOpen,
}

/// What a thread is told. The queue is as long as there are places, at most.
pub enum Command {
    Adopt(Box<Arrival>),
    /// The sessions of these connections have ended.
    Kick(Vec<u64>, End),
    /// Close everything within this time.
    Drain(Duration),
}

/// The state of one thread.
pub struct Shard {
    pub shared: Arc<Shared>,
    pub api: Api,
    pub rooms: Rooms,
    pub users: Users,
    pub scratch: RefCell<Vec<u8>>,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    ping: Frames,
    /// The bus may have lost entries of any room.
    pub interrupted: Notify,
}

impl Shard {
    pub fn new(shared: Arc<Shared>) -> Rc<Shard> {
        Rc::new(Shard {
            api: shared.api.clone(),
            rooms: Rooms::default(),
            users: Users::default(),
            scratch: RefCell::new(vec![0; SCRATCH]),
            connections: RefCell::default(),
            ping: frame::ping(b"").into(),
            interrupted: Notify::new(),
            shared,
        })
    }

    /// Runs until the drain is over.
    pub async fn run(self: Rc<Self>, mut commands: UnboundedReceiver<Command>) {
        let tick = TICK.min(self.shared.heartbeat / 4);
        let mut clock = tokio::time::interval(tick);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        drop(tokio::task::spawn_local(self.clone().watch_heads()));
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Adopt(arrival)) => self.adopt(*arrival),
                    Some(Command::Kick(ids, end)) => self.kick(&ids, end),
                    Some(Command::Drain(time)) => return self.drain(time, commands).await,
                    None => return,
                },
                _ = clock.tick() => self.tick(),
            }
        }
    }

    fn adopt(self: &Rc<Self>, arrival: Arrival) {
        let socket = match TcpStream::from_std(arrival.socket) {
            Ok(socket) => socket,
            Err(error) => {
                log::warn!("A connection can't be taken over: {error}");
                return;
            }
        };
        let caller = Rc::new(Caller {
            token: arrival.token.into(),
            owner: arrival.owner,
            address: arrival.address,
        });
        let ping_at = Instant::now() + self.next_ping();
        let connection = Rc::new(Connection::new(
            socket,
            arrival.place,
            caller.clone(),
            arrival.form,
            ping_at,
        ));
        self.connections
            .borrow_mut()
            .insert(connection.id(), connection.clone());
        self.shared.metrics.connections.inc();
        let mut first = arrival.head;
        first.extend_from_slice(&self.welcome(&caller, arrival.platform, &arrival.operation, arrival.form));
        connection.send(&first.into(), Class::Control);
        // Revoked on its way here: the kick came before it.
        if connection.has_ended() {
            self.kick_one(&connection, End::SignedOut);
        }
        connection.begin(arrival.received);
        drop(tokio::task::spawn_local(connection::run(self.clone(), connection)));
    }

    fn welcome(&self, caller: &Caller, platform: u8, operation: &str, form: DataForm) -> Frames {
        let data = json!({
            "userID": caller.owner.user,
            "username": caller.owner.username,
            "platformID": platform,
            "pingIntervalMs": self.shared.heartbeat.as_millis() as u64,
            "deadAfterMs": self.shared.dead_after.as_millis() as u64,
            "limits": {
                "maxFrameBytes": MAX_MESSAGE,
                "callsPerSecond": CALLS_PER_SECOND,
                "callBurst": CALL_BURST,
                "maxCallsInFlight": MAX_IN_FLIGHT,
                "maxRooms": MAX_PER_CONNECTION,
            },
            "serverTime": Timestamp::now(),
        });
        encode::event("OnConnectSuccess", &data.to_string(), operation, form)
    }

    pub fn remove(&self, connection: &Rc<Connection>) {
        if self.connections.borrow_mut().remove(&connection.id()).is_some() {
            self.shared.metrics.connections.dec();
        }
    }

    fn kick(&self, ids: &[u64], end: End) {
        for id in ids {
            let connection = self.connections.borrow().get(id).cloned();
            if let Some(connection) = connection {
                self.kick_one(&connection, end);
            }
        }
    }

    fn kick_one(&self, connection: &Rc<Connection>, end: End) {
        let (form, _) = connection.taste();
        let expired = end == End::NotOpen && connection.caller.owner.expires_at <= Timestamp::now();
        let (event, data) = match expired {
            true => ("OnUserTokenExpired", "{}"),
            false => ("OnKickedOffline", r#"{"reason":"signed_out"}"#),
        };
        connection.send(&encode::event(event, data, "", form), Class::Event);
        connection.log_out(self);
        connection.close(CloseCode::SignedOut, "signed out");
    }

    fn tick(&self) {
        let now = Instant::now();
        for connection in self.connections.borrow().values() {
            connection.tick(now, &self.ping, || self.next_ping(), self.shared.dead_after);
        }
        self.rooms.notice_counts();
    }

    /// Give or take a fifth, so that thousands that came together don't stay together.
    fn next_ping(&self) -> Duration {
        self.shared.heartbeat.mul_f64(rand::rng().random_range(0.8..1.2))
    }

    /// Asks the record how far the rooms are: from time to time, and when the bus was away.
    async fn watch_heads(self: Rc<Self>) {
        loop {
            let rooms = tokio::select! {
                go_on = self.shared.drain.sleep(HEADS_EVERY) => match go_on {
                    true => self.rooms.occupied(),
                    false => return,
                },
                () = self.interrupted.notified() => {
                    let wait = HEADS_SPREAD.mul_f64(rand::rng().random());
                    if !self.shared.drain.sleep(wait).await {
                        return;
                    }
                    self.rooms.all()
                }
            };
            for page in rooms.chunks(HEADS_PAGE) {
                let asked = RoomList { videos: page.to_vec() };
                match self.shared.clients.api.room_heads(asked).await {
                    Ok(answer) => {
                        let heads: HashMap<&VideoId, i64> =
                            answer.heads.iter().map(|head| (&head.video, head.seq)).collect();
                        for room in page {
                            self.rooms.head(room, heads.get(room).copied());
                        }
                    }
                    Err(error) => log::info!("How far the rooms are can't be asked now: {error}"),
                }
            }
        }
    }

    /// Tells everybody and closes them, a few at a time; those whose calls run, when these are answered or late.
    async fn drain(self: Rc<Self>, time: Duration, mut commands: UnboundedReceiver<Command>) {
        let until = tokio::time::Instant::now() + time;
        let mut open: Vec<Rc<Connection>> = self.connections.borrow().values().cloned().collect();
        let spread = time.min(Duration::from_secs_f64(open.len() as f64 / CLOSES_PER_SECOND as f64));
        let data = json!({ "closeWithinMs": spread.as_millis() as u64 }).to_string();
        for connection in &open {
            let (form, _) = connection.taste();
            connection.send(&encode::event("OnServerDraining", &data, "", form), Class::Event);
        }
        let pause = spread / u32::try_from(open.len().max(1)).unwrap_or(u32::MAX);
        let began = tokio::time::Instant::now();
        let mut closed = 0;
        while let Some(connection) = open.pop() {
            if !connection.is_busy() {
                connection.close(CloseCode::Restart, "the server restarts");
            }
            closed += 1;
            let next = began + pause * closed;
            while let Ok(Some(command)) = tokio::time::timeout_at(next, commands.recv()).await {
                self.obey_late(command);
            }
        }
        // Their ends, and those that were on their way here.
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        while tokio::time::Instant::now() < until {
            clock.tick().await;
            while let Ok(command) = commands.try_recv() {
                self.obey_late(command);
            }
            self.tick();
            let open: Vec<Rc<Connection>> = self.connections.borrow().values().cloned().collect();
            if open.is_empty() {
                break;
            }
            let late = began.elapsed() > self.shared.call_timeout;
            open.iter()
                .filter(|connection| late || !connection.is_busy())
                .for_each(|connection| connection.close(CloseCode::Restart, "the server restarts"));
        }
    }

    /// What comes while the drain is under way: those who were on their way here have their turn too.
    fn obey_late(self: &Rc<Self>, command: Command) {
        match command {
            Command::Adopt(arrival) => self.adopt(*arrival),
            Command::Kick(ids, end) => self.kick(&ids, end),
            Command::Drain(_) => {}
        }
    }
}
