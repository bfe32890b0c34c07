//! The rows of the error table of http-api.md that come from the request itself, and the document of the routes.

use std::time::Duration;

use common::db::Backend;
use reqwest::Method;
use serde_json::json;

use crate::app::{each, each_with};

#[test]
fn bodies_that_are_not_taken() {
    each(async |app| {
        let send = async |body: Vec<u8>, kind: &str| {
            let request = app
                .request(Method::POST, "/api/v1/users")
                .header("content-type", kind.to_owned());
            app.send(request.body(body)).await
        };
        send(b"{".to_vec(), "application/json")
            .await
            .problem(400, "bad_request");
        send(b"".to_vec(), "application/json").await.problem(400, "bad_request");
        send(b"\xff\xfe".to_vec(), "application/json")
            .await
            .problem(400, "bad_request");
        send(b"{}".to_vec(), "text/plain").await.problem(400, "bad_request");
        send(b"[]".to_vec(), "application/json").await.problem(422, "invalid");
        let deep = format!("{{\"x\":{}", "[".repeat(10_000));
        let refused = send(deep.into_bytes(), "application/json").await;
        assert_eq!(refused.problem(422, "invalid").body["errors"][0]["pointer"], "/x");
        let huge = json!({ "username": "ann", "password": "x".repeat(70_000) }).to_string();
        let refused = send(huge.into_bytes(), "application/json").await;
        assert_eq!(refused.problem(413, "body_too_large").body["maxBytes"], 65_536);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM users").await, 0);
    });
}

#[test]
fn addresses_and_methods_that_do_not_exist() {
    each(async |app| {
        app.get("/api/v1/nothing").await.problem(404, "not_found");
        app.get("/").await.problem(404, "not_found");
        let check = async |method: Method, path: &str, allow: &str| {
            let answer = app.send(app.request(method, path)).await;
            assert_eq!(
                answer.problem(405, "method_not_allowed").header("allow"),
                allow,
                "{path}"
            );
        };
        check(Method::PUT, "/api/v1/videos", "POST, GET, HEAD").await;
        check(Method::DELETE, "/api/v1/users", "POST").await;
        check(Method::POST, "/api/v1/users/me", "GET, HEAD, PATCH, DELETE").await;
    });
}

#[test]
fn what_needs_a_session_says_so() {
    each(async |app| {
        let document = app.get("/api/v1/openapi.json").await.expect(200);
        let open = [
            ("post", "/api/v1/users"),
            ("get", "/api/v1/users/{username}"),
            ("post", "/api/v1/sessions"),
            ("get", "/api/v1/videos"),
            ("get", "/api/v1/videos/{id}"),
            ("get", "/api/v1/videos/{id}/playback"),
            ("get", "/api/v1/videos/{id}/comments"),
            ("get", "/api/v1/videos/{id}/danmaku"),
            ("get", "/api/v1/videos/{id}/events"),
            ("get", "/api/v1/openapi.json"),
        ];
        let mut asked = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| ["get", "post", "patch", "delete"].contains(&key.as_str()));
            for method in methods.filter(|method| !open.contains(&(method, path))) {
                let path = path.replace("{id}", "000000000000");
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let path = if path.contains("/comments/") || path.contains("/danmaku/") {
                    path.replace("000000000000", "01890a5d-ac96-774b-bcce-b302099a8057")
                } else {
                    path
                };
                app.send(app.request(method, &path).json(&json!({})))
                    .await
                    .problem(401, "unauthenticated");
                asked += 1;
            }
        }
        assert_eq!(asked, 18, "every other operation was asked");
    });
}

#[test]
fn a_request_has_one_name_through_everything() {
    each(async |app| {
        let request = app
            .request(Method::GET, "/api/v1/users/me")
            .header("x-operation-id", "my-operation-1");
        let answer = app.send(request).await;
        assert_eq!(
            answer.problem(401, "unauthenticated").header("x-request-id"),
            "my-operation-1"
        );
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}");
        let request = app
            .request(Method::DELETE, &path)
            .bearer_auth(&ann.token)
            .header("x-operation-id", "my-operation-2");
        app.send(request).await.expect(202);
        let messages = "SELECT COUNT(*) AS n FROM outbox WHERE operation_id = 'my-operation-2'";
        assert_eq!(app.count(messages).await, 2);
    });
}

#[test]
fn a_database_that_is_busy_is_an_answer_and_not_a_hang() {
    let impatient = |config: &mut common::config::Config| {
        config.database.wait = common::config::Span(Duration::from_millis(200));
        config.database.connections = 1;
    };
    each_with(impatient, async |app| {
        let ann = app.register("ann").await;
        // Somebody else holds a lock that the change needs.
        let (held, release) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
        let (locked, go) = (held.0, release.1);
        let db = app.db.clone();
        let blocker = actix_web::rt::spawn(async move {
            let postgres = db.backend() == Backend::Postgres;
            db.write(move |conn| {
                if postgres {
                    // Who hangs is put out otherwise before others have waited long enough to be refused.
                    let forever = diesel::sql_query("SET LOCAL idle_in_transaction_session_timeout = 0");
                    diesel::RunQueryDsl::execute(forever, conn)?;
                }
                diesel::RunQueryDsl::execute(diesel::sql_query("UPDATE users SET bio = 'held'"), conn)?;
                locked.send(()).unwrap();
                go.recv().unwrap();
                Ok::<_, common::db::DbError>(())
            })
            .await
        });
        tokio::task::spawn_blocking(move || held.1.recv().unwrap())
            .await
            .unwrap();
        let change = || ann.patch("/api/v1/users/me", json!({ "bio": "mine" }));
        let answers = futures_util::future::join_all((0..3).map(|_| change())).await;
        assert!(answers.iter().any(|answer| answer.status == 503), "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.problem(503, "overloaded").header("retry-after"), "1");
        }
        release.0.send(()).unwrap();
        blocker.await.unwrap().unwrap();
        change().await.expect(200);
    });
}
