//! Two copies of api-service on PostgreSQL behind one edge, as processes: one that is stopped politely, killed, or hangs, while
//! people read and write.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::testing::{eventually, postgres_url};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::person::{Answer, Cut, Person, client};
use crate::site::{Home, Process, Site, free_port};

const SOON: Duration = Duration::from_secs(60);
const READERS: usize = 4;
const WRITERS: usize = 2;

/// What was answered instead of 200 to one who asks; `None` where nothing was.
type Failed = Vec<Option<Answer>>;

/// People who ask without a pause until they are told to stop.
struct Load {
    over: Rc<Cell<bool>>,
    readers: Vec<JoinHandle<Failed>>,
    writers: Vec<JoinHandle<Failed>>,
}

impl Load {
    fn begin(person: &Person) -> Load {
        let over = Rc::new(Cell::new(false));
        let ask = |writes: bool| {
            let (over, person) = (over.clone(), person.clone());
            spawn_local(async move {
                let (mut good, mut failed) = (0, Vec::new());
                // On a busy machine it may be over before the first answer has come.
                while !over.get() || good + failed.len() == 0 {
                    let request = if writes {
                        let bio = json!({ "bio": format!("{good}") });
                        person.request(Method::PATCH, "/api/v1/users/me").json(&bio)
                    } else {
                        person.request(Method::GET, "/api/v1/users/me")
                    };
                    match person.try_send(request).await {
                        Ok(answer) if answer.status == 200 => good += 1,
                        Ok(answer) => failed.push(Some(answer)),
                        Err(Cut) => failed.push(None),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                failed
            })
        };
        Load {
            readers: (0..READERS).map(|_| ask(false)).collect(),
            writers: (0..WRITERS).map(|_| ask(true)).collect(),
            over,
        }
    }

    /// Ends it: no read has failed, and no more than `writes` writes.
    async fn end(self, writes: usize, why: &str) {
        self.over.set(true);
        for (tasks, most) in [(self.readers, 0), (self.writers, writes)] {
            let failed = futures_util::future::join_all(tasks).await;
            let failed: Failed = failed.into_iter().flat_map(Result::unwrap).collect();
            assert!(failed.len() <= most, "{why}: {failed:?}");
        }
    }
}

struct Scaled {
    /// The first two are the copies of api-service; the edge is the last. They end before their folder.
    site: Site,
    home: Home,
    /// Where the edge tells about copies.
    metrics: String,
    /// The first copy.
    address: String,
}

impl Scaled {
    fn start() -> Scaled {
        let home = Home::new();
        let database = postgres_url("copies");
        let names = ["api", "api", "stream", "scheduler", "proxy"];
        let public: [u16; 5] = std::array::from_fn(|_| free_port());
        let internal: [u16; 5] = std::array::from_fn(|_| free_port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let both = |ports: &[u16; 5]| format!("{},{}", url(ports[0]), url(ports[1]));
        let mut env = vec![
            (
                "SLUICE_SECRETS__INTERNAL_TOKEN".to_owned(),
                "0123456789abcdef".repeat(2),
            ),
            (
                "SLUICE_SECRETS__GRANT_KEYS".to_owned(),
                format!("k1:{}", "A".repeat(43)),
            ),
            ("SLUICE_SERVER__TRUSTED_PROXIES".to_owned(), "127.0.0.1".to_owned()),
            ("SLUICE_SERVER__DRAIN_DELAY".to_owned(), "3s".to_owned()),
            ("SLUICE_PROXY__API".to_owned(), both(&public)),
            ("SLUICE_INTERNAL__API".to_owned(), both(&internal)),
        ];
        for (at, name) in [(2, "STREAM"), (3, "SCHEDULER")] {
            env.push((format!("SLUICE_PROXY__{name}"), url(public[at])));
            env.push((format!("SLUICE_INTERNAL__{name}"), url(internal[at])));
        }
        for name in ["api", "stream", "scheduler"] {
            let key = format!("SLUICE_DATABASE__{}", name.to_uppercase());
            env.push((key, format!("{database}?schema={name}")));
        }
        let start = |at: usize| -> Process {
            let (listen, inner) = (
                format!("127.0.0.1:{}", public[at]),
                format!("internal.listen=127.0.0.1:{}", internal[at]),
            );
            let started = home.start(names[at], &["--listen", &listen, "--set", &inner], &[], &env);
            started
                .unwrap_or_else(|log| panic!("sluice {} starts:\n{log}", names[at]))
                .0
        };
        let processes = (0..names.len()).map(start).collect();
        Scaled {
            site: Site {
                base: url(public[4]),
                processes,
            },
            home,
            metrics: format!("{}/metrics", url(internal[4])),
            address: format!("127.0.0.1:{}", public[0]),
        }
    }

    fn signal(&self, signal: Signal) {
        self.site.processes[0].signal(signal);
    }

    /// Waits until the edge asks the first copy (1) or leaves it alone (0).
    async fn until_up(&self, up: u8) {
        let line = format!(
            "sluice_replica_up{{service=\"proxy.api\",address=\"{}\"}} {up}\n",
            self.address
        );
        let http = client();
        eventually(&line, SOON, || async {
            let text = http.get(&self.metrics).send().await.ok()?.text().await.ok()?;
            text.contains(&line).then_some(())
        })
        .await;
    }

    async fn again(&mut self) {
        self.home.kill_and_restart(&mut self.site.processes[0]);
        self.until_up(1).await;
    }
}

#[tokio::test]
async fn promise_19_people_do_not_notice_that_a_copy_leaves_dies_or_hangs() {
    let people = async {
        let mut scaled = Scaled::start();
        let ann = Person::register(&scaled.site.base, "ann").await;
        scaled.until_up(1).await;

        let load = Load::begin(&ann);
        tokio::time::sleep(Duration::from_millis(200)).await;
        scaled.signal(Signal::TERM);
        let first = &mut scaled.site.processes[0];
        let ended = eventually("the copy has ended", SOON, || {
            let ended = first.child.try_wait().unwrap();
            async move { ended }
        })
        .await;
        assert!(ended.success(), "{ended}");
        load.end(0, "a copy that is stopped politely fails no request").await;

        scaled.again().await;
        let load = Load::begin(&ann);
        tokio::time::sleep(Duration::from_millis(200)).await;
        scaled.signal(Signal::KILL);
        scaled.until_up(0).await;
        let why = "reads of a copy that is killed are made of the other, and no more writes fail than ran on it";
        load.end(WRITERS, why).await;

        scaled.again().await;
        let load = Load::begin(&ann);
        tokio::time::sleep(Duration::from_millis(200)).await;
        scaled.signal(Signal::STOP);
        scaled.until_up(0).await;
        let fresh = Load::begin(&ann);
        tokio::time::sleep(Duration::from_millis(300)).await;
        fresh
            .end(0, "nobody asks a copy that hangs, or waits for what it has locked")
            .await;
        scaled.signal(Signal::CONT);
        let why = "and what ran on it goes on with it, but for what it was in the middle of writing";
        load.end(WRITERS, why).await;
        scaled.until_up(1).await;
        scaled.site.stop();
    };
    LocalSet::new().run_until(people).await;
}
