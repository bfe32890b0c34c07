//! `POST /api/v1/sessions`: wrong credentials and the limits on trying.

use common::config::Config;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, PASSWORD, each, each_with};

#[test]
fn a_wrong_name_and_a_wrong_password_are_the_same_and_cost_the_same() {
    each(async |app| {
        app.register("ann").await;
        let before = app.hashes().await;
        let wrong = app.sign_in("ann", "not her password").await;
        let after_wrong = app.hashes().await;
        let unknown = app.sign_in("nobody", "not her password").await;
        let after_unknown = app.hashes().await;
        let absurd = app.sign_in("\u{0}' OR 1=1", "not her password").await;
        assert_eq!(after_wrong - before, 1);
        assert_eq!(after_unknown - after_wrong, 1);
        assert_eq!(app.hashes().await - after_unknown, 1);
        wrong.problem(401, "wrong_credentials");
        for other in [&unknown, &absurd] {
            other.problem(401, "wrong_credentials");
            for member in ["detail", "title", "type", "errCode"] {
                assert_eq!(wrong.body[member], other.body[member]);
            }
        }
        app.sign_in("ann", PASSWORD).await.expect(201);
    });
}

fn few(config: &mut Config) {
    config.api.sign_in_attempts = 3;
    config.api.sign_in_attempts_per_address = 8;
    config.server.trusted_proxies = vec!["127.0.0.1".into()];
}

async fn try_from(app: &App, address: &str, username: &str, password: &str) -> crate::app::Answer {
    let body = json!({ "username": username, "password": password });
    let request = app
        .request(Method::POST, "/api/v1/sessions")
        .header("x-forwarded-for", address.to_owned());
    app.send(request.json(&body)).await
}

#[test]
fn an_account_closes_to_an_address_after_some_wrong_passwords_before_it_costs_a_hash() {
    each_with(few, async |app| {
        app.register("ann").await;
        for _ in 0..3 {
            try_from(app, "9.9.9.9", "ann", "wrong one")
                .await
                .problem(401, "wrong_credentials");
        }
        let hashes = app.hashes().await;
        // With the right password too.
        let refused = try_from(app, "9.9.9.9", "ann", PASSWORD).await;
        refused.problem(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit-policy"), "\"sign-in-account\";q=3;w=900");
        assert!(refused.header("ratelimit").starts_with("\"sign-in-account\";r=0;t="));
        assert_eq!(app.hashes().await, hashes);
        // A stranger closes it for himself, not for its owner.
        try_from(app, "9.9.9.8", "ann", PASSWORD).await.expect(201);
    });
}

