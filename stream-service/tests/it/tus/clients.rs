//! Clients that others wrote, against the real service: tus-js-client and Uppy in Node, tuspy in Python, each with what it
//! calls resuming, and each through connections that are cut in the middle. What they are is in `tests/tus`, pinned by its lock
//! files; `make test` installs it.

use super::client::Client;
use crate::{
    app::{App, on_each_app},
    clip::{clip, sha256},
};
use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How many connections are cut, and each after how many bytes of the client: every client sends 3,000,000.
const CUTS: usize = 2;
const AFTER: usize = 900_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tus")
}

/// Passes connections on to the service, and cuts the first ones.
struct Between {
    endpoint: String,
    cuts: Rc<Cell<usize>>,
    accepting: JoinHandle<()>,
}

impl Between {
    async fn start(app: &App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/uploads/", listener.local_addr().unwrap());
        let to = app.running.public.strip_prefix("http://").unwrap().to_owned();
        let cuts = Rc::new(Cell::new(0));
        let counted = cuts.clone();
        let accepting = tokio::task::spawn_local(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(pass(client, to.clone(), counted.clone()));
            }
        });
        Self {
            endpoint,
            cuts,
            accepting,
        }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, to: String, cuts: Rc<Cell<usize>>) {
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let (mut passed, mut buffer) = (0, vec![0; 16 << 10]);
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            passed += read;
            if passed > AFTER && cuts.get() < CUTS {
                cuts.set(cuts.get() + 1);
                return;
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    // Whichever way ends first ends the connection.
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// Runs a client in each of its modes and compares what is stored with what it was given. `broken` goes through connections
/// that are cut; after `nothing_stays` there must be nothing.
fn run(program: &Path, script: &str, modes: &[&str], nothing_stays: &str) {
    let (program, folder) = (&program, folder());
    let folder = &folder;
    on_each_app(|app| async move {
        for (at, mode) in modes.iter().enumerate() {
            let (client, bytes) = (Client::new(&app), clip(3_000_000, at as u8));
            let file = app.dir.path().join("to-send.mp4");
            std::fs::write(&file, &bytes).unwrap();
            let between = Between::start(&app).await;
            let broken = mode.ends_with("broken");
            let endpoint = if broken {
                between.endpoint.clone()
            } else {
                format!("{}/uploads/", app.running.public)
            };
            let mut command = Command::new(program);
            command
                .current_dir(folder)
                .args([script, mode, &endpoint])
                .arg(&file)
                .env("GRANT", &client.token);
            let output = tokio::task::spawn_blocking(move || command.output()).await;
            let output = output.unwrap().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{script} {mode}: {said}");
            assert_eq!(between.cuts.get(), if broken { CUTS } else { 0 }, "{script} {mode}");
            std::fs::remove_file(&file).unwrap();
            if *mode == nothing_stays {
                assert_eq!(app.files().len(), app.told.lock().unwrap().ready.len(), "{mode}");
                continue;
            }
            let etag = app.get(&client.video).await.headers()["etag"].clone();
            assert_eq!(etag, format!("\"{}\"", sha256(&bytes)), "{script} {mode}: {said}");
        }
    });
}

/// Whether the packages of the lock file are there.
fn node_has(package: &str) -> bool {
    let there = folder().join("node_modules").join(package).is_dir();
    if !there {
        eprintln!("SKIPPED: `npm ci` in stream-service/tests/tus installs {package}");
    }
    there
}

#[test]
fn tus_js_client_sends_breaks_off_resumes_and_sends_in_parallel() {
    if node_has("tus-js-client") {
        let modes = [
            "plain", "chunks", "creation", "deferred", "resume", "parallel", "broken", "abort",
        ];
        run(Path::new("node"), "run.mjs", &modes, "abort");
    }
}

#[test]
fn tus_js_client_does_so_in_the_draft() {
    if node_has("tus-js-client") {
        let modes = [
            "draft-plain",
            "draft-chunks",
            "draft-creation",
            "draft-resume",
            "draft-broken",
            "draft-abort",
        ];
        run(Path::new("node"), "run.mjs", &modes, "draft-abort");
    }
}

#[test]
fn uppy_sends_pauses_resumes_and_sends_in_parallel() {
    if node_has("@uppy/tus") {
        let modes = ["plain", "pause", "parallel", "broken", "remove"];
        run(Path::new("node"), "uppy.mjs", &modes, "remove");
    }
}

#[test]
fn tuspy_sends_resumes_and_checks_sums() {
    let python = folder().join(".venv/bin/python");
    if !python.is_file() {
        eprintln!(
            "SKIPPED: `make stream-service/tests/tus/.venv/.stamp` installs tuspy; it needs Python 3 and a network"
        );
        return;
    }
    let modes = ["plain", "chunks", "checksum", "resumed", "asynchronous", "broken"];
    run(&python, "tuspy.py", &modes, "");
}
