//! Clients that send as much as they can, or as little.

use std::time::Duration;

use serde_json::json;

use super::client::{Came, PATIENCE, call, masked, text};
use super::site::Site;

#[actix_web::test]
async fn some_pings_are_answered_one_by_one_and_a_megabyte_of_them_is_4429() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut neighbour = site.logged_in(&bob).await;
    let mut client = site.enter(&ann).await;
    client.event("OnConnectSuccess").await;
    let ping = |number: u32| {
        let mut payload = [0x55; 125];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        masked(0x89, &payload)
    };
    client.send(&(0..100).flat_map(ping).collect::<Vec<u8>>()).await;
    for number in 0..100_u32 {
        let Came::Pong(payload) = client.came().await else {
            panic!()
        };
        assert_eq!((payload.len(), &payload[..4]), (125, &number.to_be_bytes()[..]));
    }
    client.is_alive().await;
    client.try_send(&(0..8000).flat_map(ping).collect::<Vec<u8>>()).await;
    assert_eq!(client.closed().await, 4429);
    neighbour.is_alive().await;
    neighbour.leave().await;
    drop(client);
    site.stop().await;
}

/// Frames that nobody has to answer: pongs, and fragments with nothing in them.
#[actix_web::test]
async fn frames_that_cost_little_are_4429_too_when_they_are_too_many() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut neighbour = site.logged_in(&bob).await;
    for frame in [masked(0x8A, b""), masked(0x00, b"")] {
        let mut client = site.enter(&ann).await;
        client.event("OnConnectSuccess").await;
        client.send(&masked(0x01, b"")).await;
        let many = frame.repeat(20_000);
        let began = std::time::Instant::now();
        while client.try_send(&many).await {
            assert!(began.elapsed() < PATIENCE, "it is read from for ever");
        }
        neighbour.is_alive().await;
        drop(client);
    }
    site.until_metric(r#"sluice_gateway_closed_total{code="4429"}"#, 2)
        .await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn ten_thousand_tiny_frames_end_in_4429() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut neighbour = site.logged_in(&bob).await;
    for frame in [text("{}"), text(""), text(&call("Ping", "p", &json!({})))] {
        let mut client = site.enter(&ann).await;
        client.try_send(&frame.repeat(10_000)).await;
        assert_eq!(client.closed().await, 4429);
        neighbour.is_alive().await;
    }
    neighbour.leave().await;
    site.stop().await;
}

/// Ten times too much, not all at once: now and then one of them may be made.
#[actix_web::test]
async fn who_goes_on_calling_too_often_is_4429_too() {
    let site = Site::new().await;
    let mut client = site.enter(&site.api.user("ann")).await;
    client.event("OnConnectSuccess").await;
    let some = text(&call("GetLoginStatus", "p", &json!({}))).repeat(10);
    for _ in 0..20 {
        client.try_send(&some).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.closed().await, 4429);
    drop(client);
    site.stop().await;
}

/// A message of ten thousand fragments, most of them empty, with pings between them.
#[actix_web::test]
async fn ten_thousand_fragments_are_one_message() {
    let site = Site::new().await;
    let mut client = site.enter(&site.api.user("ann")).await;
    client.event("OnConnectSuccess").await;
    let words = call("Ping", "pieces", &json!({}));
    let mut bytes = masked(0x01, b"");
    for piece in words.as_bytes().chunks(1) {
        bytes.extend(masked(0x00, piece));
        bytes.extend(masked(0x00, b"").repeat(100));
        bytes.extend(masked(0x8A, b"pong"));
    }
    bytes.extend(masked(0x80, b""));
    client.send(&bytes).await;
    assert_eq!(client.answer("pieces").await["errCode"], 0);
    // The bound is that of the message, over all its fragments.
    let piece = masked(0x00, &[b' '; 1000]);
    client.send(&masked(0x01, b"")).await;
    client.try_send(&piece.repeat(66)).await;
    assert_eq!(client.closed_well().await, 1009);
    drop(client);
    site.stop().await;
}

/// Byte by byte, on many connections at once.
#[actix_web::test]
async fn frames_that_drip_are_read_when_they_are_whole() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut clients = futures_util::future::join_all((0..10).map(|_| site.enter(&ann))).await;
    let frame = text(&call("Ping", "slow", &json!({})));
    for byte in &frame {
        for client in &mut clients {
            client.send(&[*byte]).await;
        }
        tokio::task::yield_now().await;
    }
    for client in &mut clients {
        assert_eq!(client.answer("slow").await["errCode"], 0);
    }
    drop(clients);
    site.stop().await;
}
