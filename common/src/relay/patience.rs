//! A deadline that is moved at every wait and almost never fires: the timer stays where it is and is moved only when it
//! fires too early, so that a wait costs a look at the clock.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

pub struct Patience {
    timer: Pin<Box<Sleep>>,
    due: Instant,
}

impl Patience {
    pub fn until(due: Instant) -> Self {
        Patience {
            timer: Box::pin(sleep_until(due)),
            due,
        }
    }

    pub fn move_to(&mut self, due: Instant) {
        self.due = due;
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
    }

    /// Ready when the deadline has passed; otherwise the task is woken when it will.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() >= self.due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Waits for a deadline of `first` that is moved to `second` (milliseconds), and says that it did not end before.
    async fn check(first: u64, second: u64) {
        let began = Instant::now();
        let mut patience = Patience::until(began + Duration::from_millis(first));
        assert!(futures_util::poll!(std::future::poll_fn(|cx| patience.poll_over(cx))).is_pending());
        let due = began + Duration::from_millis(second);
        patience.move_to(due);
        std::future::poll_fn(|cx| patience.poll_over(cx)).await;
        assert!(Instant::now() >= due, "{first} to {second}");
    }

    #[tokio::test]
    async fn it_ends_when_it_was_last_moved_to() {
        check(50, 60).await;
        check(50, 200).await;
        check(50, 50).await;
        // Moved forward: otherwise this test takes an hour.
        check(3_600_000, 50).await;
    }
}
