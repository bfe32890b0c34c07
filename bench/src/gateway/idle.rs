//! Memory of connections that are logged in, in three rooms, and silent. Every round starts a fresh server: memory that an
//! earlier crowd left behind would hide what this one takes.

use std::time::Duration;

use super::side::Kind;
use super::{Bench, Subject};
use crate::table::{self, median};

const ROUNDS: usize = 3;
const SETTLE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(5);

struct Found {
    bytes: f64,
    /// Share of one core, while nothing is said.
    busy: f64,
}

pub fn measure(bench: &mut Bench) {
    let mut found: Vec<(Kind, Vec<Found>)> = bench.kinds.iter().map(|kind| (*kind, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (kind, rounds) in &mut found {
            rounds.push(round(&mut bench.subject(*kind), bench.many));
        }
    }
    let mut rows = Vec::new();
    for (kind, rounds) in &found {
        let of = |value: fn(&Found) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let bytes = of(|found| found.bytes);
        let (least, middle) = (super::lowest(&bytes), median(bytes));
        rows.push(vec![
            kind.name().into(),
            format!("{least:.0} B"),
            format!("{middle:.0} B"),
            format!("{:.1} %", median(of(|found| found.busy)) * 100.0),
        ]);
        if *kind == Kind::Sluice {
            let what = "resident memory per idle logged-in connection in 3 rooms";
            bench
                .goals
                .add(what, format!("{middle:.0} B"), "≤ 4,096 B", middle <= 4096.0);
        }
    }
    let title = format!(
        "{} idle connections, logged in, in 3 rooms each, {ROUNDS} fresh servers",
        bench.many
    );
    table::print(
        &title,
        &["server", "least memory each", "median memory each", "CPU while idle"],
        &rows,
    );
}

fn round(subject: &mut Subject, many: usize) -> Found {
    let Subject { side, fleet } = subject;
    let plans = side.three_rooms(fleet, many);
    // The first few pay for what is made once: pools, caches, threads.
    fleet.gather(plans.iter().copied().take(200));
    fleet.cut();
    fleet.rest(SETTLE);
    let before = side.meter.memory();
    fleet.gather(plans);
    fleet.rest(SETTLE);
    let after = side.meter.memory();
    let cpu = side.meter.cpu();
    fleet.rest(WATCH);
    fleet.seen.whole();
    Found {
        bytes: after.saturating_sub(before) as f64 / many as f64,
        busy: side.meter.since(&cpu) / WATCH.as_secs_f64(),
    }
}
