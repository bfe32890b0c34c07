//! The first operator: by command, and at the first start.

use std::sync::Arc;

use common::config::{Config, Secret};
use serde_json::json;

use crate::app::{App, PASSWORD, each, each_database, each_with};

/// `sluice admin create` as the binary calls it: outside of any runtime.
async fn create(app: &App, username: &'static str, password: &'static str) -> Result<String, String> {
    let config: Arc<Config> = Arc::new(app.running.config.clone());
    let made = std::thread::spawn(move || api_service::create_operator(&config, username, &Secret::from(password)));
    let made = tokio::task::spawn_blocking(move || made.join().unwrap()).await.unwrap();
    made.map(|outcome| outcome.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn an_operator_is_created_or_made_of_an_account() {
    each(async |app| {
        assert_eq!(
            create(app, "root", "operators passphrase").await.unwrap(),
            "Created the operator root."
        );
        let root = app.enter(app.sign_in("root", "operators passphrase").await);
        assert_eq!(root.get("/api/v1/users/me").await.expect(200)["role"], "operator");

        app.register("ann").await;
        let outcome = create(app, "ann", "operators passphrase").await.unwrap();
        assert!(outcome.contains("ann is an operator now"), "{outcome}");
        assert_eq!(
            app.count(
                "SELECT COUNT(*) AS n FROM sessions WHERE user_id IN (SELECT id FROM users WHERE username = 'ann')"
            )
            .await,
            0
        );
        app.sign_in("ann", PASSWORD).await.problem(401, "wrong_credentials");
        let ann = app.enter(app.sign_in("ann", "operators passphrase").await);
        let owner = app
            .report("/internal/tokens/parse", json!({ "token": ann.token }))
            .await
            .expect(200);
        assert_eq!(owner["role"], "operator");

        assert!(
            create(app, "Bad Name", "operators passphrase")
                .await
                .unwrap_err()
                .starts_with("username: ")
        );
        assert!(
            create(app, "third", "password1")
                .await
                .unwrap_err()
                .starts_with("password: ")
        );
    });
}

#[test]
fn the_first_start_makes_the_operator_of_the_configuration_and_later_ones_do_not() {
    let first = |config: &mut Config| {
        config.secrets.admin_username = "boss".into();
        config.secrets.admin_password = Secret::from("the first passphrase");
    };
    each_with(first, async |app| {
        let boss = app.enter(app.sign_in("boss", "the first passphrase").await);
        assert_eq!(boss.get("/api/v1/users/me").await.expect(200)["role"], "operator");
        let again = app
            .copy(|config| {
                first(config);
                config.secrets.admin_password = Secret::from("the second passphrase");
            })
            .await;
        again
            .sign_in("boss", "the second passphrase")
            .await
            .problem(401, "wrong_credentials");
        again.sign_in("boss", "the first passphrase").await.expect(201);
        again.stop().await;
    });
}

#[test]
fn copies_that_start_at_the_same_moment_make_one_operator() {
    each_database(async |db, url| {
        let start = || {
            App::start(db, url, |config| {
                config.secrets.admin_password = Secret::from("the first passphrase");
            })
        };
        let apps = futures_util::future::join_all([start(), start(), start()]).await;
        for app in apps {
            app.sign_in("admin", "the first passphrase").await.expect(201);
            app.stop().await;
        }
    });
}
