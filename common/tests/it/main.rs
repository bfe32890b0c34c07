//! Integration tests of common.

mod db;
