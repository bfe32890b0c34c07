//! Promise 19: a drain finishes what runs and ends what idles at once.

use std::time::{Duration, Instant};

use common::testing::eventually;
use common::testing::raw::Raw;

use super::{config, start};

#[actix_web::test]
async fn promise_19_idle_connections_end_at_once_and_running_requests_finish() {
    let (server, held) = start(config()).await;
    let mut fresh = Raw::connect(&server.public).await;
    let mut idle = Raw::connect(&server.public).await;
    assert_eq!(idle.get("/small").await.status, 200);
    let mut running = Raw::connect(&server.public).await;
    running.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    eventually("the slow request runs", Duration::from_secs(10), || async {
        (held.count() == 1).then_some(())
    })
    .await;

    let began = Instant::now();
    server.platform.drain.begin();
    assert_eq!(idle.rest().await, b"", "an idle connection ends without a word");
    assert_eq!(fresh.rest().await, b"", "so does one that has asked nothing yet");
    assert_eq!(held.count(), 1, "while the running request still runs");
    let answer = running.answer().await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"slow"[..]));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(running.rest().await, b"");
    server.stop().await;
    // Keep-alive is 60 s and the drain may take 25 s: neither was waited for.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[actix_web::test]
async fn promise_19_a_connection_kept_during_the_drain_ends_with_its_answer() {
    let (server, held) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.send("GET /big/32 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.status, 200);
    eventually("the stream runs", Duration::from_secs(10), || async {
        (held.count() == 1).then_some(())
    })
    .await;
    server.platform.drain.begin();
    assert_eq!(client.rest().await.len(), 32 << 20, "every byte, then the end");
    server.stop().await;
}
