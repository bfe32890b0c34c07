//! A worker process, played by a thread with its own runtime: it can be drained, killed between two instructions of any of its
//! tasks, and paused whole, heartbeats included.

use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use common::bus::Bus;
use common::clients::Clients;
use common::config::SchedulerConfig;
use common::db::{Db, DbError, now_ms};
use common::drain::Drain;
use common::metrics::Metrics;
use common::testing::{eventually, test_config};
use scheduler_service::JobMetrics;
use scheduler_service::job::{Job, Kind, State};
use scheduler_service::jobs::PurgeCalls;
use scheduler_service::ops::{self, Filter, Request};
use scheduler_service::runner::{self, Limits, Parts, Wake};
use scheduler_service::schedule::Schedule;
use tokio::sync::mpsc;

use crate::world::World;

/// Longest time that anything here may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

pub enum Order {
    /// Blocks the thread until the sender is gone.
    Pause(blocking::Receiver<()>),
    /// Ends the thread with everything on it, as SIGKILL would.
    Kill,
}

pub struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    drain: Drain,
    thread: Option<JoinHandle<()>>,
}

pub fn clients(world: &World) -> Clients {
    let mut config = test_config();
    config.internal.api = vec![world.url.clone()];
    config.internal.stream = vec![world.url.clone()];
    Clients::new(&config).unwrap()
}

pub fn limits() -> Limits {
    Limits {
        workers: 4,
        lease: Duration::from_secs(20),
        poll: Duration::from_millis(50),
        max_attempts: 8,
        orphan_grace: Duration::from_secs(3600),
        scrub_run: Duration::from_secs(3600),
        schedule: Schedule::from(&SchedulerConfig::default()),
        drain: Duration::from_secs(20),
    }
}

impl Worker {
    pub fn start(db: &Db, world: &World, limits: Limits) -> Worker {
        Worker::on(Bus::local(), db, world, limits)
    }

    /// One that hears `bus`.
    pub fn on(bus: Bus, db: &Db, world: &World, limits: Limits) -> Worker {
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let drain = Drain::new();
        let (db, clients, own_drain) = (db.clone(), clients(world), drain.clone());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let parts = Parts {
                    db,
                    purges: PurgeCalls::new(&clients),
                    clients,
                    bus,
                    drain: own_drain,
                    wake: Wake::default(),
                    metrics: JobMetrics::register(&Metrics::new()),
                };
                let mut running = tokio::task::spawn_local(runner::run(parts, limits));
                loop {
                    tokio::select! {
                        ended = &mut running => return ended.unwrap(),
                        order = inbox.recv() => match order.unwrap() {
                            Order::Kill => return,
                            Order::Pause(until) => drop(until.recv()),
                        },
                    }
                }
            });
        });
        Worker {
            orders,
            drain,
            thread: Some(thread),
        }
    }

    /// Everything on the thread stands still until the answer is dropped.
    pub fn pause(&self) -> blocking::Sender<()> {
        let (resume, until) = blocking::channel();
        self.orders.send(Order::Pause(until)).ok();
        resume
    }

    pub async fn kill(mut self) {
        self.orders.send(Order::Kill).ok();
        self.join().await;
    }

    pub async fn drain(mut self) {
        self.drain.begin();
        self.join().await;
    }

    async fn join(&mut self) {
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap();
    }
}

/// Due since long.
pub fn purge_request(key: &str) -> Request {
    Request {
        kind: Kind::Purge,
        key: key.into(),
        payload: "{}".into(),
        run_at: 1,
        operation_id: "test-operation".into(),
    }
}

pub async fn arm(db: &Db, request: Request) -> Job {
    db.write(move |conn| -> Result<_, DbError> {
        let now = now_ms(conn)?;
        Ok(ops::arm(conn, now, &request)?.job.shown(now))
    })
    .await
    .unwrap()
}

pub async fn job(db: &Db, kind: Kind, key: &str) -> Job {
    let filter = Filter {
        kind: Some(kind),
        ..Filter::default()
    };
    let all = list(db, filter, 1_000_000).await;
    all.into_iter().find(|job| job.key == key).unwrap()
}

pub async fn list(db: &Db, filter: Filter, limit: i64) -> Vec<Job> {
    db.read(move |conn| -> Result<_, DbError> {
        let now = now_ms(conn)?;
        Ok(ops::page(conn, now, &filter, limit)?
            .into_iter()
            .map(|row| row.shown(now))
            .collect())
    })
    .await
    .unwrap()
}

/// Waits until the purge job of `key` is in that state.
pub async fn until(db: &Db, key: &str, state: State) -> Job {
    eventually(&format!("{key} is {state:?}"), SOON, || async {
        Some(job(db, Kind::Purge, key).await).filter(|job| job.state == state)
    })
    .await
}
