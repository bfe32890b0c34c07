//! Peers as processes that end with their value, on free ports of 127.0.0.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest time a peer may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

pub struct Running {
    child: Child,
    pub address: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A process that says its address in its first line.
    pub fn says(command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let output = child.stdout.take().expect("standard output is a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the process says its address");
        let address = line.trim().trim_start_matches("http://").parse();
        Running {
            child,
            address: address.unwrap_or_else(|_| panic!("{command:?} says no address")),
            _folder: None,
        }
    }

    /// A process that is told its address, and answers HTTP there when it is ready. `folder` goes with it.
    pub fn answers(command: &mut Command, address: SocketAddr, folder: tempfile::TempDir) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error} (scripts/setup.sh bench installs it)"));
        let began = Instant::now();
        // A master listens before its worker runs: only an answer tells that both do.
        while !answers(address) {
            let ended = child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none() && began.elapsed() < DEADLINE,
                "{command:?} does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Running {
            child,
            address,
            _folder: Some(folder),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: nginx's workers end with their master.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap_or_default();
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder that goes with a peer.
pub fn folder(name: &str) -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix(&format!("sluice-bench-{name}-"))
        .tempdir()
        .expect("a folder")
}

/// An address of 127.0.0.1 that nobody has. Its port lies below those that the system gives to outgoing connections (from
/// 32768 on): one of the thousands that a bench makes could have it before the process binds it.
pub fn free() -> SocketAddr {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other runs and tests begin at other places.
    let start = std::process::id().wrapping_mul(97);
    loop {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + step % COUNT).expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn answers(address: SocketAddr) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 64])
    });
    asked.is_ok_and(|count| count > 0)
}

/// nginx with this configuration, in `folder`; all of its workers run.
pub fn nginx(config: &str, workers: usize, address: SocketAddr, folder: tempfile::TempDir) -> Running {
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, config).expect("a configuration");
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
    command.args(["-e", "error.log"]);
    let running = Running::answers(&mut command, address, folder);
    let began = Instant::now();
    // The first worker answers before the others are there, and would be measured alone.
    while crate::meter::Meter::of(running.pid()).processes() < 1 + workers {
        assert!(began.elapsed() < DEADLINE, "nginx does not start its workers");
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

/// The line that lets nginx's workers read what root made.
pub fn nginx_user() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    }
}

/// What an executable says of itself, or which package brings it.
pub fn said(command: &str, argument: &str, package: &str) -> String {
    let output = Command::new(command).arg(argument).output();
    let output =
        output.unwrap_or_else(|_| panic!("{command} is missing: run scripts/setup.sh bench (installs {package})"));
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).trim().to_owned()
}

pub fn nginx_version() -> String {
    let nginx = said("/usr/sbin/nginx", "-v", "nginx-light");
    nginx.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Where the programs of peers lie.
pub fn programs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
