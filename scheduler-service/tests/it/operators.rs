//! The routes of a whole running service: operators' and internal ones.

use common::db::Backend;
use common::testing::{INTERNAL_TOKEN, Running, TestDatabase, eventually, spawn, test_config};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::worker::SOON;
use crate::world::{World, video_id};

struct App {
    world: World,
    service: Running,
    http: reqwest::Client,
}

impl App {
    async fn start(database: &TestDatabase) -> App {
        let world = World::start();
        world.things().tokens.insert("operator".into(), "operator");
        world.things().tokens.insert("user".into(), "user");
        let mut config = test_config();
        config.database.scheduler = database.url.as_str().into();
        config.internal.api = vec![world.url.clone()];
        config.internal.stream = vec![world.url.clone()];
        config.scheduler.poll = common::config::Span(std::time::Duration::from_millis(100));
        let service = spawn(config, |config, platform| async move {
            scheduler_service::start(&config, &platform).await
        });
        App {
            world,
            service: service.await.unwrap(),
            http: reqwest::Client::new(),
        }
    }

    async fn call(
        &self,
        base: &str,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{base}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (
            status,
            if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            },
        )
    }

    async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(&self.service.public, "operator", method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.operator(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str) -> (StatusCode, Value) {
        self.operator(Method::POST, path, None).await
    }

    async fn internal(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call(&self.service.internal, INTERNAL_TOKEN, method, path, body)
            .await
    }

    async fn put(&self, key: &str, run_at: &str) -> (StatusCode, Value) {
        let body = json!({ "payload": {}, "runAt": run_at, "operationID": "op-1" });
        self.internal(Method::PUT, &format!("/internal/jobs/purge/{key}"), Some(body))
            .await
    }

    async fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state}"), SOON, || async {
            Some(self.get(&format!("/api/v1/jobs/{id}")).await).filter(|job| job["state"] == state)
        })
        .await
    }

    async fn stop(self) {
        self.service.stop().await;
        self.world.stop().await;
    }
}

const FAR: &str = "2100-01-01T00:00:00.000Z";
const PAST: &str = "2001-01-01T00:00:00.000Z";

fn check<Fut: Future<Output = ()>>(story: impl Fn(App) -> Fut) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let database = TestDatabase::new(backend);
        actix_web::rt::System::new().block_on(async { story(App::start(&database).await).await });
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn only_operators_see_jobs() {
    check(|app| async move {
        let ask = |token: &'static str| {
            let app = &app;
            async move {
                let mut answers = Vec::new();
                for (method, path) in [
                    (Method::GET, "/api/v1/jobs"),
                    (Method::GET, "/api/v1/jobs/summary"),
                    (Method::POST, "/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057/retry"),
                ] {
                    let (status, body) = app.call(&app.service.public, token, method, path, None).await;
                    answers.push((status.as_u16(), text(&body["code"]).to_owned()));
                }
                answers.dedup();
                answers
            }
        };
        assert_eq!(ask("user").await, [(403, "forbidden".into())]);
        assert_eq!(ask("nobody").await, [(401, "unauthenticated".into())]);
        let bare = app
            .http
            .get(format!("{}/api/v1/jobs", app.service.public))
            .send()
            .await
            .unwrap();
        assert_eq!(bare.status(), 401);
        app.world.things().broken.push(("tokens/parse".into(), 500));
        assert_eq!(ask("operator").await, [(503, "upstream_unavailable".into())]);
        app.stop().await;
    });
}

/// A browser sends its cookie whoever made the page.
#[test]
fn a_cookie_of_another_site_changes_nothing() {
    check(|app| async move {
        let post = |site: &'static str| {
            app.http
                .post(format!("{}/api/v1/jobs", app.service.public))
                .header("cookie", "sluice_session=operator")
                .header("sec-fetch-site", site)
                .json(&json!({ "kind": "reconcile", "dryRun": true }))
                .send()
        };
        assert_eq!(post("cross-site").await.unwrap().status(), 403);
        assert_eq!(post("same-origin").await.unwrap().status(), 202);
        app.stop().await;
    });
}

