//! A job: what is to be done (`kind`, `key`, `payload`), when, and how often it was tried. `(kind, key)` names it for
//! the services, `id` names it for operators.

use common::ids::Id;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this version knows how to do. A job of another kind (of a newer version beside this one) is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Removes a video for good; the key is the video's id.
    Purge,
    /// Removes the rows of sessions that ended.
    ExpireSessions,
    /// Removes uploads that nobody continues, and ends videos that waited too long for theirs.
    ExpireUploads,
    /// Compares videos, media and jobs, and mends what differs.
    Reconcile,
    /// Compares stored bytes with their hashes.
    Scrub,
}

impl Kind {
    /// In the order in which they are leased: the few before the many, so that a backlog of purges starves nothing.
    pub const ALL: [Kind; 5] = [
        Kind::ExpireSessions,
        Kind::ExpireUploads,
        Kind::Reconcile,
        Kind::Scrub,
        Kind::Purge,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Purge => "purge",
            Kind::ExpireSessions => "expire_sessions",
            Kind::ExpireUploads => "expire_uploads",
            Kind::Reconcile => "reconcile",
            Kind::Scrub => "scrub",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The key of the one job of a kind that comes again by itself.
pub const PERIODIC: &str = "periodic";

/// Where a job stands. `ready` is not stored: it is `scheduled` whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Scheduled,
    Ready,
    Running,
    Done,
    /// Given up after its attempts; `lastError` says why. An operator may retry it.
    Dead,
    Cancelled,
}

impl State {
    pub const ALL: [State; 6] = [
        State::Scheduled,
        State::Ready,
        State::Running,
        State::Done,
        State::Dead,
        State::Cancelled,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Ready => "ready",
            State::Running => "running",
            State::Done => "done",
            State::Dead => "dead",
            State::Cancelled => "cancelled",
        }
    }

    /// As shown: what is stored as `scheduled` is `ready` once it is due.
    fn shown(stored: &str, run_at: i64, now: i64) -> State {
        match State::ALL.into_iter().find(|state| state.name() == stored) {
            Some(State::Scheduled) if run_at <= now => State::Ready,
            Some(state) => state,
            None => State::Scheduled,
        }
    }
}

diesel::table! {
    jobs (id) {
        id -> Text,
        kind -> Text,
        key -> Text,
        payload -> Text,
        wanted_at -> BigInt,
        run_at -> BigInt,
        state -> Text,
        attempts -> BigInt,
        fence -> BigInt,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<BigInt>,
        again_payload -> Nullable<Text>,
        again_at -> Nullable<BigInt>,
        again_operation -> Nullable<Text>,
        last_error -> Nullable<Text>,
        result -> Nullable<Text>,
        operation_id -> Text,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
    }
}

/// A row of `jobs`, without the lease.
#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = jobs)]
pub struct Row {
    #[diesel(sql_type = Text)]
    pub id: Id,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub payload: String,
    #[diesel(sql_type = BigInt)]
    pub wanted_at: i64,
    #[diesel(sql_type = BigInt)]
    pub run_at: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = BigInt)]
    pub attempts: i64,
    #[diesel(sql_type = BigInt)]
    pub fence: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub result: Option<String>,
    #[diesel(sql_type = Text)]
    pub operation_id: String,
    #[diesel(sql_type = BigInt)]
    pub created_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub started_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub finished_at: Option<i64>,
}

/// A job as operators see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: Id,
    /// `purge`, `expire_sessions`, `expire_uploads`, `reconcile`, `scrub`.
    pub kind: String,
    pub key: String,
    pub state: State,
    /// Times it was begun.
    pub attempts: i64,
    pub run_at: Timestamp,
    /// Why the last attempt failed, or why it was cancelled.
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub payload: serde_json::Value,
    /// What the last finished run found or did; its shape depends on the kind.
    pub result: Option<serde_json::Value>,
    /// The request that caused it; it stands in the log lines of every service the job calls.
    #[serde(rename = "operationID")]
    pub operation_id: String,
}

impl Row {
    /// `now` is the database's.
    #[must_use]
    pub fn shown(self, now: i64) -> Job {
        Job {
            state: State::shown(&self.state, self.run_at, now),
            id: self.id,
            kind: self.kind,
            key: self.key,
            attempts: self.attempts,
            run_at: Timestamp(self.run_at),
            last_error: self.last_error,
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            finished_at: self.finished_at.map(Timestamp),
            payload: serde_json::from_str(&self.payload).unwrap_or_default(),
            result: self.result.and_then(|text| serde_json::from_str(&text).ok()),
            operation_id: self.operation_id,
        }
    }
}
