//! The examples of docs/gateway.md run as they stand there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::rooms::couple;
use super::socket::PATIENCE;
use crate::person::Person;
use crate::site::Home;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The JavaScript of the page: the client without the SDK, and the one with it.
fn examples() -> [String; 2] {
    let page = std::fs::read_to_string(root().join("docs/gateway.md")).unwrap();
    let blocks: Vec<String> = page
        .split("\n```js\n")
        .skip(1)
        .map(|rest| rest.split_once("\n```\n").expect("the block ends").0.to_owned())
        .collect();
    blocks.try_into().expect("two examples")
}

/// An example in Node, as `person` in the room `video`.
struct Running {
    child: Child,
    lines: UnboundedReceiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only reached with a running process when a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    fn start(home: &Home, name: &str, code: &str, person: &Person, video: &str) -> Running {
        let file = home.dir.path().join(name);
        std::fs::write(&file, code).unwrap();
        let mut child = Command::new("node")
            .arg("--no-warnings")
            .arg("--experimental-websocket")
            .arg(file)
            .envs([
                ("SITE", &person.base),
                ("USERNAME", &person.username),
                ("TOKEN", &person.token),
            ])
            .env("VIDEO", video)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = unbounded_channel();
        // Ends with the process.
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Running { child, lines }
    }

    async fn says(&mut self, expected: &str) {
        let line = timeout(PATIENCE, self.lines.recv()).await.expect("it says something");
        assert_eq!(line.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn the_examples_of_the_documentation_run() {
    let home = Home::new();
    let site = home.serve(&["api.posts_per_second=100000", "api.post_burst=100000"]);
    let (ann, bob, id) = couple(&site).await;
    let comments = format!("/api/v1/videos/{id}/comments");
    // More than one page of the log is there before anybody looks.
    for n in 1..=1_005 {
        ann.post(&comments, json!({ "text": format!("before {n}") }))
            .await
            .expect(201);
    }
    let sdk = root().join("sdk/js/dist/index.js");
    assert!(sdk.exists(), "sdk/js is not built: make sdk");
    let [plain, with_sdk] = examples();
    let with_sdk = with_sdk.replace("\"@sluice/gateway\"", &format!("\"file://{}\"", sdk.display()));
    let mut plain = Running::start(&home, "plain.mjs", &plain, &bob, &id);
    for n in 1..=1_005 {
        plain.says(&format!("{n} comment before {n}")).await;
    }
    let mut with_sdk = Running::start(&home, "sdk.mjs", &with_sdk, &bob, &id);
    for n in 1..=1_005 {
        with_sdk.says(&format!("{n} comment before {n}")).await;
    }
    for running in [&mut plain, &mut with_sdk] {
        running.says("1006 danmaku by the SDK").await;
    }
    ann.post(&comments, json!({ "text": "live" })).await.expect(201);
    for running in [&mut plain, &mut with_sdk] {
        running.says("1007 comment live").await;
    }
    bob.delete("/api/v1/sessions/current").await.expect(204);
    for running in [&mut plain, &mut with_sdk] {
        running.says("ended 4401").await;
        let status = common::testing::eventually("it ends by itself", Duration::from_secs(30), || {
            let status = running.child.try_wait().unwrap();
            async move { status }
        })
        .await;
        assert!(status.success());
    }
    site.stop();
}
