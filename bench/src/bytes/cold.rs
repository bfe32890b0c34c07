//! Somebody watches what is in the page cache while others read what is not: a server that waits for the disk on the thread
//! that serves everybody makes the first wait too. Of the cold file every piece is read once, in random order, after all of it was
//! taken out of the page cache.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::{Load, Next, Request, Seen};
use super::content::{self, Content, Random};
use super::platform::Platform;
use super::side::Side;
use super::{Bench, peers};
use crate::table::{self, median};

/// Warm readers, the range each asks for, and the pause after each answer: about a tenth of a core, so that they do not wait
/// for each other.
const WARM: usize = 8;
const RANGE: u64 = 256 << 10;
const PAUSE: Duration = Duration::from_millis(20);
/// Cold readers, and what they read.
const COLD: usize = 4;
const COLD_SIZE: u64 = 1_000_000_000;
const COLD_RANGE: u64 = 2 << 20;
/// Of the readers alone, and the most that they watch beside the others.
const ALONE: Duration = Duration::from_secs(3);
const BESIDE: Duration = Duration::from_secs(30);

struct Subject {
    side: Side,
    /// Where the cold content is, for HTTP and on the disk.
    cold: String,
    file: PathBuf,
}

#[derive(Default)]
struct Found {
    alone: Vec<f64>,
    beside: Vec<f64>,
    worst: Vec<f64>,
    /// MB/s.
    rate: Vec<f64>,
}

pub fn measure(bench: &mut Bench) {
    let path = bench.root().join("cold.mp4");
    let cold = Content::make(&path, &crate::video::clip(), COLD_SIZE);
    let subjects = subjects(bench, &cold, &path);
    let mut found: Vec<Found> = subjects.iter().map(|_| Found::default()).collect();
    for round in 0..=bench.rounds {
        for (subject, found) in subjects.iter().zip(&mut found) {
            let mut first = Found::default();
            one(
                subject,
                bench,
                round as u64,
                if round == 0 { &mut first } else { found },
            );
        }
    }
    drop(cold);
    std::fs::remove_file(&path).expect("the file is there");
    let ms = |values: &[f64]| format!("{:.2} ms", median(values.to_vec()));
    let rows: Vec<_> = subjects
        .iter()
        .zip(&found)
        .map(|(subject, found)| {
            vec![
                subject.side.name.clone(),
                ms(&found.alone),
                ms(&found.beside),
                ms(&found.worst),
                format!("{:.0} MB/s", median(found.rate.clone())),
            ]
        })
        .collect();
    let header = [
        "server",
        "p99 alone",
        "p99 beside cold readers",
        "worst beside",
        "cold bytes",
    ];
    let title = format!("{WARM} readers of 256 KiB from the page cache beside {COLD} of a file that is not in it");
    table::print(&title, &header, &rows);
    if let Some(own) = subjects.iter().position(|subject| subject.side.name == "sluice") {
        let p99 = median(found[own].beside.clone());
        bench.goals.add(
            "warm p99 while cold files are read",
            format!("{p99:.2} ms"),
            "≤ 5 ms",
            p99 <= 5.0,
        );
    }
}

fn one(subject: &Subject, bench: &Bench, seed: u64, found: &mut Found) {
    let not_over = AtomicBool::new(false);
    let alone = watch(&subject.side, bench, seed, ALONE, &not_over);
    found.alone.push(alone.p(0.99));
    content::evict(&subject.file);
    let over = Arc::new(AtomicBool::new(false));
    let reading = {
        let (over, path, address) = (over.clone(), subject.cold.clone(), subject.side.address);
        std::thread::spawn(move || {
            let began = Instant::now();
            let bytes = read_once(address, &path, seed);
            over.store(true, Ordering::Relaxed);
            bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
        })
    };
    let seen = watch(&subject.side, bench, seed, BESIDE, &over);
    found
        .rate
        .push(reading.join().expect("the cold readers get their bytes"));
    found.beside.push(seen.p(0.99));
    found.worst.push(seen.p(1.0));
}

/// Reads each piece of the cold file once; gives its bytes.
fn read_once(address: SocketAddr, path: &str, seed: u64) -> u64 {
    let mut pieces: Vec<u64> = (0..COLD_SIZE / COLD_RANGE).collect();
    let mut random = Random::new(seed + 1);
    for at in (1..pieces.len()).rev() {
        let other = random.below(at as u64 + 1);
        pieces.swap(at, usize::try_from(other).expect("an index"));
    }
    let mut load = Load::connect(address, COLD, None);
    let seen = load.run(|_| match pieces.pop() {
        None => Next::End,
        Some(piece) => Next::Send(Request::get(path, COLD_SIZE, Some((piece * COLD_RANGE, COLD_RANGE)))),
    });
    load.end();
    seen.bytes
}

/// Warm ranges for `time`, or until it is `over`.
fn watch(side: &Side, bench: &Bench, seed: u64, time: Duration, over: &AtomicBool) -> Seen {
    let mut load = Load::connect(side.address, WARM, None);
    let mut random = Random::new(seed);
    let end = Instant::now() + time;
    let mut paused = [false; WARM];
    let seen = load.run(|at| {
        let now = Instant::now();
        if now >= end || over.load(Ordering::Relaxed) {
            return Next::End;
        }
        paused[at] = !paused[at];
        if paused[at] {
            return Next::At(now + PAUSE);
        }
        let first = random.below(bench.content.size - RANGE);
        Next::Send(Request::get(&side.path, bench.content.size, Some((first, RANGE))))
    });
    load.end();
    seen
}

fn subjects(bench: &Bench, cold: &Content, path: &std::path::Path) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (name, binary, more) in bench.sluices() {
        let platform = Platform::serve(&bench.runtime, &binary, &more);
        let (_, warm) = platform.stored(&bench.runtime, &bench.content);
        let (_, address) = platform.stored(&bench.runtime, cold);
        let files = super::target::files(&platform.data.join("media"), COLD_SIZE);
        let (pid, front) = (platform.servers[0].pid(), platform.front());
        subjects.push(Subject {
            side: Side::new(name, pid, front, &warm, platform),
            cold: address,
            file: files[0].clone(),
        });
    }
    if bench.peers {
        let root = bench.root();
        for (name, more) in [("nginx", ""), ("nginx, aio threads", "  aio threads;")] {
            let nginx = peers::nginx_files(bench.workers, &root, more);
            let (pid, address) = (nginx.pid(), nginx.address);
            subjects.push(Subject {
                side: Side::new(name, pid, address, "/content.mp4", nginx),
                cold: "/cold.mp4".into(),
                file: path.to_owned(),
            });
        }
    }
    subjects
}
