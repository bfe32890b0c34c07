//! Everybody is cut off at once and comes back at once: time until all are logged in and in their rooms again.

use std::time::Duration;

use super::fleet::PARALLEL;
use super::side::Kind;
use super::{Bench, Subject, meter};
use crate::table::{self, median};

#[derive(Default)]
struct Found {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
    client: Vec<f64>,
}

pub fn measure(bench: &mut Bench) {
    let mut found: Vec<(Kind, Found)> = bench.kinds.iter().map(|kind| (*kind, Found::default())).collect();
    // One server at a time: two crowds do not fit into the usual limit of descriptors.
    for (kind, found) in &mut found {
        let mut subject = bench.subject(*kind);
        let Subject { side, fleet } = &mut subject;
        let plans = side.three_rooms(fleet, bench.many);
        fleet.gather(plans.iter().copied());
        for _ in 0..bench.rounds {
            fleet.rest(Duration::from_secs(1));
            fleet.seen.whole();
            fleet.take();
            let (cpu, own) = (side.meter.cpu(), meter::own_thread());
            fleet.cut();
            let elapsed = fleet.gather(plans.iter().copied());
            found.seconds.push(elapsed.as_secs_f64());
            found.cpu.push(side.meter.since(&cpu));
            found.client.push(meter::own_thread() - own);
        }
    }
    let mut rows = Vec::new();
    for (kind, found) in &found {
        let worst = found.seconds.iter().copied().fold(0.0, f64::max);
        rows.push(vec![
            kind.name().into(),
            format!("{:.2} s", median(found.seconds.clone())),
            format!("{worst:.2} s"),
            format!("{:.2} s", median(found.cpu.clone())),
            format!("{:.2} s", median(found.client.clone())),
        ]);
        if *kind == Kind::Sluice {
            let what = format!("{} clients cut at once: all back", bench.many);
            bench
                .goals
                .add(&what, format!("{worst:.2} s at worst"), "≤ 10 s", worst <= 10.0);
        }
    }
    let title = format!(
        "{} clients cut at once and back in 3 rooms each, {PARALLEL} handshakes at a time",
        bench.many
    );
    table::print(&title, &["server", "median", "worst", "CPU", "client CPU"], &rows);
}
