//! Stored bytes against the hash that was made while they came (promise 4): what a disk has changed since is found before a viewer
//! finds it, and while there may still be a backup.
//!
//! A call checks, of what was not checked for longest, as much as it can begin in a few seconds; whoever asks for it repeats it while
//! something is due. An object that is not what it was is read once more, so that a fault on the way is not taken for one
//! of the disk; then it is lost as one is whose file is gone, and its owner is told.

mod read;

use super::reconcile::{MANY_LOST, give_up};
use crate::{
    ledger::scrub::{self as rows, Due},
    state::State,
    store::{ObjectKey, StoreError},
    upload::{blocking, store_error},
};
use common::{
    db::{DbError, now_ms},
    error::{ApiError, Code},
    messages::{Scrub, ScrubReport},
};
use log::{error, warn};
use std::time::{Duration, Instant};

/// Objects are begun for this long in one call: a process that drains waits no longer for it.
const SLICE: Duration = Duration::from_secs(10);

/// Objects looked for at once.
const PAGE: i64 = 64;

/// Things named in a report.
const MAX_SAMPLES: usize = 20;

/// What the configuration says of it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes read in a second; 0: no scrub.
    pub rate: u64,
    /// What was checked since is not due.
    pub after: Duration,
}

/// What became of one object.
enum Found {
    Whole,
    Changed,
    /// It was removed meanwhile.
    Gone,
}

pub async fn scrub(state: &State, wanted: Scrub) -> Result<ScrubReport, ApiError> {
    let settings = state.scrub;
    if settings.rate == 0 {
        // The job that comes by itself finds nothing to do; an operator is told why.
        return match wanted.before {
            None => Ok(ScrubReport::default()),
            Some(_) => Err(ApiError::new(
                Code::Conflict,
                "Nothing is checked: `stream.scrub_rate` is 0.",
            )),
        };
    }
    let after = i64::try_from(settings.after.as_millis()).unwrap_or(i64::MAX);
    let look = move |conn: &mut _| -> Result<_, DbError> {
        let before = match wanted.before {
            Some(before) => before.millis(),
            None => now_ms(conn)?.saturating_sub(after),
        };
        Ok((rows::due(conn, before, PAGE)?, rows::count_due(conn, before)?))
    };
    let (due, all) = state.db.read(look).await?;
    let began = Instant::now();
    let (mut report, mut changed, mut done) = (ScrubReport::default(), Vec::new(), 0);
    for due in due {
        if began.elapsed() >= SLICE {
            break;
        }
        done += 1;
        match check(state, &due).await {
            Ok(Found::Whole) => {
                report.objects += 1;
                report.bytes += due.size;
            }
            Ok(Found::Gone) => continue,
            Ok(Found::Changed) => {
                report.objects += 1;
                report.bytes += due.size;
                sample(&mut report, &due.key, "not the bytes that were stored");
                changed.push(due.key);
                continue;
            }
            Err(StoreError::Away(why)) => return Err(store_error(StoreError::Away(why))),
            Err(why) => {
                // A file that is gone is the reconciler's to report.
                warn!("{} could not be checked: {why}", due.key);
                report.failed += 1;
                sample(&mut report, &due.key, &why.to_string());
            }
        }
        // Also what could not be read: the others get their turn.
        let object = due.key.object;
        let noted = state
            .db
            .write(move |conn| Ok::<_, DbError>(rows::checked(conn, &object)?));
        noted.await?;
    }
    report.damaged = changed.len() as u64;
    report.left = u64::try_from(all).unwrap_or(0).saturating_sub(done);
    state.metrics.scrubbed_objects.inc_by(report.objects);
    state.metrics.scrubbed_bytes.inc_by(report.bytes);
    state.metrics.damaged_objects.inc_by(report.damaged);
    condemn(state, changed, &report).await?;
    Ok(report)
}

/// What has changed is lost; unless it is so much that it is not the disk that is to blame.
async fn condemn(state: &State, changed: Vec<ObjectKey>, report: &ScrubReport) -> Result<(), ApiError> {
    if changed.len() > MANY_LOST && changed.len() as u64 * 2 > report.objects {
        let detail = format!(
            "{} of {} files read are not what was stored. Is this machine's memory sound, and is this its store? Nothing is called lost",
            changed.len(),
            report.objects
        );
        error!("{detail}");
        return Err(ApiError::new(Code::Conflict, detail));
    }
    for key in changed {
        give_up(state, key).await?;
    }
    Ok(())
}

/// Reads an object to its end, once more if it is not what it was.
async fn check(state: &State, due: &Due) -> Result<Found, StoreError> {
    for last in [false, true] {
        let read = read::Task::new(state.store.clone(), due, state.scrub.rate);
        let stopped = read.stopped_with_this();
        let found = blocking(move || read.run()).await.map_err(std::io::Error::other)?;
        drop(stopped);
        match found? {
            None => return Ok(Found::Gone),
            Some(sha256) if sha256 == due.sha256 => return Ok(Found::Whole),
            Some(sha256) if last => error!(
                video_id = due.key.video;
                "The bytes of {} have changed: SHA-256 {sha256}, it was {}", due.key, due.sha256
            ),
            Some(_) => warn!("{} is not what was stored; it is read once more", due.key),
        }
    }
    Ok(Found::Changed)
}

fn sample(report: &mut ScrubReport, key: &ObjectKey, what: &str) {
    if report.samples.len() < MAX_SAMPLES {
        report.samples.push(format!("{key}: {what}"));
    }
}
