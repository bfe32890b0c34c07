//! `/api/v1/users/me`: one's own account.

use std::time::Duration;

use common::db::Backend;
use common::testing::eventually;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, PASSWORD, each};

#[test]
fn what_is_shown_can_be_changed_and_taken_away() {
    each(async |app| {
        let ann = app.register("ann").await;
        let change = json!({ "displayName": "Ann", "bio": "I film bears.\nOften.", "language": "zh-CN" });
        let me = ann.patch("/api/v1/users/me", change).await.expect(200);
        assert_eq!((&me["displayName"], &me["language"]), (&json!("Ann"), &json!("zh-CN")));
        assert_eq!(ann.patch("/api/v1/users/me", json!({})).await.expect(200), me);
        assert_eq!(
            app.get("/api/v1/users/ann").await.expect(200)["bio"],
            "I film bears.\nOften."
        );
        let gone = json!({ "displayName": null, "bio": null, "language": null });
        let me = ann.patch("/api/v1/users/me", gone).await.expect(200);
        assert_eq!(me["displayName"], "ann");
        assert_eq!((&me["bio"], &me["language"]), (&json!(""), &json!("")));
    });
}

#[test]
fn refused_changes_change_nothing() {
    each(async |app| {
        let ann = app.register("ann").await;
        let check = async |body: serde_json::Value, pointers: &[&str]| {
            ann.patch("/api/v1/users/me", body).await.invalid(pointers);
        };
        check(json!({ "bio": "ok", "displayName": "" }), &["/displayName"]).await;
        check(
            json!({ "bio": "x".repeat(1001), "language": "english!" }),
            &["/bio", "/language"],
        )
        .await;
        check(json!({ "role": "operator" }), &["/role"]).await;
        check(json!({ "username": "root" }), &["/username"]).await;
        let me = ann.get("/api/v1/users/me").await.expect(200);
        assert_eq!((&me["bio"], &me["role"]), (&json!(""), &json!("user")));
    });
}

#[test]
fn a_new_password_ends_every_other_session() {
    each(async |app| {
        let ann = app.register("ann").await;
        let other = app.enter(app.sign_in("ann", PASSWORD).await);
        let path = "/api/v1/users/me/password";
        ann.post(path, json!({ "current": "wrong one", "new": "another passphrase" }))
            .await
            .problem(401, "wrong_credentials");
        ann.post(path, json!({ "current": PASSWORD, "new": "12345678" }))
            .await
            .invalid(&["/new"]);
        other.get("/api/v1/users/me").await.expect(200);
        ann.post(path, json!({ "current": PASSWORD, "new": "another passphrase" }))
            .await
            .expect(204);
        other.get("/api/v1/users/me").await.problem(401, "unauthenticated");
        ann.get("/api/v1/users/me").await.expect(200);
        app.sign_in("ann", PASSWORD).await.problem(401, "wrong_credentials");
        app.sign_in("ann", "another passphrase").await.expect(201);
    });
}

#[test]
fn a_deleted_account_takes_its_things_along_and_keeps_its_name() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let (hers, his) = (ann.publish("Hers").await, bob.publish("His").await);
        bob.comment(&hers, "nice").await.expect(201);
        ann.comment(&his, "nice too").await.expect(201);
        bob.comment(&his, "thanks").await.expect(201);
        let me = "/api/v1/users/me";
        ann.call(Method::DELETE, me, json!({ "password": "wrong one" }))
            .await
            .problem(401, "wrong_credentials");
        let answer = ann.call(Method::DELETE, me, json!({ "password": PASSWORD })).await;
        assert!(answer.header("set-cookie").contains("Max-Age=0"));
        answer.expect(202);

        ann.get(me).await.problem(401, "unauthenticated");
        app.sign_in("ann", PASSWORD).await.problem(401, "wrong_credentials");
        app.get("/api/v1/users/ann").await.problem(404, "not_found");
        let taken = app
            .post("/api/v1/users", json!({ "username": "ann", "password": PASSWORD }))
            .await;
        taken.problem(409, "username_taken");
        bob.video(&hers).await.problem(404, "not_found");
        let list = app.get("/api/v1/videos").await.expect(200);
        assert_eq!(crate::app::members(&list, "title"), ["His"]);
        assert_eq!(list["items"][0]["commentCount"], 1);
        let comments = app.get(&format!("/api/v1/videos/{his}/comments")).await.expect(200);
        assert_eq!(crate::app::members(&comments, "text"), ["thanks"]);

        // Her video is to be purged now, and the scheduler is told so.
        let due =
            format!("SELECT COUNT(*) AS n FROM videos WHERE id = '{hers}' AND state = 'trashed' AND purge_at > 0");
        assert_eq!(app.count(&due).await, 1);
        let told = format!("SELECT COUNT(*) AS n FROM outbox WHERE key = '{hers}' AND kind IN ('hide', 'purge-job')");
        assert_eq!(app.count(&told).await, 2);
        app.report(&format!("/internal/videos/{hers}/purge/begin"), json!({}))
            .await
            .expect(200);
    });
}

/// Not yet to be purged.
const LEFT: &str = "SELECT COUNT(*) AS n FROM videos WHERE state <> 'trashed' OR purge_at > $now";

async fn left(app: &App) -> i64 {
    let now = common::time::Timestamp::now().millis() + 1_000;
    app.count(&LEFT.replace("$now", &now.to_string())).await
}

