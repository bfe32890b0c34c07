//! End to end through the real binary, embedded and as four processes.
#![allow(clippy::unwrap_used)]

mod bad_start;
mod browser;
mod cli;
mod copies;
mod deploy;
mod docs;
mod doctor;
mod errors;
mod flow;
mod gateway;
mod history;
mod journey;
mod kill;
mod limits;
mod manifests;
mod media;
mod moving;
mod near;
mod person;
mod promises;
mod ranges;
mod scaled;
mod sdk;
mod site;
mod uploads;
