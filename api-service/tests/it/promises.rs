//! promises.md: the tests bear the promises' names.

use std::time::Duration;

use common::db::Backend;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, each};

#[test]
fn promise_12_who_asks_is_who_the_token_says() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.create(json!({ "title": "x", "visibility": "private" })).await;
        app.media_ready(&id).await.expect(200);
        let path = format!("/api/v1/videos/{id}");
        // Whatever else a request says about its maker.
        let forged = |method: Method, path: &str, body: Value| {
            let request = app.request(method, &format!("{path}?userID={0}&username=ann&userId={0}", ann.id));
            let request = request
                .bearer_auth(&bob.token)
                .header("x-user-id", &ann.id)
                .header("x-forwarded-user", "ann");
            let cookie = format!("sluice_session={}", ann.token);
            request
                .header("x-remote-user", "ann")
                .header("cookie", cookie)
                .json(&body)
        };
        let me = app
            .send(forged(Method::GET, "/api/v1/users/me", json!({})))
            .await
            .expect(200);
        assert_eq!(me["username"], "bob", "the token goes before the cookie");
        for member in ["userID", "username", "ownerId"] {
            let body = json!({ "title": "stolen", member: ann.id });
            let refused = app.send(forged(Method::POST, "/api/v1/videos", body)).await;
            assert_eq!(
                refused.problem(422, "invalid").body["errors"][0]["pointer"],
                format!("/{member}")
            );
        }
        let body = json!({ "title": "stolen" });
        let made = app.send(forged(Method::POST, "/api/v1/videos", body)).await.expect(201);
        assert_eq!(made["video"]["author"]["username"], "bob");
        // What isn't yours is 404, in every operation.
        let comment = ann.comment(&id, "mine").await.expect(201);
        let comment = format!("/api/v1/comments/{}", comment["id"].as_str().unwrap());
        let session = format!("/api/v1/sessions/{}", ann.session);
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::PATCH, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/restore")),
            (Method::POST, format!("{path}/upload")),
            (Method::GET, format!("{path}/deletion")),
            (Method::GET, format!("{path}/playback")),
            (Method::GET, format!("{path}/comments")),
            (Method::DELETE, comment),
            (Method::DELETE, session),
        ] {
            app.send(forged(method, &path, json!({})))
                .await
                .problem(404, "not_found");
        }
        let text = app
            .send(forged(
                Method::POST,
                &format!("{path}/comments"),
                json!({ "text": "hi" }),
            ))
            .await;
        text.problem(404, "not_found");
        assert_eq!(ann.video(&id).await.expect(200)["state"], "ready");
    });
}

#[test]
fn promise_13_revocation_is_immediate_everywhere() {
    each(async |app| {
        let ann = app.register("ann").await;
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(app.enter(app.sign_in("ann", PASSWORD).await));
        }
        // Known to the cache, and used while they end.
        for other in &others {
            other.get("/api/v1/users/me").await.expect(200);
        }
        let mut heard = app
            .running
            .platform
            .bus
            .subscribe(&common::bus::Subject::SessionsRevoked);
        let change = json!({ "current": PASSWORD, "new": "another passphrase" });
        ann.post("/api/v1/users/me/password", change).await.expect(204);
        for other in &others {
            other.get("/api/v1/users/me").await.problem(401, "unauthenticated");
            let asked = app
                .report("/internal/tokens/parse", json!({ "token": other.token }))
                .await;
            asked.problem(401, "unauthenticated");
        }
        let revoked: common::messages::SessionsRevoked = tokio::time::timeout(Duration::from_secs(1), heard.next())
            .await
            .unwrap()
            .unwrap()
            .decode()
            .unwrap();
        let mut ended: Vec<String> = revoked.sessions.iter().map(ToString::to_string).collect();
        let mut expected: Vec<String> = others.iter().map(|other| other.session.clone()).collect();
        ended.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ended, expected);
        ann.get("/api/v1/users/me").await.expect(200);
    });
}

#[test]
fn promise_13_no_session_survives_a_race_of_use_and_sign_out() {
    each(async |app| {
        let ann = app.register("ann").await;
        for _ in 0..10 {
            let other = app.enter(app.sign_in("ann", PASSWORD).await);
            // Reads of the database that cross the sign-out must not bring the session back into the cache.
            let copy_path = format!("/api/v1/sessions/{}", other.session);
            let uses = (0..8).map(|_| other.get("/api/v1/users/me"));
            let (_, ended) =
                futures_util::future::join(futures_util::future::join_all(uses), ann.delete(&copy_path)).await;
            ended.expect(204);
            other.get("/api/v1/users/me").await.problem(401, "unauthenticated");
        }
    });
}

#[test]
fn promise_13_when_nobody_can_be_asked_the_answer_is_no() {
    each(async |app| {
        let copy = app.copy(|_| {}).await;
        let ann = app.register("ann").await;
        // The copy has not seen this session yet, and now it can't look.
        app.sql("ALTER TABLE sessions RENAME TO elsewhere").await;
        ann.at(&copy).get("/api/v1/users/me").await.problem(500, "internal");
        let id = "000000000000";
        ann.at(&copy)
            .get(&format!("/api/v1/videos/{id}"))
            .await
            .problem(500, "internal");
        let asked = copy
            .report("/internal/tokens/parse", json!({ "token": ann.token }))
            .await;
        asked.problem(500, "internal");
        app.sql("ALTER TABLE elsewhere RENAME TO sessions").await;
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        copy.stop().await;
    });
}

