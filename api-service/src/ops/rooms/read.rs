//! Reading the log of a room, in pages and from its end.

use common::db::AnyConn;
use common::error::ApiError;
use common::ids::VideoId;
use common::messages::{RoomEntry, RoomEntryKind, RoomHead, RoomLog, VideoState};
use common::operation::OperationId;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use crate::ops::media;
use crate::schema::{room_log, users, videos};

/// Entries `from` to `to`, both included. What a closed account wrote is gone at once, though it is removed in batches.
fn entries(conn: &mut AnyConn, video: &VideoId, from: i64, to: i64) -> Result<Vec<RoomEntry>, ApiError> {
    type Columns = (i64, String, String, i64, Option<String>, Option<i64>);
    let found: Vec<Columns> = room_log::table
        .left_join(users::table)
        .filter(room_log::video_id.eq(video.as_str()))
        // Numbers are dense: they bound the page as well as a limit would.
        .filter(room_log::seq.between(from, to))
        .order(room_log::seq)
        .select((
            room_log::seq,
            room_log::kind,
            room_log::operation_id,
            room_log::created_at,
            room_log::payload,
            users::deleted_at.nullable(),
        ))
        .load(conn)?;
    let entry = |(seq, kind, operation, at, payload, author_left): Columns| {
        let kind = RoomEntryKind::from_name(&kind);
        let data = match payload.filter(|_| author_left.is_none()) {
            Some(text) => serde_json::from_str(&text).map_err(ApiError::internal)?,
            None => Value::Null,
        };
        Ok(RoomEntry {
            video: video.clone(),
            seq,
            kind,
            at: Timestamp(at),
            operation: OperationId::parse(&operation),
            data,
        })
    };
    found.into_iter().map(entry).collect()
}

/// Bytes of one answer, whatever the entries are: 1,000 long comments would be 8 MB. The entry that reaches it is the last, so
/// an answer is never empty before the end.
const MAX_BYTES: usize = 384 * 1024;

/// Entries read at once, so that no more is read than is answered, nearly.
const CHUNK: i64 = 50;

/// Of an entry, beside its data.
const ENTRY_BYTES: usize = 150;

fn size(entry: &RoomEntry) -> usize {
    ENTRY_BYTES + entry.data.to_string().len()
}

/// Up to `limit` entries after `after` of a room whose newest is `head`, oldest first, as far as they fit into one answer.
pub fn page(conn: &mut AnyConn, video: &VideoId, head: i64, after: i64, limit: i64) -> Result<RoomLog, ApiError> {
    // Entries that came after `head` was read are left to the next question.
    let to = after.saturating_add(limit).min(head);
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, after);
    while last < to && bytes < MAX_BYTES {
        let chunk = entries(conn, video, last + 1, (last + CHUNK).min(to))?;
        if chunk.is_empty() {
            // A purge is under way: nothing is there any more.
            break;
        }
        for entry in chunk {
            if bytes >= MAX_BYTES {
                break;
            }
            bytes += size(&entry);
            last = entry.seq;
            items.push(entry);
        }
    }
    Ok(RoomLog {
        next: (last < head && last > after).then_some(last),
        items,
        seq: head,
    })
}

/// Up to `count` of the newest entries of a room whose newest is `head`, oldest first, as far as they fit into one answer.
pub fn tail(conn: &mut AnyConn, video: &VideoId, head: i64, count: i64) -> Result<RoomLog, ApiError> {
    let from = (head - count).max(0) + 1;
    let (mut newest_first, mut bytes, mut first) = (Vec::new(), 0, head + 1);
    while first > from && bytes < MAX_BYTES {
        let chunk = entries(conn, video, (first - CHUNK).max(from), first - 1)?;
        if chunk.is_empty() {
            break;
        }
        for entry in chunk.into_iter().rev() {
            if bytes >= MAX_BYTES {
                break;
            }
            bytes += size(&entry);
            first = entry.seq;
            newest_first.push(entry);
        }
    }
    newest_first.reverse();
    Ok(RoomLog {
        items: newest_first,
        next: None,
        seq: head,
    })
}

/// The newest entry of a room, whoever may see it; 410 when its purge has begun, 404 when it never was.
pub fn head(conn: &mut AnyConn, video: &VideoId) -> Result<i64, ApiError> {
    let found: Option<(String, i64)> = videos::table
        .filter(videos::id.eq(video.as_str()))
        .select((videos::state, videos::room_seq))
        .get_result(conn)
        .optional()?;
    match found {
        Some((state, _)) if state == VideoState::Purging.name() => Err(media::gone()),
        Some((_, head)) => Ok(head),
        None => Err(media::missing(conn, video)?),
    }
}

#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = Text)]
    id: VideoId,
    #[diesel(sql_type = BigInt)]
    room_seq: i64,
}

/// The newest entries of these rooms; those whose purge has begun are missing.
pub fn heads(conn: &mut AnyConn, of: &[VideoId]) -> QueryResult<Vec<RoomHead>> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    // A `VideoId` is letters and digits, so it can stand in the text of a statement.
    let list = of.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    let found: Vec<Head> = sql_query(format!(
        "SELECT id, room_seq FROM videos WHERE id IN ({list}) AND state <> $1"
    ))
    .bind::<Text, _>(VideoState::Purging.name())
    .load(conn)?;
    let head = |found: Head| RoomHead {
        video: found.id,
        seq: found.room_seq,
    };
    Ok(found.into_iter().map(head).collect())
}
