//! One of the servers that are measured beside each other: how to connect to it, how to say something in its rooms, and
//! what it costs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::fleet::Fleet;
use super::peers;
use super::plan::Plan;
use super::post::{Speaker, Way};
use super::site::{self, Site};
use crate::meter::Meter;
use crate::running::Running;
use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sluice,
    Nchan,
    Ws,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sluice => "sluice",
            Kind::Nchan => "nchan",
            Kind::Ws => "ws (Node)",
        }
    }
}

/// Ends the server when it is dropped.
enum Process {
    Sluice { _server: Server },
    Peer { _running: Running },
}

pub struct Side {
    pub kind: Kind,
    pub meter: Meter,
    pub address: SocketAddr,
    pub rooms: Vec<String>,
    people: Vec<(String, String)>,
    /// How far nchan's rooms are numbered.
    numbers: Mutex<HashMap<String, Arc<std::sync::atomic::AtomicU32>>>,
    _process: Process,
}

impl Side {
    /// Starts a server. `site` is there when Sluice is measured.
    pub fn start(kind: Kind, site: Option<&Site>) -> Side {
        let (mut people, mut rooms) = (Vec::new(), (0..site::ROOMS).map(|n| format!("room-{n}")).collect());
        let (process, address, pid) = match kind {
            Kind::Sluice => {
                let site = site.expect("a site is made when Sluice is measured");
                (people, rooms) = (site.people.clone(), site.rooms.clone());
                let server = site.serve();
                let (address, pid) = (server.address(), server.pid());
                (Process::Sluice { _server: server }, address, pid)
            }
            Kind::Nchan | Kind::Ws => {
                let running = if kind == Kind::Ws { peers::ws() } else { peers::nchan() };
                let (address, pid) = (running.address, running.pid());
                (Process::Peer { _running: running }, address, pid)
            }
        };
        Side {
            kind,
            meter: Meter::of(pid),
            address,
            rooms,
            people,
            numbers: Mutex::new(HashMap::new()),
            _process: process,
        }
    }

    /// The `nth` connection, in `rooms`. On Sluice it is one of the people's, in turn.
    pub fn plan(&self, nth: usize, rooms: &[String], batch: bool) -> Plan {
        match self.kind {
            Kind::Sluice => {
                let (name, token) = &self.people[nth % self.people.len()];
                let path = format!("/ws?sendID={name}&platformID=5&operationID=bench");
                Plan::new(self.address, &path, token).login(rooms, batch)
            }
            Kind::Ws => Plan::new(self.address, "/", "").login(rooms, batch),
            Kind::Nchan => match rooms {
                [a, b, c] => Plan::new(self.address, &format!("/three?a={a}&b={b}&c={c}"), ""),
                _ => Plan::new(
                    self.address,
                    &format!("/one?a={}", rooms.first().map_or("lobby", String::as_str)),
                    "",
                ),
            },
        }
    }

    /// Plans of `count` connections that are all in `room`, one plan per person.
    pub fn one_room(&self, fleet: &mut Fleet, count: usize, room: &str, batch: bool) -> Vec<usize> {
        let room = [room.to_owned()];
        self.spread(fleet, count, |_| room.to_vec(), batch)
    }

    /// Plans of `count` connections in three rooms each, spread over all rooms.
    pub fn three_rooms(&self, fleet: &mut Fleet, count: usize) -> Vec<usize> {
        let rooms = self.rooms.len();
        let three = |nth: usize| {
            [0, 1, 2]
                .map(|more| self.rooms[(nth * 3 + more) % rooms].clone())
                .to_vec()
        };
        self.spread(fleet, count, three, false)
    }

    fn spread(&self, fleet: &mut Fleet, count: usize, rooms: impl Fn(usize) -> Vec<String>, batch: bool) -> Vec<usize> {
        let plans: Vec<usize> = (0..site::PEOPLE)
            .map(|nth| fleet.plan(self.plan(nth, &rooms(nth), batch)))
            .collect();
        plans.into_iter().cycle().take(count).collect()
    }

    pub fn speaker(&self, room: &str) -> Speaker {
        let way = match self.kind {
            Kind::Sluice => Way::Comment {
                token: self.people[0].1.clone(),
            },
            Kind::Ws => Way::Text,
            Kind::Nchan => {
                let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                Way::Frame {
                    numbers: numbers.entry(room.to_owned()).or_default().clone(),
                }
            }
        };
        Speaker::new(self.address, room, way)
    }
}
