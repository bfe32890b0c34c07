//! The store against the ledger: what lies there without a row is removed, what has a live row and is not there is
//! reported, and what a crash left half-way is finished. Nothing live or younger than the grace is touched, no link is
//! followed, and a second run finds nothing to do. What can't be dealt with is counted and does not stop the rest; only the
//! ledger being away does.

use super::{in_store, purge, uploads};
use crate::{
    deliver::MEDIA_FAILED,
    ledger::{purge as purge_rows, sweep},
    state::State,
    store::{Found, FoundKind, ObjectKey},
};
use common::{
    db::DbError,
    error::ApiError,
    ids::VideoId,
    messages::{MediaFailed, StoreReport},
    outbox::{self, Message},
    time::Timestamp,
};
use log::{error, warn};

/// Things named in a report.
const MAX_SAMPLES: usize = 20;

/// Objects that may be lost at once before it looks like a store that is not mounted: more than this and more than half.
pub(super) const MANY_LOST: usize = 10;

pub async fn reconcile(state: &State, dry_run: bool) -> Result<StoreReport, ApiError> {
    let mut report = StoreReport::default();
    finish_purges(state, dry_run, &mut report).await?;
    let expired = uploads::expire(state, dry_run, state.orphan_grace).await?;
    report.stale_uploads = expired.count;
    report.failed += expired.failed;
    remove_orphans(state, dry_run, &mut report).await?;
    report_lost(state, dry_run, &mut report).await?;
    Ok(report)
}

async fn finish_purges(state: &State, dry_run: bool, report: &mut StoreReport) -> Result<(), ApiError> {
    let mut after = String::new();
    loop {
        let start = after.clone();
        let page = state
            .db
            .read(move |conn| Ok::<_, DbError>(purge_rows::unfinished(conn, &start, sweep::PAGE)?))
            .await?;
        let Some(last) = page.last().map(VideoId::to_string) else {
            return Ok(());
        };
        for video in page {
            if !dry_run && let Err(error) = purge::purge(state, &video).await {
                failed(report, "unfinished purge", &video, &error);
                continue;
            }
            sample(report, "unfinished purge", &video);
            report.resumed_deletions += 1;
        }
        after = last;
    }
}

async fn remove_orphans(state: &State, dry_run: bool, report: &mut StoreReport) -> Result<(), ApiError> {
    let groups = in_store(state, |store| store.groups()).await?;
    for group in groups {
        let listed = group.clone();
        let found = match in_store(state, move |store| store.list(&listed)).await {
            Ok(found) => found,
            Err(error) => {
                failed(report, "folder", &group, &error);
                continue;
            }
        };
        for found in found {
            if is_orphan(state, &found).await? {
                remove_orphan(state, dry_run, found, report).await;
            }
        }
    }
    Ok(())
}

async fn remove_orphan(state: &State, dry_run: bool, found: Found, report: &mut StoreReport) {
    let (path, bytes) = (found.path.clone(), found.bytes);
    if !dry_run {
        warn!("Removing {}: no row of the ledger knows it", path.display());
        if let Err(error) = in_store(state, move |store| store.remove_found(&found)).await {
            return failed(report, "orphan", &path.display(), &error);
        }
    }
    sample(report, "orphan", &path.display());
    report.orphan_files += 1;
    report.orphan_bytes += bytes;
}

/// Old enough, and no row knows it. The row of an object is written before its file, so one look after the file was seen is
/// enough.
async fn is_orphan(state: &State, found: &Found) -> Result<bool, ApiError> {
    let grace_ms = i64::try_from(state.orphan_grace.as_millis()).unwrap_or(i64::MAX);
    // A time in the future is a clock that jumped: its age is not known, so it is young.
    if Timestamp::now().millis().saturating_sub(found.modified_ms) < grace_ms {
        return Ok(false);
    }
    match &found.kind {
        FoundKind::Stray => Ok(true),
        FoundKind::Object(key) | FoundKind::Part(key) => {
            let key = key.clone();
            Ok(!state
                .db
                .read(move |conn| Ok::<_, DbError>(sweep::knows(conn, &key)?))
                .await?)
        }
        // Until its commit an upload may go on with them.
        FoundKind::Leftover(key) => {
            let key = key.clone();
            Ok(!state
                .db
                .read(move |conn| Ok::<_, DbError>(sweep::goes_on(conn, &key)?))
                .await?)
        }
    }
}

async fn report_lost(state: &State, dry_run: bool, report: &mut StoreReport) -> Result<(), ApiError> {
    let (mut lost, mut live, mut after) = (Vec::new(), 0usize, String::new());
    loop {
        let start = after.clone();
        let page = state
            .db
            .read(move |conn| Ok::<_, DbError>(sweep::live_page(conn, &start)?))
            .await?;
        let Some((last, _)) = page.last() else { break };
        after = last.object.to_string();
        for (key, size) in page {
            live += 1;
            let looked_for = key.clone();
            match in_store(state, move |store| store.stored_size(&looked_for)).await {
                Ok(found) if found != Some(size) => lost.push((key, size, found)),
                Ok(_) => {}
                Err(error) => failed(report, "object", &key, &error),
            }
        }
    }
    for (key, size, found) in &lost {
        let there = found.map_or("nothing".to_owned(), |bytes| format!("{bytes} bytes"));
        sample(report, "lost", &format!("{key} ({there} of {size} bytes)"));
    }
    report.lost_objects = lost.len() as u64;
    if lost.len() > MANY_LOST && lost.len() * 2 > live {
        error!(
            "{} of {live} objects are not in the store. Is it mounted? Nothing is reported as lost",
            lost.len()
        );
        return Ok(());
    }
    if !dry_run {
        for (key, ..) in lost {
            give_up(state, key).await?;
        }
    }
    Ok(())
}

/// Live → lost, and api-service is told, in one transaction.
async fn give_up(state: &State, key: ObjectKey) -> Result<(), ApiError> {
    let failure = MediaFailed {
        reason: "The stored file was lost or damaged.".to_owned(),
    };
    let message = Message::new(MEDIA_FAILED, &key.video, &failure);
    let video = key.video.clone();
    let told = state.db.write(move |conn| {
        let lost = sweep::mark_lost(conn, &key.object)?;
        if lost {
            outbox::enqueue(conn, &message)?;
        }
        Ok::<_, DbError>(lost)
    });
    if told.await? {
        error!(video_id = video; "The file of video {video} is lost or damaged");
        state.entries.evict(&video);
        state.relay.wake();
    }
    Ok(())
}

/// What can't be dealt with now does not keep the rest waiting; the next run tries again.
fn failed(report: &mut StoreReport, what: &str, which: &dyn std::fmt::Display, error: &ApiError) {
    error!("Reconciling: {what} {which}: {error}");
    report.failed += 1;
    sample(report, &format!("failed {what}"), which);
}

fn sample(report: &mut StoreReport, what: &str, which: &dyn std::fmt::Display) {
    if report.samples.len() < MAX_SAMPLES {
        report.samples.push(format!("{what}: {which}"));
    }
}
