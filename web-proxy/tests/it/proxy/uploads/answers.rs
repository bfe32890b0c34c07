//! Answers to uploads: interim ones, early ones, odd ones, long ones.

use super::*;

/// Reads so much of the body that follows `call`'s head.
async fn take(call: &mut Call, count: usize) {
    assert!(call.raw.take(count).await.is_some(), "the edge sends on");
}

#[actix_web::test]
async fn interim_answers_end_at_the_edge() {
    let interim = "HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /uploads/u\r\n\r\n";
    let service = Upstream::new(move |mut call: Call| async move {
        while call.head().await.is_some() {
            call.say(interim).await;
            take(&mut call, LENGTH / 2).await;
            call.say(interim).await;
            call.say("HTTP/1.1 103 Early Hi").await;
            take(&mut call, LENGTH / 2 - 1).await;
            call.say("nts\r\n\r\n").await;
            take(&mut call, 1).await;
            call.say(&format!("HTTP/1.1 102 Wait\r\n\r\n{CREATED}")).await;
        }
    })
    .await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    for _ in 0..3 {
        send(&mut client, LENGTH, 100_000).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (201, "ok"));
    }
    assert_eq!((service.count(), service.accepted()), (3, 1), "its end is in no doubt");
    edge.stop().await;
}

/// A refusal before the end of the body: the client gets it, and neither connection is used again.
#[actix_web::test]
async fn promise_8_an_answer_that_comes_early_ends_the_upload() {
    for (before_it, said) in [
        (0, "Content-Length: 2\r\n\r\n{}"),
        (300_000, "Content-Length: 2\r\n\r\n{}"),
        (300_000, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        (300_000, "Connection: close\r\n\r\n{}"),
    ] {
        let service = Upstream::new(move |mut call: Call| async move {
            call.head().await;
            take(&mut call, before_it).await;
            call.say(&format!(
                "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\n{said}"
            ))
            .await;
            if said.contains("close") {
                // As a server ends that has more to read: what it said must not be lost.
                use tokio::io::AsyncWriteExt;
                call.raw.io.shutdown().await.unwrap();
            }
            call.raw.rest().await;
        })
        .await;
        let edge = patient(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        client.send(&put(50_000_000)).await;
        client.send_bytes(&content(900_000)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (409, "{}"), "{said}");
        assert_eq!(answer.headers("connection"), ["close"], "{said}");
        service.until_open(0).await;
        assert_eq!(client.rest().await, b"");
        drop(client);
        edge.stop().await;
    }
}

#[actix_web::test]
async fn answers_of_any_framing_and_length_arrive() {
    let long = "y".repeat(90_000);
    let chunked = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    for (framing, kept) in [
        (format!("Content-Length: {}\r\n\r\n{long}", long.len()), true),
        (chunked, false),
    ] {
        let service = Upstream::answering(&format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let edge = before(&service).await;
        let mut client = Raw::connect(&edge.public).await;
        for _ in 0..3 {
            send(&mut client, LENGTH, 300_000).await;
            assert!(client.answer().await.text() == long);
            assert!(service.last().body == content(LENGTH));
        }
        assert_eq!(service.accepted(), if kept { 1 } else { 3 });
        edge.stop().await;
    }
    let service = Upstream::answering("HTTP/1.1 204 No Content\r\nUpload-Offset: 7\r\n\r\n").await;
    let edge = before(&service).await;
    let mut client = Raw::connect(&edge.public).await;
    for _ in 0..3 {
        send(&mut client, LENGTH, 300_000).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("upload-offset")), (204, Some("7")));
    }
    assert_eq!(service.accepted(), 1);
    edge.stop().await;
}

#[actix_web::test]
async fn what_is_no_answer_is_502() {
    for said in [
        "garbage\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    ] {
        for early in [false, true] {
            let service = Upstream::new(move |mut call: Call| async move {
                call.head().await;
                take(&mut call, if early { 0 } else { LENGTH }).await;
                call.say(said).await;
                call.raw.rest().await;
            })
            .await;
            let edge = before(&service).await;
            let mut client = Raw::connect(&edge.public).await;
            client.send(&put(LENGTH)).await;
            client.send_bytes(&content(if early { 7 } else { LENGTH })).await;
            client.answer().await.check_problem(502, "upstream_unavailable");
            service.until_open(0).await;
            drop(client);
            edge.stop().await;
        }
    }
}
