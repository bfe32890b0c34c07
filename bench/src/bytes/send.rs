//! Sending: one file in the page cache, as a whole to one connection, as ranges of a player to many.

use std::time::Instant;

use super::paired::{Rounds, Sample};
use super::side::{Shape, Side};
use super::{Bench, peers, platform};
use crate::meter;

pub const SHAPES: [Shape; 3] = [
    Shape {
        name: "whole 200 MB × 1 connection",
        connections: 1,
        requests: 1,
        times: 10,
        length: None,
    },
    Shape {
        name: "random 1 MiB ranges × 64 connections",
        connections: 64,
        requests: 1_024,
        times: 1,
        length: Some(1 << 20),
    },
    Shape {
        name: "random 256 KiB ranges × 256 connections",
        connections: 256,
        requests: 4_096,
        times: 1,
        length: Some(256 << 10),
    },
];

pub fn measure(bench: &mut Bench) {
    let sides = sides(bench);
    for side in &sides {
        side.verify(&bench.content);
    }
    let asked: Vec<_> = SHAPES.iter().filter(|shape| bench.asked(shape)).collect();
    for shape in asked {
        let rounds = run(&sides, shape, bench);
        rounds.print(&format!("Sending: {}", shape.name), &["nginx", "go"]);
        if let Some(ratio) = rounds.ratio("sluice", "nginx") {
            let what = format!("sending, {}, of nginx's CPU", shape.name);
            bench.goals.add(&what, format!("{ratio:.2}"), "≤ 1.05", ratio <= 1.05);
        }
        if let Some(ratio) = rounds.ratio("sluice", "go") {
            let what = format!("sending, {}, of Go's CPU", shape.name);
            bench.goals.add(&what, format!("{ratio:.2}"), "≤ 0.9", ratio <= 0.9);
        }
    }
}

/// Rounds of one shape over servers that run already. Every server is asked for the same ranges in the same round.
pub fn run(sides: &[Side], shape: &Shape, bench: &Bench) -> Rounds {
    let names = sides.iter().map(|side| side.name.clone()).collect();
    Rounds::run(names, bench.rounds, |at, round| {
        let side = &sides[at];
        let mut sample = Sample::default();
        let (mut bytes, mut latencies) = (0, Vec::new());
        for time in 0..shape.times {
            let mut load = side.open(shape, bench);
            let (cpu, own, began) = (side.meter.cpu(), meter::own_thread(), Instant::now());
            let behind = side.behind.as_ref().map(|meter| (meter, meter.cpu()));
            let seen = side.run(&mut load, shape, &bench.content, (round * shape.times + time) as u64);
            sample.wall += began.elapsed().as_secs_f64();
            sample.cpu += side.meter.since(&cpu);
            sample.behind += behind.map_or(0.0, |(meter, cpu)| meter.since(&cpu));
            sample.client += meter::own_thread() - own;
            bytes += seen.bytes;
            latencies.extend(seen.latencies);
            load.end();
        }
        sample.per(bytes, latencies)
    })
}

/// Everybody who sends the content.
pub fn sides(bench: &Bench) -> Vec<Side> {
    let mut sides = Vec::new();
    for (name, binary, more) in bench.sluices() {
        let platform = platform::Platform::serve(&bench.runtime, &binary, &more);
        let (_, path) = platform.stored(&bench.runtime, &bench.content);
        let (pid, address) = (platform.servers[0].pid(), platform.front());
        sides.push(Side::new(name, pid, address, &path, platform));
    }
    if bench.peers {
        let (workers, root) = (bench.workers, bench.root());
        let cached = "  open_file_cache max=1000 inactive=60s;\n  open_file_cache_valid 2s;";
        for (name, more) in [
            ("nginx", ""),
            ("nginx, tcp_nopush", "  tcp_nopush on;"),
            ("nginx, open_file_cache", cached),
        ] {
            let nginx = peers::nginx_files(workers, &root, more);
            let (pid, address) = (nginx.pid(), nginx.address);
            sides.push(Side::new(name, pid, address, "/content.mp4", nginx));
        }
        let go = peers::go(workers, &root, bench.folder.path());
        sides.push(Side::new("go", go.pid(), go.address, "/content.mp4", go));
    }
    sides
}
