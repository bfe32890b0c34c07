//! api-service away, slow, refusing, or talking nonsense.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use web_proxy::gateway::envelope::Refusal;

use super::{api, run, run_within};
use crate::upstream::{Upstream, nobody};

const VIDEO: &str = r#"{"videoID":"0123456789ab"}"#;
const AGAIN: &str = "The service can't answer just now; try again shortly.";
const UNKNOWN: &str = "The service did not answer; it is not known whether it was done.";

fn check(outcome: Result<String, Refusal>, code: u16, message: &str) {
    assert_eq!(outcome, Err(Refusal::new(code, message)));
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[actix_web::test]
async fn away() {
    let gone = nobody().await;
    for name in ["GetVideo", "DeleteVideo", "RestoreVideo"] {
        // Nothing was sent: it is known that nothing was done.
        check(run(&api(&[&gone]), name, VIDEO).await, 2026, AGAIN);
    }
    check(
        run(&api(&[&gone]), "GetUsersInfo", r#"{"usernames":["ann"]}"#).await,
        2026,
        AGAIN,
    );
    check(run(&api(&[]), "GetVideo", VIDEO).await, 2026, AGAIN);
}

#[actix_web::test]
async fn another_replica_answers_for_one_that_is_away() {
    let (gone, alive) = (nobody().await, Upstream::named("{}").await);
    for bases in [[gone.as_str(), &alive.base], [&alive.base, gone.as_str()]] {
        let api = api(&bases);
        for _ in 0..4 {
            assert_eq!(run(&api, "GetVideo", VIDEO).await.as_deref(), Ok("{}"));
        }
    }
    assert_eq!(alive.count(), 8);
    // Nothing was sent: what changes something goes to the other one too.
    let api = api(&[&gone, &alive.base]);
    for _ in 0..4 {
        assert_eq!(run(&api, "RestoreVideo", VIDEO).await.as_deref(), Ok("{}"));
    }
    assert_eq!(alive.count(), 12);
}

#[actix_web::test]
async fn replicas_take_turns() {
    let (one, two) = (Upstream::named("1").await, Upstream::named("2").await);
    let api = api(&[&one.base, &two.base]);
    for _ in 0..6 {
        run(&api, "GetVideo", VIDEO).await.unwrap();
    }
    assert_eq!((one.count(), two.count()), (3, 3));
}

/// A service that answers as many requests as `gate` has permits.
async fn behind(gate: Rc<Semaphore>) -> Upstream {
    Upstream::new(move |mut call| {
        let gate = gate.clone();
        async move {
            while let Some(mut seen) = call.head().await {
                call.body(&mut seen).await;
                tokio::select! {
                    permit = gate.acquire() => permit.unwrap().forget(),
                    _ = call.raw.some() => return,
                }
                call.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
            }
        }
    })
    .await
}

#[actix_web::test]
async fn slow() {
    let silent = behind(Rc::new(Semaphore::new(0))).await;
    let (api, short) = (api(&[&silent.base]), Duration::from_millis(300));
    check(run_within(&api, "GetVideo", VIDEO, short).await, 2026, AGAIN);
    check(run_within(&api, "DeleteVideo", VIDEO, short).await, 2026, UNKNOWN);
    check(
        run_within(&api, "GetUsersInfo", r#"{"usernames":["ann","bob"]}"#, short).await,
        2026,
        AGAIN,
    );
    // A call that is given up closes its connection.
    silent.until_open(0).await;
    // One that comes in drops, too.
    let dripping = Upstream::new(|mut call| async move {
        call.head().await;
        call.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{").await;
        loop {
            call.say(" ").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    check(
        run_within(&super::api(&[&dripping.base]), "GetVideo", VIDEO, short).await,
        2026,
        AGAIN,
    );
}

#[actix_web::test]
async fn calls_at_once_are_bounded() {
    let gate = Rc::new(Semaphore::new(0));
    let service = behind(gate.clone()).await;
    let api = api(&[&service.base]);
    let calls = join_all((0..300).map(|_| run(&api, "GetVideo", VIDEO)));
    let others = async {
        service.until_seen(256).await;
        // All turns are taken: who can't wait is told so, and reaches nobody.
        let busy = run_within(&api, "GetVideo", VIDEO, Duration::from_millis(50)).await;
        check(busy, 2027, "Too many calls at once; try again shortly.");
        assert_eq!(service.count(), 256);
        gate.add_permits(300);
    };
    let (outcomes, ()) = futures_util::future::join(calls, others).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(service.count(), 300);
}

#[actix_web::test]
async fn problems_keep_their_number_and_their_words() {
    let problem = |status: u16, code: &str, number: u16, more: &str| {
        format!(
            r#"{{"type":"/problems/{code}","title":"T","status":{status},"detail":"The detail.","code":"{code}","errCode":{number},"operationID":"op-1"{more}}}"#
        )
    };
    let fields = r#","errors":[{"pointer":"/title","detail":"1 to 200 characters"},{"pointer":"/x","detail":"no"}]"#;
    for (status, code, number, more, message) in [
        ("404 Not Found", "not_found", 2004, "", "The detail."),
        ("401 Unauthorized", "unauthenticated", 2001, "", "The detail."),
        (
            "429 Too Many Requests",
            "too_many_requests",
            2019,
            r#","retryAfter":7"#,
            "The detail.",
        ),
        (
            "422 Unprocessable Entity",
            "invalid",
            2018,
            fields,
            "/title: 1 to 200 characters; /x: no",
        ),
        ("503 Service Unavailable", "overloaded", 2027, "", "The detail."),
        ("500 Internal Server Error", "internal", 2025, "", "The detail."),
        ("499 New", "not_known_yet", 2999, "", "The detail."),
    ] {
        let body = problem(status[..3].parse().unwrap(), code, number, more);
        let service = Upstream::answering(&answer(status, &body)).await;
        check(run(&api(&[&service.base]), "GetVideo", VIDEO).await, number, message);
        assert_eq!(service.count(), 1, "a refusal is an answer");
    }
    // GetUsersInfo leaves out who does not exist, and nothing else.
    let body = problem(503, "overloaded", 2027, "");
    let service = Upstream::answering(&answer("503 Service Unavailable", &body)).await;
    let people = run(&api(&[&service.base]), "GetUsersInfo", r#"{"usernames":["ann"]}"#).await;
    check(people, 2027, "The detail.");
}

#[actix_web::test]
async fn nonsense_is_no_answer() {
    let no_number = r#"{"type":"x","title":"","status":404,"detail":"","code":"x","errCode":0,"operationID":""}"#;
    let huge = format!("\"{}\"", "x".repeat(4 << 20));
    for answer in [
        answer("200 OK", "<html>"),
        answer("200 OK", ""),
        answer("200 OK", "{"),
        answer("200 OK", "{} {}"),
        answer("201 Created", "nul"),
        answer("204 No Content", ""),
        answer("302 Found\r\nLocation: http://127.0.0.1:1/", "{}"),
        answer("404 Not Found", "{}"),
        answer("404 Not Found", no_number),
        answer("502 Bad Gateway", "<html>Bad Gateway</html>"),
        answer("200 OK", &huge),
        answer("404 Not Found", &huge),
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n".to_owned(),
        "\0\u{1}\u{2}\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let service = Upstream::answering(&answer).await;
        let shown = &answer[..answer.len().min(60)];
        let outcome = run(&api(&[&service.base]), "GetVideo", VIDEO).await;
        let done_with_nothing = answer.starts_with("HTTP/1.1 204");
        let expected = if done_with_nothing {
            Ok(String::new())
        } else {
            Err(Refusal::new(2026, AGAIN))
        };
        assert_eq!(outcome, expected, "{shown}");
    }
    // Bytes that are no text.
    let service = Upstream::new(|mut call| async move {
        call.head().await;
        call.give(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"\xff\xfe\"")
            .await;
    })
    .await;
    check(run(&api(&[&service.base]), "GetVideo", VIDEO).await, 2026, AGAIN);
    // The connection ends without a word: whether it was done is not known.
    let service = Upstream::new(|mut call| async move {
        call.head().await;
    })
    .await;
    check(run(&api(&[&service.base]), "RestoreVideo", VIDEO).await, 2026, UNKNOWN);
}

#[actix_web::test]
async fn the_largest_answer_is_taken_whole() {
    let body = format!("\"{}\"", "x".repeat((4 << 20) - 2));
    let service = Upstream::answering(&answer("200 OK", &body)).await;
    assert_eq!(
        run(&api(&[&service.base]), "GetVideo", VIDEO).await.unwrap().len(),
        4 << 20
    );
}
