//! Threads for long computations that must not slow what serves people: the kernel gives them what the others leave, and
//! about a tenth of a core when nobody leaves anything.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

/// Niceness of the threads (setpriority(2); a thread of its own on Linux): a tenth of the weight of an ordinary one.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// Some threads and their queue. The queue has no bound of its own: the callers keep one. Cheap to clone; the threads end
/// with the last clone.
#[derive(Clone)]
pub struct LowPriority(mpsc::Sender<Job>);

impl LowPriority {
    /// Errors when the system gives no thread.
    pub fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = jobs.clone();
            let work = move || {
                lower();
                while let Some(job) = next(&jobs) {
                    // The caller hears of a panic by its answer that never comes.
                    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
                }
            };
            std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        }
        Ok(LowPriority(queue))
    }

    /// Runs `work`; `None` when it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Nobody may be waiting any more.
            drop(answer.send(work()));
        };
        self.0.send(Box::new(job)).ok()?;
        answered.await.ok()
    }
}

/// One thread waits with the lock held, the others wait for the lock: either way the next job wakes one.
fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn lower() {
    let thread = rustix::thread::gettid();
    if rustix::process::getpriority_process(Some(thread)).is_ok_and(|nice| nice >= NICENESS) {
        return;
    }
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICENESS) {
        log::warn!("A thread keeps its ordinary priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn work_is_done_at_low_priority_and_a_panic_costs_one_answer() {
        let threads = LowPriority::start("test", 2).unwrap();
        let own = rustix::process::getpriority_process(None).unwrap();
        let there = threads
            .run(|| rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap())
            .await;
        assert_eq!(there, Some(own.max(NICENESS)));
        for _ in 0..4 {
            assert_eq!(threads.run(|| -> u8 { panic!("on purpose") }).await, None);
        }
        assert_eq!(threads.run(|| 5).await, Some(5));
    }
}
