//! `LIMIT` as a number in the text of a statement.
//!
//! SQLite's planner looks at a bound limit and therefore prepares the statement again at every use: that alone was a
//! quarter of the time of a list. The numbers are few, so that few texts are kept prepared. (`first` binds a limit, too: a row is found by its
//! key with `get_result`.)

use common::db::AnyConn;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::{Connection, QueryResult, RunQueryDsl};

type AnyDb = <AnyConn as Connection>::Backend;

/// Rows that a statement may be limited to, as number and as text: default pages and largest pages (those of danmaku are
/// the larger ones), each with the row that tells that the list goes on.
const SIZES: [(i64, &str); 3] = [(21, " LIMIT 21"), (101, " LIMIT 101"), (501, " LIMIT 501")];

/// A query for at most as many rows as the smallest of [`SIZES`] that is enough: the caller takes what it wants of them.
#[derive(Debug, Clone, Copy)]
pub struct Limited<Q> {
    query: Q,
    limit: &'static str,
}

/// `query` (without a limit of its own) for at least `wanted` rows, if there are as many; `wanted` is 501 at most.
pub fn limited<Q>(query: Q, wanted: i64) -> Limited<Q> {
    let size = SIZES.into_iter().find(|(rows, _)| *rows >= wanted);
    let (_, limit) = size.unwrap_or(SIZES[SIZES.len() - 1]);
    Limited { query, limit }
}

impl<Q: QueryFragment<AnyDb>> QueryFragment<AnyDb> for Limited<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, AnyDb>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(self.limit);
        Ok(())
    }
}

impl<Q> QueryId for Limited<Q> {
    type QueryId = ();
    // The text differs by the number: it is the key of the prepared statement.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Limited<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<AnyConn> for Limited<Q> {}
