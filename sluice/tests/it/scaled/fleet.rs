//! Eight processes; a database, a broker and a store of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::ids::VideoId;
use common::testing::{Broker, eventually, free_port, postgres_url};
use rustix::process::Signal;

use crate::kill::{Stored, on_disk};
use crate::person::{Person, client};
use crate::site::{Home, Process, files};

/// In the order in which they start.
const KINDS: [&str; 4] = ["api", "stream", "scheduler", "proxy"];

/// Of each kind.
const COPIES: usize = 2;

/// Where media lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// One folder that both copies of stream-service see.
    Folder,
    /// A bucket.
    S3,
}

pub struct Fleet {
    home: Home,
    pub broker: Broker,
    bucket: Option<s3_server::Server>,
    /// Public addresses of the edges.
    pub edges: Vec<String>,
    copies: Vec<Copy>,
}

struct Copy {
    kind: &'static str,
    process: Process,
}

impl Fleet {
    /// Both copies of a kind start at the same moment on empty tables: one of them migrates.
    pub async fn start(store: Store, settings: &[&str]) -> Fleet {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("scaled_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (home, broker) = (Home::new(), Broker::start());
        let bucket = (store == Store::S3).then(|| {
            let options = s3_server::Options {
                folder: Some(home.dir.path().join("s3")),
                ..s3_server::Options::default()
            };
            s3_server::Server::start(options).unwrap()
        });
        let url = postgres_url(&database);
        let mut fleet = Fleet {
            home,
            broker,
            bucket,
            edges: Vec::new(),
            copies: Vec::new(),
        };
        let ports: Vec<[(u16, u16); COPIES]> = KINDS
            .iter()
            .map(|_| std::array::from_fn(|_| (free_port(), free_port())))
            .collect();
        let mut env = environment(&ports, &url, &fleet.broker.url());
        if let Some(server) = &fleet.bucket {
            // Of the two ways from service to edge, each kind of store has one.
            let sockets = fleet.home.dir.path().join("sockets").display().to_string();
            env.extend([
                ("SLUICE_SERVER__SOCKET_DIR".to_owned(), sockets),
                ("SLUICE_STORE__URL".to_owned(), "s3://media/here".to_owned()),
                ("SLUICE_STORE__ENDPOINT".to_owned(), server.endpoint()),
                ("SLUICE_STORE__ACCESS_KEY".to_owned(), server.options.access_key.clone()),
                ("SLUICE_STORE__SECRET_KEY".to_owned(), server.options.secret_key.clone()),
            ]);
        }
        for (kind, ports) in KINDS.into_iter().zip(&ports) {
            let home = &fleet.home;
            let started: Vec<Process> = std::thread::scope(|scope| {
                let start = |(public, internal): (u16, u16)| {
                    let (env, listen) = (&env, format!("127.0.0.1:{public}"));
                    let inner = format!("internal.listen=127.0.0.1:{internal}");
                    scope.spawn(move || {
                        let started = home.start(kind, &["--listen", &listen, "--set", &inner], settings, env);
                        started.unwrap_or_else(|log| panic!("sluice {kind} starts:\n{log}")).0
                    })
                };
                let starting: Vec<_> = ports.iter().map(|ports| start(*ports)).collect();
                starting.into_iter().map(|start| start.join().unwrap()).collect()
            });
            fleet
                .copies
                .extend(started.into_iter().map(|process| Copy { kind, process }));
            if kind == "proxy" {
                fleet.edges = ports.iter().map(|(public, _)| address(*public)).collect();
            }
        }
        fleet.is_ready().await;
        fleet
    }

    /// Every edge reaches every service.
    pub async fn is_ready(&self) {
        let http = client();
        for edge in &self.edges {
            eventually(&format!("{edge} is ready"), Duration::from_secs(60), || async {
                let answer = http.get(format!("{edge}/readyz")).send().await.ok()?;
                answer.status().is_success().then_some(())
            })
            .await;
        }
    }

    /// What is stored.
    pub fn stored(&self) -> Vec<Stored> {
        if self.bucket.is_none() {
            return on_disk(&self.home);
        }
        // A file per object, whose name is its key.
        let objects = files(&self.home.dir.path().join("s3/media")).into_iter();
        let stored = objects.map(|(path, size)| {
            let key = path.file_name().unwrap().to_str().unwrap().replace("%2F", "/");
            let id = key.split('/').find(|part| part.parse::<VideoId>().is_ok());
            let id = id.unwrap_or_else(|| panic!("{key} is no video's")).to_owned();
            (key, id, size)
        });
        stored.collect()
    }

    /// One of the two of `kind`.
    fn of(&mut self, kind: &str, which: usize) -> usize {
        let of_kind = self.copies.iter().enumerate().filter(|(_, copy)| copy.kind == kind);
        of_kind.map(|(place, _)| place).nth(which).unwrap()
    }

    /// kill -9; it stays away.
    pub fn kill(&mut self, kind: &str, which: usize) {
        let place = self.of(kind, which);
        self.copies[place].process.signal(Signal::KILL);
        self.copies[place].process.wait();
    }

    /// SIGTERM; it must end well.
    pub fn stop_one(&mut self, kind: &str, which: usize) {
        let place = self.of(kind, which);
        self.copies[place].process.signal(Signal::TERM);
        let status = self.copies[place].process.wait();
        assert!(status.success(), "a polite stop of {kind} ends with 0, not {status}");
    }

    /// Starts one again that was killed or stopped.
    pub fn start_again(&mut self, kind: &str, which: usize) {
        let place = self.of(kind, which);
        self.home.kill_and_restart(&mut self.copies[place].process);
    }

    /// The same person at another edge.
    pub fn at(&self, person: &Person, edge: usize) -> Person {
        Person {
            base: self.edges[edge % self.edges.len()].clone(),
            ..person.clone()
        }
    }

    /// SIGTERM to all, the edges first.
    pub fn stop(mut self) {
        for copy in self.copies.iter_mut().rev() {
            copy.process.signal(Signal::TERM);
        }
        for copy in &mut self.copies {
            let status = copy.process.wait();
            assert!(
                status.success(),
                "a polite stop of {} ends with 0, not {status}",
                copy.kind
            );
        }
    }
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// What all of them are told: where everybody is, one database, one broker, the same secrets.
fn environment(ports: &[[(u16, u16); COPIES]], database: &str, broker: &str) -> Vec<(String, String)> {
    let list = |ports: &[u16]| ports.iter().map(|port| address(*port)).collect::<Vec<_>>().join(",");
    let mut env = vec![
        (
            "SLUICE_SECRETS__INTERNAL_TOKEN".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
        ),
        (
            "SLUICE_SECRETS__GRANT_KEYS".to_owned(),
            format!("k1:{}", "A".repeat(43)),
        ),
        ("SLUICE_SERVER__TRUSTED_PROXIES".to_owned(), "127.0.0.1".to_owned()),
        ("SLUICE_BUS__URL".to_owned(), broker.to_owned()),
        ("SLUICE_DATABASE__CONNECTIONS".to_owned(), "4".to_owned()),
    ];
    for (kind, ports) in KINDS.iter().zip(ports).take(3) {
        let kind = kind.to_uppercase();
        let schema = kind.to_lowercase();
        env.push((
            format!("SLUICE_DATABASE__{kind}"),
            format!("{database}?schema={schema}"),
        ));
        env.push((format!("SLUICE_PROXY__{kind}"), list(&ports.map(|(public, _)| public))));
        env.push((
            format!("SLUICE_INTERNAL__{kind}"),
            list(&ports.map(|(_, internal)| internal)),
        ));
    }
    env
}
