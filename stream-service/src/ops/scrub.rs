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
    ledger::{
        HIDDEN,
        scrub::{self as rows, Turn},
    },
    state::State,
    store::StoreError,
    upload::blocking,
};
use common::{
    db::{DbError, now_ms},
    error::{ApiError, Code},
    messages::{Scrub, ScrubReport},
};
use log::{error, info};
use read::Read;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// A call reads for this long: a process that drains waits no longer for it.
const SLICE: Duration = Duration::from_secs(10);

/// Objects looked for at once.
const PAGE: i64 = 64;

/// Objects looked for when one could not be read.
const OTHERS: i64 = 32;

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
    if state.scrub.rate == 0 {
        // The job that comes by itself finds nothing to do; an operator is told why.
        return match wanted.before {
            None => with_known(state, ScrubReport::default()).await,
            Some(_) => Err(ApiError::new(
                Code::Conflict,
                "Nothing is checked: `stream.scrub_rate` is 0.",
            )),
        };
    }
    // The rate is that of the process.
    let _alone = state.scrubbing.lock().await;
    if state.platform.drain.has_begun() {
        return Err(ApiError::new(Code::Overloaded, "This copy of the service stops.").retry_after(SLICE));
    }
    let (turns, all) = due(state, wanted).await?;
    let until = Instant::now() + SLICE;
    let (mut report, mut failed, mut over) = (ScrubReport::default(), Vec::new(), 0);
    for turn in turns {
        let away = matches!(failed.last(), Some((_, StoreError::Away(_))));
        if away || Instant::now() >= until {
            break;
        }
        match read(state, &turn, until).await? {
            Ok(Read::End { sha256, bytes }) => {
                report.bytes += bytes;
                report.objects += 1;
                over += 1;
                let damage = if sha256 == turn.sha256 {
                    String::new()
                } else {
                    format!("its bytes have changed: SHA-256 {sha256}, it was {}", turn.sha256)
                };
                end(state, turn, damage, &mut report).await?;
            }
            Ok(Read::Stopped { place, hash, bytes }) => {
                report.bytes += bytes;
                keep(state, turn, place, hash).await?;
            }
            Ok(Read::Gone) => over += 1,
            Err(error) => failed.push((turn, error)),
        }
    }
    over += failed.len() as u64;
    if !failed.is_empty() {
        judge(state, &failed).await?;
    }
    for (turn, why) in failed {
        end(state, turn, format!("it can't be read: {why}"), &mut report).await?;
    }
    report.left = all.saturating_sub(over);
    state.metrics.scrubbed_objects.inc_by(report.objects);
    state.metrics.scrubbed_bytes.inc_by(report.bytes);
    with_known(state, report).await
}

/// With all that is known to be damaged.
async fn with_known(state: &State, report: ScrubReport) -> Result<ScrubReport, ApiError> {
    let (damaged, first) = state
        .db
        .read(|conn| Ok::<_, DbError>(rows::damaged(conn, MAX_SAMPLES)?))
        .await?;
    state
        .metrics
        .damaged_objects
        .set(i64::try_from(damaged).unwrap_or(i64::MAX));
    Ok(ScrubReport {
        damaged,
        samples: first.iter().map(|(key, damage)| format!("{key}: {damage}")).collect(),
        ..report
    })
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
        Ok(rows::due(conn, now, before, PAGE)?)
    };
    Ok(state.db.read(look).await?)
}

/// Reads on, for as long as there is time.
async fn read(state: &State, turn: &Turn, until: Instant) -> Result<Result<Read, StoreError>, ApiError> {
    // A purge ends it, and waits for it.
    let ticket = state.streams.register(&turn.key.video, HIDDEN);
    let task = read::Task::new(turn, state.scrub.rate, until, ticket);
    let (store, _stop) = (state.store.clone(), task.stop_with_this());
    blocking(move || task.run(&store)).await
}

async fn keep(state: &State, turn: Turn, place: u64, hash: String) -> Result<(), ApiError> {
    let kept = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::keep(conn, &turn, place, &hash)?));
    Ok(kept.await?)
}

/// Ends a turn with what it found; unless another copy has ended it, or it was taken away meanwhile.
async fn end(state: &State, turn: Turn, damage: String, report: &mut ScrubReport) -> Result<(), ApiError> {
    let (ended, said) = (turn.clone(), damage.clone());
    let noted = state
        .db
        .write(move |conn| Ok::<_, DbError>(rows::end(conn, &ended, &said)?));
    if !noted.await? {
        return Ok(());
    }
    let (key, video) = (&turn.key, &turn.key.video);
    match (turn.damage.is_empty(), damage.is_empty()) {
        (true, true) => {}
        (false, true) => info!(video_id = video; "The file {key} is whole again"),
        (new, false) => {
            error!(video_id = video; "The file {key} is damaged: {damage}");
            report.found += u64::from(new);
        }
    }
    Ok(())
}

/// Whether what could not be read is damaged, and not the store away, or not ours, or this process out of descriptors: an error
/// then, and nothing is noted.
async fn judge(state: &State, failed: &[(Turn, StoreError)]) -> Result<(), ApiError> {
    if let Some((turn, why)) = failed.iter().find(|(_, why)| is_ours(why)) {
        return Err(ApiError::internal(format!("{}: {why}", turn.key)));
    }
    let others = state
        .db
        .read(move |conn| Ok::<_, DbError>(rows::newest(conn, OTHERS)?))
        .await?;
    let (mut there, mut gone) = (0, 0);
    for (key, size) in others {
        match in_store(state, move |store| store.stored_size(&key)).await? {
            Some(stored) if stored == size => there += 1,
            _ => gone += 1,
        }
    }
    if gone > there && gone > failed.len().min(MANY_LOST) {
        let detail = format!(
            "{gone} of {} files looked for are not there. Is the store mounted?",
            there + gone
        );
        return Err(ApiError::new(Code::Conflict, detail));
    }
    Ok(())
}

/// Whether a failure says nothing of the store, only of this process and its machine.
fn is_ours(why: &StoreError) -> bool {
    match why {
        StoreError::Io(error) => matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_lacks_is_no_damage() {
        let of = |errno: Errno| is_ours(&StoreError::Io(errno.into()));
        assert!(of(Errno::MFILE) && of(Errno::NFILE) && of(Errno::NOMEM));
        assert!(!of(Errno::IO) && !of(Errno::ACCESS) && !is_ours(&StoreError::Missing));
    }
}
