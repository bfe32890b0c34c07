//! The process that is killed and started again, and the count of what was broken.

use super::{life::Kind, random::Random};
use crate::crash::Process;
use common::ids::VideoId;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub struct Server {
    dir: PathBuf,
    database: String,
    key: String,
    process: RefCell<Process>,
    /// How often it was started.
    generation: Cell<u64>,
    counted: RefCell<BTreeMap<Kind, u64>>,
    wanted: u64,
    until: Option<Instant>,
}

impl Server {
    pub fn start(dir: &Path, database: &str, key: &str, wanted: u64, until: Option<Instant>) -> Self {
        Self {
            dir: dir.to_owned(),
            database: database.to_owned(),
            key: key.to_owned(),
            process: RefCell::new(Process::start(dir, database, key)),
            generation: Cell::new(0),
            counted: RefCell::default(),
            wanted,
            until,
        }
    }

    pub fn more_breaks(&self) -> bool {
        self.breaks() < self.wanted && self.until.is_none_or(|until| Instant::now() < until)
    }

    fn breaks(&self) -> u64 {
        self.counted.borrow().values().sum()
    }

    pub fn count(&self, kind: Kind) {
        *self.counted.borrow_mut().entry(kind).or_default() += 1;
    }

    pub fn counted(&self) -> BTreeMap<Kind, u64> {
        self.counted.borrow().clone()
    }

    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    pub fn base(&self) -> String {
        self.process.borrow().public.clone()
    }

    pub fn token(&self, video: &VideoId) -> String {
        self.process.borrow().upload_token(video)
    }

    /// What is stored and the hash that is told of it, if the server is there for as long as that takes.
    pub async fn stored(&self, video: &VideoId) -> Option<(Vec<u8>, String)> {
        let asked = self.process.borrow().asking(video);
        let response = asked.send().await.ok()?;
        assert_eq!(response.status(), 200, "{video} is stored");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        Some((response.bytes().await.ok()?.to_vec(), etag))
    }

    pub async fn delete(&self, video: &VideoId) {
        let client = self.process.borrow().client();
        // Of a server that is killed meanwhile the file stays: it costs room and nothing else.
        drop(client.delete_media(video).await);
    }

    /// Kills it with -9 at some moment after some breaks, and starts it again. Everybody waits for that: they share a thread.
    pub async fn kill_every_so_often(&self, mut random: Random) -> Infallible {
        loop {
            let next = self.breaks() + 20 + random.below(100) as u64;
            while self.breaks() < next {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_micros(random.below(20_000) as u64)).await;
            let mut process = self.process.borrow_mut();
            process.kill();
            *process = Process::start(&self.dir, &self.database, &self.key);
            self.generation.set(self.generation.get() + 1);
        }
    }
}
