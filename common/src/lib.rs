//! What two or more services of Sluice share: the error catalogue, ids, messages, configuration, request plumbing, the
//! bus, typed clients and (feature `db`) the two-backend connection. It knows no table, no public route and no rule.

#[cfg(feature = "db")]
pub mod db;
#[cfg(feature = "testing")]
pub mod testing;
