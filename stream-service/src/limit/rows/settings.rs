//! The table `limit_settings`.

use crate::limit::settings::{Override, Overrides, Setting};
use common::{
    db::{AnyConn, now_ms},
    messages::TokenOwner,
    time::Timestamp,
};
use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Text},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    value: i64,
    #[diesel(sql_type = BigInt)]
    changed_at: i64,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    username: String,
}

/// What operators have set. What only another version knows, or takes, is left alone.
pub fn all(conn: &mut AnyConn) -> QueryResult<Overrides> {
    let rows: Vec<Row> =
        sql_query("SELECT name, value, changed_at, user_id, username FROM limit_settings").load(conn)?;
    let known = |row: Row| {
        let set = Override {
            value: row.value.unsigned_abs(),
            at: Timestamp(row.changed_at),
            user: row.user_id,
            username: row.username,
        };
        let setting = Setting::named(&row.name)?;
        setting.read(&set.value.into()).ok()?;
        Some((setting, set))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Sets a limit, or with `None` gives it back to the configuration.
pub fn set(conn: &mut AnyConn, setting: Setting, value: Option<u64>, by: &TokenOwner) -> QueryResult<()> {
    let Some(value) = value else {
        let statement = sql_query("DELETE FROM limit_settings WHERE name = $1").bind::<Text, _>(setting.name());
        return statement.execute(conn).map(drop);
    };
    let now = now_ms(conn)?;
    sql_query(
        "INSERT INTO limit_settings (name, value, changed_at, user_id, username) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at, \
         user_id = excluded.user_id, username = excluded.username",
    )
    .bind::<Text, _>(setting.name())
    .bind::<BigInt, _>(i64::try_from(value).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(now)
    .bind::<Text, _>(by.user.as_str())
    .bind::<Text, _>(&by.username)
    .execute(conn)
    .map(drop)
}
