//! A running platform: the real binary on free ports, ended by its process id.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use common::testing::free_port;
use rustix::process::{Pid, Signal, kill_process};

/// Longest time a process may take to say that it is ready, or to end.
const DEADLINE: Duration = Duration::from_secs(60);

pub const ADMIN_PASSWORD: &str = "the operators password 1";

/// Processes on one data folder.
pub struct Site {
    pub base: String,
    /// The internal listener of the embedded process or of the stream role, where a test needs it.
    pub processes: Vec<Process>,
}

pub struct Process {
    pub child: Child,
    pub log: PathBuf,
    launch: Launch,
}

/// What a process was started with, so that it can be started again.
#[derive(Clone)]
struct Launch {
    command: String,
    args: Vec<String>,
    settings: Vec<String>,
    env: Vec<(String, String)>,
}

/// A data folder with the password file of the first operator.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-it-").tempdir().unwrap();
        std::fs::write(dir.path().join("admin-password"), ADMIN_PASSWORD).unwrap();
        Home { dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Everything in one process.
    pub fn serve(&self, settings: &[&str]) -> Site {
        let listen = ["--listen", "127.0.0.1:0"];
        let process = self.start("serve", &listen, settings, &[]);
        let (process, line) = process.unwrap_or_else(|log| panic!("the platform starts:\n{log}"));
        Site {
            base: address(&line),
            processes: vec![process],
        }
    }

    /// The four services as processes of their own, on SQLite in one data folder.
    pub fn roles(&self, settings: &[&str]) -> Site {
        let port = |_| free_port();
        let public: [u16; 4] = std::array::from_fn(port);
        let internal: [u16; 4] = std::array::from_fn(port);
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let names = ["api", "stream", "scheduler", "proxy"];
        let mut env: Vec<(String, String)> = vec![
            (
                "SLUICE_SECRETS__INTERNAL_TOKEN".into(),
                "0123456789abcdef0123456789abcdef".into(),
            ),
            ("SLUICE_SECRETS__GRANT_KEYS".into(), format!("k1:{}", "A".repeat(43))),
            ("SLUICE_SERVER__TRUSTED_PROXIES".into(), "127.0.0.1".into()),
        ];
        for (name, (public, internal)) in names.iter().zip(public.into_iter().zip(internal)).take(3) {
            env.push((format!("SLUICE_PROXY__{}", name.to_uppercase()), url(public)));
            env.push((format!("SLUICE_INTERNAL__{}", name.to_uppercase()), url(internal)));
        }
        let mut processes = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let (listen, inner) = (
                format!("127.0.0.1:{}", public[i]),
                format!("internal.listen=127.0.0.1:{}", internal[i]),
            );
            let started = self.start(name, &["--listen", &listen, "--set", &inner], settings, &env);
            let (process, _) = started.unwrap_or_else(|log| panic!("sluice {name} starts:\n{log}"));
            processes.push(process);
        }
        Site {
            base: url(public[3]),
            processes,
        }
    }

    /// Starts `command` and waits for its line; the log when it ends instead.
    pub fn start(
        &self,
        command: &str,
        args: &[&str],
        settings: &[&str],
        env: &[(String, String)],
    ) -> Result<(Process, String), String> {
        let log = self.dir.path().join(format!("{command}.log"));
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = self
            .command(command, args, settings, env)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        // The pipe ends when the process does, so this read is bounded by the process's own start.
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.is_empty() {
            child.wait().unwrap();
            return Err(std::fs::read_to_string(&log).unwrap());
        }
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let launch = Launch {
            command: command.into(),
            args: owned(args),
            settings: owned(settings),
            env: env.to_vec(),
        };
        Ok((Process { child, log, launch }, line))
    }

    /// kill -9, and the same process again.
    pub fn kill_and_restart(&self, process: &mut Process) {
        process.signal(Signal::KILL);
        process.wait();
        let Launch {
            command,
            args,
            settings,
            env,
        } = process.launch.clone();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let started = self.start(&command, &args, &settings, &env);
        *process = started
            .unwrap_or_else(|log| panic!("sluice {command} starts again:\n{log}"))
            .0;
    }

    /// One more process of the role that `process` has, on ports of its own; it, and its public address.
    pub fn beside(&self, process: &Process) -> (Process, String) {
        let Launch {
            command, settings, env, ..
        } = &process.launch;
        let (public, internal) = (free_port(), free_port());
        let listen = format!("127.0.0.1:{public}");
        let inner = format!("internal.listen=127.0.0.1:{internal}");
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let started = self.start(command, &["--listen", &listen, "--set", &inner], &settings, env);
        let (process, _) = started.unwrap_or_else(|log| panic!("another sluice {command} starts:\n{log}"));
        (process, format!("http://{listen}"))
    }

    pub fn command(&self, command: &str, args: &[&str], settings: &[&str], env: &[(String, String)]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sluice"));
        process.arg(command).args(args).arg("--data-dir").arg(self.data());
        settings.iter().for_each(|setting| {
            process.args(["--set", setting]);
        });
        process.env("SLUICE_ADMIN_PASSWORD_FILE", self.dir.path().join("admin-password"));
        process
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        process
    }
}

/// The first address in a line like "Sluice is ready on http://127.0.0.1:1234  (data …)".
fn address(line: &str) -> String {
    let start = line.find("http://").unwrap_or_else(|| panic!("no address in {line:?}"));
    line[start..].split_whitespace().next().unwrap().to_owned()
}

impl Process {
    pub fn signal(&self, signal: Signal) {
        // A process that has ended already is what the caller wants.
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Waits for the end, at most the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                started.elapsed() < DEADLINE,
                "the process ends in time:\n{}",
                tail(&self.log)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Site {
    /// kill -9.
    pub fn kill(&mut self) {
        for process in &mut self.processes {
            process.signal(Signal::KILL);
            process.wait();
        }
    }

    /// SIGTERM to all, in reverse order of start; every one must end with 0.
    pub fn stop(mut self) {
        for process in self.processes.iter_mut().rev() {
            process.signal(Signal::TERM);
            let status = process.wait();
            assert!(
                status.success(),
                "a polite stop ends with 0, not {status}:\n{}",
                tail(&process.log)
            );
        }
    }

    /// What all processes logged so far.
    pub fn log(&self) -> String {
        self.processes
            .iter()
            .map(|process| std::fs::read_to_string(&process.log).unwrap())
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only reached with a running process when a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- end of {}:\n{}", self.log.display(), tail(&self.log));
        }
    }
}

fn tail(log: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log) {
        drop(file.read_to_string(&mut text));
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" access GET ")).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Every file below `dir`, with its size.
pub fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path())
            } else {
                found.push((entry.path(), meta.len()))
            }
        }
    }
    found
}
