//! `/api/v1/sessions` and `/api/v1/tokens/parse`: the life of a session.

use std::sync::Mutex;
use std::time::Duration;

use common::config::{Config, Span};
use common::testing::{Broker, eventually};
use common::time::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, PASSWORD, each, each_with, members};

#[test]
fn the_list_shows_my_sessions_and_which_one_this_is() {
    each(async |app| {
        let ann = app.register("ann").await;
        app.register("bob").await;
        let body = json!({ "username": "ann", "password": PASSWORD, "platform": "tv" });
        let tv = app.enter(app.post("/api/v1/sessions", body).await);
        let list = ann.get("/api/v1/sessions").await.expect(200);
        assert_eq!(members(&list, "id"), [tv.session.clone(), ann.session.clone()]);
        assert_eq!(members(&list, "platform"), ["tv", ""]);
        assert_eq!(
            (&list["items"][0]["current"], &list["items"][1]["current"]),
            (&json!(false), &json!(true))
        );
        for member in ["createdAt", "lastSeenAt", "expiresAt"] {
            assert!(list["items"][0][member].as_str().unwrap().ends_with('Z'), "{member}");
        }
        assert!(!list.to_string().contains(&tv.token));
        let first = ann.get("/api/v1/sessions?limit=1").await.expect(200);
        let path = format!("/api/v1/sessions?limit=1&cursor={}", first["next"].as_str().unwrap());
        let second = ann.get(&path).await.expect(200);
        assert_eq!(
            (members(&second, "id"), &second["next"]),
            (vec![ann.session.clone()], &json!(null))
        );
    });
}

#[test]
fn signing_out_ends_a_session_of_mine_only() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let tv = app.enter(app.sign_in("ann", PASSWORD).await);
        bob.delete(&format!("/api/v1/sessions/{}", tv.session))
            .await
            .problem(404, "not_found");
        for id in ["x", "%00", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            ann.delete(&format!("/api/v1/sessions/{id}"))
                .await
                .problem(404, "not_found");
        }
        tv.get("/api/v1/users/me").await.expect(200);
        let answer = ann.delete(&format!("/api/v1/sessions/{}", tv.session)).await;
        assert_eq!(answer.header("set-cookie"), "", "the caller stays signed in");
        answer.expect(204);
        tv.get("/api/v1/users/me").await.problem(401, "unauthenticated");
        let answer = ann.delete("/api/v1/sessions/current").await;
        assert!(
            answer.header("set-cookie").starts_with("sluice_session=; "),
            "{answer:?}"
        );
        answer.expect(204);
        let refused = ann.get("/api/v1/users/me").await;
        assert_eq!(
            refused.problem(401, "unauthenticated").header("www-authenticate"),
            "Bearer"
        );
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM sessions").await, 1);
    });
}

#[test]
fn a_cookie_is_as_good_as_a_bearer_token_but_not_from_another_site() {
    each(async |app| {
        let ann = app.register("ann").await;
        let cookie = format!("sluice_session={}", ann.token);
        let create = |site: &str| {
            let request = app.request(Method::POST, "/api/v1/videos").header("cookie", &cookie);
            request
                .header("sec-fetch-site", site.to_owned())
                .json(&json!({ "title": "By cookie" }))
        };
        app.send(create("same-origin")).await.expect(201);
        app.send(create("cross-site")).await.problem(403, "forbidden");
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM videos").await, 1);
        let me = app.request(Method::GET, "/api/v1/users/me").header("cookie", &cookie);
        app.send(me).await.expect(200);
    });
}

#[test]
fn a_stale_cookie_is_a_visitor_and_a_bad_bearer_token_an_error() {
    each(async |app| {
        let video = app.register("ann").await.publish("Open").await;
        let path = format!("/api/v1/videos/{video}");
        let stale = "A".repeat(43);
        let by_cookie = app
            .request(Method::GET, &path)
            .header("cookie", format!("sluice_session={stale}"));
        app.send(by_cookie).await.expect(200);
        for token in [&stale, "short", &"x".repeat(5000)] {
            let by_bearer = app.request(Method::GET, &path).bearer_auth(token);
            app.send(by_bearer).await.problem(401, "unauthenticated");
        }
    });
}

