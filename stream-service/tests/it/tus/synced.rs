//! Whether the disk has what a client is told is stored. Kills can't show that: the bytes of a killed process are in memory, and
//! the kernel writes them some time. strace sees the syncs, and can make them fail.

use super::client::{Client, create};
use crate::{
    app::files,
    clip::clip,
    crash::{Process, on_each_place},
};
use common::ids::VideoId;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

/// strace of a process, until [`Trace::end`].
struct Trace {
    strace: Child,
    /// Kept open: it says more when there are more threads.
    messages: BufReader<ChildStderr>,
    log: PathBuf,
}

impl Trace {
    /// When this returns, all threads of the process are traced. `None` where that can't be done.
    fn attach(process: &Process, dir: &Path, arguments: &[&str]) -> Option<Self> {
        let log = dir.join("strace.log");
        let strace = Command::new("strace")
            .args(["-f", "-y", "-p", &process.id().to_string(), "-o"])
            .arg(&log)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn();
        let attached = strace.ok().and_then(|mut strace| {
            let mut messages = BufReader::new(strace.stderr.take().unwrap());
            let attached = messages
                .by_ref()
                .lines()
                .map_while(Result::ok)
                .any(|line| line.contains(" attached"));
            let trace = Trace { strace, messages, log };
            if attached {
                return Some(trace);
            }
            trace.end();
            None
        });
        if attached.is_none() {
            eprintln!("SKIPPED: strace is not here, or may not trace");
        }
        attached
    }

    /// Lets the process go, and says what it did, line by line.
    fn end(mut self) -> Vec<String> {
        let id = i32::try_from(self.strace.id()).unwrap();
        // It may have ended by itself.
        let _ended = kill_process(Pid::from_raw(id).unwrap(), Signal::TERM);
        self.strace.wait().unwrap();
        drop(self.messages);
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

/// The answers of a trace that said that bytes are stored, and the bytes of uploads that were written and not synced when the
/// answer left. One upload at a time.
fn answers(log: &[String]) -> (usize, Vec<&String>) {
    let (mut answers, mut unsynced, mut syncing) = (0, Vec::new(), HashMap::new());
    let mut dirty = false;
    for line in log {
        let (thread, call) = line.trim_start().split_once(' ').unwrap();
        let call = call.trim_start();
        let of_an_upload = call.contains("/media/");
        if call.starts_with("fdatasync(") && of_an_upload {
            syncing.insert(thread, ());
        } else if of_an_upload
            && ["write(", "pwrite64(", "splice("]
                .iter()
                .any(|name| call.starts_with(name))
        {
            dirty = true;
        }
        if call.contains("fdatasync") && call.ends_with("= 0") && syncing.remove(thread).is_some() {
            dirty = false;
        }
        if call.contains("HTTP/1.1 204") || call.contains("HTTP/1.1 201") {
            answers += 1;
            if dirty {
                unsynced.push(line);
            }
        }
    }
    (answers, unsynced)
}

#[test]
fn promise_1_what_is_acknowledged_was_synced_before() {
    on_each_place(async |dir, database, key| {
        let process = Process::start(dir, database, key);
        let calls = "trace=write,writev,pwrite64,splice,sendto,sendmsg,fdatasync";
        let Some(trace) = Trace::attach(&process, dir, &["-e", calls]) else {
            return;
        };
        let (video, bytes) = (VideoId::random(), clip(2_000_000, 3));
        let client = process.tus(&video);
        let upload = create(&client, &bytes).await;
        // A small one, one past the framework, and the last one.
        for (from, to) in [(0, 100_000), (100_000, 1_900_000), (1_900_000, 2_000_000)] {
            client.send(&upload, from, &bytes[from..to]).await;
        }
        let other = VideoId::random();
        let stored = process.put(&other, 1 << 30, bytes.clone()).await.unwrap();
        assert_eq!(stored.status(), 201);
        let log = trace.end();
        let writes = log
            .iter()
            .filter(|line| line.contains("/media/") && line.contains("write("))
            .count();
        assert!(writes >= 4, "the trace shows the writes: {writes}");
        let (answers, unsynced) = answers(&log);
        assert!(answers >= 5 && unsynced.is_empty(), "{answers}: {unsynced:?}");
    });
}

#[test]
fn promise_1_what_could_not_be_synced_is_not_acknowledged_nor_tried_again() {
    on_each_place(async |dir, database, key| {
        let process = Process::start(dir, database, key);
        let (video, bytes) = (VideoId::random(), clip(500_000, 3));
        let client: Client = process.tus(&video);
        let upload = create(&client, &bytes).await;
        client.send(&upload, 0, &bytes[..100_000]).await;
        let file = files(&dir.canonicalize().unwrap().join("media")).remove(0);
        let file = file.to_str().unwrap();
        let failing = ["-e", "trace=fdatasync", "-P", file, "-e", "inject=fdatasync:error=EIO"];
        let Some(trace) = Trace::attach(&process, dir, &failing) else {
            return;
        };
        let refused = client.patch(&upload, 100_000, bytes[100_000..300_000].to_vec()).await;
        assert_eq!(refused.status(), 500);
        assert_eq!(client.offset(&upload).await, 100_000);
        let log = trace.end();
        let failed = log.iter().filter(|line| line.contains("EIO")).count();
        // The kernel has forgotten the bytes: a second sync would succeed and mean nothing.
        assert_eq!(
            (failed, log.iter().filter(|line| line.contains("fdatasync(")).count()),
            (1, 1)
        );
        client.send(&upload, 100_000, &bytes[100_000..]).await;
        assert!(process.get(&video).await.bytes().await.unwrap() == bytes);
    });
}
