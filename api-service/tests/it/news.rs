//! What is told on the bus: what was committed, all of it and nothing else, whoever is still there to hear the answer.

use std::time::Duration;

use common::bus::{Subject, Subscription};
use common::db::DbError;
use common::messages::{RoomEntry, RoomEntryKind, UserEvent};
use common::testing::eventually;
use diesel::RunQueryDsl;
use futures_util::FutureExt;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::app::{App, each};
use crate::crowd::{heard, listen};
use crate::person::Person;

/// What comes for a person's connections.
fn listen_as(app: &App, person: &Person<'_>) -> Subscription {
    let subject = Subject::User(person.id.parse().unwrap());
    app.running.platform.bus.subscribe(&subject)
}

async fn next<T: serde::de::DeserializeOwned>(subscription: &mut Subscription) -> T {
    let message = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
    let message = message.expect("something is told").expect("the bus is there");
    message.decode().expect("it can be read")
}

#[test]
fn whoever_listens_is_told_what_the_log_says() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let mut owner = listen_as(app, &ann);
        let id = ann.publish("x").await;
        let ready: UserEvent = next(&mut owner).await;
        assert_eq!(
            (ready.event.as_str(), &ready.data),
            ("OnVideoReady", &json!({ "videoID": id }))
        );
        let mut room = listen(app, &id);
        let draft = json!({ "text": "熊", "atMs": 7 });
        let request = app.request(Method::POST, &format!("/api/v1/videos/{id}/danmaku"));
        let request = request.bearer_auth(&bob.token).header("x-operation-id", "said-by-bob");
        let said = app.send(request.json(&draft)).await.expect(201);
        let entry: RoomEntry = next(&mut room).await;
        assert_eq!((entry.seq, &entry.data), (1, &said));
        assert_eq!(entry.operation.as_ref().map(|id| id.as_str()), Some("said-by-bob"));
        assert_eq!(serde_json::to_value(&entry).unwrap(), ann.events(&id).await[0]);
        // A refusal is told to nobody.
        bob.danmaku(&id, "", 0).await.invalid(&["/text"]);
        bob.danmaku(&id, "x", -1).await.invalid(&["/atMs"]);
        ann.trash(&id).await.expect(202);
        ann.restore(&id).await.expect(200);
        let told: Vec<String> = heard(&mut room)
            .into_iter()
            .map(|entry| format!("{} {}", entry.kind.name(), entry.seq))
            .collect();
        assert_eq!(told, ["closed 2", "info 3"]);
        for event in ["OnVideoTrashed", "OnVideoRestored"] {
            let told: UserEvent = next(&mut owner).await;
            assert_eq!((told.event.as_str(), &told.data), (event, &json!({ "videoID": id })));
        }
        let mut his = listen_as(app, &bob);
        let me = bob
            .patch("/api/v1/users/me", json!({ "displayName": "Bobby" }))
            .await
            .expect(200);
        bob.patch("/api/v1/users/me", json!({})).await.expect(200);
        let told: UserEvent = next(&mut his).await;
        assert_eq!((told.event.as_str(), told.data), ("OnSelfInfoUpdated", me));
        let nothing = tokio::task::unconstrained(his.next()).now_or_never();
        assert!(nothing.is_none(), "a change of nothing is no news");
    });
}

/// Somebody who sends a request and leaves.
async fn send_and_leave(app: &App, request: &str) -> tokio::net::TcpStream {
    let address = app.running.public.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

#[test]
fn what_was_committed_is_told_though_the_client_has_left() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let mut room = listen(app, &id);
        let body = r#"{"text":"gone","atMs":0}"#;
        let request = format!(
            "POST /api/v1/videos/{id}/danmaku HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            ann.token,
            body.len()
        );
        // A client may leave before its change has begun; then there is none.
        for _ in 0..50 {
            let (locked, held) = std::sync::mpsc::channel::<()>();
            let (release, go) = std::sync::mpsc::channel::<()>();
            let db = app.db.clone();
            let blocker = actix_web::rt::spawn(async move {
                db.write(move |conn| {
                    diesel::sql_query("UPDATE videos SET title = title").execute(conn)?;
                    locked.send(()).unwrap();
                    go.recv().unwrap();
                    Ok::<_, DbError>(())
                })
                .await
            });
            tokio::task::spawn_blocking(move || held.recv().unwrap()).await.unwrap();
            let socket = send_and_leave(app, &request).await;
            // Long enough for the change to wait for the lock, and for the server to see that the client is gone.
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(socket);
            tokio::time::sleep(Duration::from_millis(100)).await;
            release.send(()).unwrap();
            blocker.await.unwrap().unwrap();
            // A change behind it: when this is answered, the other is over (or nearly, on PostgreSQL).
            ann.comment(&id, "after").await.expect(201);
            let written = app.count("SELECT COUNT(*) AS n FROM danmaku").await;
            if written > 0 {
                break;
            }
        }
        let mut told = Vec::new();
        let all = eventually("all that was written is told", Duration::from_secs(30), || {
            told.extend(heard(&mut room));
            let mut seqs: Vec<i64> = told.iter().map(|entry: &RoomEntry| entry.seq).collect();
            seqs.sort_unstable();
            async move {
                let head = app.count("SELECT MAX(room_seq) AS n FROM videos").await;
                (seqs == (1..=head).collect::<Vec<_>>()).then_some(())
            }
        });
        all.await;
        assert!(told.iter().any(|entry| entry.kind == RoomEntryKind::Danmaku));
    });
}
