//! Requests sent before the answer to the last one: answered one by one, in their order, each as itself.

use common::testing::raw::Raw;

use super::{config, start};

const CLOSE: &str = "Connection: close\r\n";

fn request(line: &str, fields: &str, body: &str) -> String {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    format!("{line} HTTP/1.1\r\nHost: t\r\n{length}{fields}\r\n{body}")
}

/// The framework writes an answer by the request that it read last; then a HEAD at the end takes the bodies of all others.
#[actix_web::test]
async fn a_head_at_the_end_takes_no_body_from_the_answers_before_it() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let mut all = String::new();
    for _ in 0..4 {
        all += &request("GET /small", "", "");
        all += &request("GET /nowhere", "", "");
        all += &request("POST /count/0", "", "12345");
        all += &request("HEAD /small", "", "");
    }
    client.send(&all).await;
    for _ in 0..4 {
        assert_eq!(client.answer().await.body, b"small");
        client.answer().await.check_problem(404, "not_found");
        assert_eq!(client.answer().await.body, b"5");
        assert_eq!(client.head().await.header("content-length"), Some("5"));
    }
    assert_eq!(client.get("/small").await.body, b"small", "nothing is left over");
    server.stop().await;
}

#[actix_web::test]
async fn a_close_at_the_end_is_said_by_the_last_answer_alone() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let all = request("GET /small", "", "") + &request("GET /slow", "", "") + &request("GET /small", CLOSE, "");
    client.send(&all).await;
    assert_eq!(client.answer().await.header("connection"), None);
    let slow = client.answer().await;
    assert_eq!((slow.header("connection"), &slow.body[..]), (None, &b"slow"[..]));
    assert_eq!(client.answer().await.header("connection"), Some("close"));
    assert_eq!(client.rest().await, b"");
    server.stop().await;
}

/// The refusal comes after the answers to what was right, in the form of all failures.
#[actix_web::test]
async fn junk_behind_requests_is_refused_after_their_answers() {
    let (server, _) = start(config()).await;
    for junk in [
        "\0\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "{}\n\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&(request("GET /slow", "", "") + &request("GET /small", "", "") + junk))
            .await;
        assert_eq!(client.answer().await.body, b"slow", "{junk:?}");
        assert_eq!(client.answer().await.body, b"small", "{junk:?}");
        client.answer().await.check_problem(400, "bad_request");
        assert_eq!(client.rest().await, b"", "{junk:?}");
    }
    server.stop().await;
}

/// A body in chunks says nothing of its length: its bytes are passed on as they come, and what follows it is answered.
#[actix_web::test]
async fn a_body_in_chunks_arrives_however_it_is_cut() {
    let (server, _) = start(config()).await;
    let text = request("POST /count/0", "Transfer-Encoding: chunked\r\n", "");
    let text = text + "5\r\n\n\r\nab\r\n5\r\n\r\n\r\nx\r\n0\r\n\r\n" + &request("GET /small", "", "");
    for cut in (1..text.len()).step_by(3) {
        let mut client = Raw::connect(&server.public).await;
        client.send(&text[..cut]).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        client.send(&text[cut..]).await;
        assert_eq!(client.answer().await.body, b"10", "{cut}");
        assert_eq!(client.answer().await.body, b"small", "{cut}");
        assert_eq!(client.get("/small").await.body, b"small", "{cut}");
    }
    server.stop().await;
}

/// A hundred requests behind one that takes its time: none is lost, whatever had to wait in the socket.
#[actix_web::test]
async fn more_than_is_read_in_advance_is_answered_too() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let long = format!("X-Long: {}\r\n", "y".repeat(1000));
    let many = request("GET /slow", "", "") + &request("GET /small", &long, "").repeat(100);
    client.send(&many).await;
    assert_eq!(client.answer().await.body, b"slow");
    for number in 0..100 {
        assert_eq!(client.answer().await.body, b"small", "{number}");
    }
    server.stop().await;
}
