//! A NATS server on a port of its own.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::running;

const STARTS_WITHIN: Duration = Duration::from_secs(10);

pub struct Nats {
    child: Child,
    pub address: SocketAddr,
}

impl Nats {
    /// `None` when it is not installed.
    pub fn start() -> Option<Nats> {
        let address = running::free();
        Some(Nats {
            child: launch(address)?,
            address,
        })
    }

    /// Killed and started again at the same address.
    pub fn restart(&mut self) {
        self.end();
        self.child = launch(self.address).expect("it was there a moment ago");
    }

    fn end(&mut self) {
        // By its own process id; it may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.end();
    }
}

fn launch(address: SocketAddr) -> Option<Child> {
    let child = ["nats-server", "/usr/sbin/nats-server"].iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(["-a", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
    })?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < STARTS_WITHIN, "nats-server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(child)
}
