//! Integration tests of stream-service.
