//! The scaled platform on this machine: two processes of each service, PostgreSQL, NATS where the binary speaks it, media in a
//! folder that both copies of stream-service share, and haproxy before the two edges as a deployment's balancer.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::testing::Postgres;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::Blow;
use super::nats::Nats;
use crate::bytes::peers;
use crate::http::Person;
use crate::running::{self, Running};
use crate::server::{self, Server};
use crate::video;

const ROLES: [&str; 4] = ["api", "stream", "scheduler", "proxy"];
const COPIES: usize = 2;

/// How long a copy may take to be ready again.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// After the last copy is ready: health checks of the edges and of haproxy have seen it.
const SETTLE: Duration = Duration::from_millis(2_500);

pub struct World {
    // In the order in which they end.
    front: Option<Running>,
    copies: Vec<Copy>,
    nats: Option<Arc<Mutex<Nats>>>,
    postgres: Arc<Mutex<Postgres>>,
    /// haproxy's.
    pub base: String,
    pub person: Person,
    pub video: String,
    pub media: String,
    /// Ids of acknowledged comments.
    pub kept: Vec<String>,
    env: Vec<(String, String)>,
    struck: usize,
    restarting: Option<std::thread::JoinHandle<()>>,
    binary: PathBuf,
    folder: tempfile::TempDir,
}

struct Copy {
    role: &'static str,
    public: SocketAddr,
    internal: SocketAddr,
    data: PathBuf,
    server: Option<Server>,
}

impl World {
    pub fn start(runtime: &Runtime) -> World {
        let (binary, folder) = (server::binary(), running::folder("failover"));
        let postgres = Postgres::start();
        let nats = speaks_nats(&binary).then(Nats::start).flatten();
        let mut copies: Vec<Copy> = ROLES
            .iter()
            .flat_map(|role| (0..COPIES).map(move |number| (*role, number)))
            .map(|(role, number)| Copy {
                role,
                public: running::free(),
                internal: running::free(),
                data: folder.path().join(format!("{role}{number}")),
                server: None,
            })
            .collect();
        let env = environment(&copies, &postgres, nats.as_ref(), folder.path());
        for copy in &mut copies {
            copy.launch(&binary, &env);
        }
        let proxies: Vec<SocketAddr> = copies
            .iter()
            .filter(|copy| copy.role == "proxy")
            .map(|copy| copy.public)
            .collect();
        let front = peers::haproxy_balancer(&proxies);
        let base = format!("http://{}", front.address);
        let (person, video, media) = runtime.block_on(fill(&base));
        let world = World {
            front: Some(front),
            copies,
            nats: nats.map(|nats| Arc::new(Mutex::new(nats))),
            postgres: Arc::new(Mutex::new(postgres)),
            base,
            person,
            video,
            media,
            kept: Vec::new(),
            env,
            struck: 0,
            restarting: None,
            binary,
            folder,
        };
        runtime.block_on(world.until_ready());
        world
    }

    pub fn versions(&self) -> String {
        let bus = if self.nats.is_some() {
            "NATS"
        } else {
            "no NATS: the bus is local to each process"
        };
        format!(
            "{COPIES} copies of each service behind haproxy, PostgreSQL, {bus}, media in {}",
            self.folder.path().display()
        )
    }

    pub fn has_nats(&self) -> bool {
        self.nats.is_some()
    }

    /// Does it, and returns at once.
    pub fn strike(&mut self, blow: Blow) {
        self.struck += 1;
        match blow {
            Blow::Postgres => {
                let postgres = self.postgres.clone();
                self.restarting = Some(std::thread::spawn(move || {
                    let mut postgres = postgres.lock().expect("no panic holds it");
                    postgres.stop();
                    postgres.start_again();
                }));
            }
            Blow::Nats => {
                let nats = self.nats.clone().expect("there is one");
                self.restarting = Some(std::thread::spawn(move || {
                    nats.lock().expect("no panic holds it").restart()
                }));
            }
            Blow::Hang => self.signal(blow, Signal::STOP),
            Blow::Polite => self.signal(blow, Signal::TERM),
            Blow::Api | Blow::Stream | Blow::Scheduler | Blow::Proxy => self.signal(blow, Signal::KILL),
        }
    }

    /// Everything runs again.
    pub fn mend(&mut self, runtime: &Runtime, blow: Blow) {
        if let Some(restarting) = self.restarting.take() {
            restarting.join().expect("it is back");
        }
        if blow == Blow::Hang {
            self.signal(blow, Signal::CONT);
        } else if let Some(at) = self.target(blow) {
            // Ends what is left of it, and waits for that.
            self.copies[at].server = None;
            let (binary, env) = (self.binary.clone(), self.env.clone());
            self.copies[at].launch(&binary, &env);
        }
        runtime.block_on(self.until_ready());
    }

