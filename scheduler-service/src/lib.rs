//! scheduler-service
