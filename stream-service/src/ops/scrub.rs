//! Stored bytes against the hash that was made while they came (promise 4): what a disk has changed since is found before a viewer
//! finds it, and while there may still be a backup.
//!
//! A call reads for a few seconds, of what had no turn for longest; whoever asks for it repeats it while something is due. Where a
//! turn is stands in the ledger, so any copy goes on with it. What is wrong is kept there too, and told to operators: nothing is
//! taken away for it, because a video with a wrong byte mostly plays, and because it may be the machine that is wrong. A later
//! turn, a day after, finds out whether it still is.

mod read;

use super::{in_store, reconcile::MANY_LOST};
use crate::{
    ledger::scrub::{self as rows, Turn},
    state::State,
    store::{ObjectKey, StoreError},
    upload::blocking,
};
use common::{
    db::{DbError, now_ms},
    error::{ApiError, Code},
    ids::{Id, VideoId},
    messages::{Scrub, ScrubReport},
};
use log::{error, info, warn};
use read::Read;
use std::time::{Duration, Instant};

/// A call reads for this long: a process that drains waits no longer for it.
const SLICE: Duration = Duration::from_secs(10);

/// Objects looked for at once.
const PAGE: i64 = 64;

/// Things named in a report.
const MAX_SAMPLES: i64 = 20;

/// What the configuration says of it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes read in a second; 0: no scrub.
    pub rate: u64,
    /// What had its turn since is not due.
    pub after: Duration,
}

pub async fn scrub(state: &State, wanted: Scrub) -> Result<ScrubReport, ApiError> {
    let rate = state.scrub.rate;
    if rate == 0 {
        // The job that comes by itself finds nothing to do; an operator is told why.
        return match wanted.before {
            None => Ok(ScrubReport::default()),
            Some(_) => Err(ApiError::new(
                Code::Conflict,
                "Nothing is checked: `stream.scrub_rate` is 0.",
            )),
        };
    }
    // The rate is that of the process.
    let _alone = state.scrubbing.lock().await;
    let (turns, all) = due(state, wanted).await?;
    let until = Instant::now() + SLICE;
    let (mut report, mut failed, mut over) = (ScrubReport::default(), Vec::new(), 0);
    for turn in turns {
        if Instant::now() >= until {
            break;
        }
        match read(state, &turn, until).await {
            Ok(Read::End { sha256, bytes }) => {
                report.bytes += bytes;
                report.objects += 1;
                over += 1;
                let damage = if sha256 == turn.sha256 {
                    String::new()
                } else {
                    format!("its bytes have changed: SHA-256 {sha256}, it was {}", turn.sha256)
                };
                end(state, &turn, damage, &mut report).await?;
            }
            Ok(Read::Stopped { place, hash, bytes }) => {
                report.bytes += bytes;
                let object = turn.key.object;
                let kept = state
                    .db
                    .write(move |conn| Ok::<_, DbError>(rows::keep(conn, &object, place, &hash)?));
                kept.await?;
            }
            Ok(Read::Gone) => over += 1,
            Err(error) => failed.push((turn, error)),
        }
    }
    over += failed.len() as u64;
    unreadable(state, failed, &mut report).await?;
    report.left = all.saturating_sub(over);
    state.metrics.scrubbed_objects.inc_by(report.objects);
    state.metrics.scrubbed_bytes.inc_by(report.bytes);
    let (damaged, first) = state
        .db
        .read(|conn| Ok::<_, DbError>(rows::damaged(conn, MAX_SAMPLES)?))
        .await?;
    report.damaged = damaged;
    report.samples = first.iter().map(|(key, damage)| format!("{key}: {damage}")).collect();
    Ok(report)
}

async fn due(state: &State, wanted: Scrub) -> Result<(Vec<Turn>, u64), ApiError> {
    let after = i64::try_from(state.scrub.after.as_millis()).unwrap_or(i64::MAX);
    let look = move |conn: &mut _| -> Result<_, DbError> {
        let now = now_ms(conn)?;
        let before = match wanted.before {
            // The clock of whoever asks may be ahead.
            Some(before) => before.millis().min(now),
            None => now.saturating_sub(after),
        };
        Ok(rows::due(conn, before, PAGE)?)
    };
    Ok(state.db.read(look).await?)
}

/// Reads on, for as long as there is time.
async fn read(state: &State, turn: &Turn, until: Instant) -> Result<Read, StoreError> {
    // A purge ends it, and waits for it.
    let ticket = state.streams.register(&turn.key.video, i64::MAX - 1);
    let task = read::Task::new(turn, state.scrub.rate, until, ticket);
    let (store, _stop) = (state.store.clone(), task.stop_with_this());
    let read = blocking(move || task.run(&store)).await;
    match read.map_err(std::io::Error::other)? {
        // Deleted, or lost.
        Err(StoreError::Missing) if !is_live(state, &turn.key).await => Ok(Read::Gone),
        read => read,
    }
}

async fn is_live(state: &State, key: &ObjectKey) -> bool {
    let object = key.object.clone();
    let asked = state
        .db
        .read(move |conn| Ok::<_, DbError>(crate::ledger::state_of(conn, &object)?));
    matches!(asked.await, Ok(Some(state)) if state == crate::ledger::LIVE)
}

/// Ends a turn with what it found.
async fn end(state: &State, turn: &Turn, damage: String, report: &mut ScrubReport) -> Result<(), ApiError> {
    let (object, said) = (turn.key.object.clone(), damage.clone());
    let noted = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::end(conn, &object, &said)?));
    if !noted.await? {
        return Ok(());
    }
    let (key, video) = (&turn.key, &turn.key.video);
    match (turn.damage.is_empty(), damage.is_empty()) {
        (true, true) => {}
        (false, true) => info!(video_id = video; "The file {key} is whole again"),
        (new, false) => {
            error!(video_id = video; "The file {key} is damaged: {damage}");
            if new {
                report.found += 1;
                state.metrics.damaged_objects.inc();
            }
        }
    }
    Ok(())
}

/// What could not be read is damaged too, unless it is the store that is away.
async fn unreadable(state: &State, failed: Vec<(Turn, StoreError)>, report: &mut ScrubReport) -> Result<(), ApiError> {
    let nothing_read = report.bytes == 0;
    if nothing_read && failed.len() > MANY_LOST && failed.iter().all(|(_, why)| matches!(why, StoreError::Missing)) {
        let detail = format!("None of {} files is there. Is the store mounted?", failed.len());
        return Err(ApiError::new(Code::Conflict, detail));
    }
    if nothing_read && failed.iter().any(|(_, why)| matches!(why, StoreError::Away(_))) {
        // A store that is there says that it has not what nobody has stored.
        let nobodys = ObjectKey {
            video: VideoId::random(),
            object: Id::now(),
        };
        in_store(state, move |store| store.stored_size(&nobodys)).await?;
    }
    for (turn, why) in failed {
        if let StoreError::Away(why) = &why {
            warn!("{} is not given out, although the store answers: {why}", turn.key);
        }
        end(state, &turn, format!("it can't be read: {why}"), report).await?;
    }
    Ok(())
}