    /// Acknowledged comments that nobody has any more.
    pub fn lost(&self, runtime: &Runtime) -> usize {
        let there: HashSet<String> = runtime.block_on(async {
            let mut found = HashSet::new();
            let mut after = String::new();
            loop {
                let path = format!("/api/v1/videos/{}/comments?limit=100{after}", self.video);
                let page = self.person.get(&path).await;
                let items = page["items"].as_array().expect("a page has items");
                found.extend(items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
                match page["next"].as_str() {
                    Some(cursor) => after = format!("&cursor={cursor}"),
                    None => return found,
                }
            }
        });
        self.kept.iter().filter(|id| !there.contains(*id)).count()
    }

    fn target(&self, blow: Blow) -> Option<usize> {
        let role = match blow {
            Blow::Api | Blow::Hang | Blow::Polite => "api",
            Blow::Stream => "stream",
            Blow::Scheduler => "scheduler",
            Blow::Proxy => "proxy",
            Blow::Postgres | Blow::Nats => return None,
        };
        let first = self.copies.iter().position(|copy| copy.role == role)?;
        Some(first + self.struck % COPIES)
    }

    fn signal(&self, blow: Blow, signal: Signal) {
        let copy = &self.copies[self.target(blow).expect("a blow to a copy")];
        let pid = copy.server.as_ref().expect("it runs").pid();
        let pid = Pid::from_raw(pid.cast_signed()).expect("a process has an id");
        kill_process(pid, signal).expect("it is our own");
    }

    async fn until_ready(&self) {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(3))
            .build()
            .expect("a client");
        let began = Instant::now();
        for copy in &self.copies {
            loop {
                let asked = http.get(format!("http://{}/readyz", copy.public)).send().await;
                if asked.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                assert!(began.elapsed() < READY_WITHIN, "{} is not ready", copy.role);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::time::sleep(SETTLE).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.front.take());
        self.copies.clear();
    }
}

impl Copy {
    fn launch(&mut self, binary: &Path, env: &[(String, String)]) {
        let settings = [
            format!("internal.listen={}", self.internal),
            "server.drain_delay=3s".to_owned(),
            "server.workers=1".to_owned(),
            "gateway.workers=1".to_owned(),
        ];
        let listen = self.public.to_string();
        self.server = Some(Server::launch(binary, self.role, &listen, &self.data, &settings, env));
    }
}

/// What the copies know of each other, and what a single client would be refused for.
fn environment(copies: &[Copy], postgres: &Postgres, nats: Option<&Nats>, folder: &Path) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = [
        ("SECRETS__INTERNAL_TOKEN", "bench-".repeat(6)),
        ("SECRETS__GRANT_KEYS", format!("k1:{}", "A".repeat(43))),
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1".into()),
        ("STORE__URL", format!("file:{}", folder.join("media").display())),
        ("STREAM__RATE", "1000000".into()),
        ("STREAM__BURST", "1000000".into()),
        ("API__POSTS_PER_SECOND", "1000".into()),
        ("API__POST_BURST", "1000".into()),
    ]
    .map(|(name, value)| (format!("SLUICE_{name}"), value))
    .to_vec();
    if let Some(nats) = nats {
        env.push(("SLUICE_BUS__URL".into(), format!("nats://{}", nats.address)));
    }
    for role in &ROLES[..3] {
        let of = |address: fn(&Copy) -> SocketAddr| {
            let all = copies
                .iter()
                .filter(|copy| copy.role == *role)
                .map(|copy| format!("http://{}", address(copy)));
            all.collect::<Vec<_>>().join(",")
        };
        let name = role.to_uppercase();
        env.push((format!("SLUICE_PROXY__{name}"), of(|copy| copy.public)));
        env.push((format!("SLUICE_INTERNAL__{name}"), of(|copy| copy.internal)));
        env.push((
            format!("SLUICE_DATABASE__{name}"),
            format!("{}?schema={role}", postgres.url()),
        ));
    }
    env
}

async fn fill(base: &str) -> (Person, String, String) {
    // haproxy takes its first look at the edges.
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let began = Instant::now();
    while !http
        .get(format!("{base}/readyz"))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        assert!(began.elapsed() < READY_WITHIN, "the platform is not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let person = Person::register(base, "ann").await;
    let clip = video::clip();
    let id = person
        .upload("The content", video::padded(&clip, 1 << 20), 1 << 20)
        .await;
    let began = Instant::now();
    while person.get(&format!("/api/v1/videos/{id}")).await["state"] != "ready" {
        assert!(began.elapsed() < READY_WITHIN, "the video is not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let media = person.playback(&id).await;
    (person, id, media)
}

/// Whether the binary takes NATS for its bus.
fn speaks_nats(binary: &Path) -> bool {
    let mut command = Command::new(binary);
    command.args(["check-config", "--set", "bus.url=nats://127.0.0.1:4222"]);
    command.output().is_ok_and(|output| output.status.success())
}