#[test]
fn the_list_filters_and_pages_newest_first() {
    check(|app| async move {
        let mut ids = Vec::new();
        for n in 0..5 {
            let (status, job) = app.put(video_id(n).as_str(), FAR).await;
            assert_eq!((status, &job["state"]), (StatusCode::CREATED, &json!("scheduled")));
            ids.push(text(&job["id"]).to_owned());
        }
        ids.reverse();
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for expected in [2, 2, 1] {
            let page = app.get(&format!("/api/v1/jobs?kind=purge&limit=2{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), expected);
            seen.extend(items.iter().map(|job| text(&job["id"]).to_owned()));
            cursor = page["next"]
                .as_str()
                .map(|next| format!("&cursor={next}"))
                .unwrap_or_default();
        }
        assert_eq!((seen, cursor.as_str()), (ids, ""));
        assert_eq!(
            app.get("/api/v1/jobs?state=dead").await,
            json!({ "items": [], "next": null })
        );
        assert_eq!(
            app.get("/api/v1/jobs?state=scheduled&kind=reconcile").await["items"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        for (query, status) in [
            ("?limit=0", 422),
            ("?limit=101", 422),
            ("?state=finished", 400),
            ("?kind=x", 400),
            ("?cursor=x", 400),
            ("?colour=red", 400),
        ] {
            let (answered, body) = app.operator(Method::GET, &format!("/api/v1/jobs{query}"), None).await;
            assert_eq!(answered.as_u16(), status, "{query}: {body}");
        }
        app.stop().await;
    });
}

#[test]
fn a_job_shows_all_that_is_known_of_it() {
    check(|app| async move {
        let video = app.world.trashed(1, 42);
        let (_, job) = app.put(video.as_str(), PAST).await;
        let done = app.until(text(&job["id"]), "done").await;
        assert_eq!((text(&done["kind"]), text(&done["key"])), ("purge", video.as_str()));
        assert_eq!(
            (&done["attempts"], &done["result"]),
            (&json!(1), &json!({ "objects": 2, "bytes": 42 }))
        );
        assert_eq!((text(&done["runAt"]), text(&done["operationID"])), (PAST, "op-1"));
        assert!(done["finishedAt"].is_string() && done["createdAt"].is_string() && done["lastError"].is_null());
        for path in [
            "/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057",
            "/api/v1/jobs/x",
            "/api/v1/jobs/x/y",
        ] {
            assert_eq!(app.operator(Method::GET, path, None).await.0, 404, "{path}");
        }
        assert_eq!(
            app.operator(Method::DELETE, &format!("/api/v1/jobs/{}", text(&job["id"])), None)
                .await
                .0,
            405
        );
        app.stop().await;
    });
}

#[test]
fn jobs_are_cancelled_and_retried() {
    check(|app| async move {
        let video = app.world.trashed(1, 42);
        let (_, job) = app.put(video.as_str(), FAR).await;
        let path = format!("/api/v1/jobs/{}", text(&job["id"]));
        for _ in 0..2 {
            let (status, cancelled) = app.post(&format!("{path}/cancel")).await;
            assert_eq!((status.as_u16(), text(&cancelled["state"])), (200, "cancelled"));
        }
        assert_eq!(app.post(&format!("{path}/retry")).await.0, 200);
        app.until(text(&job["id"]), "done").await;
        assert_eq!(app.post(&format!("{path}/cancel")).await.0, 409, "what is done is done");
        // What runs can neither be cancelled nor retried.
        let stuck = app.world.trashed(2, 42);
        let (mut arrived, go) = app.world.gate("purge/begin", false);
        let (_, job) = app.put(stuck.as_str(), PAST).await;
        arrived.recv().await.unwrap();
        for verb in ["cancel", "retry"] {
            let (status, body) = app.post(&format!("/api/v1/jobs/{}/{verb}", text(&job["id"]))).await;
            assert_eq!((status.as_u16(), text(&body["code"])), (409, "conflict"));
            assert!(text(&body["detail"]).contains("running"));
        }
        go.send(()).unwrap();
        app.until(text(&job["id"]), "done").await;
        assert_eq!(
            app.post("/api/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057/retry")
                .await
                .0,
            404
        );
        app.stop().await;
    });
}

#[test]
fn operators_start_sweeps_and_read_what_they_found() {
    check(|app| async move {
        app.world.media(1, 10);
        let start = |body: Value| app.operator(Method::POST, "/api/v1/jobs", Some(body));
        let (status, job) = start(json!({ "kind": "reconcile", "dryRun": true })).await;
        assert_eq!(status, 202);
        let done = app.until(text(&job["id"]), "done").await;
        assert_eq!(
            (&done["result"]["dryRun"], &done["result"]["unknownMedia"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(app.world.calls("DELETE"), 0);
        for (body, expected) in [
            (json!({ "kind": "purge" }), 422),
            (json!({ "kind": "dance" }), 422),
            (json!({ "kind": "reconcile", "color": 1 }), 422),
            (json!({}), 422),
            (json!([]), 422),
        ] {
            let (status, answer) = start(body.clone()).await;
            assert_eq!(status.as_u16(), expected, "{body}: {answer}");
        }
        app.stop().await;
    });
}

#[test]
fn the_summary_counts_by_state_and_kind() {
    check(|app| async move {
        app.put(video_id(1).as_str(), FAR).await;
        let video = app.world.trashed(2, 1);
        let (_, job) = app.put(video.as_str(), PAST).await;
        app.until(text(&job["id"]), "done").await;
        let summary = app.get("/api/v1/jobs/summary").await;
        // The periodic ones wait too.
        assert_eq!(
            (&summary["states"]["scheduled"], &summary["states"]["done"]),
            (&json!(4), &json!(1))
        );
        assert_eq!(summary["states"]["dead"], 0);
        assert_eq!(summary["kinds"]["purge"], json!({ "scheduled": 1, "done": 1 }));
        assert!(summary["oldestReadyAt"].is_null());
        app.stop().await;
    });
}

#[test]
fn internal_calls_are_safe_to_repeat_and_checked() {
    check(|app| async move {
        let key = video_id(9);
        let path = format!("/internal/jobs/purge/{key}");
        let (first, one) = app.put(key.as_str(), FAR).await;
        let (second, two) = app.put(key.as_str(), FAR).await;
        assert_eq!((first.as_u16(), second.as_u16(), &one["id"]), (201, 200, &two["id"]));
        for _ in 0..2 {
            assert_eq!(app.internal(Method::DELETE, &path, None).await.0, 204);
        }
        assert_eq!(
            app.internal(Method::DELETE, &format!("/internal/jobs/purge/{}", video_id(10)), None)
                .await
                .0,
            204
        );
        assert_eq!(
            app.get("/api/v1/jobs?state=cancelled").await["items"][0]["id"],
            one["id"]
        );
        let good = json!({ "runAt": FAR });
        for (path, body, status) in [
            ("/internal/jobs/dance/k", good.clone(), 422),
            ("/internal/jobs/purge/a%20b", good.clone(), 422),
            ("/internal/jobs/purge/a", json!({ "runAt": "soon" }), 400),
            ("/internal/jobs/purge/a", json!({}), 400),
        ] {
            let (answered, answer) = app.internal(Method::PUT, path, Some(body.clone())).await;
            let expected = if status == 400 { [400, 422] } else { [status, status] };
            assert!(
                expected.contains(&answered.as_u16()),
                "{path} {body}: {answered} {answer}"
            );
            assert!(answer["code"].is_string());
        }
        let refused = app
            .call(&app.service.internal, "wrong", Method::PUT, &path, Some(good.clone()))
            .await;
        assert_eq!(refused.0, 401);
        // Nothing internal is at the edge.
        assert_eq!(
            app.call(&app.service.public, INTERNAL_TOKEN, Method::PUT, &path, Some(good))
                .await
                .0,
            404
        );
        app.stop().await;
    });
}

/// The calls of the typed clients fit the routes.
#[test]
fn the_typed_client_speaks_to_these_routes() {
    check(|app| async move {
        let mut config = test_config();
        config.internal.scheduler = vec![app.service.internal.clone()];
        let scheduler = common::clients::Clients::new(&config).scheduler;
        let video = app.world.trashed(1, 9);
        let job = common::messages::JobRequest {
            payload: json!({}),
            run_at: common::time::Timestamp(1),
            operation: common::operation::OperationId::parse("from-api"),
        };
        scheduler.put_job("purge", video.as_str(), &job).await.unwrap();
        eventually("purged", SOON, || async {
            app.world.things().purged.get(video.as_str()).copied()
        })
        .await;
        assert!(app.world.things().operations.contains(&"from-api".to_owned()));
        scheduler.delete_job("purge", video.as_str()).await.unwrap();
        let refused = scheduler.put_job("dance", "k", &job).await.unwrap_err();
        assert_eq!(refused.status(), Some(422));
        app.stop().await;
    });
}

#[test]
fn health_tells_of_the_database_and_the_description_names_every_route() {
    check(|app| async move {
        let ready = app
            .http
            .get(format!("{}/readyz?verbose", app.service.internal))
            .send()
            .await
            .unwrap();
        assert_eq!(ready.status(), 200);
        assert!(ready.text().await.unwrap().contains("scheduler_database"));
        let metrics = app
            .http
            .get(format!("{}/metrics", app.service.internal))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(metrics.contains("sluice_jobs_running 0"), "{metrics}");
        let described = serde_json::to_value(scheduler_service::openapi()).unwrap();
        let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
        assert_eq!(
            paths,
            [
                "/api/v1/jobs",
                "/api/v1/jobs/summary",
                "/api/v1/jobs/{id}",
                "/api/v1/jobs/{id}/cancel",
                "/api/v1/jobs/{id}/retry",
                "/internal/jobs/{kind}/{key}"
            ]
        );
        app.stop().await;
    });
}

#[test]
fn a_wrong_database_url_does_not_start_and_names_its_key() {
    for url in [
        "postgress://u:s3cret@h/d",
        "sqlite:/nowhere/at/all.db",
        "postgres://u:s3cret@127.0.0.1:1/d",
    ] {
        let error = actix_web::rt::System::new().block_on(async {
            let mut config = test_config();
            config.database.scheduler = url.into();
            let spawned = spawn(config, |config, platform| async move {
                scheduler_service::start(&config, &platform).await
            });
            spawned.await.err().unwrap().to_string()
        });
        assert!(
            error.starts_with("database.scheduler: ") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
