//! New videos, and the ticket of their upload.

use common::db::{AnyConn, DbError, now_ms};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::views::Visibility;
use diesel::prelude::*;

use super::{Found, find, hold_account, lock, own};
use crate::schema::{deletions, videos};

/// Tries for an id that is free. One in 10^18 is taken; two in a row are a broken random number generator.
const ID_TRIES: u32 = 4;

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
    let there = videos::table.filter(videos::id.eq(id.as_str()));
    let gone = deletions::table.filter(deletions::video_id.eq(id.as_str()));
    Ok(diesel::select(diesel::dsl::exists(there)).get_result::<bool>(conn)?
        || diesel::select(diesel::dsl::exists(gone)).get_result::<bool>(conn)?)
}

/// What `?q=` looks into; a search can't contain the line break between the two.
pub fn search_text(title: &str, description: &str) -> String {
    format!("{title}\n{description}").to_lowercase()
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

    use diesel::sql_query;
    use diesel::sql_types::Text;

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
