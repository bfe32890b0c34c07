//! The counter of one stream, for whoever sends its bytes: cheap enough for every write into a socket.

use super::{
    conn::Permit,
    egress::Account,
    refusals::{Reason, Refusals, Refused},
};
use common::{
    ids::VideoId,
    operation::{self, OperationId},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The budget of the day is used up, and another stream of the client is the one that may go on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's egress budget of this day is used up")]
pub struct Spent;

/// Counts what is really sent: for operators, and against the client's budget of the day. Clones count together.
#[derive(Clone)]
pub struct Meter {
    moved: Arc<AtomicU64>,
    budget: Option<Arc<Budget>>,
}

struct Budget {
    account: Arc<Account>,
    /// Of the stream's permit.
    number: u64,
    video: VideoId,
    operation: Option<OperationId>,
    refusals: Refusals,
}

impl Meter {
    /// Of the request of this task.
    pub fn new(permit: &Permit, video: &VideoId, account: Option<Arc<Account>>, refusals: &Refusals) -> Self {
        let budget = account.map(|account| {
            Arc::new(Budget {
                account,
                number: permit.number(),
                video: video.clone(),
                operation: operation::current(),
                refusals: refusals.clone(),
            })
        });
        Self {
            moved: permit.counter(),
            budget,
        }
    }

    /// `bytes` more are in the socket. No lock is taken.
    pub fn sent(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        if let Some(budget) = &self.budget {
            budget.account.sent(bytes);
        }
    }

    /// Whether a stream that has more to send may do so: ask between two writes. After an error it has to end; why is noted
    /// and logged already. No lock is taken while there is budget left.
    pub fn go_on(&self) -> Result<(), Spent> {
        match &self.budget {
            Some(budget) => budget.go_on(),
            None => Ok(()),
        }
    }
}

impl Budget {
    fn go_on(&self) -> Result<(), Spent> {
        let spent = self.account.go_on(self.number);
        if spent.is_err() {
            let (client, used, most) = (self.account.client(), self.account.used(), self.account.most());
            log::info!(
                video_id = self.video, operation_id = self.operation.as_ref().map_or("", OperationId::as_str);
                "A stream of {client} ends early: {used} of {most} bytes of this day are used, and another one goes on"
            );
            self.refusals.note(Refused {
                client,
                reason: Reason::EgressCut,
                reached: used,
                most,
                video: Some(&self.video),
                operation: self.operation.clone(),
            });
        }
        spent
    }
}
