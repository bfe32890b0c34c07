//! What changes jobs: functions on the connection of an open transaction. Time is the database's and handed in, so that
//! one transaction has one `now`.

mod arm;
mod lease;
mod list;
mod operate;
mod settle;

pub use arm::{Armed, Request, arm, cancel_by_key, ensure_periodic};
pub use lease::{DUE, Leased, Terms, due_in, extend, lease};
pub use list::{Filter, Summary, by_id, page, summary};
pub use operate::{Operated, cancel, retry, run_now};
pub use settle::{Outcome, Settled, prune, settle};

/// Our own ids (hexadecimal digits and hyphens, checked when they were read) as the inside of an `IN (…)`.
fn id_list<'a>(ids: impl IntoIterator<Item = &'a common::ids::Id>) -> String {
    ids.into_iter()
        .map(|id| format!("'{id}'"))
        .collect::<Vec<_>>()
        .join(",")
}

/// What makes concurrent workers of PostgreSQL take different rows. SQLite has one writer.
fn skip_locked(backend: common::db::Backend) -> &'static str {
    match backend {
        common::db::Backend::Sqlite => "",
        common::db::Backend::Postgres => " FOR UPDATE SKIP LOCKED",
    }
}
