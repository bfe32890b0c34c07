//! SQLite's one writer: a thread that owns the writing connection and commits together what waits together.
//!
//! A commit costs a sync of the disk however little it changes, so a hundred small changes that arrive at once share one. Each
//! runs in its own savepoint: one that fails or panics is undone alone, and every answer is given after the commit, also that
//! of a change that was undone: what made it fail may have been another change of the same commit. A change that is alone is
//! committed at once; nobody waits for company.

use super::connect::Slot;
use super::lane::Lane;
use super::transaction::{checked, commit, panicked, tell, undo_nested};
use super::{AnyConn, DbError, DbOptions};
use diesel::connection::TransactionManager;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Changes of one commit, and how long the first of them may wait for the others. Both keep a flood of changes from making
/// each of them slow; the sync itself takes milliseconds.
const MAX_TOGETHER: usize = 128;
const MAX_DELAY: Duration = Duration::from_millis(10);

/// Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Change>>,
    wait: Duration,
    /// Something was committed since the write-ahead log was emptied; what a process of before left there counts, too.
    pub(super) written: Arc<AtomicBool>,
    #[cfg(feature = "testing")]
    lane: std::sync::Weak<Lane>,
}

/// A closure whose caller waits.
trait Change: Send {
    /// From here on it runs to its end; false when the caller went away before.
    fn take(&self) -> bool;
    /// Says whether the closure is content.
    fn run(&mut self, slot: &mut Slot) -> Ran;
    /// After the commit: tells what follows, and gives the closure's own result.
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, error: DbError);
}

enum Ran {
    Keep,
    Undo,
    Panicked,
}

/// Where a change stands; whoever moves it on from `WAITING` decides.
const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const LEFT: u8 = 2;

/// Leaves the queue when the caller goes away.
struct Place(Arc<AtomicU8>);

