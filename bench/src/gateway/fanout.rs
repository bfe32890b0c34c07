//! One message of 200 bytes to 5,000 subscribers: CPU of the server per delivery. Messages go one after the other, each
//! when the one before it has reached everybody and ten a second at most, so nothing is merged.

use std::time::{Duration, Instant};

use super::side::Kind;
use super::{Bench, Subject, lowest, meter, micro};
use crate::table::{self, median};

const SUBSCRIBERS: usize = 5_000;
const MESSAGES: usize = 20;
const LENGTH: usize = 200;
/// Sluice merges what comes faster than 100,000 deliveries a second.
const GAP: Duration = Duration::from_millis(100);
/// See [`super::fleet::Fleet::nap`].
const NAP: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Found {
    all: Vec<f64>,
    net: Vec<f64>,
    client: Vec<f64>,
    p50: Vec<f64>,
    last: Vec<f64>,
}

pub fn measure(bench: &mut Bench) {
    let mut subjects = bench.subjects();
    for Subject { side, fleet } in &mut subjects {
        let plans = side.one_room(fleet, SUBSCRIBERS, &side.rooms[0], false);
        fleet.gather(plans);
        fleet.nap = NAP;
    }
    let mut found: Vec<Found> = subjects.iter().map(|_| Found::default()).collect();
    // The first round warms up.
    for nth in 0..=bench.rounds {
        for (subject, found) in subjects.iter_mut().zip(&mut found) {
            let mut this = Found::default();
            round(subject, if nth == 0 { &mut this } else { found });
        }
    }
    let mut rows = Vec::new();
    for (subject, found) in subjects.iter().zip(&found) {
        rows.push(vec![
            subject.side.kind.name().into(),
            format!("{} / {}", micro(lowest(&found.net)), micro(median(found.net.clone()))),
            format!("{} / {}", micro(lowest(&found.all)), micro(median(found.all.clone()))),
            format!("{:.1} ms", median(found.p50.clone())),
            format!("{:.1} ms", median(found.last.clone())),
            micro(median(found.client.clone())),
        ]);
    }
    let header = [
        "server",
        "CPU per delivery net, min / median",
        "posts included",
        "half have it",
        "last has it",
        "client CPU",
    ];
    let title = format!(
        "Fan-out of one {LENGTH}-byte message to {SUBSCRIBERS}, {} rounds of {MESSAGES}",
        bench.rounds
    );
    table::print(&title, &header, &rows);
    goals(bench, &subjects, &found);
}

fn goals(bench: &mut Bench, subjects: &[Subject], found: &[Found]) {
    let of = |kind: Kind| {
        let at = subjects.iter().position(|subject| subject.side.kind == kind)?;
        Some(&found[at].net)
    };
    let Some(own) = of(Kind::Sluice) else {
        return;
    };
    let (least, middle) = (lowest(own), median(own.clone()));
    let measured = format!("{} / {}", micro(least), micro(middle));
    let reached = least <= 6.5e-6 && middle <= 9.5e-6;
    let what = "CPU per delivery, fan-out to 5,000, min / median";
    bench.goals.add(what, measured, "≤ 6.5 / 9.5 µs", reached);
    if let Some(peer) = of(Kind::Nchan) {
        // Within a round both had the same neighbours on the machine; between rounds they had not.
        let ratio = median(own.iter().zip(peer).map(|(own, peer)| own / peer).collect());
        let measured = format!("{ratio:.2} (min by min {:.2})", least / lowest(peer));
        let what = "the same, of nchan's in the same round, median";
        bench.goals.add(what, measured, "≤ 0.85", ratio <= 0.85);
    }
}

fn round(subject: &mut Subject, found: &mut Found) {
    let Subject { side, fleet } = subject;
    fleet.rest(Duration::from_millis(100));
    let deliveries = (MESSAGES * SUBSCRIBERS) as f64;
    let mut to_nobody = side.speaker(&side.rooms[1]);
    let cpu = side.meter.cpu();
    (0..MESSAGES).for_each(|_| to_nobody.say(LENGTH));
    fleet.rest(Duration::from_millis(50));
    let posts = side.meter.since(&cpu);
    fleet.take();
    let mut speaker = side.speaker(&side.rooms[0]);
    let (cpu, own) = (side.meter.cpu(), meter::own_thread());
    for nth in 1..=MESSAGES {
        let said = Instant::now();
        speaker.say(LENGTH);
        let expected = (nth * SUBSCRIBERS) as u64;
        let came = fleet.until(PATIENCE, |seen| seen.entries >= expected);
        assert!(came, "{}: {} of {expected} came", side.kind.name(), fleet.seen.entries);
        fleet.rest(GAP.saturating_sub(said.elapsed()));
    }
    let own = meter::own_thread() - own;
    fleet.rest(Duration::from_millis(50));
    let all = side.meter.since(&cpu);
    let seen = fleet.take();
    seen.whole();
    found.all.push(all / deliveries);
    found.net.push((all - posts) / deliveries);
    found.client.push(own / deliveries);
    found.p50.push(seen.latency.p(0.5).as_secs_f64() * 1e3);
    found.last.push(seen.latency.highest().as_secs_f64() * 1e3);
}
