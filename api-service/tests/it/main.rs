//! Integration tests of api-service.
