//! Ends that nobody can prepare for: kill -9 of a real process, a full disk; and what one upload costs.

use crate::{
    app::{files, on_each_app_with, spawn_api, start_service, upload_grant},
    bucket,
    clip::{clip, sha256},
    tus::client::Client,
};
use common::{
    clients::{Clients, StreamClient},
    config::{Config, Secret},
    db::Backend,
    grant::{Grant, GrantKeys, Permission},
    ids::{Id, VideoId},
    testing::{TestDatabase, test_config},
    time::Timestamp,
};
use futures_util::stream;
use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const CONFIG: &str = "SLUICE_TEST_CHILD";

/// Not a test: the process that the tests below kill. It serves until its standard input ends.
#[test]
#[ignore = "started by other tests"]
fn child() {
    let Ok(text) = std::env::var(CONFIG) else { return };
    let mut parts = text.split('\n');
    let mut next = || parts.next().unwrap();
    let mut config = config(next(), next(), next());
    if let Some(endpoint) = parts.next() {
        config.store = bucket::config_of(endpoint);
    }
    actix_web::rt::System::new().block_on(async move {
        let api = spawn_api(&Default::default()).await;
        config.internal.api = vec![api.internal.clone()];
        let (running, _state) = start_service(config).await;
        println!("serving {} {}", running.public, running.internal);
        io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
    });
}

fn config(dir: &str, database: &str, key: &str) -> Config {
    let mut config = test_config();
    config.server.data_dir = dir.to_owned();
    config.database.stream = Secret::from(database);
    config.secrets.grant_keys = vec![Secret::from(key.to_owned())];
    config.stream.orphan_grace.0 = Duration::ZERO;
    (config.stream.rate, config.stream.burst) = (100_000, 100_000);
    config
}

/// A stream-service in a process of its own.
pub struct Process {
    child: Child,
    pub public: String,
    internal: String,
    keys: GrantKeys,
    http: reqwest::Client,
}

impl Process {
    pub fn start(dir: &Path, database: &str, key: &str) -> Self {
        Self::over(dir, database, key, None)
    }

