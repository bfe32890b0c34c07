//! One reader that stops reading while 39 MiB are said in its room: what it costs, and whether the others notice. The same
//! messages are said once without it first.

use std::time::Duration;

use super::fleet::{Fleet, Seen};
use super::side::Kind;
use super::{Bench, Subject, post};
use crate::table::{self, mib};

const OTHERS: usize = 50;
const LENGTH: usize = 2_000;
const MESSAGES: usize = 39 * 1024 * 1024 / LENGTH;
const PER_SECOND: u32 = 1_000;
/// Comments commit in groups: several speakers reach the rate where one would wait for the disk.
const SPEAKERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(30);

struct Found {
    grown: u64,
    seen: Seen,
}

pub fn measure(bench: &mut Bench) {
    let mut rows = Vec::new();
    for kind in bench.kinds.clone() {
        let mut subject = bench.subject(kind);
        let plans = subject
            .side
            .one_room(&mut subject.fleet, OTHERS, &subject.side.rooms[0], false);
        subject.fleet.gather(plans);
        // The first messages fill caches that are not the reader's.
        say(&mut subject, MESSAGES / 10);
        let without = say(&mut subject, MESSAGES);
        let mut stalled = Fleet::new();
        let mut plan = subject.side.plan(0, &subject.side.rooms[..1], false);
        plan.receive_buffer = Some(4096);
        let plan = stalled.plan(plan);
        stalled.gather([plan]);
        let with = say(&mut subject, MESSAGES);
        stalled.until(Duration::from_secs(2), |seen| !seen.ends.is_empty());
        let fate = stalled.seen.ends.keys().next().cloned().unwrap_or("still open".into());
        let p99 = |found: &Found| format!("{:.1} ms", found.seen.latency.p(0.99).as_secs_f64() * 1e3);
        let worst = |found: &Found| format!("{:.0} ms", found.seen.latency.highest().as_secs_f64() * 1e3);
        rows.push(vec![
            kind.name().into(),
            format!("+{} / +{}", mib(without.grown), mib(with.grown)),
            format!("{} / {}", p99(&without), p99(&with)),
            format!("{} / {}", worst(&without), worst(&with)),
            format!("{}", with.seen.missed),
            fate,
        ]);
        if kind == Kind::Sluice {
            let more = with.grown.saturating_sub(without.grown);
            bench.goals.add(
                "one stalled reader, 39 MiB: memory",
                format!("+{}", mib(more)),
                "≤ +1 MiB",
                more <= 1 << 20,
            );
            let (calm, beside) = (without.seen.latency.p(0.99), with.seen.latency.p(0.99));
            let measured = format!(
                "0 lost, p99 {:.1} of {:.1} ms",
                beside.as_secs_f64() * 1e3,
                calm.as_secs_f64() * 1e3
            );
            // Twice is noise on a shared machine; a reader that is waited for would cost seconds.
            bench.goals.add(
                "the others lose nothing and do not wait",
                measured,
                "p99 ≤ 2 ×",
                beside <= 2 * calm,
            );
        }
    }
    let header = [
        "server",
        "memory, without / with",
        "p99 of the others, without / with",
        "worst, without / with",
        "missed by the others",
        "the stalled one",
    ];
    table::print(
        &format!("One stalled reader beside {OTHERS} while {MESSAGES} × {LENGTH} B are said"),
        &header,
        &rows,
    );
}

/// Says `messages` to the room and waits until all of `OTHERS` have them.
fn say(subject: &mut Subject, messages: usize) -> Found {
    let Subject { side, fleet } = subject;
    fleet.rest(Duration::from_secs(1));
    fleet.take();
    // nchan's numbers are the speaker's, so only one may speak.
    let speakers = if side.kind == Kind::Nchan { 1 } else { SPEAKERS };
    side.meter.reset_peak();
    let before = side.meter.resident();
    let (each, rate) = (messages / speakers, PER_SECOND / u32::try_from(speakers).expect("few"));
    let saying: Vec<_> = (0..speakers)
        .map(|_| post::keep_saying(side.speaker(&side.rooms[0]), each, LENGTH, rate))
        .collect();
    let expected = (each * speakers * OTHERS) as u64;
    let came = fleet.until(PATIENCE, |seen| seen.entries >= expected);
    assert!(came, "{}: {} of {expected} came", side.kind.name(), fleet.seen.entries);
    for speaker in saying {
        speaker.join().expect("a speaker does not panic");
    }
    let grown = side.meter.peak().saturating_sub(before);
    let seen = fleet.take();
    seen.whole();
    Found { grown, seen }
}
