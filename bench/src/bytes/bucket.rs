//! Playing from a bucket: Sluice between an S3 store and its viewers, beside proxies before the same store that are asked with
//! addresses signed beforehand. Only the CPU of who stands in the middle counts.

use std::rc::Rc;

use super::client::{Expect, Load, Next};
use super::platform::{self, Platform};
use super::proxy::{BUFFERS, PIPES, SHAPES};
use super::send;
use super::side::Side;
use super::{Bench, peers};
use crate::s3::store::Store;

/// What the load client says, and so what is signed.
const HOST: &str = "bench";

/// The object of the peers.
const KEY: &str = "peer";

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
        let peers: Vec<&str> = nginx.into_iter().chain(haproxy).collect();
        rounds.print(&format!("From a bucket: {}", shape.name), &peers);
    }
}

fn sides(bench: &Bench) -> Vec<Side> {
    let store = Rc::new(Store::started());
    let env = store.settings().map(|(name, value)| (name.to_owned(), value));
    let mut sides = Vec::new();
    for (name, binary, more) in bench.sluices() {
        let platform = Platform::serve_with(&bench.runtime, &binary, &more, &env);
        let (_, path) = platform.stored(&bench.runtime, &bench.content);
        let (pid, address) = (platform.servers[0].pid(), platform.front());
        sides.push(Side::new(name, pid, address, &path, (platform, store.clone())));
    }
    if bench.peers {
        upload(bench, &store);
        let path = store.presigned(rusty_s3::Method::Get, HOST, KEY);
        for (name, more) in BUFFERS {
            // Signed, so it has to arrive.
            let more = format!("      proxy_set_header Host {HOST};\n{more}");
            let nginx = peers::nginx_proxy(bench.workers, &store.address().to_string(), &more);
            sides.push(Side::new(
                name,
                nginx.pid(),
                nginx.address,
                &path,
                (nginx, store.clone()),
            ));
        }
        for (name, pipe) in PIPES {
            let haproxy = peers::haproxy(bench.workers, &store.address().to_string(), pipe);
            let (pid, address) = (haproxy.pid(), haproxy.address);
            sides.push(Side::new(name, pid, address, &path, (haproxy, store.clone())));
        }
    }
    sides
}

fn upload(bench: &Bench, store: &Store) {
    let url = store.presigned(rusty_s3::Method::Put, HOST, KEY);
    let expect = Expect::status(200);
    let mut upload = Some(platform::sending("PUT", &url, "", &bench.content, expect));
    let mut load = Load::connect(store.address(), 1, None);
    load.run(|_| upload.take().map_or(Next::End, Next::Send));
}
