//! Stopping politely: after SIGTERM or SIGINT the process first says that it leaves (not ready, connections end with their
//! answers) while it still takes everything, so that balancers move on to other copies; then the drain begins (no new connection,
//! running work gets its time). A second signal ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Exit status after a second signal, as a shell reports SIGTERM.
const FORCED_EXIT: i32 = 143;

/// The one-way switch of a process from serving to stopping. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Asked for every answer.
    leaving: Arc<AtomicBool>,
    begun: CancellationToken,
}

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to stop. Repeating it changes nothing.
    pub fn begin(&self) {
        self.leave();
        self.begun.cancel();
    }

    /// Says that the drain is about to begin: others should be asked. Repeating it changes nothing.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether others should be asked, also before the drain has begun.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves once the drain has begun.
    pub fn begun(&self) -> WaitForCancellationFutureOwned {
        self.begun.clone().cancelled_owned()
    }

    /// Waits `duration`, or until the drain begins; says whether to go on.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.begun() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// Listens to the signals of this process until it ends. The drain begins `delay` after the first one.
    pub fn on_signals(&self, delay: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let drain = self.clone();
        tokio::task::spawn_local(async move {
            let mut told = async || {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            told().await;
            log::info!("Stopping: finishing what runs; a second signal ends at once");
            drain.leave();
            let begin = async {
                tokio::time::sleep(delay).await;
                drain.begin();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = told() => {}
                () = begin => {}
            }
            log::warn!("Second signal: ending at once");
            std::process::exit(FORCED_EXIT);
        });
        Ok(())
    }
}
