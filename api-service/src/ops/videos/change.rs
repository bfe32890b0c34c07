//! Changes of a video by its owner.

use common::db::{AnyConn, now_ms};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::views::Visibility;
use diesel::prelude::*;

use super::create::search_text;
use super::{Found, lock, own};
use crate::news::News;
use crate::ops::rooms::{self, Closing};
use crate::ops::{messages, trash};
use crate::schema::videos;

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
        return Err(trash::purge_has_begun());
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
