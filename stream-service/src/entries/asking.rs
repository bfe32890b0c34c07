//! Who asks, when many miss the same at once: the entry of a video that everybody watches expires for all of them in the same
//! moment, and a ledger that is asked two hundred times answers two hundred times.

use common::ids::VideoId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// Longest wait for somebody else's answer.
const AT_MOST: Duration = Duration::from_secs(1);

/// The videos that are being asked for. Bounded by the requests.
#[derive(Clone, Default)]
pub struct Asking(Arc<Mutex<HashMap<VideoId, Weak<Lock>>>>);

/// Held by the first of those who ask for a video.
type Lock = tokio::sync::Mutex<()>;

struct Turn<'a> {
    /// Always there, but for the drop.
    lock: Option<Arc<Lock>>,
    asking: &'a Asking,
    video: &'a VideoId,
}

impl Asking {
    /// Has `ask` bring and keep what `look` does not find, for all who miss it at the same time. Should that fail, or take long, each
    /// of them asks for themselves.
    pub async fn once<T, E>(
        &self,
        video: &VideoId,
        look: impl Fn() -> Option<T>,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let turn = self.turn(video);
        let lock = turn.lock.as_deref();
        let first = lock.and_then(|lock| lock.try_lock().ok());
        if let (None, Some(lock)) = (&first, lock) {
            drop(timeout(AT_MOST, lock.lock()).await);
            if let Some(found) = look() {
                return Ok(found);
            }
        }
        ask.await
    }

    fn turn<'a>(&'a self, video: &'a VideoId) -> Turn<'a> {
        let mut asked = self.all();
        let lock = asked.get(video).and_then(Weak::upgrade).unwrap_or_else(|| {
            let lock = Arc::default();
            asked.insert(video.clone(), Arc::downgrade(&lock));
            lock
        });
        drop(asked);
        Turn {
            lock: Some(lock),
            asking: self,
            video,
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<VideoId, Weak<Lock>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut asked = self.asking.all();
        let Some(lock) = self.lock.take() else { return };
        // Given up, as it was got, under the lock of the map: of two that end at once one sees that it is the last.
        if Arc::strong_count(&lock) == 1 {
            asked.remove(self.video);
        }
        drop(lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is brought by `count` askers at once, of whom the first `fail`s, and how often it was asked for.
    async fn asked_at_once(count: usize, fail: bool) -> (Vec<Result<usize, ()>>, usize) {
        let (asking, video) = (Asking::default(), VideoId::random());
        let (kept, asked) = (std::cell::Cell::new(None), std::cell::Cell::new(0));
        let askers = (0..count).map(|_| {
            let ask = async {
                asked.set(asked.get() + 1);
                let (mine, failed) = (asked.get(), fail && asked.get() == 1);
                tokio::task::yield_now().await;
                if failed {
                    return Err(());
                }
                kept.set(Some(mine));
                Ok(mine)
            };
            asking.once(&video, || kept.get(), ask)
        });
        let brought = futures_util::future::join_all(askers).await;
        assert!(asking.all().is_empty(), "nothing is left of them");
        (brought, asked.get())
    }

    #[tokio::test]
    async fn who_misses_the_same_at_once_asks_once() {
        assert_eq!(asked_at_once(5, false).await, (vec![Ok(1); 5], 1));
    }

    #[tokio::test]
    async fn a_failure_is_nobody_elses() {
        let (brought, asked) = asked_at_once(3, true).await;
        assert_eq!(brought[0], Err(()));
        assert!(brought[1..].iter().all(Result::is_ok) && asked >= 2, "{brought:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_askers_that_end_at_once_nothing_is_left() {
        let (asking, video) = (Asking::default(), VideoId::random());
        let tasks: Vec<_> = (0..2000)
            .map(|number| {
                let (asking, video) = (asking.clone(), video.clone());
                tokio::spawn(async move {
                    let ask = async {
                        tokio::task::yield_now().await;
                        Ok::<_, ()>(number)
                    };
                    asking.once(&video, || None, ask).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert!(asking.all().is_empty());
    }

    #[tokio::test]
    async fn who_takes_long_holds_up_nobody_for_long() {
        let (asking, video) = (Asking::default(), VideoId::random());
        let hanging = asking.once(&video, || None, std::future::pending::<Result<u8, ()>>());
        let second = asking.once(&video, || None, async { Ok::<u8, ()>(7) });
        let began = std::time::Instant::now();
        tokio::select! {
            biased;
            _ = hanging => unreachable!("it hangs"),
            found = timeout(20 * AT_MOST, second) => assert_eq!(found, Ok(Ok(7))),
        }
        assert!(began.elapsed() >= AT_MOST);
    }

    #[tokio::test]
    async fn an_asker_that_is_given_up_holds_up_nobody() {
        let (asking, video) = (Asking::default(), VideoId::random());
        let forever = asking.once(&video, || None, std::future::pending::<Result<u8, ()>>());
        let mut forever = Box::pin(forever);
        assert!(futures_util::poll!(&mut forever).is_pending());
        let mut second = Box::pin(asking.once(&video, || None, async { Ok::<u8, ()>(7) }));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(forever);
        assert_eq!(second.await, Ok(7));
        assert!(asking.all().is_empty());
    }
}
