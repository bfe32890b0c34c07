//! The journey of a new user, each step through another edge: nobody notices which copies answer.

use std::time::Duration;

use common::testing::eventually;
use reqwest::StatusCode;
use serde_json::json;

use super::fleet::{Fleet, Store};
use super::tus;
use crate::gateway::socket::Socket;
use crate::media;
use crate::person::Person;
use crate::site::ADMIN_PASSWORD;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_each_serve_the_journey_and_no_step_notices() {
    let fleet = Fleet::start(Store::S3, &["log.level=warn", "api.trash_retention=1h"]).await;
    // Each of its pieces is so long that the edges do not copy it.
    let clip = media::filled("ordinary/bear-1280x720.mp4", 10_000_000);
    let ann = Person::register(&fleet.edges[0], "ann").await;
    let bob = Person::register(&fleet.edges[1], "bob").await;
    let anns = [fleet.at(&ann, 0), fleet.at(&ann, 1)];
    let bobs = [fleet.at(&bob, 0), fleet.at(&bob, 1)];
    // Ann's two pages are at different edges; both hear what becomes of her video.
    let mut pages = [Socket::logged_in(&anns[0]).await, Socket::logged_in(&anns[1]).await];

    let (id, upload) = anns[0].create("A bear").await;
    tus::upload(&anns, &upload, &clip, 8).await;
    for page in &mut pages {
        assert_eq!(page.event("OnVideoReady").await["videoID"], id);
    }
    anns[1].wait_for(&id, "ready").await;
    for bob in &bobs {
        assert_eq!(bob.download(&id).await, clip.bytes);
        let source = bob.source(&id).await;
        for start in (0..clip.bytes.len() - 1000).step_by(clip.bytes.len() / 10) {
            let part = bob
                .http
                .get(&source)
                .header("range", format!("bytes={start}-{}", start + 999));
            let part = part.send().await.unwrap();
            assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
            assert_eq!(part.bytes().await.unwrap(), &clip.bytes[start..start + 1000]);
        }
    }

    // Viewers at both edges hear what is said at either, in one order.
    let mut viewers = [Socket::logged_in(&bobs[0]).await, Socket::logged_in(&bobs[1]).await];
    for viewer in &mut viewers {
        viewer.ok("JoinRoom", json!({ "videoID": id })).await;
    }
    for viewer in &mut viewers {
        let both = |event: &serde_json::Value| event["event"] == "OnRoomMemberCount" && event["data"]["count"] == 2;
        viewer.matching("both are counted", both).await;
    }
    for n in 0..10 {
        let danmaku = json!({ "videoID": id, "text": format!("danmaku {n}"), "atMs": n * 100 });
        viewers[n % 2].ok("SendDanmaku", danmaku).await;
        anns[n % 2]
            .post(
                &format!("/api/v1/videos/{id}/comments"),
                json!({ "text": format!("comment {n}") }),
            )
            .await
            .expect(201);
    }
    let heard = [viewers[0].entries(20).await, viewers[1].entries(20).await];
    let seqs = |n: usize| {
        heard[n]
            .iter()
            .map(|entry| entry["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(0), (1..=20).collect::<Vec<_>>());
    assert_eq!(heard[0], heard[1]);

    // Deleted at one edge, gone at the other, also by the link that is out; and back again.
    let source = bobs[1].source(&id).await;
    anns[0].delete(&format!("/api/v1/videos/{id}")).await.expect(202);
    bobs[1].video(&id).await.problem(404, "not_found");
    for viewer in &mut viewers {
        viewer.event("OnRoomClosed").await;
    }
    let old_link = |status: u16| {
        let (http, source) = (bob.http.clone(), source.clone());
        async move {
            eventually(
                &format!("the old link is {status}"),
                Duration::from_secs(20),
                || async {
                    let answer = http.get(&source).send().await.unwrap();
                    (answer.status().as_u16() == status).then_some(())
                },
            )
            .await;
        }
    };
    old_link(404).await;
    let restore = anns[1].post(&format!("/api/v1/videos/{id}/restore"), json!({})).await;
    restore.expect(200);
    old_link(200).await;
    assert_eq!(bobs[0].download(&id).await, clip.bytes);
    assert_eq!(bobs[1].video(&id).await.expect(200)["commentCount"], 10);

    // For good: one receipt, whoever is asked.
    let stored = fleet.stored();
    assert_eq!(
        stored.iter().map(|(_, _, size)| size).sum::<u64>(),
        clip.bytes.len() as u64
    );
    anns[1]
        .delete(&format!("/api/v1/videos/{id}?permanent=true"))
        .await
        .expect(202);
    for ann in &anns {
        let receipt = ann.receipt(&id).await;
        let removed = (&receipt["objects"], &receipt["bytes"]);
        assert_eq!(removed, (&json!(stored.len()), &json!(clip.bytes.len())));
    }
    assert_eq!(fleet.stored(), []);

    // Operators find the jobs at either edge.
    for edge in &fleet.edges {
        let admin = Person::sign_in(edge, "admin", ADMIN_PASSWORD).await;
        admin.get("/api/v1/jobs/summary").await.expect(200);
    }
    // Signed out at one: out at both, requests and sockets.
    anns[0].delete("/api/v1/sessions/current").await.expect(204);
    for page in &mut pages {
        assert_eq!(page.closed().await.0, 4401);
    }
    // Whichever copy of api-service is asked.
    for ann in anns.iter().cycle().take(20) {
        ann.get("/api/v1/users/me").await.problem(401, "unauthenticated");
    }
    fleet.stop();
}
