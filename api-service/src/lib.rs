//! api-service
