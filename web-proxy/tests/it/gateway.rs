//! The real-time gateway over real sockets, before an api-service that does what a test says: it holds, fails, is away,
//! and its bus loses, repeats and reorders. What each row of gateway.md's tables means on the wire stands here; the state
//! machines behind them have their own tests.

mod access;
mod api;
mod backlog;
mod bad_input;
mod chaos;
mod client;
mod close_codes;
mod drain;
mod err_codes;
mod events;
mod floods;
mod handshake;
mod knock;
mod logs;
mod members;
mod outage;
mod peers;
mod places;
mod races;
mod resume;
mod revocation;
mod rooms;
mod several;
mod site;
mod tokens;
