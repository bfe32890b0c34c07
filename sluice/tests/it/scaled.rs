//! The scaled way with the real binary: two of each service on PostgreSQL and NATS behind two edges, sharing one store.

mod fleet;
mod journey;
mod kills;
mod polite;
mod tus;