#[test]
fn a_token_says_whose_it_is() {
    each(async |app| {
        let ann = app.register("ann").await;
        let parsed = ann.post("/api/v1/tokens/parse", json!({})).await.expect(200);
        assert_eq!(
            (&parsed["userID"], &parsed["username"]),
            (&json!(ann.id), &json!("ann"))
        );
        assert_eq!(parsed["role"], "user");
        let left = parsed["expireTimeSeconds"].as_i64().unwrap() - Timestamp::now().millis() / 1000;
        assert!((29 * 86_400..=30 * 86_400).contains(&left), "{left}");
        app.post("/api/v1/tokens/parse", json!({}))
            .await
            .problem(401, "unauthenticated");

        let owner = app
            .report("/internal/tokens/parse", json!({ "token": ann.token }))
            .await
            .expect(200);
        assert_eq!(
            (&owner["userID"], &owner["sessionID"]),
            (&json!(ann.id), &json!(ann.session))
        );
        app.report("/internal/tokens/parse", json!({ "token": "no" }))
            .await
            .problem(401, "unauthenticated");
    });
}

#[test]
fn sessions_are_there_after_a_restart() {
    each(async |app| {
        let ann = app.register("ann").await;
        let restarted = app.copy(|_| {}).await;
        ann.at(&restarted).get("/api/v1/users/me").await.expect(200);
        // A cache of one entry: the others are read from the database.
        let tv = app.enter(app.sign_in("ann", PASSWORD).await);
        let small = app.copy(|config| config.api.max_sessions_cached = 1).await;
        for _ in 0..2 {
            ann.at(&small).get("/api/v1/users/me").await.expect(200);
            tv.at(&small).get("/api/v1/users/me").await.expect(200);
        }
        small.stop().await;
        restarted.stop().await;
    });
}

/// Sessions of `seconds`, used or not of twice that.
fn lasting(seconds: u64) -> impl Fn(&mut Config) + Sync {
    move |config| {
        config.api.session_ttl = Span::seconds(seconds);
        config.api.session_max_ttl = Span::seconds(2 * seconds);
    }
}

fn expires(session: &serde_json::Value) -> i64 {
    serde_json::from_value::<Timestamp>(session["expiresAt"].clone())
        .unwrap()
        .millis()
}

#[test]
fn an_unused_session_expires() {
    each_with(lasting(1), async |app| {
        let answer = app
            .post("/api/v1/users", json!({ "username": "ann", "password": PASSWORD }))
            .await;
        let end = expires(&answer.body["session"]);
        let ann = app.enter(answer);
        eventually("its time is over", Duration::from_secs(3), || async {
            (Timestamp::now().millis() >= end).then_some(())
        })
        .await;
        ann.get("/api/v1/users/me").await.problem(401, "unauthenticated");
        let copy = app.copy(|_| {}).await;
        ann.at(&copy)
            .get("/api/v1/users/me")
            .await
            .problem(401, "unauthenticated");
        copy.stop().await;

        let dry = app
            .report("/internal/sessions/expire", json!({ "dryRun": true }))
            .await
            .expect(200);
        assert_eq!(dry["count"], 1);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM sessions").await, 1);
        assert_eq!(
            app.report("/internal/sessions/expire", json!({})).await.expect(200)["count"],
            1
        );
        assert_eq!(
            app.report("/internal/sessions/expire", json!({})).await.expect(200)["count"],
            0
        );
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM sessions").await, 0);
    });
}

#[test]
fn a_used_session_lives_on_until_its_longest_life_is_over() {
    each_with(lasting(2), async |app| {
        let answer = app
            .post("/api/v1/users", json!({ "username": "ann", "password": PASSWORD }))
            .await;
        let first_end = expires(&answer.body["session"]);
        let ann = app.enter(answer);
        let mut last_good = 0;
        loop {
            let asked = Timestamp::now().millis();
            match ann.get("/api/v1/users/me").await.status {
                200 => last_good = asked,
                401 => break,
                other => panic!("{other}"),
            }
            assert!(asked < first_end + 10_000, "it never ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(last_good > first_end, "its use moved its end");
        assert!(last_good <= first_end + 2_000, "four seconds are the longest");
    });
}

#[test]
fn the_use_of_a_session_is_noted_once_a_minute() {
    each(async |app| {
        let ann = app.register("ann").await;
        let ages = async |seconds: i64| {
            let (seen, end) = (seconds * 1000, 1_000_000);
            app.sql(&format!(
                "UPDATE sessions SET last_seen_at = $now - {seen}, expires_at = $now + {end}"
            ))
            .await;
        };
        let last_seen = "SELECT last_seen_at AS n FROM sessions";
        ages(50).await;
        let before = app.count(last_seen).await;
        let copy = app.copy(|_| {}).await;
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        assert_eq!(app.count(last_seen).await, before, "not yet a minute");
        copy.stop().await;

        ages(70).await;
        let copy = app.copy(|_| {}).await;
        let started = Timestamp::now().millis();
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        let noted = app.count(last_seen).await;
        assert!(noted >= started, "{noted} {started}");
        let end = app.count("SELECT expires_at AS n FROM sessions").await;
        assert_eq!(end - noted, 30 * 86_400_000, "its end has moved");
        for _ in 0..3 {
            ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        }
        assert_eq!(app.count(last_seen).await, noted);
        copy.stop().await;
    });
}

#[test]
fn good_sessions_are_told_from_ended_ones() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        bob.delete("/api/v1/sessions/current").await.expect(204);
        let asked = json!({ "sessions": [ann.session, bob.session] });
        let good = app.report("/internal/sessions/check", asked).await.expect(200);
        assert_eq!(good, json!({ "sessions": [ann.session] }));
        let none = app
            .report("/internal/sessions/check", json!({ "sessions": [] }))
            .await
            .expect(200);
        assert_eq!(none, json!({ "sessions": [] }));
        let many = vec![ann.session.clone(); 1001];
        app.report("/internal/sessions/check", json!({ "sessions": many }))
            .await
            .invalid(&["/sessions"]);
        let hostile = json!({ "sessions": ["' OR 1=1 --"] });
        app.report("/internal/sessions/check", hostile)
            .await
            .problem(422, "invalid");
    });
}

