//! What operators see of the limits. Lists are cut at a number that the operator names, and say how many more there are.

use super::{
    client::{ClientKey, ShownClient},
    conn::{ConnLimiter, Holder},
    egress::Day,
    refusals::{Reason, Refusal},
    rows::instances::Instance,
    settings::{InForce, Override, Setting},
    sync::here,
};
use crate::state::State;
use common::{ids::VideoId, operation::OperationId, time::Timestamp};
use serde::Serialize;
use std::{collections::BTreeMap, time::Instant};
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The process that answers. `streams`, `uploads`, `rate` and `refusals` are about this one; what the others hold stands in
    /// `instances`.
    pub instance: String,
    /// All processes that share the database, this one first.
    pub instances: Vec<Instance>,
    /// Every limit that can be changed while the service runs, by name. The same in all instances.
    pub settings: BTreeMap<&'static str, ShownSetting>,
    pub streams: Held,
    pub uploads: Held,
    pub rate: Buckets,
    /// Of all instances together, as they have told the database.
    pub egress: Budgets,
    pub refusals: Refused,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownSetting {
    /// Its key in the configuration.
    pub key: &'static str,
    /// In force: a count, or bytes.
    pub value: u64,
    /// For people, such as `2 GiB`.
    pub text: String,
    /// `configuration` or `operator`.
    pub from: &'static str,
    /// What it is when no operator says otherwise.
    pub configured: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// The operator's name at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// Things that go on at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub held: usize,
    pub most: usize,
    pub most_per_client: usize,
    /// The longest first.
    pub holders: Vec<ShownHolder>,
    /// Holders that are not listed.
    pub more: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownHolder {
    pub client: ShownClient,
    #[serde(rename = "videoID")]
    pub video: Option<VideoId>,
    /// Sent, or received.
    pub bytes: u64,
    pub since: Timestamp,
    #[serde(rename = "operationID")]
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
}

/// The rate of requests.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Buckets {
    /// Clients remembered now.
    pub clients: usize,
    /// Those who would be refused now, the longest wait first.
    pub empty: Vec<EmptyBucket>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyBucket {
    pub client: ShownClient,
    pub wait_ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budgets {
    /// When this day began; it is one of UTC.
    pub since: Timestamp,
    pub until: Timestamp,
    /// Who took the most today.
    pub top: Vec<Spent>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    pub client: ShownClient,
    pub bytes: u64,
    /// 0 is no budget.
    pub budget: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// By the name of the limit, since this process began.
    pub counts: BTreeMap<&'static str, u64>,
    /// The latest first; a client that is refused again by the same limit is one entry.
    pub latest: Vec<ShownRefusal>,
    pub more: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownRefusal {
    pub client: ShownClient,
    pub limit: &'static str,
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// The last time: how far the client (for limits of all: everybody) was, and what the limit was.
    pub reached: u64,
    pub most: u64,
    #[serde(rename = "videoID")]
    pub video: Option<VideoId>,
    #[serde(rename = "operationID")]
    #[schema(value_type = Option<String>)]
    pub operation: Option<OperationId>,
}

pub fn view(state: &State, listed: usize, day: Day, others: Vec<Instance>, top: Vec<(ClientKey, u64)>) -> View {
    let limits = &state.limits;
    let empty = limits.rate.empty(Instant::now(), listed).into_iter();
    let spent = |(client, bytes): (ClientKey, u64)| Spent {
        client: client.shown(),
        bytes,
        budget: limits.egress.most(client),
    };
    let mut latest = limits.refusals.latest();
    let more = latest.len().saturating_sub(listed);
    latest.truncate(listed);
    View {
        instance: state.instance.to_string(),
        instances: std::iter::once(here(state)).chain(others).collect(),
        settings: limits.in_force().into_iter().map(setting).collect(),
        streams: held(&limits.streams, listed),
        uploads: held(&limits.uploads, listed),
        rate: Buckets {
            clients: limits.rate.len(),
            empty: empty
                .map(|(client, wait)| EmptyBucket {
                    client: client.shown(),
                    wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                })
                .collect(),
        },
        egress: Budgets {
            since: day.begins(),
            until: day.ends(),
            top: top.into_iter().map(spent).collect(),
        },
        refusals: Refused {
            counts: Reason::ALL
                .map(|reason| (reason.name(), limits.refusals.count(reason)))
                .into(),
            latest: latest.into_iter().map(refusal).collect(),
            more,
        },
    }
}

fn setting(in_force: InForce) -> (&'static str, ShownSetting) {
    let InForce {
        setting,
        value,
        configured,
        set,
    } = in_force;
    let (changed_at, changed_by) = set.map(|Override { at, username, .. }| (at, username)).unzip();
    let shown = ShownSetting {
        key: Setting::key(setting),
        value,
        text: setting.text(value),
        from: if changed_at.is_some() {
            "operator"
        } else {
            "configuration"
        },
        configured,
        changed_at,
        changed_by,
    };
    (setting.name(), shown)
}

fn held(limiter: &ConnLimiter, listed: usize) -> Held {
    let (limits, holders) = (limiter.limits(), limiter.holders());
    let shown = |holder: &Holder| ShownHolder {
        client: holder.client.shown(),
        video: holder.video.clone(),
        bytes: holder.moved(),
        since: holder.since,
        operation: holder.operation.clone(),
    };
    Held {
        held: holders.len(),
        most: limits.total,
        most_per_client: limits.per_client,
        more: holders.len().saturating_sub(listed),
        holders: holders.iter().take(listed).map(shown).collect(),
    }
}

fn refusal(refusal: Refusal) -> ShownRefusal {
    ShownRefusal {
        client: refusal.client.shown(),
        limit: refusal.reason.name(),
        count: refusal.count,
        first_at: refusal.first,
        last_at: refusal.last,
        reached: refusal.reached,
        most: refusal.most,
        video: refusal.video,
        operation: refusal.operation,
    }
}
