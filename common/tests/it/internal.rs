//! The internal listener: nothing but the probes without the token, whatever the spelling; its own connections.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use common::error::{ApiError, Code};
use common::health::Check;
use common::http::{Body, resource, serve_each};
use common::messages::batch::{Call, Calls, Outcome, Outcomes};
use common::operation::{self, OperationId};
use common::service::Service;
use common::testing::{INTERNAL_TOKEN, Running, eventually, spawn, test_config};

async fn service(max_connections: usize) -> Running {
    let mut config = test_config();
    config.server.max_connections = max_connections;
    let secret = || async { HttpResponse::Ok().body("secret") };
    let away: Check = Arc::new(|| Box::pin(async { Err("postgres://10.0.0.1/db refuses".to_owned()) }));
    let service = Service {
        name: "test",
        public: None,
        internal: Some(Arc::new(move |routes| {
            routes.service(resource("/internal/secret").get(secret).done());
        })),
        upgrades: None,
        direct: None,
        ready: vec![("database", away)],
    };
    spawn(config, |_, _| async { Ok(service) }).await.unwrap()
}

fn run(test: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(test);
}

#[test]
fn every_spelling_of_a_protected_address_needs_the_token() {
    run(async {
        let running = service(100).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = |path: &str, token: &str| {
            let request = http.get(format!("{}{path}", running.internal));
            let request = if token.is_empty() {
                request
            } else {
                request.bearer_auth(token)
            };
            async move { request.send().await.unwrap().status().as_u16() }
        };
        assert_eq!(ask("/internal/secret", INTERNAL_TOKEN).await, 200);
        for path in [
            "/internal/secret",
            "/%69nternal/secret",
            "/interna%6c/secret",
            "/interna%6C/secret",
            "/internal%2Fsecret",
            "//internal/secret",
            "/./internal/secret",
            "/INTERNAL/secret",
            "/metrics/../internal/secret",
            "/",
        ] {
            for token in ["", "wrong", &INTERNAL_TOKEN[1..]] {
                assert_eq!(ask(path, token).await, 401, "{path} with {token:?}");
            }
        }
        for path in ["/healthz", "/metrics"] {
            assert_eq!(ask(path, "").await, 200, "{path}");
        }
        drop(http);
        running.stop().await;
    });
}

async fn serve(calls: Body<Calls<Wanted>>) -> Result<web::Json<Outcomes<String>>, ApiError> {
    let one = async |Wanted { what }: Wanted| match what.as_str() {
        "panic" => panic!("on purpose"),
        "slow" => std::future::pending().await,
        "refuse" => Err(ApiError::new(Code::Conflict, "no")),
        what => {
            tokio::task::yield_now().await;
            Ok(format!("{what} of {}", operation::current().unwrap()))
        }
    };
    serve_each(calls, Duration::from_millis(300), one).await
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Wanted {
    what: String,
}

#[test]
fn promise_11_one_of_many_calls_that_panics_or_hangs_fails_alone() {
    run(async {
        let service = Service {
            name: "test",
            public: None,
            internal: Some(Arc::new(|routes| {
                routes.service(resource("/internal/each").post(serve).done());
            })),
            upgrades: None,
            direct: None,
            ready: Vec::new(),
        };
        let running = spawn(test_config(), |_, _| async { Ok(service) }).await.unwrap();
        let wanted = ["one", "panic", "refuse", "slow", "five"];
        let calls = wanted.iter().enumerate().map(|(n, what)| Call {
            operation: OperationId::parse(&format!("op-{n}")).unwrap(),
            wanted: Wanted {
                what: (*what).to_owned(),
            },
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.post(format!("{}/internal/each", running.internal));
        let request = request
            .bearer_auth(INTERNAL_TOKEN)
            .json(&Calls { calls: calls.collect() });
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let Outcomes { outcomes } = answer.json::<Outcomes<String>>().await.unwrap();
        let told = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Done(text) => text,
            Outcome::Problem(problem) => format!("{} {}", problem.status, problem.operation_id),
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            ["one of op-0", "500 op-1", "409 op-2", "503 op-3", "five of op-4"]
        );
        drop(http);
        running.stop().await;
    });
}

#[test]
fn people_are_told_who_is_away_and_operators_why() {
    run(async {
        let running = service(100).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let public = http
            .get(format!("{}/readyz?verbose", running.public))
            .send()
            .await
            .unwrap();
        assert_eq!(public.status(), 503);
        let public = public.text().await.unwrap();
        assert!(
            public.contains("\"database\":\"away\"") && !public.contains("10.0.0.1"),
            "{public}"
        );
        let internal = http
            .get(format!("{}/readyz?verbose", running.internal))
            .send()
            .await
            .unwrap();
        assert!(
            internal
                .text()
                .await
                .unwrap()
                .contains("postgres://10.0.0.1/db refuses")
        );
        drop(http);
        running.stop().await;
    });
}

#[test]
fn people_who_take_all_connections_do_not_take_those_of_the_services() {
    run(async {
        let running = service(5).await;
        let address = running.public.trim_start_matches("http://").to_owned();
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(tokio::net::TcpStream::connect(&address).await.unwrap());
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let public = http
            .get(format!("{}/healthz", running.public))
            .timeout(Duration::from_millis(500));
        assert!(public.send().await.is_err(), "the public listener is full");
        for _ in 0..5 {
            let internal = http
                .get(format!("{}/internal/secret", running.internal))
                .bearer_auth(INTERNAL_TOKEN);
            assert_eq!(internal.send().await.unwrap().status(), 200);
        }
        drop(held);
        eventually("people are served again", Duration::from_secs(10), || async {
            let answer = http.get(format!("{}/healthz", running.public)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        drop(http);
        running.stop().await;
    });
}
