//! The same through the Unix socket of a service on the same machine.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::testing::eventually;
use tempfile::TempDir;

use super::*;
use crate::upstream::Seen;

async fn answering(mut call: Call) {
    while let Some(mut seen) = call.head().await {
        call.body(&mut seen).await;
        call.say(CREATED).await;
    }
}

/// An edge that has found the socket in `folder` of `service`, where uploads are served by `put` and all else is answered.
async fn found<F, Fut>(service: &Upstream, folder: &TempDir, put: F) -> (Running, common::near::SocketFile)
where
    F: Fn(Call, Seen) -> Fut + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let folder = folder.path().display().to_string();
    let file = service.listen_near(&folder, move |mut call: Call| {
        let put = put.clone();
        async move {
            while let Some(seen) = call.head().await {
                if seen.line().starts_with("PUT") {
                    return put(call, seen).await;
                }
                call.say(CREATED).await;
            }
        }
    });
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.socket_dir = folder;
    let edge = start(config).await;
    until_used(service, &edge).await;
    (edge, file)
}

/// Until the edge asks `service` through its socket.
pub async fn until_used(service: &Upstream, edge: &Running) {
    eventually("the socket is used", Duration::from_secs(20), || async {
        let mut client = Raw::connect(&edge.public).await;
        client.get("/media/g/v/file").await;
        (service.accepted_near() > 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn uploads_go_by_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let moved_by_tcp = Rc::new(Cell::new(0));
    let count = moved_by_tcp.clone();
    let service = Upstream::new(move |mut call: Call| {
        let count = count.clone();
        async move {
            while let Some(seen) = call.head().await {
                count.set(count.get() + usize::from(seen.line().starts_with("PUT")));
                call.say(CREATED).await;
            }
        }
    })
    .await;
    let (edge, _file) = found(&service, &dir, |mut call: Call, mut seen: Seen| async move {
        call.body(&mut seen).await;
        call.say(CREATED).await;
        answering(call).await;
    })
    .await;
    let mut client = Raw::connect(&edge.public).await;
    for (length, piece) in [(LENGTH, LENGTH), (20_000_000, 1_000_000), (5_000_000, 70_001)] {
        send(&mut client, length, piece).await;
        assert_eq!(client.answer().await.status, 201);
        assert!(service.last().whole && service.last().body == content(length));
    }
    assert_eq!(moved(&edge), LENGTH + 25_000_000);
    // Whoever asks where the socket is comes by TCP.
    let near = service
        .seen()
        .iter()
        .filter(|seen| seen.line().starts_with("PUT"))
        .count();
    assert_eq!((near, moved_by_tcp.get()), (3, 0));
    edge.stop().await;
}

/// A Unix socket whose reader closes with bytes unread says so at once, but what it said before is there.
#[actix_web::test]
async fn promise_8_a_refusal_is_read_also_when_the_service_closes_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = Upstream::new(answering).await;
    let (edge, _file) = found(&service, &dir, |mut call: Call, _: Seen| async move {
        // Of the body nothing is read, and the connection closes with this.
        let close = "Content-Type: application/problem+json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
        call.say(&format!("HTTP/1.1 507 Full\r\n{close}")).await;
    })
    .await;
    for _ in 0..20 {
        let mut client = Raw::connect(&edge.public).await;
        client.send(&put(30_000_000)).await;
        for piece in content(30_000_000).chunks(1_000_000) {
            if tokio::io::AsyncWriteExt::write_all(&mut client.io, piece)
                .await
                .is_err()
            {
                break;
            }
        }
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (507, "{}"));
    }
    edge.stop().await;
}

/// What is behind the last byte of a body, and be it the end of the connection, is looked at when the body has gone on. The queue of a Unix
/// socket is bounded, so that the end of the body waits in the pipe.
#[actix_web::test]
async fn a_client_that_leaves_behind_its_last_byte_has_uploaded() {
    let dir = tempfile::tempdir().unwrap();
    let service = Upstream::new(answering).await;
    let (edge, _file) = found(&service, &dir, |mut call: Call, _: Seen| async move {
        while call.take_some().await > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let before = service.count();
    let mut all = 0;
    // The last piece is accepted at once, or has to wait, by how much is in the queue before it.
    for round in 1..=8 {
        let length = 9_000_000 + round * 500_000;
        let mut client = Raw::connect(&edge.public).await;
        send(&mut client, length, 1_000_000).await;
        drop(client);
        all += length;
        service.until_seen(before + round).await;
        eventually("all has gone on", Duration::from_secs(10), || async {
            (service.taken() == all).then_some(())
        })
        .await;
    }
    edge.stop().await;
}
