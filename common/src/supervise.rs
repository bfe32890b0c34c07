//! Loops that must not end: one that panics is said so and begun again, because a service whose relay is silently gone looks
//! healthy and delivers nothing.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::drain::Drain;

/// From the end of a loop to its next beginning.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs what `start` begins, again and again, until the drain has begun and it ends by itself.
pub async fn supervise<F, Fut>(name: &'static str, drain: Drain, mut start: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        // A panic while it begins counts as well.
        let ended = AssertUnwindSafe(async { start().await }).catch_unwind().await;
        if drain.has_begun() {
            return;
        }
        match ended {
            Ok(()) => log::error!("The loop `{name}` ended; it begins again in {PAUSE:?}"),
            Err(panic) => log::error!(
                "The loop `{name}` panicked ({}); it begins again in {PAUSE:?}",
                text(&*panic)
            ),
        }
        if !drain.sleep(PAUSE).await {
            return;
        }
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_loop_that_panics_or_ends_begins_again_until_the_drain() {
        actix_web::rt::System::new().block_on(async {
            let (drain, begun) = (Drain::new(), Rc::new(Cell::new(0)));
            let (counted, watched) = (begun.clone(), drain.clone());
            let supervised = supervise("test", drain.clone(), move || {
                counted.set(counted.get() + 1);
                let (turn, drain) = (counted.get(), watched.clone());
                assert!(turn != 1, "at the beginning, on purpose");
                async move {
                    assert!(turn != 2, "later, on purpose");
                    if turn > 3 {
                        drain.begin();
                    }
                }
            });
            tokio::time::timeout(Duration::from_secs(20), supervised).await.unwrap();
            assert_eq!(begun.get(), 4);
        });
    }
}
