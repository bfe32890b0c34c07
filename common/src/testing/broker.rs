//! A private NATS server on a port of its own, that tests stop, pause and start again. It is gone with the test process, also
//! when that is killed: a shell that owns the server waits for the end of a pipe that only the test process holds open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long the server may take to answer. It takes 20 ms alone and much longer while other suites compile.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Ports that are tried when somebody else was faster.
const TRIES: usize = 20;

/// Runs the server $1 with the settings $2 until stdin ends, and tells its process id.
const WATCHDOG: &str = r#""$1" -c "$2" >"$2.log" 2>&1 &
echo $!
cat >/dev/null
kill -KILL $!
wait"#;

/// One NATS server.
pub struct Broker {
    port: u16,
    dir: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    /// The shell; closing its stdin ends the server.
    watchdog: Child,
    server: Pid,
}

impl Broker {
    #[must_use]
    pub fn start() -> Broker {
        Broker::with("")
    }

    /// With more lines for its configuration, such as `max_payload: 1024`.
    #[must_use]
    pub fn with(settings: &str) -> Broker {
        for _ in 0..TRIES {
            let mut broker = Broker::stopped(settings);
            if broker.try_start() {
                return broker;
            }
        }
        panic!("no port of {TRIES} could be had for nats-server");
    }

    /// One that has a port and does not run yet.
    #[must_use]
    pub fn stopped(settings: &str) -> Broker {
        let dir = tempfile::Builder::new().prefix("sluice-nats-").tempdir();
        let broker = Broker {
            port: free_port(),
            dir: dir.expect("a temporary directory"),
            running: None,
        };
        let settings = format!("listen: \"127.0.0.1:{}\"\n{settings}\n", broker.port);
        std::fs::write(broker.settings(), settings).expect("own directory");
        broker
    }

    /// `nats://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.try_start(), "nats-server does not start:\n{}", self.log());
    }

    /// kill -9.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.watchdog.stdin.take());
            running.watchdog.wait().expect("own child");
        }
    }

    /// It answers nothing any more, and nobody is told.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("nats.conf.log")).unwrap_or_default()
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("nats.conf")
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the server runs");
        kill_process(running.server, signal).expect("own process");
    }

    fn try_start(&mut self) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG, "sh"]).arg(binary()).arg(self.settings());
        // Its own process group: Ctrl-C in the terminal must reach the test, not the server before it.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watchdog = shell.stderr(Stdio::null()).spawn().expect("sh starts");
        let mut line = String::new();
        BufReader::new(watchdog.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("the shell tells");
        let server = line.trim().parse().ok().and_then(Pid::from_raw);
        let server = server.unwrap_or_else(|| panic!("no process id: {line:?}"));
        self.running = Some(Running { watchdog, server });
        let started = Instant::now();
        while !self.answers() {
            if self.log().contains("address already in use") {
                self.stop();
                return false;
            }
            assert!(started.elapsed() < START_WITHIN, "no answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Whether it is this server that answers, and ready.
    fn answers(&self) -> bool {
        let asked = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut first = [0; 5];
            stream.read_exact(&mut first)?;
            stream.flush()?;
            Ok(&first == b"INFO " && self.log().contains("Server is ready"))
        };
        asked().unwrap_or(false)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// In PATH, else where Debian puts it, which is not on everybody's PATH.
fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file());
    found.expect("nats-server is not installed, and no test is skipped for that: run `make setup-test`")
}

/// A port that nobody has. It lies below those that the system gives to outgoing connections (from 32768 on): one of the
/// thousands that the tests make could have it again before the process binds it.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes that run at the same time begin at different places.
    let start = std::process::id().wrapping_mul(97);
    loop {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + step % COUNT).expect("below 32,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
