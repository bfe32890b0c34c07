//! What a request costs that comes through the edge: web-proxy beside nginx and haproxy, all before the same api-service and
//! stream-service, in one run, rounds in turn. Only the proxy's own CPU counts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::bytes::peers;
use crate::bytes::platform::Platform;
use crate::goals::Goals;
use crate::load;
use crate::meter::Meter;
use crate::server;
use crate::table::{self, median};
use crate::video;

const CONNECTIONS: usize = 64;
const ROUND: Duration = Duration::from_secs(2);

/// What is asked of the services.
struct Shape {
    name: &'static str,
    request: Vec<u8>,
}

/// One of the proxies, or the service itself.
struct Side {
    name: &'static str,
    address: SocketAddr,
    meter: Meter,
}

/// What one side did in one round.
#[derive(Clone, Copy)]
struct Sample {
    per_second: f64,
    megabytes: f64,
    /// The proxy's, microseconds per request.
    cpu: f64,
    p50: f64,
    p99: f64,
}

pub fn usage() -> &'static str {
    "hop [--rounds=N] [--workers=N]"
}

pub fn run(runtime: &Runtime, arguments: &[String]) -> Result<(), String> {
    let mut rounds = 9;
    let mut workers = std::thread::available_parallelism().map_or(2, usize::from);
    for argument in arguments {
        let parsed = argument
            .split_once('=')
            .and_then(|(name, text)| Some((name, text.parse().ok()?)));
        match parsed {
            Some(("--rounds", count)) => rounds = count,
            Some(("--workers", count)) => workers = count,
            _ => return Err(usage().to_owned()),
        }
    }
    println!("\n{}; {workers} workers each", peers::versions());
    let platform = Platform::roles(runtime, &server::binary(), &[format!("server.workers={workers}")]);
    let shapes = runtime.block_on(shapes(&platform));
    let (api, stream) = (platform.servers[0].address(), platform.servers[1].address());
    let (nginx, haproxy) = (
        peers::nginx_edge(workers, api, stream),
        peers::haproxy_edge(workers, api, stream),
    );
    let proxy = &platform.servers[3];
    let mut goals = Goals::default();
    for shape in &shapes {
        let media = shape.name.contains("media");
        let (service, pid) = if media {
            (stream, platform.servers[1].pid())
        } else {
            (api, platform.servers[0].pid())
        };
        let sides = [
            ("sluice", proxy.address(), proxy.pid()),
            ("nginx", nginx.address, nginx.pid()),
            ("haproxy", haproxy.address, haproxy.pid()),
            ("(the service itself)", service, pid),
        ]
        .map(|(name, address, pid)| Side {
            name,
            address,
            meter: Meter::of(pid),
        });
        let samples = measure(runtime, shape, &sides, rounds);
        print(shape, &sides, &samples, rounds);
        // Figures of issue 5: beside nginx in one run; it asks for no ratio, this is what we hold ourselves to.
        let ratio = paired(&samples[0], &samples[1], |sample| sample.cpu);
        goals.add(
            &format!("hop, {}, CPU of nginx", shape.name),
            format!("{ratio:.2}"),
            "≤ 1.5",
            ratio <= 1.5,
        );
    }
    goals.print("Hop: goals");
    Ok(())
}

async fn shapes(platform: &Platform) -> Vec<Shape> {
    let person = &platform.person;
    let clip = video::clip();
    // Padded, so that a MiB of it can be asked for.
    let size = 4 << 20;
    let id = person.upload("The content", video::padded(&clip, size), size).await;
    for _ in 0..600 {
        let video = person.get(&format!("/api/v1/videos/{id}")).await;
        if video["state"] == "ready" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = person.playback(&id).await;
    let range = |length: usize| {
        let range = format!("Range: bytes=0-{}\r\n", length - 1);
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{range}\r\n").into_bytes()
    };
    vec![
        Shape {
            name: "read a video's row",
            request: load::get(&format!("/api/v1/videos/{id}"), &person.token),
        },
        Shape {
            name: "media, 4 KiB ranges",
            request: range(4 << 10),
        },
        Shape {
            name: "media, 64 KiB ranges",
            request: range(64 << 10),
        },
        Shape {
            name: "media, 1 MiB ranges",
            request: range(1 << 20),
        },
    ]
}

fn measure(runtime: &Runtime, shape: &Shape, sides: &[Side; 4], rounds: usize) -> [Vec<Sample>; 4] {
    let mut samples: [Vec<Sample>; 4] = Default::default();
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            // Another one begins each time, as in `bytes`.
            let at = (turn + round) % sides.len();
            let side = &sides[at];
            let before = side.meter.cpu();
            let seen = runtime.block_on(load::run(side.address, &shape.request, CONNECTIONS, ROUND));
            let cpu = side.meter.since(&before);
            let requests = seen.requests as f64;
            let sample = Sample {
                per_second: seen.per_second(),
                megabytes: seen.bytes as f64 / 1e6 / seen.elapsed.as_secs_f64(),
                cpu: cpu * 1e6 / requests,
                p50: seen.p(0.5),
                p99: seen.p(0.99),
            };
            // The first round warms up.
            if round > 0 {
                samples[at].push(sample);
            }
        }
    }
    samples
}

/// The median of the ratios within the rounds.
fn paired(own: &[Sample], peer: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    median(own.iter().zip(peer).map(|(own, peer)| of(own) / of(peer)).collect())
}

fn print(shape: &Shape, sides: &[Side; 4], samples: &[Vec<Sample>; 4], rounds: usize) {
    let title = format!(
        "Hop: {}, {CONNECTIONS} connections, median of {rounds} rounds of {} s",
        shape.name,
        ROUND.as_secs()
    );
    let header = [
        "edge",
        "requests/s",
        "× nginx",
        "× haproxy",
        "MB/s",
        "CPU per request",
        "× nginx",
        "× haproxy",
        "p50",
        "p99",
    ];
    let rows: Vec<Vec<String>> = sides
        .iter()
        .zip(samples)
        .map(|(side, own)| {
            let middle = |of: fn(&Sample) -> f64| median(own.iter().map(of).collect());
            let ratio = |peer: usize, of: fn(&Sample) -> f64| format!("{:.2}", paired(own, &samples[peer], of));
            vec![
                side.name.to_owned(),
                format!("{:.0}", middle(|s| s.per_second)),
                ratio(1, |s| s.per_second),
                ratio(2, |s| s.per_second),
                format!("{:.0}", middle(|s| s.megabytes)),
                format!("{:.0} µs", middle(|s| s.cpu)),
                ratio(1, |s| s.cpu),
                ratio(2, |s| s.cpu),
                format!("{:.2} ms", middle(|s| s.p50)),
                format!("{:.2} ms", middle(|s| s.p99)),
            ]
        })
        .collect();
    table::print(&title, &header, &rows);
}
