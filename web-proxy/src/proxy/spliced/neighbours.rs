//! Copies of services that are on the same machine, and the socket by which each is reached there (`common::near`). A copy is asked
//! for it, beside the requests, when one is made to it, and again from time to time; until it has said so, and whenever its socket
//! fails, requests go by TCP.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::near;
use common::replicas::Replica;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long a copy may take to say where its socket is: longer than its `/readyz` waits for what it needs. No request waits for it.
const WITHIN: Duration = Duration::from_secs(5);

/// From one question to the next: the process behind an address may become another one.
const AGAIN: Duration = Duration::from_secs(10);

/// The same when the address turned out to be a balancer's.
const SEVERAL: Duration = Duration::from_secs(300);

/// Copies that are remembered; a name has fewer addresses at once, and those that are gone are forgotten with all others.
const MOST: usize = 512;

/// What is known of a copy.
struct Known {
    /// Where it is reached.
    path: Option<Arc<Path>>,
    /// Where it was reached at last, if it ever was.
    last: Option<Arc<Path>>,
    /// It is not asked before this.
    ask: Instant,
    /// What was last said about it in the log.
    told: String,
}

/// What the workers know of them. Cheap to clone.
#[derive(Clone)]
pub struct Neighbours {
    /// `server.socket_dir`; nobody is asked when it is empty.
    folder: Arc<str>,
    http: reqwest::Client,
    /// By the number of the replica.
    known: Arc<Mutex<HashMap<u64, Known>>>,
}

impl Neighbours {
    pub fn new(folder: &str, http: reqwest::Client) -> Self {
        Neighbours {
            folder: folder.into(),
            http,
            known: Arc::default(),
        }
    }

    /// The socket of a copy, if it is known to be here. The copy is asked, for the next time, when that was not known lately.
    pub fn find(&self, replica: &Replica) -> Option<Arc<Path>> {
        if self.folder.is_empty() {
            return None;
        }
        let (mut all, now) = (self.known(), Instant::now());
        if all.len() >= MOST && !all.contains_key(&replica.number()) {
            all.clear();
        }
        let known = all.entry(replica.number()).or_insert_with(|| Known {
            path: None,
            last: None,
            ask: now,
            told: String::new(),
        });
        if known.ask <= now {
            known.ask = now + AGAIN;
            let asking = self.clone().ask(replica.number(), replica.base().to_owned());
            drop(tokio::task::spawn_local(asking));
        }
        known.path.clone()
    }

    /// Connects to what [`Neighbours::find`] found; nothing when the copy has to be reached by TCP.
    pub fn connect(&self, replica: &Replica, path: &Path) -> Option<TcpStream> {
        match near::connect(path) {
            Ok(io) => Some(io),
            // More wait there than it keeps; the next one may fare better.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                // Another worker may know better by now.
                let is_latest = |known: &Known| known.path.as_deref() == Some(path);
                if self.known().get(&replica.number()).is_some_and(is_latest) {
                    self.learn(replica.number(), replica.base(), None, unreachable(path, &error));
                }
                None
            }
        }
    }

    /// Asks twice, over connections of their own: of what answers differently one copy would get everything.
    async fn ask(self, number: u64, base: String) {
        let (Some(first), Some(second)) = futures_util::future::join(self.name(&base), self.name(&base)).await else {
            // Whether it is there at all is found out by those who need it.
            return;
        };
        let last = self.known().get(&number).and_then(|known| known.last.clone());
        let said = first.as_deref().and_then(|name| near::path(&self.folder, name));
        let moved = last.filter(|last| said.as_deref() != Some(&**last) && is_listened_to(last));
        if first != second || moved.is_some() {
            if let Some(known) = self.known().get_mut(&number) {
                known.ask = Instant::now() + SEVERAL;
            }
            let says = "is asked by TCP: it stands for several copies, and one would get all requests";
            return self.learn(number, &base, None, says.into());
        }
        let Some(path) = said else {
            return self.learn(number, &base, None, "has no Unix socket".into());
        };
        let (path, says) = match near::connect(&path) {
            Ok(_) => (
                Some(path.clone().into()),
                format!("is on this machine: {}", path.display()),
            ),
            // Of another machine, as a rule.
            Err(error) => (None, unreachable(&path, &error)),
        };
        self.learn(number, &base, path, says);
    }

    /// What a copy says; nothing when it does not answer.
    async fn name(&self, base: &str) -> Option<Option<String>> {
        let asked = self.http.get(format!("{base}/readyz")).send();
        let answer = timeout(WITHIN, asked).await.ok()?.ok()?;
        let name = answer.headers().get(near::HEADER).and_then(|name| name.to_str().ok());
        Some(name.map(str::to_owned))
    }

    /// Notes where a copy is, and says so when that is new.
    fn learn(&self, number: u64, base: &str, path: Option<Arc<Path>>, says: String) {
        if let Some(known) = self.known().get_mut(&number) {
            if known.told != says {
                log::info!("{base} {says}");
            }
            known.last = path.clone().or_else(|| known.last.take());
            (known.path, known.told) = (path, says);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreachable(path: &Path, error: &io::Error) -> String {
    format!("is asked by TCP: {} can't be connected to: {error}", path.display())
}

/// Also when more wait there than it keeps.
fn is_listened_to(path: &Path) -> bool {
    near::connect(path).map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |_| true)
}
