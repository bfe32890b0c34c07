//! stream-service: the bytes. Uploads in progress, stored media, the ledger of every stored object.

pub mod limit;
pub mod precondition;
pub mod probe;
pub mod range;
pub mod store;
