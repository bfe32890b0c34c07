//! Single videos: made, found, changed.

use common::db::{AnyConn, Backend, DbError, now_ms};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use super::messages;
use super::rooms::{self, Closing};
use crate::news::News;
use crate::schema::{users, videos};
use common::views::{Author, Video, Visibility};

/// Tries for an id that is free. One in 10^18 is taken; two in a row are a broken random number generator.
const ID_TRIES: u32 = 4;

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
    let alive: Vec<Alive> = sql_query(text).bind::<Text, _>(user.as_str()).load(conn)?;
    let alive = alive.into_iter().next().ok_or_else(crate::auth::unauthenticated)?;
    Ok(AuthorRow {
        username: alive.username,
        display_name: alive.display_name,
    })
}

/// A new video's texts, checked.
#[derive(Debug, Clone)]
pub struct NewVideo {
    pub title: String,
    pub description: String,
    pub visibility: Visibility,
}

/// Makes a video that waits for its upload until `upload_ttl` ms from now; gives it with that moment.
pub fn insert(
    conn: &mut AnyConn,
    owner: &Id,
    video: &NewVideo,
    upload_ttl: i64,
    ids: &mut dyn FnMut() -> VideoId,
) -> Result<(Found, i64), ApiError> {
    hold_account(conn, owner)?;
    let now = now_ms(conn)?;
    let upload_until = now.saturating_add(upload_ttl);
    for _ in 0..ID_TRIES {
        let id = ids();
        // Also an id of the past is taken: its receipt is still there.
        if is_taken(conn, &id)? {
            continue;
        }
        diesel::insert_into(videos::table)
            .values((
                videos::id.eq(id.as_str()),
                videos::owner_id.eq(owner.as_str()),
                videos::title.eq(&video.title),
                videos::title_key.eq(video.title.to_lowercase()),
                videos::description.eq(&video.description),
                videos::search_text.eq(search_text(&video.title, &video.description)),
                videos::visibility.eq(video.visibility.name()),
                videos::state.eq(VideoState::AwaitingUpload.name()),
                videos::codecs.eq("[]"),
                videos::created_at.eq(now),
                videos::ready_at.eq(0),
                videos::upload_until.eq(upload_until),
                videos::version.eq(0),
                videos::grant_version.eq(0),
                videos::comment_count.eq(0),
            ))
            .execute(conn)?;
        let found = find(conn, &id)?.ok_or(DbError::NotFound)?;
        return Ok((found, upload_until));
    }
    Err(ApiError::internal(format!("{ID_TRIES} random video ids were taken")))
}

fn is_taken(conn: &mut AnyConn, id: &VideoId) -> QueryResult<bool> {
    use crate::schema::deletions;
    let there = videos::table.filter(videos::id.eq(id.as_str()));
    let gone = deletions::table.filter(deletions::video_id.eq(id.as_str()));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result::<bool>(conn)?
        || diesel::select(diesel::dsl::exists(gone)).get_result::<bool>(conn)?)
}

/// What `?q=` looks into; a search can't contain the line break between the two.
pub fn search_text(title: &str, description: &str) -> String {
    format!("{title}\n{description}").to_lowercase()
}

/// What a PATCH changes, checked; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct VideoChange {
    pub title: Option<String>,
    pub description: Option<String>,
    pub visibility: Option<Visibility>,
}