#[test]
fn an_account_closes_to_everybody_after_ten_times_as_many() {
    let few = |config: &mut Config| {
        few(config);
        config.api.sign_in_attempts = 1;
    };
    each_with(few, async |app| {
        let ann = app.register("ann").await;
        for n in 0..10 {
            try_from(app, &format!("9.9.9.{n}"), "ann", "wrong one")
                .await
                .problem(401, "wrong_credentials");
        }
        let hashes = app.hashes().await;
        let refused = try_from(app, "8.8.8.8", "ann", PASSWORD).await;
        refused.problem(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert_eq!(
            refused.header("ratelimit-policy"),
            "\"sign-in-account-everywhere\";q=10;w=900"
        );
        assert!(
            refused
                .header("ratelimit")
                .starts_with("\"sign-in-account-everywhere\";r=0;t=")
        );
        assert_eq!(app.hashes().await, hashes);
        // Whoever is signed in changes the password and leaves nevertheless.
        let change = json!({ "current": PASSWORD, "new": "another passphrase" });
        ann.post("/api/v1/users/me/password", change).await.expect(204);
        let leave = json!({ "password": "another passphrase" });
        ann.call(Method::DELETE, "/api/v1/users/me", leave).await.expect(202);
    });
}

#[test]
fn names_that_can_t_be_close_nothing_for_others() {
    each_with(few, async |app| {
        for n in 0..8 {
            try_from(app, "9.9.9.1", &format!("NOT A NAME {n}"), "wrong one")
                .await
                .problem(401, "wrong_credentials");
        }
        let refused = try_from(app, "9.9.9.1", "NOT A NAME", "wrong one").await;
        refused.problem(429, "too_many_requests");
        assert!(refused.header("ratelimit").starts_with("\"sign-in-address\";r=0;t="));
        try_from(app, "9.9.9.2", "NOT A NAME", "wrong one")
            .await
            .problem(401, "wrong_credentials");
    });
}

#[test]
fn success_gives_an_account_its_attempts_back() {
    each_with(few, async |app| {
        app.register("ann").await;
        for _ in 0..3 {
            for _ in 0..2 {
                try_from(app, "9.9.9.1", "ann", "wrong one")
                    .await
                    .problem(401, "wrong_credentials");
            }
            try_from(app, "9.9.9.1", "ann", PASSWORD).await.expect(201);
        }
    });
}

#[test]
fn an_address_closes_after_some_wrong_passwords_for_whatever_names() {
    each_with(few, async |app| {
        app.register("ann").await;
        for n in 0..8 {
            try_from(app, "9.9.9.1", &format!("name{n}"), "wrong one")
                .await
                .problem(401, "wrong_credentials");
        }
        let refused = try_from(app, "9.9.9.1", "ann", PASSWORD).await;
        assert_eq!(
            refused.problem(429, "too_many_requests").header("ratelimit-policy"),
            "\"sign-in-address\";q=8;w=900"
        );
        try_from(app, "9.9.9.2", "ann", PASSWORD).await.expect(201);
    });
}

#[test]
fn an_address_that_a_client_claims_is_not_believed() {
    let untrusting = |config: &mut Config| {
        few(config);
        config.server.trusted_proxies.clear();
    };
    each_with(untrusting, async |app| {
        for n in 0..8 {
            try_from(app, &format!("9.9.9.{n}"), &format!("name{n}"), "wrong one")
                .await
                .problem(401, "wrong_credentials");
        }
        try_from(app, "8.8.8.8", "another", "wrong one")
            .await
            .problem(429, "too_many_requests");
    });
}

#[test]
fn many_attempts_at_once_are_no_more_than_one_after_the_other() {
    each_with(few, async |app| {
        app.register("ann").await;
        let before = app.hashes().await;
        let attempts = (0..20).map(|_| app.sign_in("ann", "wrong one"));
        let answers = futures_util::future::join_all(attempts).await;
        let refused = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!((refused, app.hashes().await - before), (17, 3));
    });
}

#[test]
fn more_sign_ins_than_the_queue_takes_are_told_to_come_back() {
    let narrow = |config: &mut Config| {
        config.api.password_hashers = 1;
        config.api.password_queue = 1;
    };
    each_with(narrow, async |app| {
        app.register("ann").await;
        let attempts = (0..16).map(|_| app.sign_in("ann", PASSWORD));
        let answers = futures_util::future::join_all(attempts).await;
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert!(!busy.is_empty());
        for answer in &busy {
            assert_eq!(answer.problem(503, "overloaded").header("retry-after"), "2");
        }
        assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 503 | 429)));
        // What was not tried does not count.
        app.sign_in("ann", PASSWORD).await.expect(201);
    });
}

#[test]
fn the_password_of_a_session_is_guarded_by_a_limit_of_its_own() {
    each_with(few, async |app| {
        let ann = app.register("ann").await;
        let guess = json!({ "current": "wrong one", "new": "another passphrase" });
        for _ in 0..3 {
            ann.post("/api/v1/users/me/password", guess.clone())
                .await
                .problem(401, "wrong_credentials");
        }
        let refused = ann.post("/api/v1/users/me/password", guess).await;
        refused.problem(429, "too_many_requests");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit-policy"), "\"password-account\";q=3;w=900");
        assert!(refused.header("ratelimit").starts_with("\"password-account\";r=0;t="));
        let leave = json!({ "password": PASSWORD });
        ann.call(Method::DELETE, "/api/v1/users/me", leave)
            .await
            .problem(429, "too_many_requests");
    });
}
