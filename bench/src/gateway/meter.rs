//! What processes cost: CPU to the nanosecond from the scheduler (`/proc/<pid>/task/*/schedstat`; ticks of 10 ms are too
//! coarse for one message), memory from `smaps_rollup` and `status`.

use std::collections::HashMap;
use std::fs;

/// The processes of one server.
#[derive(Clone)]
pub struct Meter(Vec<u32>);

/// CPU time per thread, in nanoseconds.
pub struct Cpu(HashMap<String, u64>);

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
        Cpu(tasks.filter_map(|path| time(&path)).collect())
    }

    /// CPU seconds since `before`. What a thread used that ended since then is lost: pools that shrink do little in them.
    pub fn since(&self, before: &Cpu) -> f64 {
        let now = self.cpu();
        let used = now.0.iter().map(|(task, time)| time - before.0.get(task).unwrap_or(&0));
        used.sum::<u64>() as f64 / 1e9
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
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may contain anything.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}