    /// With its media in the bucket of an S3 server, if there is one at `endpoint`.
    pub fn over(dir: &Path, database: &str, key: &str, endpoint: Option<&str>) -> Self {
        let bucket = endpoint.map(|endpoint| format!("\n{endpoint}")).unwrap_or_default();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "crash::child",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CONFIG, format!("{}\n{database}\n{key}{bucket}", dir.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .map_while(Result::ok)
            .find(|line| line.contains("serving "))
            .expect("the child serves");
        let mut words = line.split("serving ").nth(1).unwrap().split(' ');
        let public = words.next().unwrap().to_owned();
        let internal = words.next().unwrap().trim().to_owned();
        let keys = GrantKeys::parse(&[key.to_owned()]).unwrap();
        Process {
            child,
            public,
            internal,
            keys,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A tus client of this process, with a grant of its own.
    pub fn tus(&self, video: &VideoId) -> Client {
        Client::at(&self.public, self.http.clone(), video.clone(), self.upload_token(video))
    }

    pub fn upload_token(&self, video: &VideoId) -> String {
        self.keys.sign(&upload_grant(video))
    }

    /// The client that the other services use.
    pub fn client(&self) -> StreamClient {
        let mut config = test_config();
        config.internal.stream = vec![self.internal.clone()];
        Clients::new(&config).unwrap().stream
    }

    pub async fn put(
        &self,
        video: &VideoId,
        max_bytes: u64,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<reqwest::Response> {
        let permission = Permission::Upload {
            max_bytes,
            session: Id::now(),
        };
        let token = self.keys.sign(&Grant {
            permission,
            ..upload_grant(video)
        });
        self.http
            .put(format!("{}/uploads/by-video/{video}", self.public))
            .bearer_auth(token)
            .body(body)
            .send()
            .await
    }

    pub async fn get(&self, video: &VideoId) -> reqwest::Response {
        self.asking(video).send().await.unwrap()
    }

    /// For the file of a video.
    pub fn asking(&self, video: &VideoId) -> reqwest::RequestBuilder {
        let grant = Grant::new(
            Permission::Play,
            video.clone(),
            None,
            Timestamp::now(),
            Duration::from_secs(60),
        );
        let url = format!("{}/media/{}/{video}/file", self.public, self.keys.sign(&grant));
        self.http.get(url)
    }

    /// A value of /proc/<pid>/status in KiB.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn block_on(future: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(future);
}

/// A data folder, a database and a grant key that outlive the processes which use them.
pub fn on_each_place(test: impl AsyncFn(&Path, &str, &str)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let (database, dir) = (TestDatabase::new(backend), tempfile::tempdir().unwrap());
        let key = common::grant::GrantKey::generate("k1");
        block_on(test(dir.path(), &database.url, &key));
    }
}

#[test]
fn promise_1_an_acknowledged_upload_survives_a_kill() {
    on_each_place(async |dir, database, key| {
        let mut process = Process::start(dir, database, key);
        let (video, bytes) = (VideoId::random(), clip(3_000_000, 1));
        let stored = process.put(&video, 1 << 30, bytes.clone()).await.unwrap();
        // Killed the moment the answer is here.
        process.kill();
        assert_eq!(stored.status(), 201);
        let process = Process::start(dir, database, key);
        assert_eq!(process.get(&video).await.bytes().await.unwrap(), bytes);
        drop(process);
    });
}

#[test]
fn promise_1_kills_during_uploads_lose_nothing_acknowledged_and_leave_nothing_else() {
    on_each_place(async |dir, database, key| {
        let sqlite = database.starts_with("sqlite:");
        let mut acknowledged = Vec::new();
        for round in 0..6u64 {
            let mut process = Process::start(dir, database, key);
            let (video, bytes) = (VideoId::random(), clip(2_000_000 + round as usize, round as u8));
            let put = process.put(&video, 1 << 30, bytes.clone());
            let answer = tokio::select! {
                answer = put => answer.ok().map(|answer| answer.status().as_u16()),
                () = tokio::time::sleep(Duration::from_millis(4 * round * round)) => None,
            };
            process.kill();
            if let Some(status) = answer {
                assert_eq!(status, 201);
                acknowledged.push((video, bytes));
            }
        }
        let process = Process::start(dir, database, key);
        for (video, bytes) in &acknowledged {
            assert!(
                process.get(video).await.bytes().await.unwrap() == *bytes,
                "{video} is lost"
            );
        }
        if sqlite {
            // At its start the only process of a ledger removes what the last one left half-way. What was committed and not
            // answered may be there too: whole.
            let media = files(&dir.join("media"));
            let whole = media.iter().filter(|path| path.extension().is_none()).count();
            assert!(whole >= acknowledged.len() && whole == media.len(), "{media:?}");
        }
    });
}

#[test]
fn promise_5_a_full_disk_is_a_clean_507() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Tmpfs::mount(dir.path(), "2m");
    let Some(mount) = mount else {
        eprintln!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let url = format!("file:{}", dir.path().join("media").display());
    let url = &url;
    on_each_app_with(
        |config| {
            config.store.url = url.clone();
            config.stream.min_free.0 = 0;
        },
        |app| async move {
            let small = clip(200_000, 1);
            let (kept, bytes) = (VideoId::random(), small.clone());
            assert_eq!(app.put(&kept, small).await.status(), 201);
            for round in 0..4 {
                // With a declared length it is refused at once; without, when the disk is full.
                let body = if round % 2 == 0 {
                    clip(4_000_000, 2).into()
                } else {
                    undeclared(clip(4_000_000, 2))
                };
                let (status, code, _) = crate::app::App::problem(app.put(&VideoId::random(), body).await).await;
                assert_eq!((status, code.as_str()), (507, "storage_full"));
                assert_eq!(app.get(&kept).await.bytes().await.unwrap(), bytes, "reads go on");
                assert_eq!(app.rows().await.len(), 1, "nothing is half stored");
            }
            // Space comes back, and no restart is needed.
            assert_eq!(app.put(&VideoId::random(), clip(1_500_000, 3)).await.status(), 201);
            let page = app.client().media(None, 10).await.unwrap();
            for record in page.items {
                app.client().delete_media(&record.id).await.unwrap();
            }
        },
    );
    drop(mount);
}

pub fn undeclared(bytes: Vec<u8>) -> reqwest::Body {
    let pieces: Vec<_> = bytes
        .chunks(64 << 10)
        .map(|piece| Ok::<_, io::Error>(piece.to_vec()))
        .collect();
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

#[test]
fn promise_5_uploads_leave_the_room_that_a_deletion_needs() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Tmpfs::mount(dir.path(), "24m") else {
        eprintln!("SKIPPED: mounting a small tmpfs needs root");
        return;
    };
    let url = format!("file:{}", dir.path().join("media").display());
    let (url, place) = (&url, dir.path());
    on_each_app_with(
        |config| {
            config.store.url = url.clone();
            config.stream.min_free.0 = 12 << 20;
        },
        |app| async move {
            let (kept, bytes) = app.stored(4 << 20).await;
            // About 20 MiB are left, 8 of them for uploads.
            let declared = app.put(&VideoId::random(), clip(9 << 20, 2)).await;
            assert_eq!(crate::app::App::problem(declared).await.1, "storage_full");
            let counted = app.put(&VideoId::random(), undeclared(clip(14 << 20, 2))).await;
            assert_eq!(crate::app::App::problem(counted).await.1, "storage_full");
            assert_eq!(
                app.put(&VideoId::random(), undeclared(clip(1 << 20, 3))).await.status(),
                201
            );
            // Something else fills the disk to below the limit: no upload at all, but reads and deletions.
            std::fs::write(place.join("other"), vec![0; 9 << 20]).unwrap();
            let small = app.put(&VideoId::random(), undeclared(clip(3_000, 1))).await;
            assert_eq!(crate::app::App::problem(small).await.1, "storage_full");
            assert_eq!(app.get(&kept).await.bytes().await.unwrap(), bytes, "reads go on");
            for record in app.client().media(None, 10).await.unwrap().items {
                app.client().delete_media(&record.id).await.unwrap();
            }
            assert!(app.rows().await.is_empty());
            std::fs::remove_file(place.join("other")).unwrap();
            let again = app.put(&VideoId::random(), clip(3_000, 1)).await;
            assert_eq!(again.status(), 201, "no restart is needed");
            for record in app.client().media(None, 10).await.unwrap().items {
                app.client().delete_media(&record.id).await.unwrap();
            }
        },
    );
    drop(mount);
}

pub struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "sluice-test"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn promise_7_an_upload_costs_a_fixed_buffer() {
    let (database, dir) = (TestDatabase::new(Backend::Sqlite), tempfile::tempdir().unwrap());
    let key = common::grant::GrantKey::generate("k1");
    block_on(async {
        let process = Process::start(dir.path(), &database.url, &key);
        // Everything that is loaded once is loaded now.
        assert_eq!(
            process
                .put(&VideoId::random(), 1 << 30, clip(1_000_000, 1))
                .await
                .unwrap()
                .status(),
            201
        );
        let before = process.memory("VmRSS:");
        let (video, size) = (VideoId::random(), 160 << 20);
        let head = clip(4096, 1);
        // A clip, then much that is an unknown box to a player.
        let piece = bytes::Bytes::from(vec![7u8; 64 << 10]);
        let pieces = std::iter::once(bytes::Bytes::from(head)).chain(std::iter::repeat_n(piece, size >> 16));
        let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, io::Error>)));
        assert_eq!(process.put(&video, 1 << 30, body).await.unwrap().status(), 201);
        let grown = process.memory("VmHWM:").saturating_sub(before);
        assert!(grown < 16 << 10, "160 MiB of upload grew the process by {grown} KiB");
        println!("one upload of 160 MiB: +{grown} KiB");
        let piece = bytes::Bytes::from(vec![7u8; 64 << 10]);
        let uploads = (0..16).map(|_| {
            let head = bytes::Bytes::from(clip(4096, 1));
            let pieces = std::iter::once(head).chain(std::iter::repeat_n(piece.clone(), 160));
            let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, io::Error>)));
            async { process.put(&VideoId::random(), 1 << 30, body).await.unwrap().status() }
        });
        assert!(
            futures_util::future::join_all(uploads)
                .await
                .iter()
                .all(|status| *status == 201)
        );
        let grown = process.memory("VmHWM:").saturating_sub(before);
        println!("16 uploads of 10 MiB at once: +{grown} KiB");
        assert!(grown < 48 << 10, "16 uploads at once grew the process by {grown} KiB");
    });
}

#[test]
fn promise_4_the_hash_of_what_was_stored_is_that_of_what_was_sent() {
    on_each_app_with(
        |_| {},
        |app| async move {
            for size in [2_000, 262_143, 262_144, 262_145, 524_288, 1_000_001] {
                let (video, bytes) = app.stored(size).await;
                let sent = sha256(&bytes);
                assert_eq!(app.get(&video).await.headers()["etag"], format!("\"{sent}\""));
                assert!(
                    app.files()
                        .iter()
                        .any(|path| sha256(&std::fs::read(path).unwrap()) == sent)
                );
            }
        },
    );
}
