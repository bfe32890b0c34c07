//! Statements that each connection prepares once. Diesel does so with most that its query language makes, but prepares every
//! `sql_query` and every `update` anew. That costs SQLite more than a small change itself, and PostgreSQL parsing and planning.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};
use diesel::{QueryResult, RunQueryDsl};

/// A statement of which each connection keeps what it prepared, for its life. As `sql_query`, but the values stand in `text` in
/// their order, each once: `$1`, `$2`, and so on. Not for `*`: PostgreSQL refuses a kept statement whose columns a migration
/// of a newer version has changed.
///
/// # Panics
/// [`Statement::bind`] panics where the values of `text` are not so. One that lacks values is cut at the first of them.
pub fn statement(text: &'static str) -> Statement {
    Statement(Rest::of(text, 0))
}

/// A statement without values.
#[must_use = "a statement does nothing before it is executed or loaded"]
#[derive(Debug)]
pub struct Statement(Rest);

/// A statement with one more value than `Before`.
#[must_use = "a statement does nothing before it is executed or loaded"]
#[derive(Debug)]
pub struct Bound<Before, Value, Type> {
    before: Before,
    value: Value,
    rest: Rest,
    of: PhantomData<Type>,
}

/// The text behind one value (or the begin) of a statement.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// Up to the next value.
    text: &'static str,
    /// From there on.
    next: &'static str,
    /// Values before it.
    values: usize,
}

impl Rest {
    fn of(text: &'static str, values: usize) -> Rest {
        let (text, next) = text.split_at(text.find('$').unwrap_or(text.len()));
        Rest { text, next, values }
    }

    fn behind_next(self) -> Rest {
        let values = self.values + 1;
        let digits = self.next.strip_prefix('$').unwrap_or_default();
        let behind = digits.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let number = digits.strip_suffix(behind).and_then(|number| number.parse().ok());
        assert_eq!(
            number,
            Some(values),
            "a statement has each value once, in their order: {:?}",
            self.next
        );
        Rest::of(behind, values)
    }
}

impl Statement {
    /// With a value for the next place in its text.
    pub fn bind<Type, Value>(self, value: Value) -> Bound<Self, Value, Type> {
        let rest = self.0.behind_next();
        Bound {
            before: self,
            value,
            rest,
            of: PhantomData,
        }
    }
}

impl<Before, Value, Type> Bound<Before, Value, Type> {
    /// With a value for the next place in its text.
    pub fn bind<NextType, NextValue>(self, value: NextValue) -> Bound<Self, NextValue, NextType> {
        let rest = self.rest.behind_next();
        Bound {
            before: self,
            value,
            rest,
            of: PhantomData,
        }
    }
}

impl<DB: Backend> QueryFragment<DB> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.0.text);
        Ok(())
    }
}

impl<Before, Value, Type, DB> QueryFragment<DB> for Bound<Before, Value, Type>
where
    DB: Backend + HasSqlType<Type>,
    Before: QueryFragment<DB>,
    Value: ToSql<Type, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.before.walk_ast(out.reborrow())?;
        out.push_bind_param::<Type, Value>(&self.value)?;
        out.push_sql(self.rest.text);
        Ok(())
    }
}

/// They are known by their text.
impl QueryId for Statement {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Before, Value, Type> QueryId for Bound<Before, Value, Type> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}

impl<Before, Value, Type> Query for Bound<Before, Value, Type> {
    type SqlType = Untyped;
}

impl<Conn> RunQueryDsl<Conn> for Statement {}

impl<Before, Value, Type, Conn> RunQueryDsl<Conn> for Bound<Before, Value, Type> {}
