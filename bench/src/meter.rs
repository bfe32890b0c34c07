//! What processes cost: CPU to the nanosecond from the scheduler (`/proc/<pid>/task/*/schedstat`; ticks of 10 ms are too
//! coarse for one message), memory from `smaps_rollup` and `status`.

use std::collections::HashMap;
use std::fs;

/// The processes of one server.
#[derive(Clone)]
pub struct Meter(Vec<u32>);

/// CPU time per thread, and of the processes whole, in nanoseconds.
pub struct Cpu {
    threads: HashMap<String, u64>,
    /// In steps of 10 ms, but with the threads that ended.
    whole: u64,
}

/// Of `Cpu::whole`: two readings, each up to a tick late per process.
const COARSE: u64 = 40_000_000;

impl Meter {
    /// A process and its children.
    pub fn of(pid: u32) -> Meter {
        let mut pids = vec![pid];
        let listed = fs::read_dir("/proc").expect("/proc");
        let all = listed
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.extend(all.filter(|child| parent(*child) == Some(pid)));
        Meter(pids)
    }

    pub fn processes(&self) -> usize {
        self.0.len()
    }

    pub fn cpu(&self) -> Cpu {
        let tasks = self.0.iter().flat_map(|pid| {
            let listed = fs::read_dir(format!("/proc/{pid}/task"));
            listed.into_iter().flatten().flatten().map(|entry| entry.path())
        });
        let time = |path: &std::path::Path| -> Option<(String, u64)> {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            let nanoseconds = text.split(' ').next()?.parse().ok()?;
            Some((path.to_string_lossy().into_owned(), nanoseconds))
        };
        Cpu {
            threads: tasks.filter_map(|path| time(&path)).collect(),
            whole: self.0.iter().filter_map(|pid| ticks(*pid)).sum::<u64>() * 10_000_000,
        }
    }

    /// CPU seconds since `before`. Threads that ended since then (pools shrink) are in the coarse count only: it is taken when
    /// it tells more than it can be wrong by.
    pub fn since(&self, before: &Cpu) -> f64 {
        let now = self.cpu();
        let used = now
            .threads
            .iter()
            .map(|(task, time)| time - before.threads.get(task).unwrap_or(&0));
        let (fine, coarse) = (used.sum::<u64>(), now.whole.saturating_sub(before.whole));
        let seconds = if coarse > fine + COARSE { coarse } else { fine };
        seconds as f64 / 1e9
    }

    fn kib(&self, file: &str, field: &str) -> u64 {
        let of = |pid: &u32| -> Option<u64> {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
            let line = text.lines().find(|line| line.starts_with(field))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.0.iter().map(|pid| of(pid).expect("the process runs")).sum()
    }

    /// Bytes resident now. Pages that several processes share count once.
    pub fn memory(&self) -> u64 {
        self.kib("smaps_rollup", "Pss:") * 1024
    }

    /// The highest number of bytes resident since [`Meter::reset_peak`].
    pub fn peak(&self) -> u64 {
        self.kib("status", "VmHWM:") * 1024
    }

    pub fn reset_peak(&self) {
        for pid in &self.0 {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak can be reset");
        }
    }

    /// `VmRSS`, to be compared with the peak.
    pub fn resident(&self) -> u64 {
        self.kib("status", "VmRSS:") * 1024
    }
}

/// CPU seconds of the calling thread.
pub fn own_thread() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: f64 = text
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(f64::NAN);
    nanoseconds / 1e9
}

fn parent(pid: u32) -> Option<u32> {
    u32::try_from(stat(pid, 4)?).ok()
}

/// User and system time, in ticks of 10 ms (the kernel's USER_HZ is 100).
fn ticks(pid: u32) -> Option<u64> {
    Some(stat(pid, 14)? + stat(pid, 15)?)
}

/// A field of proc(5)'s `stat`, as numbered there.
fn stat(pid: u32, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name (field 2) stands in brackets and may contain anything.
    stat.rsplit(')').next()?.split_whitespace().nth(field - 3)?.parse().ok()
}
