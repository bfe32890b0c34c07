//! How long people notice that a copy dies: two of each service with PostgreSQL, NATS and haproxy before the edges, 50 requests
//! a second of four kinds, and a `kill -9` of one copy (or a restart of what all of them need) in the middle. The window is the
//! time from the kill to the end of the last request that failed.

mod nats;
mod probe;
mod socket;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::goals::Goals;
use crate::table::{self, median, percentile};
use probe::Probes;
use world::World;

/// Requests run alone for this long, and must all be answered.
const BEFORE: Duration = Duration::from_secs(2);

/// No failure for this long after the last one: it is over.
const CALM: Duration = Duration::from_secs(3);

/// Longer windows are told as this.
const AT_MOST: Duration = Duration::from_secs(40);

/// What issue 5 asks for.
const GOAL: Duration = Duration::from_secs(5);

/// What is done to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Api,
    Stream,
    Scheduler,
    Proxy,
    /// A copy of api-service is stopped by SIGSTOP: it takes requests and says nothing.
    Hang,
    /// A copy of api-service is stopped by SIGTERM, with `server.drain_delay`.
    Polite,
    Postgres,
    Nats,
}

const BLOWS: [(&str, Blow); 8] = [
    ("api", Blow::Api),
    ("stream", Blow::Stream),
    ("scheduler", Blow::Scheduler),
    ("proxy", Blow::Proxy),
    ("hang", Blow::Hang),
    ("polite", Blow::Polite),
    ("postgres", Blow::Postgres),
    ("nats", Blow::Nats),
];

pub fn usage() -> &'static str {
    "failover [api | stream | scheduler | proxy | hang | polite | postgres | nats] [--runs=N]"
}

/// What one blow did.
struct Window {
    length: Duration,
    /// Failed requests by kind.
    failed: BTreeMap<&'static str, usize>,
    requests: usize,
}

pub fn run(runtime: &Runtime, arguments: &[String]) -> Result<(), String> {
    let (options, parts): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with("--"));
    let mut runs = 20;
    for option in options {
        let count = option.strip_prefix("--runs=").and_then(|text| text.parse().ok());
        runs = count.ok_or_else(|| usage().to_owned())?;
    }
    let known = |name: &str| BLOWS.iter().any(|(blow, _)| *blow == name);
    if let Some(unknown) = parts.iter().find(|part| !known(part)) {
        return Err(format!("{unknown} is not a part; {}", usage()));
    }
    let asked = |name: &str| parts.is_empty() || parts.iter().any(|part| *part == name);
    let mut world = World::start(runtime);
    println!("\n{}", world.versions());
    let mut goals = Goals::default();
    let mut rows = Vec::new();
    for (name, blow) in BLOWS.into_iter().filter(|(name, _)| asked(name)) {
        if blow == Blow::Nats && !world.has_nats() {
            println!("nats: this binary has no NATS bus; not measured");
            continue;
        }
        let windows: Vec<Window> = (0..runs).map(|_| strike(runtime, &mut world, blow)).collect();
        rows.push(row(name, &windows));
        let worst = windows.iter().map(|window| window.length).max().unwrap_or_default();
        let goal = match blow {
            Blow::Polite => Duration::ZERO,
            // A write that a copy took before it hung waits for it: nobody knows whether it was done. The client's own
            // patience ends it.
            Blow::Hang => continue,
            _ => GOAL,
        };
        goals.add(
            &format!("error window, {name}, worst of {runs}"),
            format!("{:.2} s", worst.as_secs_f64()),
            &format!("≤ {} s", goal.as_secs()),
            worst <= goal,
        );
    }
    let lost = world.lost(runtime);
    goals.add("acknowledged comments that are gone", lost.to_string(), "0", lost == 0);
    let header = [
        "what",
        "median",
        "p90",
        "worst",
        "failed requests by kind, median",
        "requests of a run",
    ];
    table::print(&format!("Failover: error window, {runs} runs each"), &header, &rows);
    goals.print("Failover: goals");
    Ok(())
}

/// One run: requests, the blow, requests until it is over; then everything is put right again.
fn strike(runtime: &Runtime, world: &mut World, blow: Blow) -> Window {
    let probes = Probes::begin(runtime, world);
    runtime.block_on(async { tokio::time::sleep(BEFORE).await });
    let early = probes.failures();
    assert!(early.is_empty(), "before anything was done: {early:?}");
    let struck = Instant::now();
    world.strike(blow);
    runtime.block_on(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let last = probes
                .failures()
                .last()
                .map_or(struck, |failure| failure.ended)
                .max(struck);
            if last.elapsed() > CALM && struck.elapsed() > CALM || struck.elapsed() > AT_MOST {
                return;
            }
        }
    });
    let (failures, requests) = runtime.block_on(probes.end(world));
    world.mend(runtime, blow);
    let last = failures.iter().map(|failure| failure.ended).max();
    let mut failed = BTreeMap::new();
    for failure in &failures {
        *failed.entry(failure.kind).or_default() += 1;
    }
    if std::env::var_os("BENCH_VERBOSE").is_some() {
        for failure in &failures {
            let at = |time: Instant| time.saturating_duration_since(struck).as_secs_f64();
            println!(
                "{blow:?} {} {:.2} to {:.2}: {}",
                failure.kind,
                at(failure.began),
                at(failure.ended),
                failure.why
            );
        }
    }
    Window {
        length: last.map_or(Duration::ZERO, |last| last.saturating_duration_since(struck)),
        failed,
        requests,
    }
}

fn row(name: &str, windows: &[Window]) -> Vec<String> {
    let mut lengths: Vec<f64> = windows.iter().map(|window| window.length.as_secs_f64()).collect();
    lengths.sort_by(f64::total_cmp);
    let kinds: Vec<String> = probe::KINDS
        .iter()
        .map(|kind| {
            let counts = windows
                .iter()
                .map(|window| window.failed.get(kind).copied().unwrap_or(0) as f64);
            format!("{kind} {:.0}", median(counts.collect()))
        })
        .collect();
    vec![
        name.to_owned(),
        format!("{:.2} s", median(lengths.clone())),
        format!("{:.2} s", percentile(&lengths, 0.9)),
        format!("{:.2} s", lengths.last().copied().unwrap_or(f64::NAN)),
        kinds.join(", "),
        format!(
            "{:.0}",
            median(windows.iter().map(|window| window.requests as f64).collect())
        ),
    ]
}
