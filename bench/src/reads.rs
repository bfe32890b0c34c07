//! Listing videos and reading one through the embedded edge, on both databases in one run.

use std::time::Duration;

use crate::http::Person;
use crate::load::{self, Seen};
use crate::server::Server;
use crate::table::{self, median};
use crate::video;

const CONNECTIONS: usize = 64;
const VIDEOS: usize = 50;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);

/// A platform with videos in it.
struct Subject {
    name: &'static str,
    server: Server,
    list: Vec<u8>,
    read: Vec<u8>,
}

async fn subject(name: &'static str, settings: &[String]) -> Subject {
    let server = Server::fresh(settings);
    let person = Person::register(&server.base, "ann").await;
    let clip = video::clip();
    let mut id = String::new();
    for n in 0..VIDEOS {
        id = person
            .upload(&format!("Video {n}"), clip.clone().into(), clip.len() as u64)
            .await;
    }
    let list = load::get("/api/v1/videos", &person.token);
    let read = load::get(&format!("/api/v1/videos/{id}"), &person.token);
    // Every upload is listed before anything is measured.
    for _ in 0..600 {
        let page = person.get("/api/v1/videos?limit=100").await;
        if page["items"].as_array().is_some_and(|items| items.len() == VIDEOS) {
            return Subject {
                name,
                server,
                list,
                read,
            };
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name}: the videos do not become ready");
}

pub async fn measure() {
    let base = common::testing::postgres_url("bench");
    let settings: Vec<String> = ["api", "stream", "scheduler"]
        .iter()
        .map(|name| format!("database.{name}={}", with_schema(&base, name)))
        .collect();
    let subjects = [subject("SQLite", &[]).await, subject("PostgreSQL", &settings).await];
    let mut rows = Vec::new();
    for what in ["list videos (20 of 50)", "read a video"] {
        let mut seen: [Vec<(Seen, f64)>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (subject, seen) in subjects.iter().zip(&mut seen) {
                let request = if what.starts_with("list") {
                    &subject.list
                } else {
                    &subject.read
                };
                let cpu = subject.server.cpu_seconds();
                let round = load::run(subject.server.address(), request, CONNECTIONS, ROUND).await;
                seen.push((round, subject.server.cpu_seconds() - cpu));
            }
        }
        for (subject, seen) in subjects.iter().zip(&seen) {
            let of = |figure: &dyn Fn(&(Seen, f64)) -> f64| median(seen.iter().map(figure).collect());
            #[expect(clippy::cast_precision_loss, reason = "counts of a bench run")]
            let cpu_ms = of(&|(seen, cpu)| cpu * 1000.0 / seen.requests as f64);
            rows.push(vec![
                what.into(),
                subject.name.into(),
                format!("{:.0}", of(&|(seen, _)| seen.per_second())),
                format!("{:.2} ms", of(&|(seen, _)| seen.p(0.5))),
                format!("{:.2} ms", of(&|(seen, _)| seen.p(0.99))),
                format!("{cpu_ms:.3} ms"),
            ]);
        }
    }
    let title = format!(
        "Reads, {CONNECTIONS} connections, median of {ROUNDS} rounds of {} s",
        ROUND.as_secs()
    );
    table::print(
        &title,
        &["what", "database", "requests/s", "p50", "p99", "sluice CPU per request"],
        &rows,
    );
}

fn with_schema(base: &str, schema: &str) -> String {
    let mark = if base.contains('?') { '&' } else { '?' };
    format!("{base}{mark}schema={schema}")
}