/// Changes a video of `owner`; 404 when it isn't, 409 when it is being purged. When it becomes private, the playback links that
/// were given out before are taken back and its room is closed.
pub fn change(
    conn: &mut AnyConn,
    news: &mut News,
    id: &VideoId,
    owner: &Id,
    change: VideoChange,
) -> Result<Found, ApiError> {
    lock(conn, id)?;
    let (mut row, author) = own(conn, id, owner)?;
    let state = row.state()?;
    if state == VideoState::Purging {
        return Err(super::trash::purge_has_begun());
    }
    let was_private = row.visibility == Visibility::Private.name();
    let revoked = change.visibility == Some(Visibility::Private) && !was_private;
    if revoked {
        row.version += 1;
        row.grant_version += 1;
    }
    let before = (row.title.clone(), row.visibility.clone());
    row.title = change.title.unwrap_or(row.title);
    row.description = change.description.unwrap_or(row.description);
    if let Some(visibility) = change.visibility {
        row.visibility = visibility.name().to_owned();
    }
    diesel::update(videos::table.filter(videos::id.eq(id.as_str())))
        .set((
            videos::title.eq(&row.title),
            videos::title_key.eq(row.title.to_lowercase()),
            videos::description.eq(&row.description),
            videos::search_text.eq(search_text(&row.title, &row.description)),
            videos::visibility.eq(&row.visibility),
            videos::version.eq(row.version),
            videos::grant_version.eq(row.grant_version),
        ))
        .execute(conn)?;
    let now = now_ms(conn)?;
    if revoked {
        messages::visibility(conn, id, row.media(state == VideoState::Trashed), news.operation())?;
        // The new title is no business of those who are sent out.
        rooms::closed(conn, news, id, Closing::Private, now)?;
        news.media(id);
    } else if before != (row.title.clone(), row.visibility.clone()) {
        rooms::info(conn, news, &row, now)?;
    }
    Ok((row, author))
}

/// Keeps others from changing the row until the transaction ends, so that what is read next stays true.
pub fn lock(conn: &mut AnyConn, id: &VideoId) -> QueryResult<()> {
    match conn.backend() {
        // The transaction holds the one write lock.
        Backend::Sqlite => Ok(()),
        Backend::Postgres => sql_query("SELECT id FROM videos WHERE id = $1 FOR UPDATE")
            .bind::<Text, _>(id.as_str())
            .execute(conn)
            .map(drop),
    }
}

/// Lets the upload of a waiting video arrive until `upload_ttl` ms from now; gives that moment. 409 when it does not wait.
pub fn renew_upload(conn: &mut AnyConn, id: &VideoId, owner: &Id, upload_ttl: i64) -> Result<i64, ApiError> {
    lock(conn, id)?;
    let (row, _) = own(conn, id, owner)?;
    if row.state()? != VideoState::AwaitingUpload {
        return Err(ApiError::new(
            common::error::Code::Conflict,
            format!("The video is not waiting for its upload; it is {}.", row.state),
        ));
    }
    let upload_until = now_ms(conn)?.saturating_add(upload_ttl);
    diesel::update(videos::table.filter(videos::id.eq(id.as_str())))
        .set(videos::upload_until.eq(upload_until))
        .execute(conn)?;
    Ok(upload_until)
}

#[cfg(test)]
mod tests {
    use common::config::Secret;
    use common::messages::Role;
    use common::testing::on_each_backend;

    use super::*;
    use crate::MIGRATIONS;
    use crate::ops::accounts::{self, NewUser};

    #[test]
    fn an_id_that_is_or_was_taken_is_not_given_again() {
        on_each_backend(&MIGRATIONS, |db| async move {
            let user = NewUser {
                id: Id::now(),
                username: "ann".into(),
                display_name: "ann".into(),
                password_hash: Secret::from("none"),
                role: Role::User,
            };
            let owner = user.id.clone();
            db.write(move |conn| accounts::insert(conn, &user).map(drop))
                .await
                .unwrap();
            let (taken, purged, free): (VideoId, VideoId, VideoId) =
                (VideoId::random(), VideoId::random(), VideoId::random());
            let of_the_past = purged.clone();
            db.write(move |conn| {
                sql_query("INSERT INTO deletions (video_id, owner_id, state, purge_at) VALUES ($1, 'x', 'done', 0)")
                    .bind::<Text, _>(of_the_past.as_str())
                    .execute(conn)?;
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
            let insert = async |ids: Vec<VideoId>| {
                let owner = owner.clone();
                let video = NewVideo {
                    title: "x".into(),
                    description: String::new(),
                    visibility: Visibility::Public,
                };
                let inserted = db.write(move |conn| {
                    let mut ids = ids.into_iter().cycle();
                    let mut next = || ids.next().unwrap();
                    Ok::<_, ApiError>(super::insert(conn, &owner, &video, 0, &mut next)?.0.0.id)
                });
                inserted.await
            };
            assert_eq!(insert(vec![taken.clone()]).await.unwrap(), taken);
            assert_eq!(insert(vec![taken.clone(), purged, free.clone()]).await.unwrap(), free);
            // A random number generator that gives the same for ever is reported, not believed.
            assert!(insert(vec![taken]).await.is_err());
        });
    }
}
