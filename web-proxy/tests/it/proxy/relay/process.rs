//! The edge as a process of its own: its descriptors, and its end.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::grant::GrantKey;
use common::testing::raw::Raw;
use common::testing::{INTERNAL_TOKEN, eventually};

use super::{LONG, check, content, files, get};
use crate::upstream::Upstream;

struct Edge {
    child: Child,
    base: String,
}

impl Edge {
    fn start(service: &Upstream) -> Edge {
        let list = service.base.clone();
        let mut child = Command::new(env!("CARGO_BIN_EXE_web-proxy"))
            .env("SLUICE_SERVER__LISTEN", "127.0.0.1:0")
            .env("SLUICE_INTERNAL__LISTEN", "127.0.0.1:0")
            .env("SLUICE_SERVER__WORKERS", "1")
            .env("SLUICE_SECRETS__INTERNAL_TOKEN", INTERNAL_TOKEN)
            .env("SLUICE_SECRETS__GRANT_KEYS", GrantKey::generate("test"))
            .envs(["API", "STREAM", "SCHEDULER"].map(|name| (format!("SLUICE_PROXY__{name}"), list.clone())))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let base = line.split_whitespace().last().unwrap_or_default().to_owned();
        assert!(base.starts_with("http://"), "{line}");
        Edge { child, base }
    }

    /// What its descriptors are: `socket`, `pipe`, and others.
    fn descriptors(&self, kind: &str) -> usize {
        let folder = PathBuf::from(format!("/proc/{}/fd", self.child.id()));
        let links = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with(kind)).count()
    }

    fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end and says whether it ended well.
    async fn ended(&mut self) -> bool {
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the process has ended", Duration::from_secs(30), || async {
            child.borrow_mut().try_wait().unwrap().map(|status| status.success())
        })
        .await
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[actix_web::test]
async fn promise_9_two_hundred_clients_that_leave_cost_no_descriptor() {
    let service = files().await;
    let edge = Edge::start(&service);
    let leave = async |number: usize| {
        let mut client = Raw::connect(&edge.base).await;
        client.send(&get(50_000_000)).await;
        client.head().await;
        client.take(number * 1_000).await.unwrap();
        if number.is_multiple_of(2) {
            client.io.set_zero_linger().unwrap();
        }
    };
    leave(1).await;
    service.until_open(0).await;
    let settled = || (edge.descriptors("socket:"), edge.descriptors("pipe:"));
    let (sockets, pipes) = settled();
    for number in 0..200 {
        leave(number).await;
    }
    service.until_open(0).await;
    eventually("all sockets and pipes are closed", Duration::from_secs(10), || async {
        let now = settled();
        (now.0 <= sockets && now.1 <= pipes).then_some(())
    })
    .await;
    let mut client = Raw::connect(&edge.base).await;
    client.send(&get(LONG)).await;
    check(&client.answer().await, LONG);
}

#[actix_web::test]
async fn promise_19_sigterm_lets_a_relay_end() {
    let service = files().await;
    let mut edge = Edge::start(&service);
    // One connection that is idle, one in the middle of a body.
    let mut idle = Raw::connect(&edge.base).await;
    idle.send(&get(100_000)).await;
    check(&idle.answer().await, 100_000);
    let mut client = Raw::connect(&edge.base).await;
    client.send(&get(50_000_000)).await;
    let head = client.head().await;
    let begin = client.take(1_000_000).await.unwrap();
    edge.terminate();
    assert!(idle.rest().await.is_empty(), "an idle connection is closed");
    let rest = client.take(49_000_000).await.unwrap();
    assert_eq!(head.status, 200);
    assert!(
        [begin, rest].concat() == content(50_000_000),
        "whole in spite of the drain"
    );
    assert!(edge.ended().await);
    service.until_open(0).await;
}
