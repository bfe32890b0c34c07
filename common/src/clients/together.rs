//! Calls that are made at the same time, carried by one request: a request costs both sides as much as dozens of small calls.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use crate::messages::batch::MAX_CALLS;

/// Calls of one request. More save little, and those of one request wait for the slowest of them.
const MOST_CARRIED: usize = 32;
const _: () = assert!(MOST_CARRIED <= MAX_CALLS);

/// Gathers calls while earlier ones are on their way. Nobody waits for company: a call that finds a carrier free goes at once,
/// with those that are made in the same turn of the event loop. It has no bound of its own: its callers have.
///
/// It belongs to one thread. Cheap to clone.
pub struct Together<I, O>(Rc<Inner<I, O>>);

struct Inner<I, O> {
    waiting: RefCell<VecDeque<Waiting<I, O>>>,
    /// Carriers that are under way, and the most there may be.
    carriers: Cell<usize>,
    most: usize,
    carry: Box<Carry<I, O>>,
}

type Carry<I, O> = dyn Fn(Vec<I>) -> LocalBoxFuture<'static, Vec<O>>;

struct Waiting<I, O> {
    item: I,
    answer: oneshot::Sender<O>,
}

impl<I, O> Clone for Together<I, O> {
    fn clone(&self) -> Self {
        Together(self.0.clone())
    }
}

impl<I: 'static, O: 'static> Together<I, O> {
    /// `carry` answers some calls, each in its place; `most` of it run at the same time, so that one that
    /// hangs does not hold all others up.
    pub fn new<Fut>(most: usize, carry: impl Fn(Vec<I>) -> Fut + 'static) -> Self
    where
        Fut: Future<Output = Vec<O>> + 'static,
    {
        Together(Rc::new(Inner {
            waiting: RefCell::default(),
            carriers: Cell::new(0),
            most,
            carry: Box::new(move |items| carry(items).boxed_local()),
        }))
    }

    /// The answer to `item`; none when what carried it panicked. One whose caller has gone before it was carried is not carried.
    pub async fn call(&self, item: I) -> Option<O> {
        let (answer, answered) = oneshot::channel();
        self.0.waiting.borrow_mut().push_back(Waiting { item, answer });
        if self.0.carriers.get() < self.0.most {
            let carrier = Carrier::start(self.0.clone());
            tokio::task::spawn_local(carrier.run());
        }
        answered.await.ok()
    }
}

/// Counted for as long as it lives.
struct Carrier<I, O>(Rc<Inner<I, O>>);

impl<I: 'static, O: 'static> Carrier<I, O> {
    fn start(inner: Rc<Inner<I, O>>) -> Self {
        inner.carriers.set(inner.carriers.get() + 1);
        Carrier(inner)
    }

    async fn run(self) {
        // The other calls of this turn come along.
        tokio::task::yield_now().await;
        loop {
            let (items, answers) = self.take();
            if items.is_empty() {
                return;
            }
            let carried = AssertUnwindSafe(async { (self.0.carry)(items).await })
                .catch_unwind()
                .await;
            let outcomes = carried.unwrap_or_else(|_| {
                log::error!("What carries calls panicked; those that it carried fail");
                Vec::new()
            });
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Its caller may have gone meanwhile.
                drop(answer.send(outcome));
            }
        }
    }

    fn take(&self) -> (Vec<I>, Vec<oneshot::Sender<O>>) {
        let mut waiting = self.0.waiting.borrow_mut();
        let wanted = std::iter::from_fn(|| waiting.pop_front()).filter(|one| !one.answer.is_closed());
        wanted.take(MOST_CARRIED).map(|one| (one.item, one.answer)).unzip()
    }
}

impl<I, O> Drop for Carrier<I, O> {
    fn drop(&mut self) {
        self.0.carriers.set(self.0.carriers.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    const BAD: usize = 1_000_000;

    type Sizes = Rc<RefCell<Vec<usize>>>;

    /// Doubles; each carrier waits for a permit. And how many came at once.
    fn doubling(most: usize, permits: usize) -> (Together<usize, usize>, Rc<Semaphore>, Sizes) {
        let (gate, sizes) = (Rc::new(Semaphore::new(permits)), Sizes::default());
        let (waits, seen) = (gate.clone(), sizes.clone());
        let together = Together::new(most, move |items: Vec<usize>| {
            seen.borrow_mut().push(items.len());
            let waits = waits.clone();
            async move {
                waits.acquire().await.unwrap().forget();
                assert!(!items.contains(&BAD), "on purpose");
                items.into_iter().map(|item| 2 * item).collect()
            }
        });
        (together, gate, sizes)
    }

    #[tokio::test(flavor = "local")]
    async fn calls_of_one_turn_go_together_each_gets_its_own_answer_and_none_are_too_many() {
        let (together, _, sizes) = doubling(1, 100);
        let answers = join_all((0..100).map(|n| together.call(n))).await;
        assert_eq!(answers, (0..100).map(|n| Some(2 * n)).collect::<Vec<_>>());
        assert_eq!(*sizes.borrow(), [32, 32, 32, 4]);
        assert_eq!(together.call(7).await, Some(14));
        assert_eq!(together.0.carriers.get(), 0);
    }

    #[tokio::test(flavor = "local")]
    async fn a_carrier_that_hangs_holds_up_what_it_carries_and_callers_that_left_are_not_carried() {
        let (together, gate, sizes) = doubling(2, 0);
        let started = |n| {
            let together = together.clone();
            tokio::task::spawn_local(async move { together.call(n).await })
        };
        let turns = async || {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        };
        let first = started(1);
        turns().await;
        let second = started(2);
        turns().await;
        // Both carriers hang.
        let (third, left) = (started(3), started(4));
        turns().await;
        left.abort();
        turns().await;
        gate.add_permits(1);
        assert_eq!(first.await.unwrap(), Some(2));
        turns().await;
        gate.add_permits(2);
        assert_eq!((second.await.unwrap(), third.await.unwrap()), (Some(4), Some(6)));
        assert_eq!(*sizes.borrow(), [1, 1, 1]);
    }

    #[tokio::test(flavor = "local")]
    async fn a_carrier_that_panics_fails_its_calls_and_those_behind_it_go_on() {
        let (together, _, sizes) = doubling(1, 100);
        let mut items = vec![BAD];
        items.extend(0..50);
        let answers = join_all(items.into_iter().map(|n| together.call(n)));
        let answers = tokio::time::timeout(Duration::from_secs(10), answers).await.unwrap();
        assert!(answers[..32].iter().all(Option::is_none));
        assert_eq!(answers[32..], (31..50).map(|n| Some(2 * n)).collect::<Vec<_>>());
        assert_eq!((together.0.carriers.get(), &*sizes.borrow()), (0, &vec![32, 19]));
    }
}