impl Place {
    fn decide(&self, as_what: u8) -> bool {
        self.0
            .compare_exchange(WAITING, as_what, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.decide(LEFT);
    }
}

struct Waiting<F, A, T, E> {
    place: Arc<AtomicU8>,
    closure: Option<F>,
    then: A,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, A, T, E> Change for Waiting<F, A, T, E>
where
    F: FnOnce(&mut AnyConn) -> Result<T, E> + Send,
    A: FnOnce(&T) + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn take(&self) -> bool {
        self.place
            .compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    fn run(&mut self, slot: &mut Slot) -> Ran {
        let closure = self.closure.take().expect("a change runs once");
        let (result, ran) = match catch_unwind(AssertUnwindSafe(|| closure(&mut slot.conn))) {
            Ok(Ok(value)) => (Ok(value), Ran::Keep),
            Ok(Err(error)) => (Err(error), Ran::Undo),
            Err(panic) => (Err(panicked(slot, panic.as_ref()).into()), Ran::Panicked),
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>) {
        let result = self.result.expect("it has run");
        if let Ok(value) = &result {
            tell(self.then, value);
        }
        // A caller that went away wants no answer.
        drop(self.reply.send(result));
    }

    fn fail(self: Box<Self>, error: DbError) {
        drop(self.reply.send(Err(error.into())));
    }
}

impl Writer {
    pub(super) fn start(lane: Lane, options: &DbOptions) -> Result<Writer, DbError> {
        let (queue, changes) = mpsc::channel(options.max_waiting.max(1));
        let lane = Arc::new(lane);
        let written = Arc::new(AtomicBool::new(true));
        let writer = Writer {
            queue,
            wait: options.wait,
            written: written.clone(),
            #[cfg(feature = "testing")]
            lane: Arc::downgrade(&lane),
        };
        let thread = std::thread::Builder::new()
            .name("db-writer".into())
            .spawn(move || work(&lane, &written, changes));
        match thread {
            Ok(_) => Ok(writer),
            Err(error) => Err(DbError::Unavailable(format!("no thread for the writer: {error}"))),
        }
    }

    pub(super) async fn write<T, E, F, A>(&self, closure: F, then: A) -> Result<T, E>
    where
        F: FnOnce(&mut AnyConn) -> Result<T, E> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        let place = Place(Arc::new(AtomicU8::new(WAITING)));
        let change = Waiting {
            place: place.0.clone(),
            closure: Some(closure),
            then,
            result: None,
            reply,
        };
        // Full is the only way to fail: the thread lives as long as this queue.
        self.queue.try_send(Box::new(change)).map_err(|_| DbError::Overloaded)?;
        let answered = match tokio::time::timeout(self.wait, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if place.decide(LEFT) => return Err(DbError::Overloaded.into()),
            // It has begun: its end is the answer.
            Err(_) => answer.await,
        };
        answered.unwrap_or_else(|_| Err(DbError::Unavailable("the writer failed, nothing was changed".into()).into()))
    }

    /// The thread is gone, which only a bug can do.
    pub(super) fn is_dead(&self) -> bool {
        self.queue.is_closed()
    }

    #[cfg(feature = "testing")]
    pub(super) fn watch(&self) -> std::sync::Weak<Lane> {
        self.lane.clone()
    }
}

fn work(lane: &Lane, written: &AtomicBool, mut changes: mpsc::Receiver<Box<dyn Change>>) {
    while let Some(change) = changes.blocking_recv() {
        // A panic here (that of a closure is caught where it runs) fails the changes of one commit: their connection is thrown
        // away with its transaction. The thread lives as long as its queue.
        let worked = catch_unwind(AssertUnwindSafe(|| {
            if change.take() {
                together(lane, written, change, &mut changes);
            }
        }));
        if worked.is_err() {
            log::error!("The database's writer panicked; it goes on with another connection");
        }
    }
}

/// One transaction with the first change and those that wait by now.
fn together(lane: &Lane, written: &AtomicBool, first: Box<dyn Change>, changes: &mut mpsc::Receiver<Box<dyn Change>>) {
    let mut slot = match lane.begin() {
        Ok(slot) => slot,
        Err(error) => return first.fail(error),
    };
    let started = Instant::now();
    let mut group = Group::default();
    let mut next = Some(first);
    while let Some(mut change) = next.take() {
        match in_savepoint(&mut slot, change.as_mut()) {
            Ok(Ran::Keep | Ran::Undo) => group.ran.push(change),
            // Its connection serves this commit and no other.
            Ok(Ran::Panicked) => {
                group.panicked = Some(change);
                break;
            }
            Err(broken) => {
                // The whole transaction is gone, with the changes before this one: they may be repeated.
                slot.broken = true;
                match broken {
                    Some(error) => change.fail(error),
                    None => group.panicked = Some(change),
                }
                return group.fail(&DbError::Overloaded);
            }
        }
        if group.ran.len() < MAX_TOGETHER && started.elapsed() < MAX_DELAY {
            next = std::iter::from_fn(|| changes.try_recv().ok()).find(|change| change.take());
        }
    }
    match checked(&mut slot, commit) {
        Ok(()) => {
            written.store(true, Ordering::Release);
            // The connection is free before anybody goes on.
            drop(slot);
            group.answer();
        }
        Err(error) => group.fail(&error),
    }
}

/// The changes of one commit, in their order.
#[derive(Default)]
struct Group {
    ran: Vec<Box<dyn Change>>,
    /// The last one, whose own answer stands whatever becomes of the commit.
    panicked: Option<Box<dyn Change>>,
}

impl Group {
    fn answer(self) {
        for change in self.ran.into_iter().chain(self.panicked) {
            answer(change);
        }
    }

    fn fail(self, error: &DbError) {
        self.ran.into_iter().for_each(|change| change.fail(error.clone()));
        self.panicked.into_iter().for_each(answer);
    }
}

/// The answer of a caller that went away is dropped here; a drop that panics must not keep the others from theirs.
fn answer(change: Box<dyn Change>) {
    if catch_unwind(AssertUnwindSafe(|| change.answer())).is_err() {
        log::error!("The drop of an answer of the database panicked");
    }
}

/// Says what became of the change. An error: the transaction can't be trusted any more (SQLite ends it by itself when the
/// disk is full), and what the caller is told unless the closure has said it.
fn in_savepoint(slot: &mut Slot, change: &mut dyn Change) -> Result<Ran, Option<DbError>> {
    let as_error = |error: diesel::result::Error| Some(DbError::from(error));
    AnyConn::begin_transaction(&mut slot.conn).map_err(as_error)?;
    let ran = change.run(slot);
    match ran {
        Ran::Keep => AnyConn::commit_transaction(&mut slot.conn).map_err(as_error)?,
        Ran::Undo => AnyConn::rollback_transaction(&mut slot.conn).map_err(|_| None)?,
        Ran::Panicked => undo_nested(&mut slot.conn).map_err(|_| None)?,
    }
    Ok(ran)
}
