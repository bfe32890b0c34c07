//! The state of a connection, and the part of it that a delivery looks at.

use std::cell::{Cell, RefMut};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use common::ids::VideoId;

use super::closing::Closing;
use crate::gateway::envelope::DataForm;
use crate::gateway::frame::Decoder;
use crate::gateway::outbound::Outbound;
use crate::gateway::rooms::Membership;
use crate::gateway::session::Session;

/// Of [`Inner`] what a delivery needs to know, kept up by [`Touched`].
#[derive(Clone, Copy)]
pub(super) struct Hot {
    /// Nothing waits and nothing ends: what is sent may go straight to the socket.
    pub(super) direct: bool,
    pub(super) form: DataForm,
    pub(super) batch: bool,
}

pub(super) struct Inner {
    pub(super) decoder: Decoder,
    pub(super) session: Session,
    pub(super) outbound: Outbound,
    /// Bytes that came while no further call was taken in.
    pub(super) held: Vec<u8>,
    pub(super) rooms: Vec<Membership>,
    /// Joins under way; they count while the flag stands.
    pub(super) joining: Vec<(VideoId, Rc<Cell<bool>>)>,
    /// Whether the user's events come here.
    pub(super) listens: bool,
    pub(super) closing: Option<Closing>,
}

/// A change of the state; when it is done, the connection's hot part says the same.
pub(super) struct Touched<'a> {
    pub(super) inner: RefMut<'a, Inner>,
    pub(super) hot: &'a Cell<Hot>,
}

impl Deref for Touched<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Touched<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Drop for Touched<'_> {
    fn drop(&mut self) {
        self.hot.set(Hot {
            direct: self.inner.outbound.is_empty() && self.inner.closing.is_none(),
            form: self.inner.session.form(),
            batch: self.inner.session.batch(),
        });
    }
}

impl Inner {
    /// No further call is to be taken in: enough run, or the client does not read what it asked for.
    pub(super) fn is_busy(&self) -> bool {
        self.session.is_full() || self.outbound.is_full()
    }

    pub(super) fn can_resume(&self) -> bool {
        !self.held.is_empty() && !self.is_busy() && !self.is_dead()
    }
}