async fn refused_within(app: &App, token: &str, most: Duration) {
    let path = "/api/v1/users/me";
    eventually("the session is refused", most, || async {
        let answer = app.send(app.request(Method::GET, path).bearer_auth(token)).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[test]
fn a_lost_message_keeps_no_session_alive_longer_than_five_seconds() {
    each(async |app| {
        let ann = app.register("ann").await;
        // Another process with a bus of its own: no message of ours reaches it.
        let copy = app.copy(|_| {}).await;
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        ann.delete("/api/v1/sessions/current").await.expect(204);
        refused_within(&copy, &ann.token, Duration::from_secs(5)).await;
        copy.stop().await;
    });
}

#[test]
fn a_message_ends_a_session_in_another_process_at_once() {
    each(async |app| {
        let ann = app.register("ann").await;
        let copy = app.copy(|_| {}).await;
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        let mut heard = app
            .running
            .platform
            .bus
            .subscribe(&common::bus::Subject::SessionsRevoked);
        ann.delete("/api/v1/sessions/current").await.expect(204);
        let revoked: common::messages::SessionsRevoked = heard.next().await.unwrap().decode().unwrap();
        assert_eq!(revoked.sessions, [ann.session.parse().unwrap()]);
        assert_eq!(revoked.user.as_str(), ann.id);
        copy.running
            .platform
            .bus
            .publish(&common::bus::Subject::SessionsRevoked, &revoked);
        refused_within(&copy, &ann.token, Duration::from_secs(1)).await;
        copy.stop().await;
    });
}

/// Two copies of the service with a real broker between them.
#[test]
fn promise_13_a_session_that_ended_is_refused_by_every_copy() {
    let broker = Mutex::new(Broker::start());
    let on_broker = |config: &mut Config| config.bus.url = broker.lock().unwrap().url().into();
    each_with(on_broker, async |app| {
        let copy = app.copy(on_broker).await;
        for round in 0..20 {
            let ann = app.register(&format!("ann{round}")).await;
            ann.at(&copy).get("/api/v1/users/me").await.expect(200);
            ann.delete("/api/v1/sessions/current").await.expect(204);
            refused_within(&copy, &ann.token, Duration::from_secs(1)).await;
        }
        // The broker is away: it is asked about more often.
        let ann = app.register("bob").await;
        broker.lock().unwrap().stop();
        for bus in [&app.running.platform.bus, &copy.running.platform.bus] {
            eventually("the broker is missed", Duration::from_secs(10), || async {
                (!bus.is_current()).then_some(())
            })
            .await;
        }
        ann.at(&copy).get("/api/v1/users/me").await.expect(200);
        ann.delete("/api/v1/sessions/current").await.expect(204);
        refused_within(&copy, &ann.token, Duration::from_secs(3)).await;
        // People are served meanwhile, and the copies are ready.
        let ready = copy.http.get(format!("{}/readyz?verbose", copy.running.public));
        let ready: serde_json::Value = ready.send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&ready["ready"], &ready["checks"]["bus"]),
            (&json!(true), &json!("away"))
        );
        broker.lock().unwrap().start_again();
        copy.stop().await;
    });
}
