//! Two gateways beside each other in front of the same services, as in a rolling deploy.

use rustix::process::Signal;
use serde_json::json;

use super::resume::{Follower, TALKATIVE};
use super::rooms::couple;
use super::socket::{Heard, PATIENCE, Socket};
use crate::person::{PASSWORD, Person};
use crate::site::Home;

#[tokio::test]
async fn promise_13_and_17_and_22_two_gateways_serve_one_room_and_one_takes_over() {
    let home = Home::new();
    let mut site = home.roles(&TALKATIVE);
    let (ann, bob, id) = couple(&site).await;
    let (other, base) = home.beside(&site.processes[3]);
    site.processes.push(other);
    let there = |person: &Person| Person {
        base: base.clone(),
        ..person.clone()
    };

    // Each at another gateway; both hear both.
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&there(&bob)).await);
    let (mut here, mut follower) = (Follower::new(&id), Follower::new(&id));
    here.join(&mut anns).await.unwrap();
    follower.join(&mut bobs).await.unwrap();
    for n in 0..5 {
        anns.ok("PostComment", json!({ "videoID": id, "text": format!("ann {n}") }))
            .await;
        bobs.ok(
            "SendDanmaku",
            json!({ "videoID": id, "text": format!("bob {n}"), "atMs": n }),
        )
        .await;
    }
    here.follow(&mut anns, 10).await;
    follower.follow(&mut bobs, 10).await;
    assert_eq!(here.entries, follower.entries);

    // A session that ends, ends at both.
    let phone = Person::sign_in(&site.base, "bob", PASSWORD).await;
    let (mut first, mut second) = (Socket::logged_in(&phone).await, Socket::logged_in(&there(&phone)).await);
    phone.delete("/api/v1/sessions/current").await.expect(204);
    assert_eq!((first.closed().await.0, second.closed().await.0), (4401, 4401));
    bobs.is_alive().await;

    // The second one goes; its client comes back to the first and has missed nothing.
    let mut leaving = site.processes.pop().unwrap();
    leaving.signal(Signal::TERM);
    let code = loop {
        match bobs.hear(PATIENCE).await {
            Some(Heard::Close(code, _)) => break code,
            Some(Heard::Frame(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1012);
    assert!(leaving.wait().success());
    for n in 5..10 {
        anns.ok("PostComment", json!({ "videoID": id, "text": format!("ann {n}") }))
            .await;
    }
    let mut bobs = Socket::logged_in(&bob).await;
    follower.join(&mut bobs).await.unwrap();
    follower.follow(&mut bobs, 15).await;
    here.follow(&mut anns, 15).await;
    assert_eq!(here.entries, follower.entries);
    site.stop();
}
