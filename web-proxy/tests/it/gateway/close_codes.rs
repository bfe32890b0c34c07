//! Every row of the close-code table, and the heartbeat. 1012 is in `drain`, 4401 in `revocation`, 4408 in `backlog`.

use std::time::Duration;

use common::config::Span;
use serde_json::json;

use super::client::{Came, call, masked, text};
use super::site::{CONNECTIONS, Site};

#[actix_web::test]
async fn a_close_is_answered_with_1000_whatever_it_says() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    for payload in [&b""[..], &1000u16.to_be_bytes(), &1001u16.to_be_bytes(), b"\x0f\xa1bye"] {
        let mut client = site.logged_in(&ann).await;
        // Nothing behind it is read.
        let mut bytes = masked(0x88, payload);
        bytes.extend(text(&call("Ping", "late", &json!({}))));
        client.send(&bytes).await;
        assert_eq!(client.closed().await, 1000);
        assert_eq!(client.came().await, Came::End);
    }
    site.until_metric(r#"sluice_gateway_closed_total{code="1000"}"#, 4)
        .await;
    site.stop().await;
}

#[actix_web::test]
async fn frames_that_break_the_protocol_are_1002_1007_and_1009() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut neighbour = site.logged_in(&ann).await;
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("not masked", b"\x81\x02hi".to_vec(), 1002),
        ("a reserved opcode", masked(0x83, b""), 1002),
        ("a reserved bit", masked(0xC1, b""), 1002),
        ("not UTF-8", masked(0x81, b"\xff"), 1007),
        ("65,537 bytes", masked(0x81, &vec![b'x'; 65_537]), 1009),
        ("8 GiB", b"\x81\xff\x00\x00\x00\x02\x00\x00\x00\x00kkkk".to_vec(), 1009),
    ];
    for (name, bytes, code) in cases {
        let mut client = site.logged_in(&ann).await;
        client.try_send(&bytes).await;
        assert_eq!(client.closed_well().await, code, "{name}");
    }
    neighbour.is_alive().await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_binary_message_is_4400() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.enter(&ann).await;
    client.send(&masked(0x82, br#"{"reqFuncName":"Ping"}"#)).await;
    assert_eq!(client.closed_well().await, 4400);
    site.stop().await;
}

#[actix_web::test]
async fn who_ignores_the_refusals_is_4429() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.enter(&ann).await;
    client.event("OnConnectSuccess").await;
    let ping = text(&call("Ping", "p", &json!({})));
    client.try_send(&ping.repeat(500)).await;
    assert_eq!(client.closed().await, 4429);
    let answers = client.kept();
    let refused = answers.iter().filter(|answer| answer["errCode"] == 2019).count();
    let good = answers.iter().filter(|answer| answer["errCode"] == 0).count();
    assert!(good >= 40 && refused >= 40 && good + refused < 500, "{good} {refused}");
    drop(client);
    site.until_metric(CONNECTIONS, 0).await;
    site.stop().await;
}

#[actix_web::test]
async fn who_is_silent_is_dead_and_any_byte_is_a_sign_of_life() {
    let site = Site::with(|config| {
        config.gateway.heartbeat = Span(Duration::from_millis(150));
        config.gateway.dead_after = Span(Duration::from_millis(1500));
        config.gateway.max_connections_per_platform = 3;
    })
    .await;
    let ann = site.api.user("ann");
    // One answers pings, one sends a byte of a frame now and then, one is half open: nothing comes from it.
    let mut lively = site.logged_in(&ann).await;
    let mut dripping = site.logged_in(&ann).await;
    let mut half_open = site.logged_in(&ann).await;
    half_open.event("OnConnectSuccess").await;
    let slow = text(&call("Ping", "slow", &json!({"x": "y".repeat(200)})));
    let mut sent = 0;
    // Longer than a silent one lives.
    while lively.pings < 15 {
        let ping = lively.came();
        if let Ok(came) = tokio::time::timeout(Duration::from_millis(100), ping).await {
            panic!("{came:?}");
        }
        dripping.send(&slow[sent..=sent]).await;
        sent += 1;
    }
    lively.is_alive().await;
    dripping.send(&slow[sent..]).await;
    assert_eq!(dripping.answer("slow").await["errCode"], 1001, "the frame was read");
    // It has unread pings, then the end: no close frame for a dead one.
    let mut buffer = Vec::new();
    let mut io = half_open.raw.io;
    use tokio::io::AsyncReadExt;
    loop {
        let read = tokio::time::timeout(super::client::PATIENCE, io.read_buf(&mut buffer))
            .await
            .unwrap();
        if read.unwrap_or(0) == 0 {
            break;
        }
    }
    assert!(buffer.chunks(2).all(|frame| frame == [0x89, 0]), "{buffer:?}");
    // Its place is free again.
    let again = site.logged_in(&ann).await;
    for client in [lively, dripping, again] {
        client.leave().await;
    }
    site.stop().await;
}
