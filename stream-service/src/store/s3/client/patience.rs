//! How long a call is waited for, and how often it is made.

use super::error::S3Error;
use std::time::{Duration, Instant};

/// Pause before the first repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a call is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// An attempt without a byte moving for this long is given up.
    still: Duration,
    attempts: u32,
    /// No further attempt begins later than this.
    within: Duration,
}

impl Patience {
    /// A viewer waits for it.
    pub const READ: Self = Self {
        still: Duration::from_secs(10),
        attempts: 4,
        within: Duration::from_secs(15),
    };
    /// A store that restarts is waited for, about 6 s. The client of the upload keeps its bytes that long.
    pub const WRITE: Self = Self {
        still: Duration::from_secs(30),
        attempts: 6,
        within: Duration::from_secs(40),
    };
    /// The store puts the parts together: minutes, says Amazon, of some tens of gigabytes.
    pub const COMPLETE: Self = Self {
        still: Duration::from_secs(300),
        attempts: 6,
        within: Duration::from_secs(600),
    };

    pub fn still(self) -> Duration {
        self.still
    }

    /// The same for a single attempt.
    pub fn once(self) -> Self {
        Self { attempts: 1, ..self }
    }
}

/// How often something was tried.
pub struct Attempts {
    patience: Patience,
    began: Instant,
    made: u32,
}

impl Attempts {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            began: Instant::now(),
            made: 0,
        }
    }

    /// Pauses before another attempt; the error, when there is to be none.
    pub async fn another(&mut self, error: S3Error) -> Result<(), S3Error> {
        self.made += 1;
        let over = self.made >= self.patience.attempts || self.began.elapsed() > self.patience.within;
        if over || !error.may_pass() {
            return Err(error);
        }
        log::debug!("S3: {error}; again");
        // Many streams lose one store at the same time; they are not to come back at the same time.
        let spread = rand::random_range(0.5..1.0);
        tokio::time::sleep((PAUSE * 2_u32.pow(self.made - 1)).mul_f64(spread)).await;
        Ok(())
    }

    /// Whether this is not the first.
    pub fn repeated(&self) -> bool {
        self.made > 0
    }
}
