//! Clients that are killed: processes of their own, so that it is the kernel that ends their connections.

use common::testing::random::Random;
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

/// A client in a process of its own, killed while it sends.
pub async fn kill_a_client(base: &str, head: &str, body: &[u8], random: &mut Random) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "tus::breaks::killed::client",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CLIENT, base)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let request = [head.as_bytes(), body].concat();
    // The pipe is as slow as the client: it is fed from a thread that ends with it.
    let fed = std::thread::spawn(move || drop(pipe.write_all(&request)));
    tokio::time::sleep(Duration::from_millis(5 + random.below(60) as u64)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    fed.join().unwrap();
}

const CLIENT: &str = "SLUICE_TEST_CLIENT";

/// Not a test: the process that [`kill_a_client`] kills. It passes its input on to the server.
#[test]
#[ignore = "started by other tests"]
fn client() {
    let Ok(base) = std::env::var(CLIENT) else { return };
    let mut io = std::net::TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    drop(std::io::copy(&mut std::io::stdin(), &mut io));
    // Until it is killed.
    std::thread::sleep(Duration::from_secs(60));
}
