//! Accounts in the table. A deleted account keeps its emptied row, so that its name stays reserved.

use common::config::Secret;
use common::db::{AnyConn, DbError, now_ms};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::messages::{Role, VideoState};
use common::time::Timestamp;
use diesel::prelude::*;

use super::sessions;
use super::sessions::OPERATOR;
use super::trash::{self, Keep};
use crate::news::News;
use crate::schema::{users, videos};
use common::views::{Profile, User, Visibility};

/// `users.role` of everybody else.
const USER: &str = "user";

/// Videos of deleted accounts that one transaction moves to the trash: a tenth of a second.
const PURGE_BATCH: i64 = 500;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct UserRow {
    pub id: Id,
    pub username: String,
    pub display_name: String,
    pub bio: String,
    pub language: String,
    pub role: String,
    pub created_at: i64,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        User {
            role: if row.role == OPERATOR {
                Role::Operator
            } else {
                Role::User
            },
            id: row.id,
            username: row.username,
            display_name: row.display_name,
            bio: row.bio,
            language: row.language,
            created_at: Timestamp(row.created_at),
        }
    }
}

/// A new account, checked and hashed.
pub struct NewUser {
    pub id: Id,
    pub username: String,
    pub display_name: String,
    pub password_hash: Secret,
    pub role: Role,
}

pub fn username_taken() -> ApiError {
    ApiError::new(Code::UsernameTaken, "Somebody has this name already; choose another.").field("/username", "is taken")
}

/// Whether a name can't be had (any more).
pub fn is_taken(conn: &mut AnyConn, username: &str) -> QueryResult<bool> {
    let there = users::table.filter(users::username.eq(username));
    diesel::select(diesel::dsl::exists(there)).get_result(conn)
}

pub fn insert(conn: &mut AnyConn, user: &NewUser) -> Result<User, ApiError> {
    let now = now_ms(conn)?;
    let role = match user.role {
        Role::User => USER,
        Role::Operator => OPERATOR,
    };
    let inserted = diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id.as_str()),
            users::username.eq(&user.username),
            users::display_name.eq(&user.display_name),
            users::bio.eq(""),
            users::language.eq(""),
            users::role.eq(role),
            users::password_hash.eq(user.password_hash.expose()),
            users::created_at.eq(now),
        ))
        .execute(conn);
    match inserted.map_err(DbError::from) {
        Err(error) if error.conflicts_on("username") => return Err(username_taken()),
        other => other?,
    };
    find(conn, &user.id)
}

/// The account; 401 when it was deleted meanwhile.
pub fn find(conn: &mut AnyConn, id: &Id) -> Result<User, ApiError> {
    let found = users::table
        .filter(users::id.eq(id.as_str()))
        .filter(users::deleted_at.is_null())
        .select(UserRow::as_select())
        .get_result(conn)
        .optional()?;
    found.map(User::from).ok_or_else(crate::auth::unauthenticated)
}

/// Id and stored hash of the account with this name.
pub fn credentials(conn: &mut AnyConn, username: &str) -> QueryResult<Option<(Id, Secret)>> {
    let found: Option<(Id, String)> = users::table
        .filter(users::username.eq(username))
        .filter(users::deleted_at.is_null())
        .select((users::id, users::password_hash))
        .get_result(conn)
        .optional()?;
    Ok(found.map(|(id, hash)| (id, Secret::from(hash))))
}

/// The account, kept from being deleted until the transaction ends; 401 when its password is not `hash` any more, so that
/// no session begins with a password that was changed while it was checked.
pub fn with_password(conn: &mut AnyConn, id: &Id, hash: &Secret) -> Result<User, ApiError> {
    super::videos::hold_account(conn, id)?;
    let stored: String = users::table
        .filter(users::id.eq(id.as_str()))
        .select(users::password_hash)
        .get_result(conn)?;
    if stored != hash.expose() {
        return Err(crate::auth::unauthenticated());
    }
    find(conn, id)
}

pub fn profile(conn: &mut AnyConn, username: &str) -> Result<Profile, ApiError> {
    let found = users::table
        .filter(users::username.eq(username))
        .filter(users::deleted_at.is_null())
        .select(UserRow::as_select())
        .get_result(conn)
        .optional()?;
    let row = found.ok_or_else(|| ApiError::not_found("user"))?;
    let video_count = videos::table
        .filter(videos::owner_id.eq(row.id.as_str()))
        .filter(videos::visibility.eq(Visibility::Public.name()))
        .filter(videos::state.eq(VideoState::Ready.name()))
        .count()
        .get_result(conn)?;
    Ok(Profile {
        username: row.username,
        display_name: row.display_name,
        bio: row.bio,
        created_at: Timestamp(row.created_at),
        video_count,
    })
}

/// What a PATCH changes, checked; `None` stays.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = users)]
pub struct UserChange {
    pub display_name: Option<String>,
    pub bio: Option<String>,
    pub language: Option<String>,
}

