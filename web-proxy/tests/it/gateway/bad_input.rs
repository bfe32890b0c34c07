//! Both tables of vectors through real sockets: each frame gets its close code or its errCode, and a neighbour in a room
//! gets its events all the while.

#[path = "../../vectors/vectors.rs"]
#[allow(dead_code, reason = "the codec's tests use all of it")]
mod vectors;

use serde_json::json;

use super::client::{Came, text};
use super::knock::Knock;
use super::rooms::expect_entries;
use super::site::Site;
use vectors::Expected;

/// What the gateway makes of what the decoder hands out; `None`: nothing is sent.
fn answer(expected: &Expected) -> Option<&'static str> {
    match expected {
        Expected::Text(_) => Some("an answer"),
        Expected::Ping(_) => Some("a pong"),
        Expected::Binary(_) | Expected::Close(_) | Expected::Error(_) => Some("a close frame"),
        Expected::Pong | Expected::Pending => None,
    }
}

#[actix_web::test]
async fn every_frame_of_the_table_gets_its_answer_and_no_neighbour_notices() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut neighbour = site.member(&bob, &room).await;
    let all = vectors::all();
    assert!(all.len() >= 300, "{}", all.len());
    let mut refused = 0;
    for vector in &all {
        let name = &vector.name;
        let mut client = Knock::by(&ann).enter(site.base()).await;
        // The server may have closed before it took all.
        client.try_send(&vector.bytes).await;
        for expected in vector.expected.iter().filter(|expected| answer(expected).is_some()) {
            let came = client.came().await;
            match (expected, &came) {
                (Expected::Text(_), Came::Text(reply)) => assert_eq!(reply["errCode"], 100, "{name}: {reply}"),
                (Expected::Ping(payload), Came::Pong(back)) => assert_eq!(payload, back, "{name}"),
                (Expected::Binary(_), Came::Close(4400, _)) | (Expected::Close(_), Came::Close(1000, _)) => break,
                (Expected::Error(code), Came::Close(said, reason)) => {
                    assert_eq!(code, said, "{name}");
                    assert!(!reason.is_empty(), "{name}");
                    refused += 1;
                    break;
                }
                _ => panic!("{name}: {expected:?} was answered with {came:?}"),
            }
        }
        drop(client);
        site.danmaku(&room, name);
    }
    assert!(refused >= 100, "{refused}");
    expect_entries(&mut neighbour, 1, all.len() as i64).await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn every_envelope_of_the_table_gets_its_err_code_and_no_neighbour_notices() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut neighbour = site.member(&bob, &room).await;
    let all = crate::envelopes::vectors();
    let dashed = |text: &str| {
        if text == "-" {
            String::new()
        } else {
            text.replace("\\n", "\n")
        }
    };
    for some in all.chunks(30) {
        let mut client = Knock::by(&ann).enter(site.base()).await;
        client.event("OnConnectSuccess").await;
        for (frame, expected) in some {
            client.say(frame).await;
            let mut parts = expected.splitn(4, ' ');
            let mut part = || parts.next().unwrap();
            let (code, event, form, operation) = (part(), dashed(part()), part(), part());
            let answer = client.next().await;
            assert_eq!(answer["event"], event, "{frame}");
            match code.parse::<u64>().unwrap() {
                // A call: what becomes of it is the function's, but it is not the frame that is refused.
                0 => assert_ne!(answer["errCode"], 100, "{frame}"),
                code => assert_eq!(answer["errCode"], code, "{frame}"),
            }
            if form != "-" {
                assert_eq!(
                    answer["data"].is_string(),
                    form == "text" || answer["data"] == "ok",
                    "{frame} {answer}"
                );
            }
            if operation != "*" {
                assert_eq!(answer["operationID"], dashed(operation), "{frame}");
            }
        }
        client.is_alive().await;
        client.leave().await;
        site.danmaku(&room, "x");
    }
    expect_entries(&mut neighbour, 1, all.len().div_ceil(30) as i64).await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn the_largest_frames_in_the_shapes_that_cost_most_are_refused_one_by_one() {
    let site = Site::new().await;
    let mut client = site.enter(&site.api.user("ann")).await;
    client.event("OnConnectSuccess").await;
    let most = 64 * 1024;
    for (begin, again, end) in [
        ("", "[", ""),
        ("{\"x\":", "{\"x\":", ""),
        ("{\"reqFuncName\":\"Ping\",\"data\":\"", "[", "\"}"),
        ("{\"reqFuncName\":\"Ping\",\"x\":[0", ",0", "]"),
        ("{\"reqFuncName\":\"", "\\u0050", "\"}"),
        ("{\"reqFuncName\":\"Login\",\"data\":{\"rooms\":[{}", ",{}", "]}}"),
        ("{\"reqFuncName\":\"Ping\",\"data\":{\"a\":\"", "é", "\"}}"),
    ] {
        let frame = format!(
            "{begin}{}{end}",
            again.repeat((most - begin.len() - end.len()) / again.len())
        );
        client.send(&text(&frame)).await;
        let answer = client.next().await;
        assert!(
            answer["errCode"] == 100 || answer["errCode"] == 1001,
            "{begin}: {answer}"
        );
        assert!(answer.to_string().len() < 1000, "a refusal is short");
    }
    assert_eq!(client.call("Ping", json!(null)).await.as_object().unwrap().len(), 1);
    client.leave().await;
    site.stop().await;
}
