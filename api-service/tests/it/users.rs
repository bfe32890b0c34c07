//! `/api/v1/users`: registering and profiles.

use common::config::Config;
use reqwest::Method;
use serde_json::json;

use crate::app::{Answer, App, PASSWORD, each, each_with};

#[test]
fn registering_makes_an_account_and_a_session() {
    each(async |app| {
        let body = json!({ "username": "ann", "password": PASSWORD, "displayName": " Ann 安 ", "platform": "test" });
        let answer = app.post("/api/v1/users", body).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let cookie = answer.header("set-cookie").to_owned();
        let body = answer.expect(201);
        assert_eq!(body["user"]["username"], "ann");
        assert_eq!(body["user"]["displayName"], "Ann 安");
        assert_eq!(body["user"]["role"], "user");
        let token = body["session"]["token"].as_str().unwrap();
        assert_eq!(token.len(), 43, "256 bits in base64url");
        assert!(cookie.starts_with(&format!(
            "sluice_session={token}; HttpOnly; SameSite=Lax; Path=/; Max-Age="
        )));
        assert!(!cookie.contains("Secure"));
        let me = app
            .send(app.request(reqwest::Method::GET, "/api/v1/users/me").bearer_auth(token))
            .await;
        assert_eq!(me.expect(200), body["user"]);
    });
}

#[test]
fn behind_tls_the_cookie_is_bound_to_the_host() {
    let behind_tls = |config: &mut common::config::Config| config.server.public_url = "https://video.example".into();
    each_with(behind_tls, async |app| {
        let answer = app
            .post("/api/v1/users", json!({ "username": "ann", "password": PASSWORD }))
            .await;
        let cookie = answer.header("set-cookie");
        assert!(
            cookie.starts_with("__Host-sluice_session=") && cookie.contains("; Secure; Path=/"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap().to_owned();
        let request = app
            .request(reqwest::Method::GET, "/api/v1/users/me")
            .header("cookie", &pair);
        app.send(request).await.expect(200);
        // Another host of the domain can set the name without the prefix.
        let unbound = pair.strip_prefix("__Host-").unwrap();
        let request = app
            .request(reqwest::Method::GET, "/api/v1/users/me")
            .header("cookie", unbound);
        app.send(request).await.problem(401, "unauthenticated");
    });
}

#[test]
fn a_name_is_taken_once_also_by_many_at_once() {
    each(async |app| {
        app.register("ann").await;
        let hashes = app.hashes().await;
        let again = app
            .post("/api/v1/users", json!({ "username": "ann", "password": PASSWORD }))
            .await;
        again.problem(409, "username_taken");
        assert_eq!(app.hashes().await, hashes, "a taken name costs no hash");
        let attempts = (0..8).map(|_| app.post("/api/v1/users", json!({ "username": "bob", "password": PASSWORD })));
        let mut statuses: Vec<u16> = futures_util::future::join_all(attempts)
            .await
            .iter()
            .map(|answer| answer.status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    });
}

async fn register_from(app: &App, address: &str, username: &str) -> Answer {
    let body = json!({ "username": username, "password": PASSWORD });
    let request = app
        .request(Method::POST, "/api/v1/users")
        .header("x-forwarded-for", address.to_owned());
    app.send(request.json(&body)).await
}

#[test]
fn an_address_registers_so_many_accounts_before_it_costs_a_hash() {
    let few = |config: &mut Config| {
        config.api.registrations_per_address = 3;
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
    };
    each_with(few, async |app| {
        for n in 0..3 {
            register_from(app, "9.9.9.9", &format!("name{n}")).await.expect(201);
            // Somebody who looks for a free name has not registered.
            if n < 2 {
                register_from(app, "9.9.9.9", "name0")
                    .await
                    .problem(409, "username_taken");
            }
        }
        let hashes = app.hashes().await;
        let refused = register_from(app, "9.9.9.9", "name4").await;
        refused.problem(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit-policy"), "\"registration-address\";q=3;w=900");
        assert!(
            refused
                .header("ratelimit")
                .starts_with("\"registration-address\";r=0;t=")
        );
        assert_eq!(app.hashes().await, hashes);
        register_from(app, "9.9.9.8", "name4").await.expect(201);
    });
}

#[test]
fn a_flood_of_registrations_shuts_out_no_sign_in() {
    let narrow = |config: &mut Config| {
        config.api.password_queue = 8;
        config.server.trusted_proxies = vec!["127.0.0.1".into()];
    };
    each_with(narrow, async |app| {
        app.register("ann").await;
        let flood = (0..60).map(|n| async move {
            let answer = register_from(app, &format!("9.9.9.{n}"), &format!("name{n}")).await;
            answer.status
        });
        let flood = futures_util::future::join_all(flood);
        let sign_ins = async {
            for _ in 0..3 {
                app.sign_in("ann", PASSWORD).await.expect(201);
            }
        };
        let (statuses, ()) = futures_util::future::join(flood, sign_ins).await;
        assert!(
            statuses.iter().all(|status| matches!(status, 201 | 503)),
            "{statuses:?}"
        );
        assert!(statuses.contains(&503), "the flood was not large enough to be one");
    });
}

#[test]
fn every_refused_field_is_named() {
    each(async |app| {
        let check = async |body: serde_json::Value, pointers: &[&str]| {
            app.post("/api/v1/users", body).await.invalid(pointers);
        };
        check(
            json!({ "username": "Ann", "password": "short" }),
            &["/username", "/password"],
        )
        .await;
        check(json!({ "username": "ann", "password": "Password1" }), &["/password"]).await;
        check(
            json!({ "username": "ann", "password": "x".repeat(129) }),
            &["/password"],
        )
        .await;
        let hostile = json!({ "username": "../x", "password": PASSWORD, "displayName": "a\u{0}b" });
        check(hostile, &["/username", "/displayName"]).await;
        check(json!({ "password": PASSWORD }), &["/username"]).await;
        check(
            json!({ "username": "ann", "password": PASSWORD, "displayName": "\u{202e}x" }),
            &["/displayName"],
        )
        .await;
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM users").await, 0);
    });
}

#[test]
fn a_profile_is_public_and_counts_public_ready_videos() {
    each(async |app| {
        let ann = app.register("ann").await;
        ann.publish("One").await;
        ann.create(json!({ "title": "Waits" })).await;
        let private = ann.create(json!({ "title": "Mine", "visibility": "private" })).await;
        app.media_ready(&private).await.expect(200);
        let profile = app.get("/api/v1/users/ann").await.expect(200);
        assert_eq!(profile["videoCount"], 1);
        assert_eq!(profile["displayName"], "ann");
        let names: Vec<&String> = profile.as_object().unwrap().keys().collect();
        assert_eq!(names, ["bio", "createdAt", "displayName", "username", "videoCount"]);
        for nobody in ["nobody", "%00", "a%2Fb", "..%2f", "ANN"] {
            app.get(&format!("/api/v1/users/{nobody}"))
                .await
                .problem(404, "not_found");
        }
    });
}
