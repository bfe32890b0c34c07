//! Integration tests of scheduler-service.
#![allow(clippy::unwrap_used)]
