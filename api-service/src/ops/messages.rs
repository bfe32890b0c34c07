//! What other services are told because of a change: outbox rows, written in the transaction of the change. All messages
//! about one video share a key, so they arrive in the order of the changes.

use common::db::AnyConn;
use common::ids::VideoId;
use common::messages::{JobRequest, Visibility};
use common::operation::OperationId;
use common::outbox::{Message, enqueue};
use common::time::Timestamp;
use diesel::QueryResult;
use serde::Serialize;

/// To stream-service: no grant opens the media any more.
pub const HIDE: &str = "hide";
/// To stream-service: grants open it (again), those that are new enough.
pub const SHOW: &str = "show";
/// To scheduler-service: the purge is due at a time.
pub const PURGE_JOB: &str = "purge-job";
/// To scheduler-service: no purge.
pub const CANCEL_JOB: &str = "cancel-job";

/// Says how the media is to be from this version on.
pub fn visibility(
    conn: &mut AnyConn,
    video: &VideoId,
    visibility: Visibility,
    operation: &OperationId,
) -> QueryResult<()> {
    let kind = if visibility.hidden { HIDE } else { SHOW };
    write(conn, kind, video, &visibility, operation)
}

pub fn purge_job(conn: &mut AnyConn, video: &VideoId, purge_at: i64, operation: &OperationId) -> QueryResult<()> {
    let job = JobRequest {
        payload: serde_json::json!({}),
        run_at: Timestamp(purge_at),
        operation: Some(operation.clone()),
    };
    write(conn, PURGE_JOB, video, &job, operation)
}

pub fn cancel_job(conn: &mut AnyConn, video: &VideoId, operation: &OperationId) -> QueryResult<()> {
    write(conn, CANCEL_JOB, video, &serde_json::json!({}), operation)
}

fn write(
    conn: &mut AnyConn,
    kind: &'static str,
    video: &VideoId,
    payload: &impl Serialize,
    operation: &OperationId,
) -> QueryResult<()> {
    // Not `Message::new`: the payload is known only inside of the transaction, the operation only outside.
    let message = Message {
        kind,
        key: video.to_string(),
        payload: serde_json::to_string(payload).expect("messages are plain data"),
        operation_id: operation.to_string(),
    };
    enqueue(conn, &message)
}
