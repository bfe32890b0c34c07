//! The ledger: one row for every object, written before the object and removed after it. What lies in the store and has no
//! row is an orphan; what has a live row and does not lie there is lost. All functions run inside of a caller's transaction
//! or read.

pub mod purge;
pub mod scrub;
pub mod sweep;

use crate::schema::{media, objects, tombstones};
use common::{
    db::{AnyConn, now_ms, statement},
    ids::{Id, VideoId},
    messages::{MediaReady, MediaRecord, RecordPage, Visibility},
    time::Timestamp,
};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Text},
};

pub const WRITING: &str = "writing";
pub const LIVE: &str = "live";
pub const LOST: &str = "lost";
pub const DELETING: &str = "deleting";

/// Who sends an upload.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub user: Option<Id>,
    pub session: Id,
}

/// Why an upload may not begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The video is purged, or being purged.
    Purged,
    /// The video has its source already.
    HasSource,
    /// Somebody removed the row: the upload was taken for dead.
    Forgotten,
}

/// What playing needs to know of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub object: Id,
    pub size: u64,
    pub sha256: String,
    pub mime: String,
    /// When it became live.
    pub stored_at: Timestamp,
    /// Grants of a lower version don't play it.
    pub min_grant: i64,
}

/// Whether an upload for this video may begin or end now.
pub fn check_open(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Result<(), Barred>> {
    let purged: i64 = tombstones::table
        .filter(tombstones::video_id.eq(video.as_str()))
        .count()
        .get_result(conn)?;
    if purged > 0 {
        return Ok(Err(Barred::Purged));
    }
    let live = objects::table
        .filter(objects::video_id.eq(video.as_str()))
        .filter(objects::state.eq(LIVE));
    let sources: i64 = live.count().get_result(conn)?;
    Ok(if sources > 0 { Err(Barred::HasSource) } else { Ok(()) })
}

/// The row of an object that is about to be received.
pub fn begin(
    conn: &mut AnyConn,
    video: &VideoId,
    object: &Id,
    by: &Uploader,
    owner: &Id,
) -> QueryResult<Result<(), Barred>> {
    if let Err(barred) = check_open(conn, video)? {
        return Ok(Err(barred));
    }
    let now = now_ms(conn)?;
    diesel::insert_into(objects::table)
        .values((
            objects::object_id.eq(object.as_str()),
            objects::video_id.eq(video.as_str()),
            objects::kind.eq("source"),
            objects::state.eq(WRITING),
            objects::size_bytes.eq(0),
            objects::sha256.eq(""),
            objects::mime.eq(""),
            objects::media.eq(""),
            objects::user_id.eq(by.user.as_ref().map(Id::as_str)),
            objects::session_id.eq(by.session.as_str()),
            objects::owner.eq(owner.as_str()),
            objects::heartbeat_at.eq(now),
            objects::created_at.eq(now),
            objects::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(Ok(()))
}

/// Says that the upload goes on; `false` when its row is gone or taken over by a purge.
pub fn heartbeat(conn: &mut AnyConn, object: &Id) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    let writing = objects::table.find(object.as_str()).filter(objects::state.eq(WRITING));
    Ok(diesel::update(writing)
        .set(objects::heartbeat_at.eq(now))
        .execute(conn)?
        == 1)
}

/// Writing → live, for an object that is durable. A second live source is refused by the unique index, as an error.
pub fn finish(conn: &mut AnyConn, video: &VideoId, object: &Id, found: &MediaReady) -> QueryResult<Result<(), Barred>> {
    if let Err(barred) = check_open(conn, video)? {
        return Ok(Err(barred));
    }
    let now = now_ms(conn)?;
    let changed = statement(
        "UPDATE objects SET state = $1, size_bytes = $2, sha256 = $3, mime = $4, media = $5, updated_at = $6, tried_at = $7 \
         WHERE object_id = $8 AND state = $9",
    )
    .bind::<Text, _>(LIVE)
    .bind::<BigInt, _>(i64::try_from(found.size_bytes).unwrap_or(i64::MAX))
    .bind::<Text, _>(&found.sha256)
    .bind::<Text, _>(&found.mime)
    .bind::<Text, _>(serde_json::to_string(found).unwrap_or_default())
    .bind::<BigInt, _>(now)
    // The hash was made of what was written.
    .bind::<BigInt, _>(now)
    .bind::<Text, _>(object.as_str())
    .bind::<Text, _>(WRITING)
    .execute(conn)?;
    if changed == 1 {
        return Ok(Ok(()));
    }
    // A purge may have taken the row since it was looked for above.
    Ok(Err(check_open(conn, video)?.err().unwrap_or(Barred::Forgotten)))
}

/// Forgets an upload that failed. A row that a purge has taken over is the purge's.
pub fn abandon(conn: &mut AnyConn, object: &Id) -> QueryResult<()> {
    let writing = objects::table.find(object.as_str()).filter(objects::state.eq(WRITING));
    diesel::delete(writing).execute(conn).map(drop)
}

/// Writing → deleting, which decides what becomes of an upload, whatever is under way elsewhere: `false` when it is live, or
/// somebody else's to remove.
pub fn condemn(conn: &mut AnyConn, object: &Id) -> QueryResult<bool> {
    let now = now_ms(conn)?;
    let writing = objects::table.find(object.as_str()).filter(objects::state.eq(WRITING));
    Ok(diesel::update(writing)
        .set((objects::state.eq(DELETING), objects::updated_at.eq(now)))
        .execute(conn)?
        == 1)
}

/// The state of an object's row, if there is one.
pub fn state_of(conn: &mut AnyConn, object: &Id) -> QueryResult<Option<String>> {
    objects::table
        .find(object.as_str())
        .select(objects::state)
        .first(conn)
        .optional()
}

/// The live source of a video that is not hidden.
pub fn playable(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Option<Source>> {
    let told: Option<(bool, i64)> = media::table
        .find(video.as_str())
        .select((media::hidden, media::min_grant))
        .first(conn)
        .optional()?;
    let (hidden, min_grant) = told.unwrap_or_default();
    if hidden {
        return Ok(None);
    }
    let row: Option<(Id, i64, String, String, i64)> = objects::table
        .filter(objects::video_id.eq(video.as_str()))
        .filter(objects::state.eq(LIVE))
        .select((
            objects::object_id,
            objects::size_bytes,
            objects::sha256,
            objects::mime,
            objects::updated_at,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(object, size, sha256, mime, stored_at)| Source {
        object,
        size: u64::try_from(size).unwrap_or(0),
        sha256,
        mime,
        stored_at: Timestamp(stored_at),
        min_grant,
    }))
}

/// What api-service was told of the live source.
pub fn announcement(conn: &mut AnyConn, video: &VideoId) -> QueryResult<Option<MediaReady>> {
    let live = objects::table
        .filter(objects::video_id.eq(video.as_str()))
        .filter(objects::state.eq(LIVE));
    let text: Option<String> = live.select(objects::media).first(conn).optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Hides or shows a video, unless a newer version said otherwise already or the video is purged. The least version of grants
/// only rises, whatever came first.
pub fn set_visibility(conn: &mut AnyConn, video: &VideoId, visibility: Visibility) -> QueryResult<bool> {
    let purged: i64 = tombstones::table
        .filter(tombstones::video_id.eq(video.as_str()))
        .count()
        .get_result(conn)?;
    if purged > 0 {
        return Ok(false);
    }
    let changed = diesel::sql_query(
        "INSERT INTO media (video_id, hidden, version, min_grant) VALUES ($1, $2, $3, $4) ON CONFLICT (video_id) DO UPDATE SET \
         hidden = CASE WHEN media.version < excluded.version THEN excluded.hidden ELSE media.hidden END, \
         version = CASE WHEN media.version < excluded.version THEN excluded.version ELSE media.version END, \
         min_grant = CASE WHEN media.min_grant < excluded.min_grant THEN excluded.min_grant ELSE media.min_grant END \
         WHERE media.version < excluded.version OR media.min_grant < excluded.min_grant",
    )
    .bind::<Text, _>(video.as_str())
    .bind::<Bool, _>(visibility.hidden)
    .bind::<BigInt, _>(visibility.version)
    .bind::<BigInt, _>(visibility.min_grant)
    .execute(conn)?;
    Ok(changed > 0)
}

/// A version that no grant has. Reads of our own, which are for nobody to see, have it: hiding a video does not end them.
pub const HIDDEN: i64 = i64::MAX - 1;

/// Of these videos those whose streams may have to end, each with the least version of those that go on; of purged ones none
/// does.
pub fn barred_streams(conn: &mut AnyConn, videos: &[VideoId]) -> QueryResult<Vec<(VideoId, i64)>> {
    let ids: Vec<&str> = videos.iter().map(VideoId::as_str).collect();
    let told: Vec<(VideoId, bool, i64)> = media::table
        .filter(media::video_id.eq_any(&ids))
        .filter(media::hidden.or(media::min_grant.gt(0)))
        .select((media::video_id, media::hidden, media::min_grant))
        .load(conn)?;
    let purged: Vec<VideoId> = tombstones::table
        .filter(tombstones::video_id.eq_any(&ids))
        .select(tombstones::video_id)
        .load(conn)?;
    let told = told
        .into_iter()
        .map(|(video, hidden, least)| (video, if hidden { HIDDEN } else { least }));
    Ok(told.chain(purged.into_iter().map(|video| (video, i64::MAX))).collect())
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(sql_type = Text)]
    video_id: VideoId,
    #[diesel(sql_type = BigInt)]
    live: i64,
    #[diesel(sql_type = BigInt)]
    hidden: i64,
    #[diesel(sql_type = BigInt)]
    objects: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

/// Videos that have a row in the ledger, in the order of their ids.
pub fn page(conn: &mut AnyConn, after: Option<&VideoId>, limit: u32) -> QueryResult<RecordPage<MediaRecord>> {
    let rows: Vec<RecordRow> = diesel::sql_query(
        "SELECT o.video_id, MAX(CASE WHEN o.state = 'live' THEN 1 ELSE 0 END) + CAST(0 AS BIGINT) AS live, \
         COALESCE(MAX(CASE WHEN m.hidden THEN 1 ELSE 0 END), 0) + CAST(0 AS BIGINT) AS hidden, \
         COUNT(*) AS objects, CAST(SUM(o.size_bytes) AS BIGINT) AS bytes, MIN(o.created_at) AS created_at \
         FROM objects o LEFT JOIN media m ON m.video_id = o.video_id \
         WHERE o.video_id > $1 GROUP BY o.video_id ORDER BY o.video_id LIMIT $2",
    )
    .bind::<Text, _>(after.map_or("", VideoId::as_str))
    .bind::<BigInt, _>(i64::from(limit))
    .load(conn)?;
    let next = (rows.len() == limit as usize)
        .then(|| rows.last().map(|row| row.video_id.clone()))
        .flatten();
    let items = rows.into_iter().map(|row| MediaRecord {
        id: row.video_id,
        live: row.live > 0,
        hidden: row.hidden > 0,
        objects: u64::try_from(row.objects).unwrap_or(0),
        bytes: u64::try_from(row.bytes).unwrap_or(0),
        created_at: Timestamp(row.created_at),
    });
    Ok(RecordPage {
        items: items.collect(),
        next,
    })
}
