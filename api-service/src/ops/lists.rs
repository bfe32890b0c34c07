//! Lists of videos by keyset: a page begins behind a sort key and an id, so inserts move nothing. The first page begins
//! behind a key that is before all others; the statements are the same and stay prepared.

use common::db::AnyConn;
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::messages::{RecordPage, VideoRecord, VideoState};
use common::time::Timestamp;
use diesel::prelude::*;

use super::limited::limited;
use super::videos::{AuthorRow, Found, VideoRow};
use crate::schema::{users, videos};
use common::views::{Video, Visibility};

/// Behind every id and every title key: U+10FFFF in UTF-8 is the largest text of one character.
const LAST_TEXT: &str = "\u{10ffff}";

/// The order of the public list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    New,
    Old,
    Title,
}

/// What the public list is asked for.
#[derive(Debug, Clone)]
pub struct Question {
    pub order: Order,
    /// Behind this key (a time in digits, or a title key) and id.
    pub after: Option<(Key, String)>,
    /// In lower case; empty finds all.
    pub query: String,
    pub author: Option<String>,
    pub limit: i64,
}

/// The sort key of a position.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Key {
    Time(i64),
    Title(String),
}

/// The columns of a video in the public list: the others are known there. Each column of each row costs, and this is the
/// list that everybody asks for.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = videos)]
pub struct PublicRow {
    id: VideoId,
    title: String,
    description: String,
    size_bytes: Option<i64>,
    duration_ms: Option<i64>,
    width: Option<i64>,
    height: Option<i64>,
    codecs: String,
    created_at: i64,
    ready_at: i64,
    comment_count: i64,
}

/// A public, ready video as clients see it.
pub fn public_view((row, author): (PublicRow, AuthorRow)) -> Result<Video, ApiError> {
    Ok(Video {
        id: row.id,
        title: row.title,
        description: row.description,
        visibility: Visibility::Public,
        state: VideoState::Ready,
        failure: None,
        author: author.into(),
        size_bytes: row.size_bytes,
        duration_ms: row.duration_ms,
        width: row.width,
        height: row.height,
        codecs: serde_json::from_str(&row.codecs).map_err(ApiError::internal)?,
        created_at: Timestamp(row.created_at),
        ready_at: Some(Timestamp(row.ready_at)),
        purge_at: None,
        comment_count: row.comment_count,
    })
}

/// `%`, `_` and `\` are themselves, not patterns (with `ESCAPE '\'`).
fn like_pattern(query: &str) -> String {
    let mut pattern = String::with_capacity(query.len() + 2);
    pattern.push('%');
    for c in query.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Public, ready videos: at least `question.limit`, if there are as many.
pub fn public(conn: &mut AnyConn, question: &Question) -> Result<Vec<(PublicRow, AuthorRow)>, ApiError> {
    let mut list = videos::table
        .inner_join(users::table)
        .select((PublicRow::as_select(), AuthorRow::as_select()))
        .filter(videos::visibility.eq(Visibility::Public.name()))
        .filter(videos::state.eq(VideoState::Ready.name()))
        .filter(users::deleted_at.is_null())
        .into_boxed();
    if let Some(author) = &question.author {
        // The id first: the index of an author's videos begins with it.
        let id: Option<Id> = users::table
            .filter(users::username.eq(author))
            .select(users::id)
            .get_result(conn)
            .optional()?;
        let Some(id) = id else { return Ok(Vec::new()) };
        list = list.filter(videos::owner_id.eq(String::from(id)));
    }
    if !question.query.is_empty() {
        list = list.filter(videos::search_text.like(like_pattern(&question.query)).escape('\\'));
    }
    let (key, id) = match (&question.after, question.order) {
        (Some((key, id)), _) => (key.clone(), id.clone()),
        (None, Order::New) => (Key::Time(i64::MAX), LAST_TEXT.to_owned()),
        (None, Order::Old) => (Key::Time(i64::MIN), String::new()),
        (None, Order::Title) => (Key::Title(String::new()), String::new()),
    };
    // Each condition twice: the first is a range of the index, the second settles ties.
    list = match (question.order, key) {
        (Order::New, Key::Time(time)) => list
            .filter(videos::ready_at.le(time))
            .filter(videos::ready_at.lt(time).or(videos::id.lt(id)))
            .order((videos::ready_at.desc(), videos::id.desc())),
        (Order::Old, Key::Time(time)) => list
            .filter(videos::ready_at.ge(time))
            .filter(videos::ready_at.gt(time).or(videos::id.gt(id)))
            .order((videos::ready_at.asc(), videos::id.asc())),
        (Order::Title, Key::Title(title)) => list
            .filter(videos::title_key.ge(title.clone()))
            .filter(videos::title_key.gt(title).or(videos::id.gt(id)))
            .order((videos::title_key.asc(), videos::id.asc())),
        _ => return Err(crate::input::bad_cursor()),
    };
    Ok(limited(list, question.limit).load(conn)?)
}

/// All videos of `owner`, newest first; only those in `state` when one is named. At least `limit`, if there are as many.
pub fn own(
    conn: &mut AnyConn,
    owner: &Id,
    state: Option<VideoState>,
    after: Option<(i64, String)>,
    limit: i64,
) -> QueryResult<Vec<Found>> {
    let (time, id) = after.unwrap_or((i64::MAX, LAST_TEXT.to_owned()));
    let mut list = videos::table
        .inner_join(users::table)
        .select((VideoRow::as_select(), AuthorRow::as_select()))
        .filter(videos::owner_id.eq(owner.as_str()))
        .filter(videos::created_at.le(time))
        .filter(videos::created_at.lt(time).or(videos::id.lt(id)))
        .order((videos::created_at.desc(), videos::id.desc()))
        .into_boxed();
    if let Some(state) = state {
        list = list.filter(videos::state.eq(state.name()));
    }
    limited(list, limit).load(conn)
}

/// Every video in the order of ids, for the reconciler.
pub fn records(conn: &mut AnyConn, after: Option<&VideoId>, limit: i64) -> Result<RecordPage<VideoRecord>, ApiError> {
    type Columns = (VideoId, String, i64, Option<i64>, i64, i64);
    let found: Vec<Columns> = videos::table
        .filter(videos::id.gt(after.map_or("", VideoId::as_str)))
        .order(videos::id)
        .limit(limit)
        .select((
            videos::id,
            videos::state,
            videos::created_at,
            videos::purge_at,
            videos::version,
            videos::grant_version,
        ))
        .load(conn)?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count == limit);
    let record = |(id, state, created_at, purge_at, version, min_grant): Columns| {
        let state = VideoState::from_name(&state)
            .ok_or_else(|| ApiError::internal(format!("video {id} has the unknown state {state}")))?;
        Ok(VideoRecord {
            id,
            state,
            created_at: Timestamp(created_at),
            purge_at: purge_at.map(Timestamp),
            version,
            min_grant,
        })
    };
    let items: Vec<VideoRecord> = found.into_iter().map(record).collect::<Result<_, ApiError>>()?;
    let next = items.last().filter(|_| full).map(|last| last.id.clone());
    Ok(RecordPage { items, next })
}

#[cfg(test)]
mod tests {
    use super::like_pattern;

    #[test]
    fn patterns_of_people_are_text() {
        assert_eq!(like_pattern("50%_\\"), "%50\\%\\_\\\\%");
        assert_eq!(like_pattern("bear"), "%bear%");
    }
}
