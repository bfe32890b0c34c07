//! stream-service
