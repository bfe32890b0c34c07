//! The platform under measurement: the release binary on a free port with a fresh data folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `sluice serve`.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:port`.
    pub base: String,
    /// From exec to the line that says ready.
    pub started_in: Duration,
    pub data: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

/// `target/release/sluice` beside this executable.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("this executable has a path");
    let path = own.parent().unwrap_or(Path::new(".")).join("sluice");
    assert!(path.exists(), "{} is missing: run `make build`", path.display());
    path
}

impl Server {
    /// A fresh platform.
    pub fn fresh(settings: &[String]) -> Server {
        let folder = tempfile::Builder::new()
            .prefix("sluice-bench-")
            .tempdir()
            .expect("a folder for data");
        let data = folder.path().join("data");
        let mut server = Server::on(&data, settings);
        server._folder = Some(folder);
        server
    }

    /// A platform on `data`.
    pub fn on(data: &Path, settings: &[String]) -> Server {
        Server::launch(&binary(), "serve", "127.0.0.1:0", data, settings, &[])
    }

    /// `binary` as the whole platform (`serve`) or as one role of it.
    pub fn launch(
        binary: &Path,
        role: &str,
        listen: &str,
        data: &Path,
        settings: &[String],
        env: &[(String, String)],
    ) -> Server {
        let mut command = Command::new(binary);
        command.args([role, "--listen", listen, "--data-dir"]).arg(data);
        for setting in settings {
            command.args(["--set", setting]);
        }
        command
            .args(["--set", "log.level=warn"])
            .envs(env.iter().map(|(name, value)| (name, value)));
        Server::says(&mut command, data)
    }

    /// A command that says its address in the line in which it says that it is ready.
    pub fn says(command: &mut Command, data: &Path) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().expect("sluice starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("standard output is a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("sluice says that it is ready");
        let started_in = began.elapsed();
        let base = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect("the line has an address")
            .to_owned();
        Server {
            child,
            base,
            started_in,
            data: data.to_owned(),
            _folder: None,
        }
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.base
            .trim_start_matches("http://")
            .parse()
            .expect("the address is an IP address and a port")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("sluice runs")
    }

    /// Resident memory in bytes: now, or the highest so far (`VmRSS`, `VmHWM`).
    pub fn memory(&self, field: &str) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .expect("the kernel tells it");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number of KiB");
        kib * 1024
    }

    /// Forgets the highest memory so far.
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("the peak can be reset");
    }

    /// CPU seconds used so far, user and system.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        // Fields 14 and 15 of proc(5); the kernel's USER_HZ is 100.
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended by its own process id; it may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
