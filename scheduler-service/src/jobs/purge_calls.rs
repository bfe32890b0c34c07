//! The calls that purges make. Many purges run at the same time, and one request carries what they ask for together; a version
//! before the one that takes such requests is asked for each by itself.

use std::rc::Rc;

use common::clients::{ClientError, Clients, Together, carry};
use common::ids::VideoId;
use common::messages::batch::{Call, Done};
use common::messages::{MediaDeletion, PurgeBegin, PurgeDone, Receipt};
use common::operation;
use futures_util::future::join_all;

use crate::runner::{Hold, Stop};

/// Requests of each kind under way at once: one that waits for something slow holds up what it carries, and no more.
const REQUESTS: usize = 4;

/// Of one thread. Cheap to clone.
#[derive(Clone)]
pub struct PurgeCalls {
    begin: Gathered<PurgeBegin, Done>,
    delete: Gathered<MediaDeletion, Receipt>,
    done: Gathered<PurgeDone, Done>,
}

/// What became of a call; it was not made when the job had lost its lease.
pub(super) type Outcome<R> = Result<Result<R, ClientError>, Stop>;

type Gathered<T, R> = Together<Held<T>, Outcome<R>>;

/// What a job may ask for as long as it holds its lease.
struct Held<T> {
    call: Call<T>,
    hold: Hold,
}

impl PurgeCalls {
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        let Clients { api, stream, .. } = clients;
        let (many, alone) = (api.clone(), api.clone());
        let begin = gathered(
            async move |calls| many.begin_purges(calls).await,
            async move |wanted: PurgeBegin| alone.purge_begin(&wanted.video).await.map(|()| Done {}),
        );
        let (many, alone) = (stream.clone(), stream.clone());
        let delete = gathered(
            async move |calls| many.delete_many(calls).await,
            async move |wanted: MediaDeletion| alone.delete_media(&wanted.video).await,
        );
        let (many, alone) = (api.clone(), api.clone());
        let done = gathered(
            async move |calls| many.end_purges(calls).await,
            async move |PurgeDone { video, receipt }| alone.purge_done(&video, receipt).await.map(|()| Done {}),
        );
        PurgeCalls { begin, delete, done }
    }

    pub(super) async fn begin(&self, hold: &Hold, video: &VideoId) -> Outcome<Done> {
        let video = video.clone();
        ask(&self.begin, hold, PurgeBegin { video }).await
    }

    pub(super) async fn delete(&self, hold: &Hold, video: &VideoId) -> Outcome<Receipt> {
        let video = video.clone();
        ask(&self.delete, hold, MediaDeletion { video }).await
    }

    pub(super) async fn done(&self, hold: &Hold, video: &VideoId, receipt: Receipt) -> Outcome<Done> {
        let video = video.clone();
        ask(&self.done, hold, PurgeDone { video, receipt }).await
    }
}

async fn ask<T: 'static, R: 'static>(calls: &Gathered<T, R>, hold: &Hold, wanted: T) -> Outcome<R> {
    let operation = operation::current_or_mint();
    let hold = hold.clone();
    let call = Call { operation, wanted };
    let outcome = calls.call(Held { call, hold }).await;
    outcome.expect("what carries the calls does not panic")
}

fn gathered<T: Clone + 'static, R: 'static>(
    many: impl AsyncFn(Vec<Call<T>>) -> Result<Vec<Result<R, ClientError>>, ClientError> + 'static,
    alone: impl AsyncFn(T) -> Result<R, ClientError> + 'static,
) -> Gathered<T, R> {
    let ways = Rc::new((many, alone));
    Together::new(REQUESTS, move |asked: Vec<Held<T>>| {
        let ways = ways.clone();
        async move {
            let (many, alone) = &*ways;
            // A process that was paused while a call waited here goes on here.
            let held: Vec<_> = asked.iter().map(|one| one.hold.check()).collect();
            let may = asked.iter().zip(&held).filter(|(_, held)| held.is_ok());
            let calls: Vec<_> = may.map(|(one, _)| one.call.clone()).collect();
            if let Some(outcomes) = carry(&calls, many).await {
                let mut outcomes = outcomes.into_iter();
                let outcome =
                    |held: Result<(), Stop>| held.map(|()| outcomes.next().expect("an outcome for each call"));
                return held.into_iter().map(outcome).collect();
            }
            let each = async |Held { call, hold }: Held<T>| {
                // Or while it was not understood.
                hold.check()?;
                Ok(operation::scope(call.operation, alone(call.wanted)).await)
            };
            join_all(asked.into_iter().map(each)).await
        }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::{Duration, Instant};

    use common::drain::Drain;

    use super::*;

    /// Here while a version of before is found out.
    #[tokio::test(flavor = "local")]
    async fn a_job_whose_lease_ran_out_while_its_call_was_refused_with_others_asks_nothing() {
        let asked: Rc<RefCell<Vec<u32>>> = Rc::default();
        let alone = asked.clone();
        let calls: Gathered<u32, u32> = gathered(
            async |_| {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Err(ClientError::Refused {
                    service: "a service",
                    status: 404,
                    code: "not_found".into(),
                    detail: "no such address".into(),
                })
            },
            async move |wanted| {
                alone.borrow_mut().push(wanted);
                Ok(wanted)
            },
        );
        let held = |lease| Hold::new(Instant::now(), Duration::from_millis(lease), Drain::new());
        let (long, short) = (held(60_000), held(200));
        let wanted = [(1, &long), (2, &short), (3, &long)];
        let outcomes = join_all(wanted.map(|(wanted, hold)| ask(&calls, hold, wanted))).await;
        assert_eq!(outcomes, [Ok(Ok(1)), Err(Stop::Lost), Ok(Ok(3))]);
        assert_eq!(*asked.borrow(), [1, 3]);
    }

    #[tokio::test(flavor = "local")]
    async fn a_job_whose_lease_ran_out_while_its_call_waited_asks_nothing() {
        let asked: Rc<RefCell<Vec<u32>>> = Rc::default();
        let (many, alone) = (asked.clone(), asked.clone());
        let calls: Gathered<u32, u32> = gathered(
            async move |calls: Vec<Call<u32>>| {
                many.borrow_mut().extend(calls.iter().map(|call| call.wanted));
                Ok(calls.into_iter().map(|call| Ok(10 * call.wanted)).collect())
            },
            async move |wanted| {
                alone.borrow_mut().push(wanted);
                Ok(wanted)
            },
        );
        let (now, lease) = (Instant::now(), Duration::from_secs(60));
        let held = Hold::new(now, lease, Drain::new());
        let over = Hold::new(now.checked_sub(2 * lease).unwrap(), lease, Drain::new());
        let wanted = [(1, &held), (2, &over), (3, &held)];
        let outcomes = join_all(wanted.map(|(wanted, hold)| ask(&calls, hold, wanted))).await;
        assert_eq!(outcomes, [Ok(Ok(10)), Err(Stop::Lost), Ok(Ok(30))]);
        assert_eq!(ask(&calls, &over, 4).await, Err(Stop::Lost));
        assert_eq!(ask(&calls, &held, 5).await, Ok(Ok(5)));
        assert_eq!(*asked.borrow(), [1, 3, 5]);
    }
}
