//! What the scrub asks of the ledger: live objects in the order in which they were last checked.

use super::LIVE;
use crate::schema::objects;
use crate::store::ObjectKey;
use common::{
    db::{AnyConn, now_ms},
    ids::{Id, VideoId},
};
use diesel::prelude::*;

/// A live object and what the ledger says of its bytes.
#[derive(Clone, Debug)]
pub struct Due {
    pub key: ObjectKey,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// At most `limit` live objects that were not checked since `before`, the longest unchecked first.
pub fn due(conn: &mut AnyConn, before: i64, limit: i64) -> QueryResult<Vec<Due>> {
    let rows: Vec<(Id, VideoId, i64, String)> = objects::table
        .filter(objects::state.eq(LIVE))
        .filter(objects::checked_at.lt(before))
        .select((
            objects::object_id,
            objects::video_id,
            objects::size_bytes,
            objects::sha256,
        ))
        .order((objects::checked_at, objects::object_id))
        .limit(limit)
        .load(conn)?;
    let due = rows.into_iter().map(|(object, video, size, sha256)| Due {
        key: ObjectKey { video, object },
        size: u64::try_from(size).unwrap_or(0),
        sha256,
    });
    Ok(due.collect())
}

/// How many [`due`] has in all.
pub fn count_due(conn: &mut AnyConn, before: i64) -> QueryResult<i64> {
    objects::table
        .filter(objects::state.eq(LIVE))
        .filter(objects::checked_at.lt(before))
        .count()
        .get_result(conn)
}

/// This object had its turn now.
pub fn checked(conn: &mut AnyConn, object: &Id) -> QueryResult<()> {
    let now = now_ms(conn)?;
    let live = objects::table.find(object.as_str()).filter(objects::state.eq(LIVE));
    diesel::update(live)
        .set(objects::checked_at.eq(now))
        .execute(conn)
        .map(drop)
}
