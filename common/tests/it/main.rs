//! Integration tests of common.
