//! Integration tests of scheduler-service.
