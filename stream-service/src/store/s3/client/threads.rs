//! The client's own threads.

use std::{io, time::Duration};
use tokio::runtime::{Builder, Handle, Runtime};

/// Two: signing, CRCs and TLS of one upload or stream beside those of another. Files are not read here.
const WORKERS: usize = 2;

/// Only names are looked up on the blocking pool of this runtime.
const LOOKUPS: usize = 4;

const KEEP: Duration = Duration::from_secs(10);

pub struct Threads(Option<Runtime>, Handle);

impl Threads {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(LOOKUPS)
            .thread_keep_alive(KEEP)
            .thread_name("s3")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    pub fn handle(&self) -> &Handle {
        &self.1
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The last clone may go on an async worker, which must not wait for other threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
