//! A busy room: 200 events a second to 2,000 subscribers that take batches. CPU per event and subscriber.

use std::time::Duration;

use super::side::Kind;
use super::{Bench, Subject, lowest, meter, micro, post};
use crate::table::{self, median};

const SUBSCRIBERS: usize = 2_000;
const PER_SECOND: u32 = 200;
const EVENTS: usize = 400;
const LENGTH: usize = 200;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Found {
    all: Vec<f64>,
    net: Vec<f64>,
    client: Vec<f64>,
    per_frame: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

pub fn measure(bench: &mut Bench) {
    let mut subjects = bench.subjects();
    for Subject { side, fleet } in &mut subjects {
        let plans = side.one_room(fleet, SUBSCRIBERS, &side.rooms[0], true);
        fleet.gather(plans);
    }
    let mut found: Vec<Found> = subjects.iter().map(|_| Found::default()).collect();
    for nth in 0..=bench.rounds {
        for (subject, found) in subjects.iter_mut().zip(&mut found) {
            let mut this = Found::default();
            round(subject, if nth == 0 { &mut this } else { found });
        }
    }
    let mut rows = Vec::new();
    for (subject, found) in subjects.iter().zip(&found) {
        let (least, middle) = (lowest(&found.net), median(found.net.clone()));
        rows.push(vec![
            subject.side.kind.name().into(),
            format!("{} / {}", micro(least), micro(middle)),
            format!("{} / {}", micro(lowest(&found.all)), micro(median(found.all.clone()))),
            format!("{:.1}", median(found.per_frame.clone())),
            format!("{:.0} / {:.0} ms", median(found.p50.clone()), median(found.p99.clone())),
            micro(median(found.client.clone())),
        ]);
        if subject.side.kind == Kind::Sluice {
            let measured = format!("{} / {}", micro(least), micro(middle));
            let reached = least <= 1.0e-6 && middle <= 1.5e-6;
            bench.goals.add(
                "coalesced room traffic, CPU per event, min / median",
                measured,
                "≤ 1.0 / 1.5 µs",
                reached,
            );
        }
    }
    let header = [
        "server",
        "CPU per event net, min / median",
        "posts included",
        "events per frame",
        "p50 / p99 of delivery",
        "client CPU",
    ];
    let title = format!(
        "{PER_SECOND} events/s of {LENGTH} bytes to {SUBSCRIBERS}, {} rounds of {EVENTS}",
        bench.rounds
    );
    table::print(&title, &header, &rows);
}

fn round(subject: &mut Subject, found: &mut Found) {
    let Subject { side, fleet } = subject;
    fleet.rest(Duration::from_millis(100));
    let to_nobody = side.speaker(&side.rooms[1]);
    let cpu = side.meter.cpu();
    let saying = post::keep_saying(to_nobody, EVENTS, LENGTH, PER_SECOND);
    while !saying.is_finished() {
        fleet.rest(Duration::from_millis(20));
    }
    let posts = side.meter.since(&cpu);
    fleet.take();
    let events = (EVENTS * SUBSCRIBERS) as f64;
    let (cpu, own) = (side.meter.cpu(), meter::own_thread());
    let saying = post::keep_saying(side.speaker(&side.rooms[0]), EVENTS, LENGTH, PER_SECOND);
    let came = fleet.until(PATIENCE, |seen| seen.entries >= (EVENTS * SUBSCRIBERS) as u64);
    assert!(came, "{}: {} of {events} came", side.kind.name(), fleet.seen.entries);
    saying.join().expect("the speaker does not panic");
    let (all, own) = (side.meter.since(&cpu), meter::own_thread() - own);
    let seen = fleet.take();
    seen.whole();
    found.all.push(all / events);
    found.net.push((all - posts) / events);
    found.client.push(own / events);
    found.per_frame.push(events / seen.frames as f64);
    found.p50.push(seen.latency.p(0.5).as_secs_f64() * 1e3);
    found.p99.push(seen.latency.p(0.99).as_secs_f64() * 1e3);
}
