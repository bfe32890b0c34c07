//! Passing on what is uploaded: proxies before the same stream-service, which hashes, syncs and writes its row for all of them.
//! Only the proxy's own CPU counts. The goals are those of what is read.

use std::any::Any;
use std::net::SocketAddr;
use std::rc::Rc;

use super::paired::Rounds;
use super::platform::Platform;
use super::proxy::{NEAR, PIPES, peers_before};
use super::target::Target;
use super::upload::{self, Shape};
use super::{Bench, COPYING, SIZE};
use crate::running;

const SHAPES: [Shape; 2] = [
    Shape {
        name: "200 MB × 1",
        size: SIZE,
        count: 1,
    },
    Shape {
        name: "60 MB × 16",
        size: 60_000_000,
        count: 16,
    },
];

/// nginx as it comes, which writes the body to a file before it asks; and passing on what comes, a MiB at a time.
const NGINX: [(&str, &str); 2] = [
    (
        "nginx, buffered",
        "      client_max_body_size 0;\n      client_body_buffer_size 1m;",
    ),
    (
        "nginx, unbuffered",
        "      client_max_body_size 0;\n      client_body_buffer_size 1m;\n      proxy_request_buffering off;",
    ),
];

pub fn measure(bench: &mut Bench) {
    let mut targets = targets(bench);
    for target in &mut targets {
        upload::verify(target, bench);
    }
    for shape in SHAPES {
        if !shape.name.contains(&bench.shape) {
            continue;
        }
        let content = bench.content_of(shape.size);
        let names = targets.iter().map(|target| target.name.clone()).collect();
        let rounds = Rounds::run(names, bench.rounds, |at, _| {
            upload::round(&mut targets[at], &content, shape.count, bench).0
        });
        let named = |name: &str, way: &str| format!("{name}{way}");
        let (mut against, mut goals) = (Vec::new(), Vec::new());
        for way in ["", NEAR] {
            let cheapest = |names: [&str; 2]| {
                let names = names.map(|name| named(name, way));
                rounds
                    .cheapest(&names.each_ref().map(String::as_str))
                    .map(str::to_owned)
            };
            let nginx = cheapest(NGINX.map(|(name, _)| name)).map(|peer| (peer, 0.35));
            let haproxy = cheapest(PIPES.map(|(name, _)| name)).map(|peer| (peer, 0.8));
            for (peer, goal) in nginx.into_iter().chain(haproxy) {
                goals.push((named("sluice", way), peer.clone(), goal));
                against.push(peer);
            }
        }
        let against: Vec<&str> = against.iter().map(String::as_str).collect();
        rounds.print(&format!("Passing uploads on: {}", shape.name), &against);
        for (own, peer, goal) in goals {
            if let Some(ratio) = rounds.ratio(&own, &peer) {
                let what = format!("passing uploads on, {}, {own}, of CPU of {peer}", shape.name);
                let measured = format!("{ratio:.2}");
                bench.goals.add(&what, measured, &format!("≤ {goal}"), ratio <= goal);
            }
        }
    }
}

fn targets(bench: &Bench) -> Vec<Target> {
    let behind = crate::server::binary();
    let sockets = running::folder("sockets");
    let near = format!("server.socket_dir={}", sockets.path().display());
    let workers = format!("server.workers={}", bench.workers);
    let platform = Rc::new(Platform::roles(&bench.runtime, &behind, &[workers, near.clone()]));
    let stream = platform.servers[1].address();
    let sockets = Rc::new(sockets);
    let mut targets = Vec::new();
    let mut add = |name: &str, pid: u32, address: SocketAddr, proxy: Box<dyn Any>| {
        targets.push(Target::before(name, pid, address, &platform, (proxy, sockets.clone())));
    };
    for (name, binary, more) in bench.sluices().into_iter().filter(|(name, ..)| *name != COPYING) {
        for (way, more) in [("", more.clone()), (NEAR, [more, vec![near.clone()]].concat())] {
            let proxy = platform.proxy(&binary, &more);
            add(&format!("{name}{way}"), proxy.pid(), proxy.address(), Box::new(proxy));
        }
    }
    for peer in peers_before(bench, stream, sockets.path(), &NGINX) {
        add(&peer.name, peer.pid, peer.address, peer.process);
    }
    targets
}