/// Makes one video of these the one that can't be changed; `None` ends that.
async fn block(app: &App, video: Option<&str>) {
    let statement = match (app.backend(), video) {
        (Backend::Sqlite, Some(id)) => format!(
            "CREATE TRIGGER blocked BEFORE UPDATE ON videos WHEN NEW.id = '{id}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        ),
        (Backend::Sqlite, None) => "DROP TRIGGER blocked".to_owned(),
        (Backend::Postgres, Some(id)) => {
            format!("ALTER TABLE videos ADD CONSTRAINT blocked CHECK (id <> '{id}' OR state = 'ready')")
        }
        (Backend::Postgres, None) => "ALTER TABLE videos DROP CONSTRAINT blocked".to_owned(),
    };
    app.sql(&statement).await;
}

#[test]
fn an_account_is_closed_before_its_many_videos_go_and_none_is_forgotten() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let first = ann.publish("First").await;
        let his = bob.publish("His").await;
        ann.trash(&ann.publish("Trashed").await).await.expect(202);
        app.sql(&format!(
            "INSERT INTO videos SELECT 'v' || CAST(10000000000 + n.i AS TEXT), owner_id, title, title_key, description, \
             search_text, visibility, state, trashed_from, failure, size_bytes, sha256, mime, duration_ms, width, height, \
             codecs, created_at, ready_at, upload_until, purge_at, version, grant_version, comment_count, \
             room_seq, danmaku_count FROM videos, \
             (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) SELECT i FROM n) n \
             WHERE id = '{first}'"
        ))
        .await;
        assert_eq!(left(app).await, 1103);
        // As a crash in between would leave it: some videos are gone, others not.
        block(app, Some("v10000001100")).await;
        let leave = json!({ "password": PASSWORD });
        ann.call(Method::DELETE, "/api/v1/users/me", leave).await.expect(202);
        ann.get("/api/v1/users/me").await.problem(401, "unauthenticated");
        let after = left(app).await;
        assert_eq!(after, 103, "two transactions of 500 were kept");
        // What is left of it is nobody's to see.
        let listed = bob.get("/api/v1/videos?limit=100").await.expect(200);
        let listed: Vec<&str> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|video| video["id"].as_str())
            .collect();
        assert_eq!(listed, [&*his]);
        bob.video("v10000001100").await.problem(404, "not_found");
        block(app, None).await;
        let sweep = async |dry: bool| {
            let body = json!({ "dryRun": dry });
            let answer = app.report("/internal/videos/expire", body).await.expect(200);
            answer["count"].as_i64().unwrap()
        };
        assert_eq!(sweep(true).await, after - 1);
        assert_eq!(left(app).await, after);
        assert_eq!((sweep(false).await, sweep(false).await), (after - 1, 0));
        assert_eq!(left(app).await, 1);
        bob.video(&his).await.expect(200);
        let told = "SELECT COUNT(DISTINCT key) AS n FROM outbox WHERE kind = ";
        for kind in ["'hide'", "'purge-job'"] {
            assert_eq!(app.count(&format!("{told}{kind}")).await, 1102, "{kind}");
        }
        // What a process that ended left is found by the next one as it starts.
        app.sql(&format!("UPDATE users SET deleted_at = $now WHERE id = '{}'", bob.id))
            .await;
        let next = app.copy(|_| {}).await;
        eventually("nothing is left", Duration::from_secs(10), || async {
            (left(app).await == 0).then_some(())
        })
        .await;
        next.stop().await;
    });
}

#[test]
fn nothing_is_made_for_an_account_that_is_being_deleted() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let his = bob.publish("His").await;
        let leave = ann.call(Method::DELETE, "/api/v1/users/me", json!({ "password": PASSWORD }));
        // Six make things until they are told that the account is gone.
        let made = futures_util::future::join_all((0..6).map(|_| async {
            for _ in 0..1_000 {
                let video = ann.post("/api/v1/videos", json!({ "title": "Hers" })).await.status;
                let comment = ann.comment(&his, "hers").await.status;
                assert!([video, comment].iter().all(|status| matches!(status, 201 | 401)));
                if comment == 401 {
                    return;
                }
            }
            panic!("the account was not deleted");
        }));
        let (left, _) = futures_util::future::join(leave, made).await;
        left.expect(202);
        let hers = "SELECT COUNT(*) AS n FROM videos WHERE title = 'Hers' AND state <> 'trashed'";
        assert_eq!(app.count(hers).await, 0);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM comments").await, 0);
        assert_eq!(bob.video(&his).await.expect(200)["commentCount"], 0);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM sessions").await, 1);
    });
}

#[test]
fn the_list_of_mine_shows_every_state_and_pages() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        bob.publish("Not hers").await;
        for n in 0..3 {
            ann.publish(&format!("Ready {n}")).await;
        }
        let waits = ann.create(json!({ "title": "Waits", "visibility": "private" })).await;
        let trashed = ann.publish("Trashed").await;
        ann.trash(&trashed).await.expect(202);
        let all = ann.get("/api/v1/users/me/videos").await.expect(200);
        let titles = crate::app::members(&all, "title");
        assert_eq!(titles.len(), 5);
        assert_eq!(all["next"], json!(null));
        let waiting = ann
            .get("/api/v1/users/me/videos?state=awaiting_upload")
            .await
            .expect(200);
        assert_eq!(crate::app::members(&waiting, "id"), [waits]);
        let first = ann.get("/api/v1/users/me/videos?limit=2").await.expect(200);
        let next = first["next"].as_str().unwrap();
        let second = ann
            .get(&format!("/api/v1/users/me/videos?limit=3&cursor={next}"))
            .await
            .expect(200);
        let paged = [
            crate::app::members(&first, "title"),
            crate::app::members(&second, "title"),
        ]
        .concat();
        assert_eq!(paged, titles);
        assert_eq!(second["next"], json!(null));
        ann.get("/api/v1/users/me/videos?state=nonsense")
            .await
            .problem(400, "bad_request");
        app.get("/api/v1/users/me/videos").await.problem(401, "unauthenticated");
    });
}
