//! The mending of findings. What removes something is looked at again first; what only tells a service something is safe,
//! because the service compares versions or finds that there is nothing to do.

use common::clients::ClientError;
use common::db::{AnyConn, DbError};
use common::ids::VideoId;
use common::messages::{MediaFailed, VideoState};
use common::operation;
use diesel::prelude::*;

use super::Wish;
use super::report::{Finding, Report, What};
use crate::job::{Kind, jobs};
use crate::jobs::{Context, Trouble, lookup};
use crate::ops;

/// Unknown media up to this number is deleted without a further look at how much that is.
const UNSUSPICIOUS: usize = 10;

/// Keys asked for in one statement.
const CHUNK: usize = 500;

pub(super) async fn mend_all(
    context: &Context,
    now: i64,
    wish: Wish,
    findings: Vec<Finding>,
    report: &mut Report,
) -> Result<(), Trouble> {
    let unknown = findings
        .iter()
        .filter(|finding| finding.what == What::UnknownMedia)
        .count();
    let suspicious = unknown > UNSUSPICIOUS && unknown as u64 * 2 > report.media && !wish.force;
    for chunk in findings.chunks(CHUNK) {
        let with_job = videos_with_purge(context, chunk).await?;
        for finding in chunk {
            context.hold.check_long()?;
            if finding.what == What::MissingPurge && with_job.contains(&finding.video) {
                continue;
            }
            if finding.what == What::UnknownMedia && suspicious {
                report.refused += 1;
                continue;
            }
            let name = finding.video.as_str();
            match mend(context, now, wish.dry_run, finding).await {
                Ok(true) => report.add(finding.what, name, None),
                Ok(false) => {}
                // One that can't be mended must not keep the others from it.
                Err(Failure::Refused(error)) => report.add(finding.what, name, Some(error)),
                Err(Failure::Trouble(trouble)) => return Err(trouble),
            }
        }
    }
    if report.refused > 0 {
        log::error!(
            "api-service does not know {unknown} of {} media: nothing of it is deleted",
            report.media
        );
    }
    Ok(())
}

enum Failure {
    Refused(String),
    Trouble(Trouble),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { .. } => Failure::Refused(error.to_string()),
            ClientError::Away { .. } => Failure::Trouble(error.into()),
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Failure::Trouble(error.into())
    }
}

/// Says whether the finding still was one.
async fn mend(context: &Context, now: i64, dry_run: bool, finding: &Finding) -> Result<bool, Failure> {
    let (api, stream) = (&context.clients.api, &context.clients.stream);
    let video = &finding.video;
    match finding.what {
        What::UnknownMedia => {
            if lookup::video(context, video).await?.is_some() {
                return Ok(false);
            }
            context.hold.check().map_err(|stop| Failure::Trouble(stop.into()))?;
            if !dry_run {
                stream.delete_media(video).await?;
            }
        }
        What::UnannouncedMedia => {
            if !dry_run {
                return told(stream.announce(video).await);
            }
        }
        What::LostMedia => {
            let state = lookup::video(context, video).await?.map(|record| record.state);
            if state != Some(VideoState::Ready) || lookup::is_live(context, video).await? {
                return Ok(false);
            }
            if !dry_run {
                let reason = "The stored media is gone.".to_owned();
                return told(api.media_failed(video, &MediaFailed { reason }).await);
            }
        }
        What::MissingPurge => {
            if !dry_run {
                make_purge(context, now, finding).await?;
            }
        }
        What::WrongVisibility => {
            if !dry_run {
                return told(stream.set_hidden(video, finding.visibility).await);
            }
        }
        What::Store => return Ok(false),
    }
    Ok(true)
}

/// A service that knows no such thing (any more) says that there was nothing to mend.
fn told(answer: Result<(), ClientError>) -> Result<bool, Failure> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.status(), Some(404 | 409 | 410)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Those of the findings whose purge job is on its way.
async fn videos_with_purge(context: &Context, chunk: &[Finding]) -> Result<Vec<VideoId>, DbError> {
    let missing = chunk.iter().filter(|finding| finding.what == What::MissingPurge);
    let keys: Vec<String> = missing.map(|finding| format!("'{}'", finding.video)).collect();
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let filter = format!("key IN ({}) AND state IN ('scheduled', 'running')", keys.join(","));
    let found = context
        .db
        .read(move |conn: &mut AnyConn| -> Result<Vec<String>, DbError> {
            let named = jobs::table.filter(jobs::kind.eq(Kind::Purge.name()));
            Ok(named
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(&filter))
                .select(jobs::key)
                .load(conn)?)
        });
    Ok(found.await?.iter().filter_map(|key| key.parse().ok()).collect())
}

async fn make_purge(context: &Context, now: i64, finding: &Finding) -> Result<(), DbError> {
    let request = ops::Request {
        kind: Kind::Purge,
        key: finding.video.to_string(),
        payload: "{}".into(),
        run_at: finding.purge_at,
        operation_id: operation::current_or_mint().to_string(),
    };
    context
        .db
        .write(move |conn| -> Result<_, DbError> { Ok(ops::arm(conn, now, &request)?) })
        .await
        .map(drop)
}
