//! Passing on: proxies before the same stream-service. Only the proxy's own CPU counts.

use super::platform::Platform;
use super::send;
use super::side::{Shape, Side};
use super::{Bench, peers};

/// nginx as it comes, with buffers that take a whole window (the plan's peer), and passing on what comes, which the plan did not
/// measure and which is cheapest where a copy is cheap.
pub const BUFFERS: [(&str, &str); 3] = [
    ("nginx, default buffers", ""),
    (
        BIG_BUFFERS,
        "      proxy_buffer_size 256k;\n      proxy_buffers 8 256k;\n      proxy_busy_buffers_size 1m;\n      \
         proxy_max_temp_file_size 0;",
    ),
    (
        "nginx, unbuffered 256k",
        "      proxy_buffering off;\n      proxy_buffer_size 256k;\n      proxy_buffers 4 256k;\n      proxy_busy_buffers_size 512k;",
    ),
];

const BIG_BUFFERS: &str = "nginx, big buffers";

/// Whoever passes bytes on has to send them: what that costs alone no proxy can go below.
const DIRECT: &str = "(stream-service without a proxy)";

/// Pipe sizes: an ordinary user has 64 MiB of them in all, so that 64 connections take at most 1 MiB each.
pub const PIPES: [(&str, usize); 2] = [
    ("haproxy, 256 KiB pipes", 256 << 10),
    ("haproxy, 512 KiB pipes", 512 << 10),
];

pub const SHAPES: [Shape; 2] = [
    Shape {
        name: "random 1 MiB ranges × 64 connections",
        connections: 64,
        requests: 1_024,
        times: 1,
        length: Some(1 << 20),
    },
    Shape {
        name: "whole 200 MB × 1 connection",
        connections: 1,
        requests: 1,
        times: 5,
        length: None,
    },
];

pub fn measure(bench: &mut Bench) {
    let sides = sides(bench);
    for side in &sides {
        side.verify(&bench.content);
    }
    let asked: Vec<_> = SHAPES.iter().filter(|shape| bench.asked(shape)).collect();
    for shape in asked {
        let rounds = send::run(&sides, shape, bench);
        let nginx = rounds.cheapest(&BUFFERS.map(|(name, _)| name));
        let haproxy = rounds.cheapest(&PIPES.map(|(name, _)| name));
        let of_nginx = if shape.length.is_none() { 0.35 } else { 0.25 };
        let mut goals = vec![(BIG_BUFFERS, of_nginx)];
        goals.extend(nginx.filter(|name| *name != BIG_BUFFERS).map(|name| (name, of_nginx)));
        goals.extend(haproxy.map(|name| (name, 0.8)));
        let peers: Vec<&str> = goals.iter().map(|(peer, _)| *peer).collect();
        rounds.print(&format!("Passing on: {}", shape.name), &peers);
        for (peer, goal) in goals {
            let (Some(ratio), Some(least)) = (rounds.ratio("sluice", peer), rounds.ratio(DIRECT, peer)) else {
                continue;
            };
            let what = format!("passing on, {}, of CPU of {peer}", shape.name);
            let measured = format!("{ratio:.2} (sending alone {least:.2})");
            bench.goals.add(&what, measured, &format!("≤ {goal}"), ratio <= goal);
        }
    }
}

fn sides(bench: &Bench) -> Vec<Side> {
    // Without a binary to measure there is still one that everything stands before.
    let behind = crate::server::binary();
    let workers = format!("server.workers={}", bench.workers);
    let platform = Platform::roles(&bench.runtime, &behind, &[workers]);
    let (_, path) = platform.stored(&bench.runtime, &bench.content);
    let stream = platform.servers[1].address();
    let mut sides = Vec::new();
    for (name, binary, more) in bench.sluices() {
        let proxy = platform.proxy(&binary, &more);
        sides.push(Side::new(name, proxy.pid(), proxy.address(), &path, proxy));
    }
    if bench.peers {
        for (name, more) in BUFFERS {
            let nginx = peers::nginx_proxy(bench.workers, stream, more);
            sides.push(Side::new(name, nginx.pid(), nginx.address, &path, nginx));
        }
        for (name, pipe) in PIPES {
            let haproxy = peers::haproxy(bench.workers, stream, pipe);
            sides.push(Side::new(name, haproxy.pid(), haproxy.address, &path, haproxy));
        }
    }
    // What the proxies stand before ends after them.
    let pid = platform.servers[1].pid();
    sides.push(Side::new(DIRECT, pid, stream, &path, platform));
    sides
}
