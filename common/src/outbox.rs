//! The outbox: a message to another service, written in the transaction of the change that causes it and delivered
//! afterwards, at least once, in order for each key.
//!
//! The table belongs to the service that writes it (its migrations make it); its shape is fixed here, because two
//! services keep one and the relay is the same for both:
//!
//! `outbox(id` growing`, kind TEXT, key TEXT, payload TEXT, operation_id TEXT, created_at, next_at, claimed_until BIGINT,
//! claim TEXT DEFAULT '', attempts BIGINT, last_error TEXT NULL)` with an index on `(key, id)`.
//!
//! An entry is claimed for a while and then delivered outside of any transaction, so several processes may relay one
//! table and a dead one holds nothing up for longer than a claim. A claim is marked; whoever was paused longer than its claim
//! can neither settle nor renew what another one has taken.

mod relay;
mod slots;
mod table;

pub use relay::{Delivery, Relay, relay};
pub use table::{Entry, Message, enqueue, forget};