pub fn change(conn: &mut AnyConn, news: &mut News, id: &Id, change: UserChange) -> Result<User, ApiError> {
    let any = change.display_name.is_some() || change.bio.is_some() || change.language.is_some();
    if any {
        diesel::update(users::table.filter(users::id.eq(id.as_str())))
            .set(change)
            .execute(conn)?;
    }
    let user = find(conn, id)?;
    if any {
        news.profile(&user);
    }
    Ok(user)
}

/// Stores a new password if the stored one is still `old_hash`; ends every session except `keep` and gives those.
pub fn set_password(
    conn: &mut AnyConn,
    id: &Id,
    old_hash: &Secret,
    new_hash: &Secret,
    keep: Option<&Id>,
) -> Result<Vec<Id>, ApiError> {
    let unchanged = users::table
        .filter(users::id.eq(id.as_str()))
        .filter(users::password_hash.eq(old_hash.expose()));
    let changed = diesel::update(unchanged)
        .set(users::password_hash.eq(new_hash.expose()))
        .execute(conn)?;
    if changed == 0 {
        return Err(ApiError::new(
            Code::Conflict,
            "The password was changed by another request.",
        ));
    }
    Ok(sessions::end_all(conn, id, keep)?)
}

/// Closes an account for good: sessions end. The name stays reserved. What it wrote and its videos are shown to
/// nobody from here on and go in transactions of their own, see `leaving` and [`purge_left_behind`]: nobody else can
/// write while one runs, and they may be many.
pub fn delete(conn: &mut AnyConn, news: &mut News, id: &Id) -> Result<(), ApiError> {
    let now = now_ms(conn)?;
    // First: whoever makes something for this account now waits for us and then finds it deleted.
    let live = users::table
        .filter(users::id.eq(id.as_str()))
        .filter(users::deleted_at.is_null());
    let deleted = diesel::update(live)
        .set((
            users::display_name.eq(""),
            users::bio.eq(""),
            users::language.eq(""),
            users::role.eq(USER),
            users::password_hash.eq(""),
            users::deleted_at.eq(Some(now)),
        ))
        .execute(conn)?;
    if deleted == 0 {
        return Err(crate::auth::unauthenticated());
    }
    news.sessions(id, sessions::end_all(conn, id, None)?);
    Ok(())
}

/// How many videos of deleted accounts are not yet to be purged: a crash came between the account and its videos.
pub fn count_left_behind(conn: &mut AnyConn) -> QueryResult<i64> {
    let now = now_ms(conn)?;
    videos::table
        .inner_join(users::table)
        .filter(users::deleted_at.is_not_null())
        .filter(videos::state.ne(VideoState::Purging.name()))
        .filter(
            videos::state
                .ne(VideoState::Trashed.name())
                .or(videos::purge_at.gt(now)),
        )
        .count()
        .get_result(conn)
}

/// Has up to a batch of them purged (those of one account, if it is named). Gives how many, and whether there
/// may be more.
pub fn purge_left_behind(conn: &mut AnyConn, news: &mut News, of: Option<&Id>) -> Result<(u64, bool), ApiError> {
    let now = now_ms(conn)?;
    let mut left = videos::table
        .inner_join(users::table)
        .filter(users::deleted_at.is_not_null())
        .filter(videos::state.ne(VideoState::Purging.name()))
        .filter(
            videos::state
                .ne(VideoState::Trashed.name())
                .or(videos::purge_at.gt(now)),
        )
        .select((videos::id, videos::owner_id))
        .order((videos::owner_id, videos::created_at, videos::id))
        .limit(PURGE_BATCH)
        .into_boxed();
    if let Some(owner) = of {
        left = left.filter(videos::owner_id.eq(owner.as_str()));
    }
    let mut left: Vec<(VideoId, Id)> = left.load(conn)?;
    // The order in which every change of several videos locks them.
    left.sort_by(|(a, _), (b, _)| a.cmp(b));
    let more = i64::try_from(left.len()).is_ok_and(|count| count == PURGE_BATCH);
    let mut trashed = 0;
    for (video, owner) in left {
        match trash::trash(conn, news, &video, &owner, Keep::No) {
            Ok((_, true)) => trashed += 1,
            Ok((_, false)) => {}
            // Somebody else was faster, and its purge is over.
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((trashed, more))
}

/// Whether there is an operator.
pub fn has_operator(conn: &mut AnyConn) -> QueryResult<bool> {
    let operators = users::table
        .filter(users::role.eq(OPERATOR))
        .filter(users::deleted_at.is_null());
    diesel::select(diesel::dsl::exists(operators)).get_result(conn)
}

/// Makes an existing account an operator with this password; its sessions end, because whoever has them did not show it.
/// `None` when there is no such account.
pub fn promote(conn: &mut AnyConn, username: &str, hash: &Secret) -> Result<Option<Vec<Id>>, ApiError> {
    let Some((id, _)) = credentials(conn, username)? else {
        return Ok(None);
    };
    diesel::update(users::table.filter(users::id.eq(id.as_str())))
        .set((users::role.eq(OPERATOR), users::password_hash.eq(hash.expose())))
        .execute(conn)?;
    Ok(Some(sessions::end_all(conn, &id, None)?))
}
