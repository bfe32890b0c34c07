//! What follows when an account is closed: its posts are taken back and its videos purged, batch by batch. It goes on when the
//! client leaves; what a process that ended left undone is found by the next one and by the periodic sweep.

use common::error::ApiError;
use common::ids::Id;
use common::operation;

use crate::ops::{accounts, leaving};
use crate::state::State;

/// Closes an account for good. When it is closed the rest is removed before this answers, but its failure is none of this.
pub async fn close(state: &State, user: &Id) -> Result<(), ApiError> {
    let (state, user) = (state.clone(), user.clone());
    let work = operation::scope(operation::current_or_mint(), async move {
        let id = user.clone();
        state
            .change(move |conn, news| accounts::delete(conn, news, &id))
            .await?;
        log::info!(user_id = user; "Deleted account {user}");
        if let Err(error) = finish(&state, &user).await {
            log::warn!(user_id = user; "What account {user} leaves behind is left to the next sweep: {error}");
        }
        Ok(())
    });
    let done = actix_web::rt::spawn(work).await;
    done.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

async fn finish(state: &State, user: &Id) -> Result<(), ApiError> {
    let posts = take_back(state, user).await;
    purge(state, Some(user)).await?;
    posts.map(drop)
}

/// Removes what closed accounts left behind; gives how many things. Posts that can't be removed keep no video.
pub async fn sweep(state: &State) -> Result<u64, ApiError> {
    let posts = take_back_all(state).await;
    let videos = purge(state, None).await?;
    Ok(posts? + videos)
}

async fn take_back_all(state: &State) -> Result<u64, ApiError> {
    let mut count = 0;
    loop {
        let accounts = state
            .db
            .read(|conn| Ok::<_, ApiError>(leaving::unfinished(conn)?))
            .await?;
        if accounts.is_empty() {
            return Ok(count);
        }
        for account in &accounts {
            count += take_back(state, account).await?;
        }
    }
}

async fn take_back(state: &State, user: &Id) -> Result<u64, ApiError> {
    let mut count = 0;
    loop {
        let author = user.clone();
        let taken = state
            .change(move |conn, news| leaving::take_back(conn, news, &author))
            .await?;
        if taken == 0 {
            return Ok(count);
        }
        count += taken;
    }
}

/// Has the videos of closed accounts (of one of them) purged.
async fn purge(state: &State, of: Option<&Id>) -> Result<u64, ApiError> {
    let mut count = 0;
    loop {
        let of = of.cloned();
        let (trashed, more) = state
            .change(move |conn, news| accounts::purge_left_behind(conn, news, of.as_ref()))
            .await?;
        count += trashed;
        if !more {
            return Ok(count);
        }
    }
}
