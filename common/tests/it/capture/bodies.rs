//! Whose bytes are whose.

use common::testing::raw::Raw;
use std::time::Duration;

use super::{GET, MIB, bytes, check, config, put, start, sum, upload_over};

#[actix_web::test]
async fn each_way_to_take_a_body_gets_all_of_it_and_the_connection_goes_on() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    for (seed, how) in (0..).zip(["either", "payload", "file", "late", "file", "either"]) {
        let body = bytes(MIB + 77_777 * seed, seed as u64);
        check(&upload_over(&mut client, &put(how, body.len()), &body).await, &body);
        assert_eq!(client.get("/small").await.text(), "small");
    }
    let body = bytes(MIB, 9);
    let patch = put("either", MIB).replace("PUT /uploads/by-video/", "PATCH /uploads/");
    check(&upload_over(&mut client, &patch, &body).await, &body);
    server.stop().await;
}

#[actix_web::test]
async fn what_is_not_captured_takes_the_ordinary_way() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let body = bytes(MIB - 1, 1);
    let answer = upload_over(&mut client, &put("either", body.len()), &body).await;
    assert_eq!(answer.text(), format!("not captured Some(\"1048575\") {}", sum(&body)));
    let body = bytes(2 * MIB, 2);
    let post = put("echo", body.len()).replace("PUT /uploads/by-video/", "POST /");
    assert_eq!(upload_over(&mut client, &post, &body).await.text(), sum(&body));
    server.stop().await;
    let mut config = config();
    config.server.capture_uploads = false;
    let (server, _) = start(config).await;
    let mut client = Raw::connect(&server.public).await;
    let answer = upload_over(&mut client, &put("either", body.len()), &body).await;
    assert_eq!(answer.text(), format!("not captured Some(\"2097152\") {}", sum(&body)));
    server.stop().await;
}

#[actix_web::test]
async fn pipelined_requests_get_their_own_bodies() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let (first, plain, second) = (bytes(MIB + 5, 1), bytes(70_000, 2), bytes(3 * MIB, 3));
    let mut all = put("late", first.len()).into_bytes();
    all.extend_from_slice(&first);
    all.extend_from_slice(
        put("echo", plain.len())
            .replace("PUT /uploads/by-video/", "POST /")
            .as_bytes(),
    );
    all.extend_from_slice(&plain);
    all.extend_from_slice(put("file", second.len()).as_bytes());
    all.extend_from_slice(&second);
    all.extend_from_slice(GET.as_bytes());
    let (mut reading, mut writing) = split(&server.public);
    let sending = tokio::task::spawn_local(async move { writing.send_bytes(&all).await });
    check(&reading.answer().await, &first);
    assert_eq!(reading.answer().await.text(), sum(&plain));
    check(&reading.answer().await, &second);
    assert_eq!(reading.answer().await.text(), "small");
    sending.await.unwrap();
    assert_eq!(client.get("/small").await.status, 200);
    server.stop().await;
}

/// One connection twice: for sending and for reading at once.
fn split(base: &str) -> (Raw, Raw) {
    let address = base.strip_prefix("http://").unwrap();
    let socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let again = socket.try_clone().unwrap();
    let over = |socket| Raw::over(tokio::net::TcpStream::from_std(socket).unwrap());
    (over(socket), over(again))
}

#[actix_web::test]
async fn an_earlier_request_does_not_get_the_body_of_a_later_one() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let body = bytes(MIB + 1, 1);
    for first in ["Content-Length: 0\r\n", ""] {
        let head = format!("PUT /uploads/by-video/either HTTP/1.1\r\nHost: t\r\n{first}\r\n");
        client.send(&format!("{head}{}", put("either", body.len()))).await;
        client.send_bytes(&body).await;
        assert!(client.answer().await.text().starts_with("not captured"), "{first}");
        check(&client.answer().await, &body);
    }
    server.stop().await;
}

#[actix_web::test]
async fn zeros_of_a_client_are_no_captured_body() {
    let (server, _) = start(config()).await;
    for zeros in ["0000000", "00000000000", "0000"] {
        let mut client = Raw::connect(&server.public).await;
        let head = format!("PUT /uploads/by-video/either HTTP/1.1\r\nHost: t\r\nContent-Length: {zeros}\r\n\r\n");
        let body = bytes(MIB, 1);
        // Behind it, a body that would be captured: nothing on this connection is any more.
        client.send(&head).await;
        let answer = client.answer().await;
        assert_eq!(answer.text(), format!("not captured Some({zeros:?}) {}", sum(b"")));
        let answer = upload_over(&mut client, &put("either", MIB), &body).await;
        assert_eq!(answer.text(), format!("not captured Some(\"1048576\") {}", sum(&body)));
        // And the other way round.
        let mut client = Raw::connect(&server.public).await;
        client.send(&put("late", MIB)).await;
        client.send_bytes(&body).await;
        client.send(&head).await;
        check(&client.answer().await, &body);
        assert!(
            client
                .answer()
                .await
                .text()
                .starts_with(&format!("not captured Some({zeros:?})"))
        );
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_head_may_come_byte_by_byte() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let body = bytes(MIB + 3, 1);
    for how in ["either", "file"] {
        for byte in put(how, body.len()).bytes() {
            client.send_bytes(&[byte]).await;
            tokio::task::yield_now().await;
        }
        client.send_bytes(&body[..1]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.send_bytes(&body[1..]).await;
        check(&client.answer().await, &body);
    }
    server.stop().await;
}

#[actix_web::test]
async fn lengths_that_contradict_each_other_are_refused() {
    let (server, busy) = start(config()).await;
    for fields in [
        "Content-Length: 1048576\r\nContent-Length: 1048576",
        "Content-Length: 1048576\r\nContent-Length: 5",
        "Content-Length: 1048576\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1048576",
        "Content-Length: +1048576",
        "Content-Length: 1048576, 1048576",
    ] {
        let mut client = Raw::connect(&server.public).await;
        client
            .send(&format!(
                "PUT /uploads/by-video/either HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{fields}");
        client.rest().await;
    }
    assert_eq!(busy.load(std::sync::atomic::Ordering::SeqCst), 0);
    server.stop().await;
}

#[actix_web::test]
async fn chunks_before_an_upload() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), sum(b"hello"));
    let body = bytes(MIB, 4);
    let answer = upload_over(&mut client, &put("either", MIB), &body).await;
    assert_eq!(answer.text(), format!("not captured Some(\"1048576\") {}", sum(&body)));
    assert_eq!(client.get("/small").await.text(), "small");
    server.stop().await;
}

#[actix_web::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let (server, _) = start(config()).await;
    let mut client = Raw::connect(&server.public).await;
    let body = bytes(2 * MIB, 5);
    for how in ["either", "file", "payload"] {
        let head = put(how, body.len()).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        client.send(&head).await;
        assert_eq!(
            client.until(b"\r\n\r\n").await.unwrap(),
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        client.send_bytes(&body).await;
        check(&client.answer().await, &body);
    }
    server.stop().await;
}
