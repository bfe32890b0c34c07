//! Readers that ask for the whole file, read the head of the answer, and no more: what each costs in the server's memory,
//! while its permit is held and its deadline runs; and whether somebody who does read still gets bytes.

use std::time::{Duration, Instant};

use super::Bench;
use super::client::{Load, Next, Request};
use super::send;
use super::side::Side;
use crate::table::{self, median, mib};

/// A window far smaller than that of the other clients: thousands of full ones would fill the memory that the kernel gives to
/// TCP, and every program on the machine would feel it.
const RECEIVE_BUFFER: usize = 16 << 10;
/// Opened together: a connection that sends no request has a deadline too.
const GROUP: usize = 200;
/// Requests of those who read, before and beside.
const PROBES: usize = 100;

pub fn measure(bench: &mut Bench) {
    let mut rows = Vec::new();
    let count = bench.many;
    for side in send::sides(bench) {
        // What the first requests make is not the readers'.
        let calm = probe(&side, bench);
        let (idle, pages) = (side.meter.memory(), tcp_pages());
        let began = Instant::now();
        let loads: Vec<Load> = (0..count).step_by(GROUP).map(|_| stall(&side, bench)).collect();
        std::thread::sleep(Duration::from_secs(2));
        let each = side.meter.memory().saturating_sub(idle) as f64 / count as f64;
        let more = tcp_pages().saturating_sub(pages);
        let beside = probe(&side, bench);
        let after = began.elapsed();
        loads.into_iter().for_each(Load::end);
        rows.push(vec![
            side.name.clone(),
            mib(idle),
            format!("{:.1} KB", each / 1e3),
            format!("{:.0} KB", (more * 4096) as f64 / count as f64 / 1e3),
            format!("{calm:.1} / {beside:.1} ms"),
            format!("{:.0} s", after.as_secs_f64()),
        ]);
        if side.name == "sluice" {
            let what = format!("{count} stalled readers, resident memory each");
            let measured = format!("{:.1} KB", each / 1e3);
            bench.goals.add(&what, measured, "≤ 16 KB", each <= 16e3);
        }
    }
    let header = [
        "server",
        "idle",
        "resident memory per reader",
        "the kernel's TCP memory per reader",
        "a reader of 64 KiB, without / beside them, median",
        "all within",
    ];
    table::print(&format!("{count} stalled readers"), &header, &rows);
}

/// Opens a group of readers that stall.
fn stall(side: &Side, bench: &Bench) -> Load {
    let mut load = Load::connect(side.address, GROUP, Some(RECEIVE_BUFFER));
    let mut begun = [false; GROUP];
    load.run(|at| {
        if std::mem::replace(&mut begun[at], true) {
            return Next::End;
        }
        let mut request = Request::get(&side.path, bench.content.size, None);
        request.expect.stall = true;
        Next::Send(request)
    });
    load
}

/// The median time of a short range, milliseconds.
fn probe(side: &Side, bench: &Bench) -> f64 {
    let mut load = Load::connect(side.address, 1, None);
    let mut left = PROBES;
    let seen = load.run(|_| {
        if left == 0 {
            return Next::End;
        }
        left -= 1;
        let first = (left as u64) << 20;
        Next::Send(Request::get(&side.path, bench.content.size, Some((first, 64 << 10))))
    });
    load.end();
    median(seen.latencies)
}

/// Pages that TCP holds on this machine.
fn tcp_pages() -> u64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let mut words = line.split(' ').skip_while(|word| *word != "mem");
    words.nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}
