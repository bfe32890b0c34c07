//! What two or more services of Sluice share: the error catalogue, ids, messages, configuration, request plumbing, the
//! bus, typed clients and (feature `db`) the two-backend connection. It knows no table, no public route and no rule.

pub mod bus;
pub mod capture;
pub mod clients;
pub mod config;
pub mod data_dir;
#[cfg(feature = "db")]
pub mod db;
pub mod doctor;
pub mod drain;
pub mod error;
pub mod grant;
pub mod health;
pub mod http;
pub mod ids;
pub mod limit;
pub mod logging;
pub mod low_priority;
pub mod messages;
pub mod metrics;
pub mod net;
pub mod operation;
#[cfg(feature = "db")]
pub mod outbox;
pub mod process;
pub mod reload;
pub mod replicas;
pub mod request;
pub mod serve;
pub mod service;
pub mod slot;
pub mod supervise;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod views;
