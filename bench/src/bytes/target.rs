//! A server that takes uploads: how it is asked, and how what came is removed again.

use std::any::Any;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use super::client::{Expect, Request};
use super::content::Content;
use super::platform::{self, Platform};
use super::{Bench, peers};
use crate::meter::Meter;
use crate::running::Running;

/// How Sluice is given the bytes.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    Put,
    /// A resumable upload in one PATCH.
    Tus,
}

enum Kind {
    Sluice {
        platform: Rc<Platform>,
        way: Way,
        /// Videos of this round.
        videos: Vec<String>,
        /// What stands before it; ends first.
        _proxy: Box<dyn Any>,
    },
    /// Files in a folder, by requests for addresses below `path`.
    Folder { path: &'static str, _process: Box<dyn Any> },
}

pub struct Target {
    pub name: String,
    pub meter: Meter,
    /// Of the server behind it, where there is one.
    pub behind: Option<Meter>,
    pub address: SocketAddr,
    /// Where the bytes end.
    folder: PathBuf,
    kind: Kind,
}

impl Target {
    /// The one process of `platform`.
    pub fn sluice(name: &str, platform: Platform, way: Way) -> Target {
        let (pid, address) = (platform.servers[0].pid(), platform.front());
        Target::of(name, pid, address, Rc::new(platform), way, ())
    }

    /// The proxy `pid` at `address` before stream-service of `platform`, for as long as `hold` is kept.
    pub fn before(name: &str, pid: u32, address: SocketAddr, platform: &Rc<Platform>, hold: impl Any) -> Target {
        let behind = Some(Meter::of(platform.servers[1].pid()));
        let target = Target::of(name, pid, address, platform.clone(), Way::Put, hold);
        Target { behind, ..target }
    }

    fn of(name: &str, pid: u32, address: SocketAddr, platform: Rc<Platform>, way: Way, hold: impl Any) -> Target {
        Target {
            name: name.to_owned(),
            meter: Meter::of(pid),
            behind: None,
            address,
            folder: platform.data.join("media"),
            kind: Kind::Sluice {
                platform,
                way,
                videos: Vec::new(),
                _proxy: Box::new(hold),
            },
        }
    }

    pub fn peers(bench: &Bench) -> Vec<Target> {
        let folder = |name: &str| {
            let folder = bench.folder.path().join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            folder
        };
        let of = |name: &str, path: &'static str, folder: PathBuf, running: Running| Target {
            name: name.to_owned(),
            meter: Meter::of(running.pid()),
            behind: None,
            address: running.address,
            folder,
            kind: Kind::Folder {
                path,
                _process: Box::new(running),
            },
        };
        let (dav, go) = (folder("dav"), folder("go"));
        let nginx = peers::nginx_dav(bench.workers, &dav);
        let program = peers::go(bench.workers, &go, bench.folder.path());
        let own = std::env::current_exe().expect("this executable has a path");
        let raw = |way: &str| {
            let folder = folder(way);
            let mut command = Command::new(&own);
            command.args(["raw", way, &bench.workers.to_string()]).arg(&folder);
            (folder, Running::says(&mut command))
        };
        let (inline, captured, early) = (raw("inline"), raw("captured"), raw("early"));
        vec![
            of("nginx DAV", "", dav, nginx),
            of("go", "", go, program),
            of("raw, inline", "", inline.0, inline.1),
            of("raw, captured", "/uploads/by-video", captured.0, captured.1),
            of("raw, captured, write-back", "/uploads/by-video", early.0, early.1),
        ]
    }

    /// The requests of `count` uploads of `content`. What has to be said before them is said here.
    pub fn prepare(&mut self, bench: &Bench, content: &Content, count: usize) -> Vec<Request> {
        let (platform, way, videos) = match &mut self.kind {
            Kind::Sluice {
                platform, way, videos, ..
            } => (platform, way, videos),
            Kind::Folder { path, .. } => {
                let put = |nth| {
                    let address = format!("{path}/upload-{nth}");
                    platform::sending("PUT", &address, "", content, Expect::status(201))
                };
                return (0..count).map(put).collect();
            }
        };
        let mut requests = Vec::new();
        for nth in 0..count {
            let title = format!("Upload {nth}");
            let (id, url, grant) = bench.runtime.block_on(platform.person.ticket(&title));
            requests.push(match way {
                Way::Put => platform::put(&url, &grant, content),
                Way::Tus => {
                    let place = bench.runtime.block_on(platform.begin_tus(&grant, content.size));
                    let fields = format!(
                        "Authorization: Bearer {grant}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
                         Content-Type: application/offset+octet-stream\r\n"
                    );
                    platform::sending("PATCH", &place, &fields, content, Expect::status(204))
                }
            });
            videos.push(id);
        }
        requests
    }

    /// The files of `size` bytes that came.
    pub fn stored(&self, size: u64) -> Vec<PathBuf> {
        files(&self.folder, size)
    }

    /// Removes what came of `content`. Files that were not written to the disk yet then never are.
    pub fn remove(&mut self, bench: &Bench, content: &Content) {
        if let Kind::Sluice { platform, videos, .. } = &mut self.kind {
            let ids = std::mem::take(videos);
            bench.runtime.block_on(async {
                for id in ids {
                    platform.person.purge(&id).await;
                }
            });
        } else {
            for path in self.stored(content.size) {
                std::fs::remove_file(path).expect("the file is there");
            }
        }
        assert!(self.stored(content.size).is_empty(), "{}: nothing is left", self.name);
    }
}

/// The files of `size` bytes below `folder`.
pub fn files(folder: &Path, size: u64) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            // A file of the upload before may go while we look.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.len() == size {
                found.push(entry.path());
            }
        }
    }
    found
}
