//! Uploads that are cut at random points, by either side: what a service got is what its client sent, from the first byte on, and a body
//! is never taken for a whole one that is not.

use std::time::Duration;

use common::testing::eventually;
use common::testing::random::Random;

use super::*;

const UPLOADS: usize = 150;

/// How one upload ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Whole,
    /// The client closes behind its last byte, and waits for no answer.
    Left,
    /// The client closes, or resets, behind so many bytes.
    Closed(usize),
    Reset(usize),
    /// The service answers behind so many, and does not care for the rest.
    Refused(usize),
    /// It says nothing and is gone.
    Died(usize),
}

impl End {
    fn random(random: &mut Random, length: usize) -> Self {
        let at = random.below(length);
        [
            End::Whole,
            End::Left,
            End::Closed(at),
            End::Reset(at),
            End::Refused(at),
            End::Died(at),
        ][random.below(6)]
    }
}

/// Reads each body, and does as the query says: `?refuse=N` or `?die=N`.
async fn serve(mut call: Call) {
    while let Some(mut seen) = call.head().await {
        let said = seen.target().split_once('?').map(|(_, said)| said.to_owned());
        match said.as_deref().and_then(|said| said.split_once('=')) {
            Some(("refuse", at)) => {
                let (at, length): (usize, usize) = (
                    at.parse().unwrap(),
                    seen.header("content-length").unwrap().parse().unwrap(),
                );
                call.raw.take(at).await;
                call.say(
                    "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}",
                )
                .await;
                // The edge may have sent all by now, and keep the connection.
                return drop(call.raw.take(length - at).await);
            }
            Some((_, at)) => return drop(call.raw.take(at.parse().unwrap()).await),
            None => {
                call.body(&mut seen).await;
                call.say(CREATED).await;
            }
        }
    }
}

/// Sends up to `until` bytes of the body in random pieces; stops where nobody takes them any more.
async fn send_some(client: &mut Raw, head: &str, body: &[u8], random: &mut Random) {
    use tokio::io::AsyncWriteExt;
    let first = random.below(body.len() + 1).min(20_000);
    client.send_bytes(&[head.as_bytes(), &body[..first]].concat()).await;
    let mut rest = &body[first..];
    while !rest.is_empty() {
        let count = (1 + random.below(300_000)).min(rest.len());
        if client.io.write_all(&rest[..count]).await.is_err() {
            return;
        }
        rest = &rest[count..];
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[actix_web::test]
async fn promise_1_a_cut_upload_is_a_prefix_and_never_a_whole() {
    let mut random = Random::from_clock();
    let service = Upstream::new(serve).await;
    // It has one worker, and with it one connection to the service at once.
    let edge = patient(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    for upload in 0..UPLOADS {
        let length = LENGTH + random.below(3_000_000);
        let (body, end) = (content(length), End::random(&mut random, length));
        let (query, until) = match end {
            End::Whole | End::Left => (String::new(), length),
            End::Closed(at) | End::Reset(at) => (String::new(), at),
            End::Refused(at) => (format!("?refuse={at}"), length),
            End::Died(at) => (format!("?die={at}"), length),
        };
        let text = head("PUT", &format!("by-video/{upload}{query}"), length);
        send_some(&mut client, &text, &body[..until], &mut random).await;
        service.until_seen(upload + 1).await;
        match end {
            End::Whole => assert_eq!(client.answer().await.status, 201),
            End::Refused(_) => assert_eq!(client.answer().await.status, 409),
            End::Died(_) => client.answer().await.check_problem(502, "upstream_unavailable"),
            End::Reset(_) => client.io.set_zero_linger().unwrap(),
            End::Left | End::Closed(_) => {}
        }
        if !matches!(end, End::Whole) {
            client = Raw::connect(&edge.public).await;
        }
        match end {
            End::Whole => {}
            // Whether its connection is used again depends on who was faster.
            End::Left => {
                eventually("it is whole", Duration::from_secs(10), || async {
                    service.last().whole.then_some(())
                })
                .await;
            }
            _ => service.until_open(0).await,
        }
        let seen = service.last();
        assert!(
            seen.target().contains(&format!("/{upload}")),
            "{end:?}: {}",
            seen.line()
        );
        assert_eq!(seen.whole, matches!(end, End::Whole | End::Left), "{end:?}");
        assert!(body.starts_with(&seen.body), "{end:?}: {} other bytes", seen.body.len());
        if let End::Closed(at) = end {
            assert_eq!(seen.body.len(), at, "all that was sent before an end");
        }
    }
    edge.stop().await;
}
