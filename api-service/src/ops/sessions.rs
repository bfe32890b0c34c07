//! Sessions in the table.

use common::db::{AnyConn, now_ms};
use common::ids::Id;
use common::messages::Role;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::schema::{sessions, users};
use crate::session_cache::{Session, TokenHash};

/// How long sessions live, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Unused.
    pub idle: i64,
    /// Used or not.
    pub longest: i64,
}

impl Lifetimes {
    fn end(self, created_at: i64, now: i64) -> i64 {
        now.saturating_add(self.idle)
            .min(created_at.saturating_add(self.longest))
    }
}

/// A session as its owner sees it in the list.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    pub id: Id,
    pub platform: String,
    pub created_at: i64,
    pub last_seen_at: i64,
    pub expires_at: i64,
}

type Loaded = (Id, Id, i64, i64, String, String);

fn session((id, user, last_seen_at, expires_at, username, role): Loaded) -> Session {
    let role = if role == OPERATOR { Role::Operator } else { Role::User };
    Session {
        id,
        user,
        username,
        role,
        last_seen_at: Timestamp(last_seen_at),
        expires_at: Timestamp(expires_at),
    }
}

/// `users.role` of an operator.
pub const OPERATOR: &str = "operator";

/// Begins a session and gives its end.
pub fn insert(
    conn: &mut AnyConn,
    id: &Id,
    user: &Id,
    token: &TokenHash,
    platform: &str,
    lifetimes: Lifetimes,
) -> QueryResult<(i64, i64)> {
    let now = now_ms(conn)?;
    let end = lifetimes.end(now, now);
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(id.as_str()),
            sessions::user_id.eq(user.as_str()),
            sessions::token_hash.eq(token.as_bytes()),
            sessions::platform.eq(platform),
            sessions::created_at.eq(now),
            sessions::last_seen_at.eq(now),
            sessions::expires_at.eq(end),
        ))
        .execute(conn)?;
    Ok((now, end))
}

/// The session of a token, with its owner; also one that has expired.
pub fn by_token(conn: &mut AnyConn, token: &TokenHash) -> QueryResult<Option<Session>> {
    let found: Option<Loaded> = sessions::table
        .inner_join(users::table)
        .filter(sessions::token_hash.eq(token.as_bytes()))
        .select((
            sessions::id,
            sessions::user_id,
            sessions::last_seen_at,
            sessions::expires_at,
            users::username,
            users::role,
        ))
        .get_result(conn)
        .optional()?;
    Ok(found.map(session))
}

/// The live sessions used last, for the cache of a process that starts.
pub fn newest(conn: &mut AnyConn, most: i64) -> QueryResult<Vec<(Vec<u8>, Session)>> {
    let now = now_ms(conn)?;
    let found: Vec<(Vec<u8>, Loaded)> = sessions::table
        .inner_join(users::table)
        .filter(sessions::expires_at.gt(now))
        .order(sessions::last_seen_at.desc())
        .limit(most)
        .select((
            sessions::token_hash,
            (
                sessions::id,
                sessions::user_id,
                sessions::last_seen_at,
                sessions::expires_at,
                users::username,
                users::role,
            ),
        ))
        .load(conn)?;
    Ok(found
        .into_iter()
        .map(|(hash, loaded)| (hash, session(loaded)))
        .collect())
}

/// Notes that the session is used and moves its end; gives the new end, `None` when the session is gone.
pub fn touch(conn: &mut AnyConn, id: &Id, lifetimes: Lifetimes) -> QueryResult<Option<(i64, i64)>> {
    let now = now_ms(conn)?;
    let live = sessions::table
        .filter(sessions::id.eq(id.as_str()))
        .filter(sessions::expires_at.gt(now));
    let created: Option<i64> = live.select(sessions::created_at).get_result(conn).optional()?;
    let Some(created) = created else { return Ok(None) };
    let end = lifetimes.end(created, now);
    let touched = diesel::update(sessions::table.filter(sessions::id.eq(id.as_str())))
        .set((sessions::last_seen_at.eq(now), sessions::expires_at.eq(end)))
        .execute(conn)?;
    Ok((touched == 1).then_some((now, end)))
}

/// A page of the live sessions of `user`, newest first, those before `before`.
pub fn list(conn: &mut AnyConn, user: &Id, before: Option<&str>, limit: i64) -> QueryResult<Vec<SessionRow>> {
    let now = now_ms(conn)?;
    sessions::table
        .filter(sessions::user_id.eq(user.as_str()))
        .filter(sessions::expires_at.gt(now))
        // Every id is smaller: the same statement serves the first page.
        .filter(sessions::id.lt(before.unwrap_or("~")))
        .order(sessions::id.desc())
        .limit(limit)
        .select(SessionRow::as_select())
        .load(conn)
}

/// Ends one session of `user`; says whether there was one.
pub fn end(conn: &mut AnyConn, user: &Id, id: &Id) -> QueryResult<bool> {
    let own = sessions::table
        .filter(sessions::id.eq(id.as_str()))
        .filter(sessions::user_id.eq(user.as_str()));
    Ok(diesel::delete(own).execute(conn)? == 1)
}

/// Ends the sessions of `user`, except one; gives those that ended.
pub fn end_all(conn: &mut AnyConn, user: &Id, except: Option<&Id>) -> QueryResult<Vec<Id>> {
    let own = sessions::table
        .filter(sessions::user_id.eq(user.as_str()))
        .filter(sessions::id.ne(except.map_or("", Id::as_str)));
    diesel::delete(own).returning(sessions::id).get_results(conn)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = diesel::sql_types::Text)]
    id: Id,
}

/// Those of `ids` that are still good.
pub fn still_good(conn: &mut AnyConn, ids: &[Id]) -> QueryResult<Vec<Id>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let now = now_ms(conn)?;
    // An `Id` is hexadecimal digits and hyphens, so it can stand in the text of a statement.
    let list = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    let found: Vec<Found> = sql_query(format!(
        "SELECT id FROM sessions WHERE id IN ({list}) AND expires_at > $1"
    ))
    .bind::<BigInt, _>(now)
    .load(conn)?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// How many sessions have expired.
pub fn count_expired(conn: &mut AnyConn) -> QueryResult<i64> {
    let now = now_ms(conn)?;
    sessions::table
        .filter(sessions::expires_at.le(now))
        .count()
        .get_result(conn)
}

/// Removes the rows of expired sessions.
pub fn remove_expired(conn: &mut AnyConn) -> QueryResult<usize> {
    let now = now_ms(conn)?;
    diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(conn)
}
