//! Integration tests of web-proxy.
