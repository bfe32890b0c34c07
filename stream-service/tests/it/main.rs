//! One binary for all integration tests of stream-service.

mod probe;
