//! web-proxy
