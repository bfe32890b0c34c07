//! Several copies of a service: one that leaves, dies or hangs under load, and names that stand for addresses.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use common::http::resource;
use common::service::Service;
use common::testing::raw::Raw;
use common::testing::{Running, eventually, spawn, test_config};

use crate::edge::{ask, config, start};
use crate::upstream::{Call, Upstream};

const GET: &str = "GET /api/v1/x HTTP/1.1\r\nHost: t\r\n\r\n";
const POST: &str = "POST /api/v1/x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";

const SOON: Duration = Duration::from_secs(20);

/// Clients that ask without a pause, each on its own connection, until they are told to stop.
struct Load {
    stop: Rc<Cell<bool>>,
    clients: Vec<tokio::task::JoinHandle<HashMap<u16, usize>>>,
}

impl Load {
    fn begin(edge: &Running, text: &'static str, clients: usize) -> Load {
        let stop = Rc::new(Cell::new(false));
        let client = |_| {
            let (stop, base) = (stop.clone(), edge.public.clone());
            tokio::task::spawn_local(async move {
                let mut client = Raw::connect(&base).await;
                let mut seen = HashMap::new();
                while !stop.get() {
                    client.send(text).await;
                    let answer = client.answer().await;
                    *seen.entry(answer.status).or_default() += 1;
                    if answer.header("connection") == Some("close") {
                        client = Raw::connect(&base).await;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                seen
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, clients }
    }

    /// How many answers there were of each status.
    async fn end(self) -> HashMap<u16, usize> {
        self.stop.set(true);
        let mut all = HashMap::new();
        for client in self.clients {
            for (status, count) in client.await.unwrap() {
                *all.entry(status).or_default() += count;
            }
        }
        all
    }
}

async fn until_alone(edge: &Running, base: &str) {
    let address = base.trim_start_matches("http://");
    let line = format!("sluice_replica_up{{service=\"proxy.api\",address=\"{address}\"}} 0\n");
    eventually("the copy is left alone", SOON, || async {
        edge.platform.metrics.encode().contains(&line).then_some(())
    })
    .await;
}

/// A real service that answers everything after a moment.
async fn copy() -> Running {
    let answer = || async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        HttpResponse::Ok().body("ok")
    };
    let service = Service {
        name: "copy",
        public: Some(std::sync::Arc::new(move |routes| {
            routes.service(resource("/api/v1/x").get(answer).post(answer).done());
        })),
        internal: None,
        upgrades: None,
        direct: None,
        ready: Vec::new(),
    };
    spawn(test_config(), |_, _| async { Ok(service) }).await.unwrap()
}

#[actix_web::test]
async fn promise_19_stopping_one_of_two_copies_politely_fails_no_request() {
    let (goes, stays) = (copy().await, copy().await);
    let first = goes.public.clone();
    let edge = start(config(&[&first, &stays.public], &[&first], &[&first])).await;
    let (reads, writes) = (Load::begin(&edge, GET, 4), Load::begin(&edge, POST, 4));
    tokio::time::sleep(Duration::from_millis(200)).await;
    // As SIGTERM does with `server.drain_delay`.
    goes.platform.drain.leave();
    until_alone(&edge, &first).await;
    goes.stop().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    for seen in [reads.end().await, writes.end().await] {
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&200], "{seen:?}");
        assert!(seen[&200] > 20, "{seen:?}");
    }
    edge.stop().await;
    stays.stop().await;
}

/// A copy that leaves takes what comes and ends each connection with its answer.
#[actix_web::test]
async fn promise_19_a_copy_that_leaves_says_so_and_serves_on() {
    let copy = copy().await;
    let mut kept = Raw::connect(&copy.public).await;
    assert_eq!(kept.get("/api/v1/x").await.header("connection"), None);
    copy.platform.drain.leave();
    let answer = kept.get("/api/v1/x").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(kept.rest().await, b"");
    let mut fresh = Raw::connect(&copy.public).await;
    assert_eq!(fresh.get("/readyz").await.status, 503);
    let mut fresh = Raw::connect(&copy.public).await;
    assert_eq!(fresh.get("/nothing").await.header("connection"), Some("close"));
    copy.stop().await;
}

async fn slow_copy() -> Upstream {
    Upstream::new(|mut call: Call| async move {
        while let Some(mut seen) = call.head().await {
            call.body(&mut seen).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            call.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await
}

#[actix_web::test]
async fn killing_one_of_two_copies_fails_only_writes_that_run_on_it() {
    let (dies, lives) = (slow_copy().await, slow_copy().await);
    let edge = start(config(&[&dies.base, &lives.base], &[&dies.base], &[&dies.base])).await;
    let (reads, writes) = (Load::begin(&edge, GET, 4), Load::begin(&edge, POST, 4));
    eventually("both are asked", SOON, || async {
        (dies.count() > 20 && lives.count() > 20).then_some(())
    })
    .await;
    dies.die();
    until_alone(&edge, &dies.base).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (reads, writes) = (reads.end().await, writes.end().await);
    assert_eq!(reads.keys().collect::<Vec<_>>(), [&200], "{reads:?}");
    let failed: usize = writes
        .iter()
        .filter(|(status, _)| **status != 200)
        .map(|(_, count)| count)
        .sum();
    assert!(failed <= 4, "one for each client at most: {writes:?}");
    assert!(writes.keys().all(|status| matches!(status, 200 | 502)), "{writes:?}");
    edge.stop().await;
}

/// It takes connections and requests and says nothing, as a process that was stopped. Reads that wait for it are made of the
/// other one, long before `proxy.response_timeout`; when it is back it is asked again.
#[actix_web::test]
async fn a_copy_that_hangs_is_left_alone_until_it_is_back() {
    let hangs = Rc::new(Cell::new(false));
    let told = hangs.clone();
    let first = Upstream::new(move |mut call: Call| {
        let hangs = told.clone();
        async move {
            while let Some(mut seen) = call.head().await {
                call.body(&mut seen).await;
                while hangs.get() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                call.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    let second = slow_copy().await;
    let mut config = config(&[&first.base, &second.base], &[&first.base], &[&first.base]);
    config.proxy.response_timeout = common::config::Span(Duration::from_secs(60));
    let edge = start(config).await;
    let load = Load::begin(&edge, GET, 4);
    eventually("it is asked", SOON, || async { (first.count() > 10).then_some(()) }).await;
    hangs.set(true);
    until_alone(&edge, &first.base).await;
    let asked = first.count();
    for _ in 0..20 {
        assert_eq!(ask(&edge, POST).await.status, 200, "writes go to the other one");
    }
    assert_eq!(first.count(), asked, "nobody asks it");
    hangs.set(false);
    eventually("it is asked again", SOON, || async {
        (first.count() > asked + 10).then_some(())
    })
    .await;
    let seen = load.end().await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&200], "{seen:?}");
    edge.stop().await;
}

#[actix_web::test]
async fn a_name_is_as_many_copies_as_it_has_addresses() {
    let service = slow_copy().await;
    let named = service.base.replace("127.0.0.1", "localhost");
    let edge = start(config(&[&named], &[&named], &[&named])).await;
    let address = service.base.trim_start_matches("http://");
    let line = format!("sluice_replica_up{{service=\"proxy.api\",address=\"{address}\"}} 1\n");
    for _ in 0..3 {
        let answer = ask(&edge, GET).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(
            service.last().header("host").as_deref(),
            Some("t"),
            "the public host is kept"
        );
    }
    eventually("the address is known", SOON, || async {
        edge.platform.metrics.encode().contains(&line).then_some(())
    })
    .await;
    edge.stop().await;
}
