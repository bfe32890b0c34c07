//! The people and videos that the gateway is measured with. They are made once, by the product's own API; every server of
//! a run then starts on the same data folder, where the sessions stay valid.

use std::path::PathBuf;

use tokio::runtime::Runtime;

use crate::http::Person;
use crate::server::Server;
use crate::video;

/// Connections are spread over so many users: one token per user, so a reconnect storm is 100 token checks.
pub const PEOPLE: usize = 100;
/// Rooms of the idle connections: 10,000 connections in 3 rooms each are 300 members a room.
pub const ROOMS: usize = 100;

pub struct Site {
    pub people: Vec<(String, String)>,
    pub rooms: Vec<String>,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

/// What a bench may do that a person may not.
fn settings() -> Vec<String> {
    [
        "api.sign_in_attempts=100000",
        "api.sign_in_attempts_per_address=100000",
        "api.registrations_per_address=100000",
        "api.posts_per_second=100000",
        "api.post_burst=100000",
        "gateway.max_connections_per_platform=20000",
        "gateway.max_connections=20000",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Site {
    pub fn new(runtime: &Runtime) -> Site {
        let folder = tempfile::Builder::new().prefix("sluice-bench-").tempdir();
        let folder = folder.expect("a folder for data");
        let data = folder.path().join("data");
        let server = Server::on(&data, &settings());
        let (people, rooms) = runtime.block_on(fill(&server.base));
        Site {
            people,
            rooms,
            data,
            _folder: folder,
        }
    }

    pub fn serve(&self) -> Server {
        Server::on(&self.data, &settings())
    }
}

async fn fill(base: &str) -> (Vec<(String, String)>, Vec<String>) {
    let mut people = Vec::new();
    for nth in 0..PEOPLE {
        let name = format!("person{nth}");
        people.push((name.clone(), Person::register(base, &name).await.token));
    }
    let owner = Person::register(base, "ann").await;
    let clip = video::clip();
    let mut rooms = Vec::new();
    for nth in 0..ROOMS {
        let length = clip.len() as u64;
        rooms.push(owner.upload(&format!("Room {nth}"), clip.clone().into(), length).await);
    }
    (people, rooms)
}
