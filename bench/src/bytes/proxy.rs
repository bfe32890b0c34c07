//! Passing on: proxies before the same stream-service. Only the proxy's own CPU counts.

use std::any::Any;
use std::net::SocketAddr;
use std::path::Path;

use super::platform::Platform;
use super::send;
use super::side::{Shape, Side};
use super::{Bench, peers};
use crate::running::{self, Running};

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

/// Who asks the service by its Unix socket is called so; all are compared with those that ask in the same way.
pub const NEAR: &str = ", Unix socket";

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
        let of_nginx = if shape.length.is_none() { 0.35 } else { 0.25 };
        let (mut against, mut goals) = (Vec::new(), Vec::new());
        for way in ["", NEAR] {
            let named = |name: &str| format!("{name}{way}");
            let cheapest = |names: Vec<String>| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                rounds.cheapest(&names).map(str::to_owned)
            };
            let nginx = cheapest(BUFFERS.iter().map(|(name, _)| named(name)).collect());
            let haproxy = cheapest(PIPES.iter().map(|(name, _)| named(name)).collect());
            let big = named(BIG_BUFFERS);
            let mut peers = vec![(big.clone(), of_nginx)];
            peers.extend(nginx.filter(|name| *name != big).map(|name| (name, of_nginx)));
            peers.extend(haproxy.map(|name| (name, 0.8)));
            against.extend(peers.iter().map(|(peer, _)| peer.clone()));
            goals.extend(peers.into_iter().map(|(peer, goal)| (named("sluice"), peer, goal)));
        }
        let against: Vec<&str> = against.iter().map(String::as_str).collect();
        rounds.print(&format!("Passing on: {}", shape.name), &against);
        for (own, peer, goal) in goals {
            let (Some(ratio), Some(least)) = (rounds.ratio(&own, &peer), rounds.ratio(DIRECT, &peer)) else {
                continue;
            };
            let what = format!("passing on, {}, {own}, of CPU of {peer}", shape.name);
            let measured = format!("{ratio:.2} (sending alone {least:.2})");
            bench.goals.add(&what, measured, &format!("≤ {goal}"), ratio <= goal);
        }
    }
}

fn sides(bench: &Bench) -> Vec<Side> {
    // Without a binary to measure there is still one that everything stands before.
    let behind = crate::server::binary();
    let workers = format!("server.workers={}", bench.workers);
    let sockets = running::folder("sockets");
    let near = format!("server.socket_dir={}", sockets.path().display());
    let platform = Platform::roles(&bench.runtime, &behind, &[workers, near.clone()]);
    let (_, path) = platform.stored(&bench.runtime, &bench.content);
    let (pid, stream) = (platform.servers[1].pid(), platform.servers[1].address());
    let mut sides = Vec::new();
    let mut add = |name: &str, proxy_pid: u32, address: SocketAddr, proxy: Box<dyn Any>| {
        sides.push(Side::new(name, proxy_pid, address, &path, proxy).before(pid));
    };
    for (name, binary, more) in bench.sluices() {
        let mut ways = vec![(name.to_owned(), more.clone())];
        if name == "sluice" {
            ways.push((format!("{name}{NEAR}"), [more, vec![near.clone()]].concat()));
        }
        for (name, more) in ways {
            let proxy = platform.proxy(&binary, &more);
            add(&name, proxy.pid(), proxy.address(), Box::new(proxy));
        }
    }
    for peer in peers_before(bench, stream, sockets.path(), &BUFFERS) {
        add(&peer.name, peer.pid, peer.address, peer.process);
    }
    // What the proxies stand before ends after them.
    sides.push(Side::new(DIRECT, pid, stream, &path, (platform, sockets)));
    sides
}

/// nginx or haproxy before a service.
pub struct Peer {
    pub name: String,
    pub pid: u32,
    pub address: SocketAddr,
    pub process: Box<dyn Any>,
}

/// nginx with each of `buffers` and haproxy with each of [`PIPES`], before the service at `stream` and before its socket in `sockets`;
/// none without `bench.peers`.
pub fn peers_before(bench: &Bench, stream: SocketAddr, sockets: &Path, buffers: &[(&str, &str)]) -> Vec<Peer> {
    let mut found = Vec::new();
    if !bench.peers {
        return found;
    }
    let mut add = |name: String, process: Running| {
        let (pid, address) = (process.pid(), process.address);
        let process = Box::new(process);
        found.push(Peer {
            name,
            pid,
            address,
            process,
        });
    };
    let socket = socket_of(sockets, stream.port());
    for (way, of_nginx, of_haproxy) in [
        ("", stream.to_string(), stream.to_string()),
        (NEAR, format!("unix:{socket}"), format!("unix@{socket}")),
    ] {
        for (name, more) in buffers {
            let nginx = peers::nginx_proxy(bench.workers, &of_nginx, more);
            add(format!("{name}{way}"), nginx);
        }
        for (name, pipe) in PIPES {
            let haproxy = peers::haproxy(bench.workers, &of_haproxy, pipe);
            add(format!("{name}{way}"), haproxy);
        }
    }
    found
}

/// Where the service that listens to `port` has its Unix socket.
fn socket_of(folder: &Path, port: u16) -> String {
    let entries = std::fs::read_dir(folder).expect("the folder of sockets").flatten();
    let mut paths = entries.map(|entry| entry.path().display().to_string());
    let port = format!("-{port}-");
    paths
        .find(|path| path.contains(&port))
        .expect("a socket of the service")
}
