//! The process that is killed and started again, and the count of what was broken.

use super::life::Kind;
use crate::crash::Process;
use common::{ids::VideoId, testing::random::Random};
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
    /// Of the S3 server that has the media; without one they lie in `dir`.
    endpoint: Option<String>,
    /// The copies of the service, which take turns.
    processes: RefCell<Vec<Process>>,
    turn: Cell<usize>,
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
            endpoint: None,
            processes: RefCell::new(vec![Process::start(dir, database, key)]),
            turn: Cell::new(0),
            generation: Cell::new(0),
            counted: RefCell::default(),
            wanted,
            until,
        }
    }

    /// Two copies over one database and one bucket.
    pub fn copies(
        (dir, endpoint): (&Path, &str),
        database: &str,
        key: &str,
        wanted: u64,
        until: Option<Instant>,
    ) -> Self {
        let process = || Process::over(dir, database, key, Some(endpoint));
        Self {
            dir: dir.to_owned(),
            database: database.to_owned(),
            key: key.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            processes: RefCell::new(vec![process(), process()]),
            turn: Cell::new(0),
            generation: Cell::new(0),
            counted: RefCell::default(),
            wanted,
            until,
        }
    }

    /// One upload of so many is a large one. In a bucket those are the ones that have parts.
    pub fn few(&self) -> usize {
        if self.endpoint.is_some() { 12 } else { 40 }
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

    /// Of the copy whose turn it is.
    pub fn base(&self) -> String {
        let processes = self.processes.borrow();
        self.turn.set(self.turn.get() + 1);
        processes[self.turn.get() % processes.len()].public.clone()
    }

    pub fn token(&self, video: &VideoId) -> String {
        self.processes.borrow()[0].upload_token(video)
    }

    /// What is stored and the hash that is told of it, if the server is there for as long as that takes.
    pub async fn stored(&self, video: &VideoId) -> Option<(Vec<u8>, String)> {
        let asked = self.processes.borrow()[0].asking(video);
        let response = asked.send().await.ok()?;
        assert_eq!(response.status(), 200, "{video} is stored");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        Some((response.bytes().await.ok()?.to_vec(), etag))
    }

    pub async fn delete(&self, video: &VideoId) {
        let client = self.processes.borrow()[0].client();
        // Of a server that is killed meanwhile the file stays: it costs room and nothing else.
        drop(client.delete_media(video).await);
    }

    /// Kills it with -9 at some moment after some breaks, and starts it again. Everybody waits for that: they share a thread.
    pub async fn kill_every_so_often(&self, mut random: Random) -> Infallible {
        loop {
            // Copies are killed more often: it is for that that there are two.
            let pause = if self.endpoint.is_some() {
                5 + random.below(20)
            } else {
                20 + random.below(100)
            };
            let next = self.breaks() + pause as u64;
            while self.breaks() < next {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_micros(random.below(20_000) as u64)).await;
            let mut processes = self.processes.borrow_mut();
            let which = random.below(processes.len());
            processes[which].kill();
            processes[which] = Process::over(&self.dir, &self.database, &self.key, self.endpoint.as_deref());
            self.generation.set(self.generation.get() + 1);
        }
    }
}
