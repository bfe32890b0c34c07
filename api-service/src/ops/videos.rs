//! Single videos: found and kept from changing; made and changed below.

mod change;
mod create;

use common::db::{AnyConn, Backend, statement};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::schema::{users, videos};
use common::views::{Author, Video, Visibility};

pub use change::{VideoChange, change};
pub use create::{NewVideo, insert, renew_upload};

/// The columns of a video that are shown, with those that decide who may see it.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = videos)]
pub struct VideoRow {
    pub id: VideoId,
    pub owner_id: Id,
    pub title: String,
    pub description: String,
    pub visibility: String,
    pub state: String,
    pub trashed_from: Option<String>,
    pub failure: Option<String>,
    pub size_bytes: Option<i64>,
    pub mime: Option<String>,
    pub duration_ms: Option<i64>,
    pub width: Option<i64>,
    pub height: Option<i64>,
    pub codecs: String,
    pub created_at: i64,
    pub ready_at: i64,
    pub purge_at: Option<i64>,
    pub version: i64,
    pub grant_version: i64,
    pub comment_count: i64,
    /// The newest entry of the room's log.
    pub room_seq: i64,
    pub danmaku_count: i64,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct AuthorRow {
    pub username: String,
    pub display_name: String,
}

impl From<AuthorRow> for Author {
    fn from(row: AuthorRow) -> Self {
        Author {
            username: row.username,
            display_name: row.display_name,
        }
    }
}

/// A video with its author.
pub type Found = (VideoRow, AuthorRow);

impl VideoRow {
    /// Errors only when the row was written by a newer version.
    pub fn state(&self) -> Result<VideoState, ApiError> {
        VideoState::from_name(&self.state)
            .ok_or_else(|| ApiError::internal(format!("video {} has the unknown state {}", self.id, self.state)))
    }

    /// What stream-service is told of this version.
    pub fn media(&self, hidden: bool) -> common::messages::Visibility {
        common::messages::Visibility {
            hidden,
            version: self.version,
            min_grant: self.grant_version,
        }
    }

    /// Ready and public or unlisted; or the viewer's own.
    pub fn is_visible_to(&self, viewer: Option<&Id>) -> bool {
        let open = self.state == VideoState::Ready.name() && self.visibility != Visibility::Private.name();
        open || viewer == Some(&self.owner_id)
    }
}

/// The video as clients see it.
pub fn view((row, author): Found) -> Result<Video, ApiError> {
    let state = row.state()?;
    let visibility = Visibility::from_name(&row.visibility)
        .ok_or_else(|| ApiError::internal(format!("video {} has an unknown visibility", row.id)))?;
    let codecs = serde_json::from_str(&row.codecs).map_err(ApiError::internal)?;
    let deleted = matches!(state, VideoState::Trashed | VideoState::Purging);
    Ok(Video {
        id: row.id,
        title: row.title,
        description: row.description,
        visibility,
        state,
        failure: row.failure.filter(|_| state == VideoState::Failed),
        author: author.into(),
        size_bytes: row.size_bytes,
        duration_ms: row.duration_ms,
        width: row.width,
        height: row.height,
        codecs,
        created_at: Timestamp(row.created_at),
        ready_at: (row.ready_at > 0).then_some(Timestamp(row.ready_at)),
        purge_at: row.purge_at.filter(|_| deleted).map(Timestamp),
        comment_count: row.comment_count,
    })
}

pub fn find(conn: &mut AnyConn, id: &VideoId) -> QueryResult<Option<Found>> {
    videos::table
        .inner_join(users::table)
        .filter(videos::id.eq(id.as_str()))
        .select((VideoRow::as_select(), AuthorRow::as_select()))
        .get_result(conn)
        .optional()
}

/// The video if `viewer` may see it; otherwise 404, as if it were not there. The videos of a closed account are gone at once,
/// though they are trashed in batches.
pub fn visible(conn: &mut AnyConn, id: &VideoId, viewer: Option<&Id>) -> Result<Found, ApiError> {
    let found: Option<Found> = videos::table
        .inner_join(users::table)
        .filter(videos::id.eq(id.as_str()))
        .filter(users::deleted_at.is_null())
        .select((VideoRow::as_select(), AuthorRow::as_select()))
        .get_result(conn)
        .optional()?;
    found.filter(|(row, _)| row.is_visible_to(viewer)).ok_or_else(not_found)
}

/// The video if it is `owner`'s; otherwise 404.
pub fn own(conn: &mut AnyConn, id: &VideoId, owner: &Id) -> Result<Found, ApiError> {
    find(conn, id)?
        .filter(|(row, _)| row.owner_id == *owner)
        .ok_or_else(not_found)
}

pub fn not_found() -> ApiError {
    ApiError::not_found("video")
}

#[derive(QueryableByName)]
struct Alive {
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    display_name: String,
}

/// Gives the names of an account. Refuses when it was deleted meanwhile, and keeps it from being deleted until the
/// transaction ends: nothing may be made for a deleted account after its things were removed.
pub fn hold_account(conn: &mut AnyConn, user: &Id) -> Result<AuthorRow, ApiError> {
    let text = match conn.backend() {
        // The transaction holds the one write lock.
        Backend::Sqlite => "SELECT username, display_name FROM users WHERE id = $1 AND deleted_at IS NULL",
        Backend::Postgres => "SELECT username, display_name FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE",
    };
    let alive: Vec<Alive> = statement(text).bind::<Text, _>(user.as_str()).load(conn)?;
    let alive = alive.into_iter().next().ok_or_else(crate::auth::unauthenticated)?;
    Ok(AuthorRow {
        username: alive.username,
        display_name: alive.display_name,
    })
}

/// Keeps others from changing the row until the transaction ends, so that what is read next stays true.
pub fn lock(conn: &mut AnyConn, id: &VideoId) -> QueryResult<()> {
    match conn.backend() {
        // The transaction holds the one write lock.
        Backend::Sqlite => Ok(()),
        Backend::Postgres => statement("SELECT id FROM videos WHERE id = $1 FOR UPDATE")
            .bind::<Text, _>(id.as_str())
            .execute(conn)
            .map(drop),
    }
}
