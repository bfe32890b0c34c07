//! Settings of the SQLite library itself, made once before its first use.
//!
//! By default every allocation of every connection takes one process-wide lock to keep statistics that nobody reads, and every
//! call takes its connection's lock. With five connections at work on two cores the first of them was where threads waited
//! most; the second guards against sharing a connection between threads, which diesel's types forbid (`SqliteConnection` is
//! `Send`, not `Sync`).
#![allow(unsafe_code)]

use libsqlite3_sys as sqlite;
use std::sync::Once;

static ONCE: Once = Once::new();

/// Before the first connection. Where the library is in use already it keeps its settings, and only speed is lost.
pub(super) fn configure() {
    ONCE.call_once(|| {
        // SAFETY: `sqlite3_config` takes the number of an option and, for these two, no argument and one int
        // (https://www.sqlite.org/c3ref/config.html). It must not run while another thread uses the
        // library: every connection of the process is opened behind this `Once`, and once the library is initialised the
        // call changes nothing and returns SQLITE_MISUSE.
        let answers = unsafe {
            [
                sqlite::sqlite3_config(sqlite::SQLITE_CONFIG_MULTITHREAD),
                sqlite::sqlite3_config(sqlite::SQLITE_CONFIG_MEMSTATUS, 0),
            ]
        };
        if answers != [sqlite::SQLITE_OK; 2] {
            log::debug!("SQLite keeps its own settings: {answers:?}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_counts_no_memory() {
        configure();
        let mut conn = diesel::SqliteConnection::establish(":memory:").unwrap();
        use diesel::connection::SimpleConnection;
        use diesel::prelude::*;
        conn.batch_execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))")
            .unwrap();
        // SAFETY: takes no argument and returns a number.
        assert_eq!(unsafe { sqlite::sqlite3_memory_used() }, 0);
    }
}
