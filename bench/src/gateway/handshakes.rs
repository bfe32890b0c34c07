//! Connect, upgrade, first word of the server, reset: how many of these a second. Tokens are those of 100 people, each
//! checked before, so the answer comes from the cache except once in its lifetime.

use std::time::Duration;

use super::fleet::Fleet;
use super::side::{Kind, Side};
use super::{Bench, lowest, meter, micro, site};
use crate::table::{self, median};

const PARALLEL: usize = 64;
const ROUND: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Found {
    rate: Vec<f64>,
    cpu: Vec<f64>,
    client: Vec<f64>,
}

pub fn measure(bench: &mut Bench) {
    let mut subjects = bench.subjects();
    let plans: Vec<Vec<usize>> = subjects
        .iter_mut()
        .map(|subject| plans(&subject.side, &mut subject.fleet))
        .collect();
    let mut found: Vec<Found> = subjects.iter().map(|_| Found::default()).collect();
    for nth in 0..=bench.rounds {
        for ((subject, plans), found) in subjects.iter_mut().zip(&plans).zip(&mut found) {
            let (cpu, own) = (subject.side.meter.cpu(), meter::own_thread());
            let done = subject.fleet.handshakes(plans, PARALLEL, ROUND) as f64;
            let (cpu, own) = (subject.side.meter.since(&cpu), meter::own_thread() - own);
            if nth > 0 {
                found.rate.push(done / ROUND.as_secs_f64());
                found.cpu.push(cpu / done);
                found.client.push(own / done);
            }
        }
    }
    let mut rows = Vec::new();
    for (subject, found) in subjects.iter().zip(&found) {
        let rate = median(found.rate.clone());
        rows.push(vec![
            subject.side.kind.name().into(),
            format!("{rate:.0}"),
            format!("{} / {}", micro(lowest(&found.cpu)), micro(median(found.cpu.clone()))),
            micro(median(found.client.clone())),
        ]);
        if subject.side.kind == Kind::Sluice {
            let reached = rate >= 10_000.0;
            bench.goals.add(
                "handshakes with a cached token",
                format!("{rate:.0}/s"),
                "≥ 10,000/s",
                reached,
            );
        }
    }
    let header = [
        "server",
        "handshakes/s",
        "CPU per handshake, min / median",
        "client CPU per handshake",
    ];
    let title = format!(
        "Handshakes, {PARALLEL} at once, {} rounds of {} s",
        bench.rounds,
        ROUND.as_secs()
    );
    table::print(&title, &header, &rows);
}

fn plans(side: &Side, fleet: &mut Fleet) -> Vec<usize> {
    let one = |nth| {
        let mut plan = side.plan(nth, &[], false);
        plan.login = None;
        plan.hang_up = true;
        plan
    };
    (0..site::PEOPLE).map(|nth| fleet.plan(one(nth))).collect()
}
