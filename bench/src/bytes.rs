//! Bytes sent, passed on and taken in, beside nginx, haproxy and Go in one run, rounds interleaved. CPU is the servers' own
//! per GB; ratios are medians of pairs of one round. The load client is one thread of this process, its cost is shown.

mod bucket;
mod client;
mod cold;
pub mod content;
mod inward;
mod paired;
pub mod peers;
pub mod platform;
mod proxy;
mod send;
mod side;
mod stalled;
mod target;
mod upload;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::goals::Goals;
use crate::{descriptors, running, server, video};
use content::Content;

const PARTS: &[&str] = &["send", "stalled", "cold", "proxy", "bucket", "upload", "inward"];
/// Of the file that is moved.
const SIZE: u64 = 200_000_000;

/// Sluice without the short cuts of the kernel.
const COPYING: &str = "sluice, copying";

/// What a run measures with, and what it found.
pub struct Bench {
    runtime: Runtime,
    /// Sluice as built, and an older binary beside it.
    binary: Option<PathBuf>,
    before: Option<PathBuf>,
    peers: bool,
    rounds: usize,
    /// Stalled readers.
    many: usize,
    workers: usize,
    /// See [`client::Load::nap`].
    nap: Duration,
    /// Connections have asked for something else before, as a browser's do.
    page: bool,
    /// Only shapes whose name has this in it.
    shape: String,
    content: Content,
    clip: Bytes,
    folder: tempfile::TempDir,
    goals: Goals,
}

/// `arguments`: parts (all of them when there is none), and the options of [`usage`].
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (options, parts): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("{unknown} is not a part; {}", usage()));
    }
    let folder = running::folder("bytes");
    std::fs::create_dir(folder.path().join("root")).expect("a folder");
    let clip = video::clip();
    let mut bench = Bench {
        // The load client is a blocking loop of this thread; the API is only asked between the rounds.
        runtime: Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts"),
        binary: Some(server::binary()),
        before: None,
        peers: true,
        rounds: 9,
        many: 8_000.min(descriptors::raise()),
        nap: Duration::from_micros(250),
        page: false,
        shape: String::new(),
        workers: std::thread::available_parallelism().map_or(2, usize::from),
        content: Content::make(&folder.path().join("root/content.mp4"), &clip, SIZE),
        clip,
        folder,
        goals: Goals::default(),
    };
    for option in options {
        bench.option(option)?;
    }
    let control = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let (versions, workers) = (peers::versions(), bench.workers);
    println!(
        "\n{versions}; {workers} workers each; congestion control: {}",
        control.trim()
    );
    let asked = |name: &str| parts.is_empty() || parts.iter().any(|part| *part == name);
    for part in PARTS.iter().filter(|part| asked(part)) {
        match *part {
            "send" => send::measure(&mut bench),
            "stalled" => stalled::measure(&mut bench),
            "cold" => cold::measure(&mut bench),
            "proxy" => proxy::measure(&mut bench),
            "bucket" => bucket::measure(&mut bench),
            "upload" => upload::measure(&mut bench),
            _ => inward::measure(&mut bench),
        }
    }
    bench.goals.print("Bytes: goals");
    Ok(())
}

pub fn usage() -> String {
    format!(
        "bytes [{}] [--peers (without sluice)] [--alone (without peers)] [--before=PATH (another sluice beside it)] \
         [--shape=PART OF ITS NAME] [--rounds=N] [--many=N (stalled readers)] [--workers=N] [--nap=MICROSECONDS] \
         [--page (connections ask for something else first)]",
        PARTS.join(" | ")
    )
}

impl Bench {
    fn option(&mut self, option: &str) -> Result<(), String> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| usage());
        match option.split_once('=') {
            None if option == "--peers" => self.binary = None,
            None if option == "--alone" => self.peers = false,
            None if option == "--page" => self.page = true,
            Some(("--before", path)) => self.before = Some(PathBuf::from(path)),
            Some(("--nap", micros)) => self.nap = Duration::from_micros(number(micros)? as u64),
            Some(("--shape", part)) => part.clone_into(&mut self.shape),
            Some(("--rounds", count)) => self.rounds = number(count)?,
            Some(("--many", count)) => self.many = number(count)?,
            Some(("--workers", count)) => self.workers = number(count)?,
            _ => return Err(usage()),
        }
        Ok(())
    }

    /// The Sluices that are measured: as built, without the short cuts of the kernel where the binary has such a switch, and
    /// the older one.
    fn sluices(&self) -> Vec<(&'static str, PathBuf, Vec<String>)> {
        let workers = format!("server.workers={}", self.workers);
        let mut found = Vec::new();
        for (name, binary) in [("sluice", &self.binary), ("sluice before", &self.before)] {
            if let Some(binary) = binary {
                found.push((name, binary.clone(), vec![workers.clone()]));
            }
        }
        let copying = "server.zero_copy=false";
        if let Some(binary) = self.binary.as_ref().filter(|binary| knows(binary, copying)) {
            found.push((COPYING, binary.clone(), vec![workers, copying.to_owned()]));
        }
        found
    }

    fn asked(&self, shape: &side::Shape) -> bool {
        shape.name.contains(&self.shape)
    }

    /// The file that is served, or one of another size beside it.
    fn content_of(&self, size: u64) -> Content {
        if size == self.content.size {
            return self.content.clone();
        }
        let path = self.folder.path().join(format!("{size}.mp4"));
        Content::make(&path, &self.clip, size)
    }

    /// The folder that peers serve.
    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

/// Whether a binary has a setting.
fn knows(binary: &PathBuf, setting: &str) -> bool {
    let mut command = Command::new(binary);
    command.args(["check-config", "--set", setting]);
    command.output().is_ok_and(|output| output.status.success())
}