/// Everything the database holds, as bytes.
async fn contents(app: &App) -> Vec<u8> {
    match app.backend() {
        Backend::Sqlite => {
            let path = app.url.strip_prefix("sqlite:").unwrap();
            let wal = std::fs::read(format!("{path}-wal")).unwrap_or_default();
            [std::fs::read(path).unwrap(), wal].concat()
        }
        Backend::Postgres => {
            let mut text = String::new();
            for table in ["users", "sessions", "videos", "deletions", "comments", "outbox"] {
                let query = format!("SELECT CAST(t AS TEXT) AS line FROM {table} t");
                text.push_str(&lines(app, query).await);
            }
            text.into_bytes()
        }
    }
}

async fn lines(app: &App, query: String) -> String {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text)]
        line: String,
    }
    let found: Vec<Line> = app
        .db
        .read(move |conn| Ok::<_, common::db::DbError>(diesel::sql_query(query).load(conn)?))
        .await
        .unwrap();
    found.into_iter().map(|line| line.line + "\n").collect()
}

#[test]
fn promise_14_passwords_and_tokens_never_appear() {
    each(async |app| {
        let secrets = [
            "unheard-of passphrase",
            "a wrong unheard-of one",
            "the next unheard-of one",
        ];
        let body = json!({ "username": "ann", "password": secrets[0] });
        let ann = app.enter(app.post("/api/v1/users", body).await);
        let mut said = Vec::new();
        let mut say = |answer: crate::app::Answer| said.push(format!("{:?}\n{}", answer.headers, answer.text));
        say(app.sign_in("ann", secrets[1]).await);
        say(app.sign_in("nobody", secrets[1]).await);
        say(app
            .post("/api/v1/users", json!({ "username": "ann", "password": secrets[1] }))
            .await);
        say(app
            .post("/api/v1/users", json!({ "username": "X", "password": secrets[1] }))
            .await);
        say(app
            .post("/api/v1/sessions", json!({ "username": 5, "password": secrets[1] }))
            .await);
        let other = app.enter(app.sign_in("ann", secrets[0]).await);
        let change = json!({ "current": secrets[0], "new": secrets[2] });
        say(ann.post("/api/v1/users/me/password", change).await);
        say(ann.get("/api/v1/users/me").await);
        say(ann.get("/api/v1/sessions").await);
        say(ann.post("/api/v1/tokens/parse", json!({})).await);
        say(app
            .report("/internal/tokens/parse", json!({ "token": ann.token }))
            .await);
        say(other.get("/api/v1/users/me").await);
        let id = ann.create(json!({ "title": "x" })).await;
        let upload = ann
            .post(&format!("/api/v1/videos/{id}/upload"), json!({}))
            .await
            .expect(200);
        let grant = upload["upload"]["grant"].as_str().unwrap().to_owned();
        say(app.get("/api/v1/users/ann").await);
        say(app
            .send(app.http.get(format!("{}/metrics", app.running.internal)))
            .await);
        let (logs, answers, stored) = (crate::logs::lines(), said.join("\n"), contents(app).await);
        assert!(
            logs.contains("POST /api/v1/users/me/password 204"),
            "the log is being captured"
        );
        assert!(
            find(&stored, b"$argon2id$") && find(&stored, b"ann"),
            "the database is being read"
        );
        for secret in secrets
            .into_iter()
            .chain([ann.token.as_str(), other.token.as_str(), grant.as_str()])
        {
            assert!(!logs.contains(secret), "in the log: {secret}");
            assert!(!answers.contains(secret), "in an answer: {secret}");
            assert!(!find(&stored, secret.as_bytes()), "in the database: {secret}");
        }
    });
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn promise_15_user_text_is_text() {
    each(async |app| {
        let ann = app.register("ann").await;
        for text in [
            "'; DROP TABLE users; --",
            "<script>alert(1)</script>",
            "../../etc/passwd",
            "%s%n {} {{0}} $1 ${HOME} `id`",
            "\\u0000 \\",
            "\u{fffd}\u{1f9b8}\u{200d}\u{2640}\u{fe0f} مرحبا 你好",
        ] {
            let draft = json!({ "title": text, "description": text });
            let id = ann.create(draft).await;
            app.media_ready(&id).await.expect(200);
            let answer = app.get(&format!("/api/v1/videos/{id}")).await;
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(
                (&answer.body["title"], &answer.body["description"]),
                (&json!(text), &json!(text))
            );
            let search = app
                .request(Method::GET, "/api/v1/videos")
                .query(&[("q", text), ("limit", "1")]);
            assert_eq!(app.send(search).await.expect(200)["items"][0]["id"], id, "{text}");
            ann.comment(&id, text).await.expect(201);
            ann.patch("/api/v1/users/me", json!({ "bio": text })).await.expect(200);
            assert_eq!(app.get("/api/v1/users/ann").await.expect(200)["bio"], text);
        }
        // Every title sorts, also through a cursor.
        let first = app.get("/api/v1/videos?sort=title&limit=3").await.expect(200);
        let rest = format!("/api/v1/videos?sort=title&cursor={}", first["next"].as_str().unwrap());
        assert_eq!(app.get(&rest).await.expect(200)["items"].as_array().unwrap().len(), 3);
    });
}
