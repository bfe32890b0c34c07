//! Clients that leave, and clients that stop reading.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::config::Span;
use common::testing::eventually;
use common::testing::raw::Raw;
use tokio::io::AsyncWriteExt;

use super::{LONG, check, content, fetch, files, get, get_below, no_relay, relays};
use crate::edge::{Way, before, before_in, config, start};
use crate::upstream::Upstream;

/// Promise 9: the connection to the service ends with the client's, and with it the permit there.
#[actix_web::test]
async fn promise_9_a_client_that_leaves_in_a_body_ends_the_relay() {
    let service = files().await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    // No deadline may do the work of noticing.
    config.proxy.response_timeout = Span::seconds(120);
    config.server.stall_timeout = Span::seconds(120);
    let edge = start(config).await;
    for reset in [false, true] {
        for read in [0, 1, 1_000_000] {
            let mut client = Raw::connect(&edge.public).await;
            client.send(&get(100_000_000)).await;
            client.head().await;
            client.take(read).await.unwrap();
            assert_eq!((service.open(), relays(&edge)), (1, 1));
            if reset {
                client.io.set_zero_linger().unwrap();
            }
            drop(client);
            service.until_open(0).await;
            no_relay(&edge).await;
        }
    }
    check(&fetch(&edge, LONG).await, LONG);
    edge.stop().await;
}

/// While the service is what the relay waits for, a client that has read all there is and is gone looks like one that only
/// closed its side: it is noticed by the next byte.
#[actix_web::test]
async fn promise_9_a_client_that_leaves_while_the_service_pauses_ends_the_relay() {
    let gone = Rc::new(Cell::new(false));
    let seen = gone.clone();
    let service = Upstream::new(move |mut call| {
        let gone = seen.clone();
        async move {
            call.head().await;
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n"))
                .await;
            call.give(&content(100_000)).await;
            eventually("the client is gone", Duration::from_secs(10), || async {
                gone.get().then_some(())
            })
            .await;
            for piece in content(1_000_000).chunks(100_000) {
                call.give(piece).await;
            }
            call.raw.rest().await;
        }
    })
    .await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(LONG)).await;
    client.head().await;
    assert!(client.take(100_000).await.unwrap() == content(100_000));
    drop(client);
    gone.set(true);
    service.until_open(0).await;
    no_relay(&edge).await;
    edge.stop().await;
}

/// A client that says all it wants to say and then only reads gets all of it, in every way, the App's included.
#[actix_web::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let service = files().await;
    for way in Way::ALL {
        let edge = before_in(&service, way).await;
        for folder in ["/media/g/v", "/%6dedia/g/v"] {
            for length in [5, 100_000, 50_000_000] {
                let mut client = Raw::connect(&edge.public).await;
                client.send(&get_below(folder, length)).await;
                client.io.shutdown().await.unwrap();
                check(&client.answer().await, length);
                assert!(client.rest().await.is_empty(), "and then the end");
            }
        }
        edge.stop().await;
    }
}

/// Promise 6: the client's deadline is the listener's, and ends the connection to the service with it.
#[actix_web::test]
async fn promise_6_a_client_that_takes_nothing_is_cut() {
    let service = files().await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.stall_timeout = Span(Duration::from_millis(500));
    config.proxy.response_timeout = Span::seconds(120);
    let edge = start(config).await;
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(100_000_000)).await;
    let head = client.head().await;
    service.until_open(0).await;
    assert!(!client.body(&head).await.1, "the rest is lost, and it knows");
    edge.stop().await;
}

/// One that takes a little at a time is not; and those beside it are as fast as ever.
#[actix_web::test]
async fn a_slow_client_stands_beside_fast_ones() {
    let service = files().await;
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.stall_timeout = Span(Duration::from_secs(4));
    let edge = start(config).await;
    let mut slow = Raw::connect(&edge.public).await;
    slow.send(&get(30_000_000)).await;
    slow.head().await;
    let mut begin = Vec::new();
    // Twice as long as the deadline, and always moving.
    for _ in 0..24 {
        begin.extend(slow.take(400_000).await.unwrap());
        for _ in 0..3 {
            check(&fetch(&edge, 1_000_000).await, 1_000_000);
        }
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
    assert_eq!(relays(&edge), 1);
    begin.extend(slow.take(30_000_000 - begin.len()).await.unwrap());
    assert!(begin == content(30_000_000));
    edge.stop().await;
}
