//! Finds what a crash, a lost message or a restored backup left different between videos (api-service), media
//! (stream-service) and jobs, and mends it; a dry run only reports. The second of two runs finds nothing.
//!
//! It walks both lists in the order of their ids, without holding anything still, so what it saw may be over when it acts:
//! every finding whose mending removes something is looked at again right before, and nothing younger than the grace counts.

mod mend;
mod report;
mod walk;

use common::db::{DbError, now_ms};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Finished, Trouble, payload};
pub use report::{Finding, Report, Sample, What};

/// Payload of a reconcile job.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wish {
    /// Report, change nothing.
    pub dry_run: bool,
    /// Delete unknown media also when it is suspiciously much (see `report::Report::refused`).
    pub force: bool,
}

pub(super) async fn run(context: &Context) -> Result<Finished, Trouble> {
    let wish: Wish = payload(&context.leased.job.payload)?;
    let now = context
        .db
        .read(|conn| -> Result<i64, DbError> { Ok(now_ms(conn)?) })
        .await?;
    let mut report = Report {
        dry_run: wish.dry_run,
        ..Report::default()
    };
    let findings = walk::compare(context, now, &mut report).await?;
    mend::mend_all(context, now, wish, findings, &mut report).await?;
    context.hold.check_long()?;
    report.store = context
        .clients
        .stream
        .reconcile(common::messages::Sweep { dry_run: wish.dry_run })
        .await?;
    report.add_store();
    log::info!(found = report.found, dry_run = wish.dry_run;
        "Reconciled {} videos and {} media: {} found", report.videos, report.media, report.found);
    Ok(Finished::Done(json!(report)))
}
