//! Uploads that survive their connections, in two protocols over one state: tus 1.0.0
//! (<https://tus.io/protocols/resumable-upload>) and its successor at the IETF ([`draft`]). A request says by its headers in
//! which it is written, and is answered in that; an upload that was begun in one can be continued in the other.
//!
//! The data's way. An upload is one ledger row (state `writing`, so that purge, sweeps and reconciler know its file as they
//! know any other) and one row of `tus_uploads` that says its length, how many of its bytes are acknowledged, and which
//! request may write. Its bytes lie in `<object>.part`. In this order: bytes into the file, fdatasync, `acknowledged` in the
//! row, then an answer that names the offset. Whoever continues cuts the file to what the row says, so bytes that were never
//! acknowledged are never trusted. The last byte's offset is told only when [`crate::upload`] has finished the video: hash,
//! probe, name, ledger and outbox, and `finished_at` here, in one transaction.
//!
//! One request at a time writes: a newer one (also HEAD, which must tell an offset that stays true) stops the one before,
//! waits until that has saved what it has, and takes its place. Between processes the column `holder` is the fence: whoever
//! is no longer named there can't acknowledge anything, and the lock on the file keeps its last write away.

pub mod answer;
mod begin;
mod complete;
mod concat;
pub mod draft;
pub mod fields;
pub mod plan;
mod receive;
pub mod request;
pub mod rows;
mod serve;
mod tell;
mod v1;

use std::time::Duration;

pub use plan::{Known, Plan, Upload, decide, plan};
pub use request::{Place, Protocol, Request, read};
pub use serve::serve;

pub const VERSION: &str = "1.0.0";

/// What is built, in the words of the protocol.
pub const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";

/// What has ended is remembered for this long beyond `stream.upload_expiry`, so that its client hears 410 and not 404.
pub const REMEMBER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Unfinished uploads of one video at most: eight clients with four parts each, or a client that starts over again and again.
pub const MAX_OPEN: i64 = 32;

/// Received bytes after which they are synced and acknowledged while more come in: what a kill can cost of a long request.
pub const SAVE_EVERY: u64 = 16 << 20;
