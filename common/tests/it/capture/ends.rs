//! Bodies that nobody wants, clients that stop or leave, and the drain.

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::config::Span;
use common::testing::eventually;
use common::testing::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::{GET, MIB, bytes, check, config, put, start};

const SOON: Duration = Duration::from_secs(10);

/// Descriptors of this process that are sockets or pipes.
fn open_sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    names
        .filter(|name| name.to_string_lossy().starts_with("socket:"))
        .count()
}

#[actix_web::test]
async fn promise_8_a_refusal_can_be_read_although_the_client_only_sends() {
    let (server, _) = start(config()).await;
    let body = bytes(16 * MIB, 1);
    for (how, status) in [("refuse", 413), ("part", 409), ("unknown", 404), ("panic", 500)] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&put(how, body.len())).await;
        client.send_bytes(&body).await;
        client.send(GET).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{how}");
        assert_eq!(answer.header("connection"), Some("close"), "{how}");
        assert_eq!(client.rest().await, b"", "no other request is answered");
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_8_a_refusal_comes_before_the_body() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client.send(&put("refuse", 100 * MIB)).await;
    assert_eq!(client.answer().await.status, 413);
    assert_eq!(client.rest().await, b"");
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_a_body_that_stalls_ends_and_one_that_drips_does_not() {
    let (server, busy) = start(config()).await;
    for (how, status) in [("payload", 408), ("file", 400)] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&put(how, MIB)).await;
        client.send_bytes(&[7; 500_000]).await;
        assert_eq!(client.answer().await.status, status, "{how}");
        drop(client);
        assert_eq!(busy.load(Ordering::SeqCst), 0);
    }
    let body = bytes(MIB, 3);
    for how in ["payload", "file"] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&put(how, MIB)).await;
        client.send_bytes(&body[..MIB - 8]).await;
        for byte in &body[MIB - 8..] {
            // Together twice the stall limit.
            tokio::time::sleep(Duration::from_millis(225)).await;
            client.send_bytes(&[*byte]).await;
        }
        check(&client.answer().await, &body);
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_6_half_a_head_of_an_upload_is_cut() {
    let mut config = config();
    // actix-http counts from a clock that it sets twice a second.
    config.server.head_timeout = Span(Duration::from_millis(900));
    let (server, _) = start(config).await;
    let head = put("either", MIB);
    for before in ["", GET] {
        let mut client = Raw::connect(&server.public).await;
        client.send(before).await;
        if !before.is_empty() {
            assert_eq!(client.answer().await.status, 200);
        }
        for byte in head.as_bytes()[..head.len() - 1].iter().cycle() {
            if client.io.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn promise_9_clients_that_leave_leave_nothing() {
    let (server, busy) = start(config()).await;
    let mut first = Raw::connect(&server.public).await;
    assert_eq!(first.get("/small").await.status, 200);
    let before = open_sockets();
    for number in 0..50 {
        let how = ["either", "payload", "file", "late", "refuse"][number % 5];
        let mut client = Raw::connect(&server.public).await;
        client.send(&put(how, 3 * MIB)).await;
        if client.io.write_all(&vec![1; number * 30_000]).await.is_ok() && number % 2 == 0 {
            // With a reset instead of an end.
            client.io.set_zero_linger().unwrap();
        }
    }
    eventually("nothing is held", SOON, || async {
        (busy.load(Ordering::SeqCst) == 0 && open_sockets() <= before).then_some(())
    })
    .await;
    assert_eq!(first.get("/small").await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_ends_its_side_early_is_told() {
    let (server, busy) = start(config()).await;
    for how in ["either", "payload", "file"] {
        let mut client = Raw::connect(&server.public).await;
        client.send(&put(how, MIB)).await;
        client.send_bytes(&[7; 400_000]).await;
        client.io.shutdown().await.unwrap();
        assert_eq!(client.answer().await.status, 400, "{how}");
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(busy.load(Ordering::SeqCst), 0);
    server.stop().await;
}

#[actix_web::test]
async fn promise_19_an_upload_that_runs_when_the_drain_begins_is_finished() {
    let (server, busy) = start(config()).await;
    let body = bytes(2 * MIB, 3);
    let mut client = Raw::connect(&server.public).await;
    client.send(&put("file", body.len())).await;
    client.send_bytes(&body[..MIB]).await;
    eventually("it is worked on", SOON, || async {
        (busy.load(Ordering::SeqCst) == 1).then_some(())
    })
    .await;
    let stopping = tokio::task::spawn_local(server.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send_bytes(&body[MIB..]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (201, super::sum(&body)));
    stopping.await.unwrap();
}
