//! Stopping politely: SIGTERM or SIGINT begins the drain (not ready, no new connection, running work gets its time), a
//! second one ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Exit status after a second signal, as a shell reports SIGTERM.
const FORCED_EXIT: i32 = 143;

/// The one-way switch of a process from serving to stopping. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to stop. Repeating it changes nothing.
    pub fn begin(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once the drain has begun.
    pub fn begun(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }

    /// Waits `duration`, or until the drain begins; says whether to go on.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.begun() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// Listens to the signals of this process until it ends.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let drain = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if drain.has_begun() {
                    log::warn!("Second signal: ending at once");
                    std::process::exit(FORCED_EXIT);
                }
                log::info!("Stopping: finishing what runs; a second signal ends at once");
                drain.begin();
            }
        });
        Ok(())
    }
}
