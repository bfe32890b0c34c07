//! What sign-ins cost the others: argon2id takes a core for tens of milliseconds, so it must not take the ones that serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::json;

use crate::http::{PASSWORD, Person};
use crate::load;
use crate::server::Server;
use crate::table::{self, median};
use crate::video;

const SIGN_INS: usize = 32;
/// Few enough that the reads themselves do not fill the machine: the question is what sign-ins add.
const READERS: usize = 8;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);

pub async fn measure() {
    let server = Server::fresh(&[
        "api.sign_in_attempts=100000".into(),
        "api.sign_in_attempts_per_address=100000".into(),
    ]);
    let person = Person::register(&server.base, "ann").await;
    let clip = video::clip();
    let id = person.upload("Read", clip.clone().into(), clip.len() as u64).await;
    let read = load::get(&format!("/api/v1/videos/{id}"), &person.token);
    let (mut alone, mut beside, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(load::run(server.address(), &read, READERS, ROUND).await.p(0.99));
        let signing = SigningIn::start(&server.base);
        beside.push(load::run(server.address(), &read, READERS, ROUND).await.p(0.99));
        rates.push(signing.stop().await);
    }
    let (alone, beside) = (median(alone), median(beside));
    let rows = vec![
        vec![
            "reads alone".into(),
            format!("{alone:.2} ms"),
            String::new(),
            String::new(),
        ],
        vec![
            format!("reads while {SIGN_INS} sign in"),
            format!("{beside:.2} ms"),
            format!("{:.2}", beside / alone),
            "≤ 2".into(),
        ],
        vec![
            "sign-ins/s meanwhile".into(),
            format!("{:.1}", median(rates)),
            String::new(),
            String::new(),
        ],
    ];
    table::print("Reads beside sign-ins", &["what", "p99", "ratio", "goal"], &rows);
}

/// People who sign in over and over.
struct SigningIn {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    began: Instant,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl SigningIn {
    fn start(base: &str) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        let tasks = (0..SIGN_INS).map(|_| {
            let (stop, done, client, url) = (
                stop.clone(),
                done.clone(),
                client.clone(),
                format!("{base}/api/v1/sessions"),
            );
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({ "username": "ann", "password": PASSWORD });
                    let answer = client.post(&url).json(&body).send().await.expect("an answer");
                    if answer.status() == 201 {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        SigningIn {
            tasks: tasks.collect(),
            stop,
            done,
            began: Instant::now(),
        }
    }

    /// Sign-ins per second.
    async fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench run")]
        let rate = self.done.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        for task in self.tasks {
            task.await.expect("a sign-in does not panic");
        }
        rate
    }
}
