//! Who may be in a room: whoever api-service lets read its log. An answer is good for five seconds, one question is asked at
//! a time, and what a visitor without a session may read, everybody may: a crowd that comes back costs one question.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::error::Code;
use common::ids::Id;
use tokio::sync::Mutex;

use super::Room;
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::Caller;
use crate::gateway::shard::Shard;

/// How long an answer is good for. A room that closes forgets all answers at once.
const FRESH: Duration = Duration::from_secs(5);

/// People of one room whose answers are kept.
const MAX_PEOPLE: usize = 1_000;

#[derive(Default)]
pub struct Access {
    everybody: Cell<Option<Instant>>,
    people: RefCell<HashMap<Id, Instant>>,
    asking: Mutex<()>,
}

impl Access {
    pub fn forget(&self) {
        self.everybody.set(None);
        self.people.borrow_mut().clear();
    }

    fn is_allowed(&self, user: &Id) -> bool {
        let fresh = |at: Instant| at.elapsed() < FRESH;
        self.everybody.get().is_some_and(fresh) || self.people.borrow().get(user).copied().is_some_and(fresh)
    }

    fn allow(&self, user: &Id, asked: Instant) {
        let mut people = self.people.borrow_mut();
        if people.len() >= MAX_PEOPLE {
            people.clear();
        }
        people.insert(user.clone(), asked);
    }
}

/// For a video that is not there, was purged, or is not for this caller: nobody learns which.
pub fn no_such_video() -> Refusal {
    Refusal::of(Code::NotFound, "There is no such video.")
}

/// `refusal`, unless it tells that there is no such video: that is said in one way.
pub fn unseen(refusal: Refusal) -> Refusal {
    let tells = [Code::NotFound, Code::Gone].map(|code| code.entry().number);
    if tells.contains(&refusal.code) {
        no_such_video()
    } else {
        refusal
    }
}

impl Room {
    /// Whether `caller` may be in here; the refusal is api-service's own.
    pub(super) async fn admit(self: &Rc<Self>, shard: &Shard, caller: &Caller) -> Result<(), Refusal> {
        let user = &caller.owner.user;
        if self.access.is_allowed(user) {
            return Ok(());
        }
        let _turn = self.access.asking.lock().await;
        if self.access.is_allowed(user) {
            return Ok(());
        }
        let (asked, closings) = (Instant::now(), self.closings());
        let everybody = shard.api.may_read(&self.id, None).await?;
        if everybody && self.closings() == closings {
            self.access.everybody.set(Some(asked));
        }
        if everybody {
            return Ok(());
        }
        if !shard.api.may_read(&self.id, Some(caller)).await? {
            return Err(no_such_video());
        }
        if self.closings() == closings {
            self.access.allow(user, asked);
        }
        Ok(())
    }
}
