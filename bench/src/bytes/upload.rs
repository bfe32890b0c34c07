//! Taking in: uploads of 200 MB, one and sixteen at once, and sixteen of 60 MB. Sluice hashes, syncs to the disk and writes
//! a row; the peers do neither. `raw` servers of this bench take bytes without hash and sync, to tell what that costs. What came is deleted
//! after every round, before the next server has its turn.

use std::time::Instant;

use super::client::{Load, Next, Request};
use super::paired::{Rounds, Sample};
use super::platform::Platform;
use super::target::{Target, Way};
use super::{Bench, COPYING, SIZE, content::Content};
use crate::meter::{self, Meter};
use crate::table::{self, median, mib};

/// What is uploaded at once.
pub struct Shape {
    pub name: &'static str,
    pub size: u64,
    pub count: usize,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "200 MB × 1",
        size: SIZE,
        count: 1,
    },
    Shape {
        name: "200 MB × 16",
        size: SIZE,
        count: 16,
    },
    // Below 1 GB in all: a virtual machine may give more than that of the memory that is freed back to its host, and whoever takes
    // it again first pays for it ten times what the bytes cost, by the chance of its turn.
    Shape {
        name: "60 MB × 16",
        size: 60_000_000,
        count: 16,
    },
];

pub fn measure(bench: &mut Bench) {
    let mut targets = targets(bench);
    for target in &mut targets {
        verify(target, bench);
    }
    for Shape { name, size, count } in SHAPES {
        if !name.contains(&bench.shape) {
            continue;
        }
        let content = bench.content_of(size);
        let mut peaks = vec![Vec::new(); targets.len()];
        let names = targets.iter().map(|target| target.name.clone()).collect();
        let rounds = Rounds::run(names, bench.rounds, |at, _| {
            let (sample, peak) = round(&mut targets[at], &content, count, bench);
            peaks[at].push(peak);
            sample
        });
        rounds.print(&format!("Taking in: {name}"), &["nginx DAV"]);
        memory(&targets, &peaks, name);
        goals(bench, &rounds, &targets, &peaks, name);
    }
    let hash = hash(&bench.content, bench.rounds);
    println!("\nThe hash alone (sha2 on the same bytes, 1 MiB at a time): {hash:.3} s/GB");
}

fn memory(targets: &[Target], peaks: &[Vec<f64>], name: &str) {
    let row = |(target, peaks): (&Target, &Vec<f64>)| {
        let middle = median(peaks.clone());
        let highest = peaks.iter().copied().fold(0.0, f64::max);
        vec![target.name.clone(), mib(middle as u64), mib(highest as u64)]
    };
    let rows: Vec<_> = targets.iter().zip(peaks).map(row).collect();
    let header = ["server", "peak over idle, median", "highest"];
    table::print(&format!("Memory while taking in {name}"), &header, &rows);
}

fn goals(bench: &mut Bench, rounds: &Rounds, targets: &[Target], peaks: &[Vec<f64>], shape: &str) {
    for raw in ["raw, inline", "raw, captured", "raw, captured, write-back"] {
        if let Some(ratio) = rounds.ratio(raw, "nginx DAV") {
            let what = format!("taking in {shape} without hash ({raw}), of nginx DAV's CPU");
            bench.goals.add(&what, format!("{ratio:.2}"), "≤ 0.9", ratio <= 0.9);
        }
    }
    let own = targets.iter().position(|target| target.name == "sluice");
    if let Some(own) = own.filter(|_| shape == "200 MB × 16") {
        let peak = median(peaks[own].clone());
        let reached = peak <= 24.0 * f64::from(1 << 20);
        bench
            .goals
            .add("memory of 16 × 200 MB", mib(peak as u64), "≤ 24 MiB", reached);
    }
}

/// `count` uploads at once, and their removal.
pub fn round(target: &mut Target, content: &Content, count: usize, bench: &Bench) -> (Sample, f64) {
    let uploads = target.prepare(bench, content, count);
    let mut load = Load::connect(target.address, count, None);
    target.meter.reset_peak();
    let idle = target.meter.resident();
    let behind = target.behind.as_ref().map(Meter::cpu);
    let (cpu, own, began) = (target.meter.cpu(), meter::own_thread(), Instant::now());
    let mut waiting: Vec<Option<Request>> = uploads.into_iter().map(Some).collect();
    let seen = load.run(|at| waiting[at].take().map_or(Next::End, Next::Send));
    let sample = Sample {
        wall: began.elapsed().as_secs_f64(),
        cpu: target.meter.since(&cpu),
        behind: target
            .behind
            .as_ref()
            .zip(behind)
            .map_or(0.0, |(meter, before)| meter.since(&before)),
        client: meter::own_thread() - own,
        p99: 0.0,
    };
    let peak = target.meter.peak().saturating_sub(idle) as f64;
    load.end();
    target.remove(bench, content);
    (sample.per(content.size * count as u64, seen.latencies), peak)
}

/// One upload, whose bytes are then compared with those that were sent.
pub fn verify(target: &mut Target, bench: &Bench) {
    let mut uploads = target.prepare(bench, &bench.content, 1);
    let mut load = Load::connect(target.address, 1, None);
    load.run(|_| uploads.pop().map_or(Next::End, Next::Send));
    load.end();
    let stored = target.stored(bench.content.size);
    assert_eq!(stored.len(), 1, "{}: one file is there: {stored:?}", target.name);
    let came = Content::open(&stored[0]).sha256();
    assert_eq!(
        came,
        bench.content.sha256(),
        "{}: other bytes than were sent",
        target.name
    );
    target.remove(bench, &bench.content);
}

/// CPU seconds per GB of SHA-256.
fn hash(content: &Content, rounds: usize) -> f64 {
    let one = || {
        let cpu = meter::own_thread();
        content.sha256();
        (meter::own_thread() - cpu) / (content.size as f64 / 1e9)
    };
    median((0..rounds).map(|_| one()).collect())
}

fn targets(bench: &Bench) -> Vec<Target> {
    let mut targets = Vec::new();
    // How bytes are sent does not matter here.
    for (name, binary, more) in bench.sluices().into_iter().filter(|(name, ..)| *name != COPYING) {
        let platform = Platform::serve(&bench.runtime, &binary, &more);
        targets.push(Target::sluice(name, platform, Way::Put));
    }
    if let Some(binary) = &bench.binary {
        let platform = Platform::serve(&bench.runtime, binary, &[format!("server.workers={}", bench.workers)]);
        targets.push(Target::sluice("sluice, tus", platform, Way::Tus));
    }
    if bench.peers {
        targets.extend(Target::peers(bench));
    }
    targets
}
