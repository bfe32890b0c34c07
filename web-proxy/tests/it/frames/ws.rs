//! Against npm `ws`, on a real socket: the echo server that Autobahn talks to returns what it is sent.

use std::net::TcpListener;
use std::process::Command;
use std::thread;

use super::Random;

#[allow(dead_code)]
#[path = "../../../examples/echo.rs"]
mod echo;

#[test]
fn what_ws_sends_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || echo::serve(listener.accept().unwrap().0));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/frames/ws.mjs");
    let seed = Random::from_clock().number();
    // The page's packages must be installed, as `make test` does first.
    let client = Command::new("node")
        .args([script, &port.to_string(), &seed.to_string()])
        .output()
        .unwrap();
    assert!(
        client.status.success(),
        "seed {seed}: {}",
        String::from_utf8_lossy(&client.stderr)
    );
    server.join().unwrap().unwrap();
}
