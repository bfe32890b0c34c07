//! The S3 protocol as a client: objects, ranges, lists and multipart uploads of one bucket. It knows no ledger and no video.
//!
//! What is promised: every call ends. It is given up when no byte moves for a while, and what may be repeated is repeated a
//! bounded number of times, with pauses. What is sent carries its CRC-32C, signed, so that the store refuses what changed on the
//! way. Signatures are in the query (the "presigned" form of SigV4), the bodies are not hashed for them.
//!
//! Connections live on threads of the client's own: callers are workers with a runtime each, which may end before a connection
//! that others use, and threads of the blocking pool, which have none ([`Client::wait`]). Those of ranges that the kernel moves are the
//! worker's own ([`Client::get_unread`]), and end with it.

mod body;
mod error;
mod http;
mod list;
mod multipart;
mod objects;
mod patience;
mod reading;
mod request;
mod settings;
mod threads;
mod tls;
mod unread;
mod xml;

pub use error::S3Error;
pub use list::{Listed, Page};
pub use multipart::{MAX_PART, MAX_PARTS, MIN_PART, Multipart, Part, StoredPart};
pub use reading::{Breaks, Reading, STILL};
pub use settings::{Settings, SettingsError};
pub use unread::{Unanswered, Unread};

use std::sync::Arc;
use tokio::task::JoinHandle;

/// A bucket of a store. Cheap to clone; its threads end with the last clone.
#[derive(Clone)]
pub struct Client {
    http: http::Http,
    /// For ranges whose bytes the kernel moves, where that can be.
    plain: Option<Arc<unread::Plain>>,
    threads: Arc<threads::Threads>,
}

impl Client {
    /// A client of these settings. Nothing is sent yet; only certificates are read, for an `https` endpoint.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let threads = threads::Threads::start().map_err(|error| SettingsError::new("store.url", error))?;
        let plain = unread::Plain::of(&settings).map(Arc::new);
        let http = http::Http::new(settings, threads.handle().clone())?;
        Ok(Self {
            http,
            plain,
            threads: Arc::new(threads),
        })
    }

    /// Runs a call to its end on this thread, which waits: for the blocking pool only.
    ///
    /// # Panics
    /// On a thread that runs async tasks.
    pub fn wait<F: Future>(&self, call: F) -> F::Output {
        self.threads.handle().block_on(call)
    }

    /// Runs work on the client's threads, whether somebody waits for it or not.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.threads.handle().spawn(work)
    }

    /// Where it sends to, for messages.
    pub fn address(&self) -> String {
        self.http.settings().address()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.address())
    }
}
