//! Services on the same machine are asked through their Unix sockets, and by TCP whenever that fails.

use std::cell::Cell;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use common::near::SocketFile;
use common::testing::raw::Raw;
use common::testing::{Running, eventually};
use tempfile::TempDir;

use super::{LONG, check, content, fetch, files, get, metric, no_relay, serve_file, serve_files, spliced};
use crate::edge::{config, start};
use crate::upstream::{Call, Upstream};

/// An edge before `service` that looks into the folder.
async fn before(service: &Upstream, folder: &str) -> Running {
    let base = service.base.as_str();
    let mut config = config(&[base], &[base], &[base]);
    config.server.socket_dir = folder.to_owned();
    start(config).await
}

fn folder() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().display().to_string();
    (dir, text)
}

fn opened(edge: &Running, way: &str) -> u64 {
    metric(edge, &format!("sluice_proxy_connections_total{{way=\"{way}\"}} "))
}

/// Asks until an answer came through the socket.
async fn found(edge: &Running) {
    eventually("the socket is used", Duration::from_secs(20), || async {
        check(&fetch(edge, 10).await, 10);
        (opened(edge, "unix") > 0).then_some(())
    })
    .await;
}

async fn files_near(folder: &str) -> (Upstream, SocketFile) {
    let service = files().await;
    let file = service.listen_near(folder, serve_files);
    (service, file)
}

#[actix_web::test]
async fn what_is_read_comes_through_the_socket_once_it_is_known() {
    let (_dir, folder) = folder();
    let (service, _file) = files_near(&folder).await;
    let edge = before(&service, &folder).await;
    check(&fetch(&edge, 10).await, 10);
    assert_eq!(
        (opened(&edge, "tcp"), opened(&edge, "unix")),
        (1, 0),
        "nobody waits for the question"
    );
    found(&edge).await;
    // Each question has a connection of its own.
    let by_tcp = || service.accepted() - service.accepted_near() - service.checks();
    let first = by_tcp();
    let moved = spliced(&edge);
    for length in [0, 1, 4_000, 8_192, 70_000, LONG] {
        check(&fetch(&edge, length).await, length);
    }
    // Two at once, and one after another on one connection.
    let mut client = Raw::connect(&edge.public).await;
    client.send(&(get(LONG) + &get(LONG))).await;
    check(&fetch(&edge, LONG).await, LONG);
    check(&client.answer().await, LONG);
    check(&client.answer().await, LONG);
    assert_eq!(by_tcp(), first, "none by TCP since");
    // The service closes none: each worker of the edge keeps those that it opened.
    let opened = opened(&edge, "unix");
    assert!(opened <= 4, "{opened} connections");
    assert!(spliced(&edge) - moved > 4 * LONG as u64 - 100_000);
    no_relay(&edge).await;
    edge.stop().await;
    service.until_open(0).await;
}

#[actix_web::test]
async fn what_is_sent_goes_by_tcp() {
    let (_dir, folder) = folder();
    let service = Upstream::named("service").await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nservice";
    let _file = service.listen_near(&folder, move |mut call: Call| async move {
        while let Some(mut seen) = call.head().await {
            assert!(seen.line().starts_with("GET "), "{}", seen.line());
            call.body(&mut seen).await;
            call.say(answer).await;
        }
    });
    let edge = before(&service, &folder).await;
    eventually("the socket is used", Duration::from_secs(20), || async {
        let mut client = Raw::connect(&edge.public).await;
        assert_eq!(client.get("/media/g/v/file").await.text(), "service");
        (opened(&edge, "unix") > 0).then_some(())
    })
    .await;
    let mut client = Raw::connect(&edge.public).await;
    client
        .send("PUT /uploads/by-video/x HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nbytes")
        .await;
    assert_eq!(client.answer().await.text(), "service");
    assert_eq!(service.last().body, b"bytes");
    edge.stop().await;
}

/// An answer that is not plain is read by hyper, from the same connection.
#[actix_web::test]
async fn odd_answers_come_through_it_too() {
    let (_dir, folder) = folder();
    let service = files().await;
    let _file = service.listen_near(&folder, |mut call: Call| async move {
        while call.head().await.is_some() {
            call.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
                .await;
        }
    });
    let edge = before(&service, &folder).await;
    eventually("the socket is used", Duration::from_secs(20), || async {
        let answer = fetch(&edge, 10).await;
        assert_eq!(answer.status, 200);
        (answer.text() == "hello world").then_some(())
    })
    .await;
    edge.stop().await;
}

/// It is over with the process; the next one at the same address has another name.
#[actix_web::test]
async fn a_service_that_begins_anew_is_found_anew() {
    let (_dir, folder) = folder();
    let (service, file) = files_near(&folder).await;
    let edge = before(&service, &folder).await;
    found(&edge).await;
    service.die();
    drop(file);
    let address = service.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = Raw::connect(&edge.public).await;
    client.send(&get(10)).await;
    assert_eq!(client.answer().await.status, 503, "and not by anything that is kept");
    let next = Upstream::at(&address, serve_files).await;
    check(&fetch(&edge, LONG).await, LONG);
    assert_eq!(next.accepted_near(), 0);
    let _file = next.listen_near(&folder, serve_files);
    let before = opened(&edge, "unix");
    eventually("the new socket is used", Duration::from_secs(30), || async {
        check(&fetch(&edge, 10).await, 10);
        (opened(&edge, "unix") > before).then_some(())
    })
    .await;
    edge.stop().await;
}

/// The file is there, its process is not: as after a kill.
#[actix_web::test]
async fn a_socket_that_nobody_listens_to_any_more_costs_no_answer() {
    let (_dir, folder) = folder();
    let service = files().await;
    let near = Upstream::at("127.0.0.1:0", serve_files).await;
    let file = near.listen_near(&folder, serve_files);
    let name = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name();
    service.say_socket(name.to_str().unwrap());
    let edge = before(&service, &folder).await;
    found(&edge).await;
    near.die();
    for _ in 0..20 {
        check(&fetch(&edge, LONG).await, LONG);
    }
    drop(file);
    edge.stop().await;
}

#[actix_web::test]
async fn names_of_other_machines_and_what_is_no_name_are_left_alone() {
    let (dir, folder) = folder();
    let inside = dir.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    // There is somebody at each of them but the first.
    let outside = UnixListener::bind(dir.path().join("outside.sock")).unwrap();
    let odd = UnixListener::bind(inside.join("o d.sock")).unwrap();
    let absolute = format!("{folder}/outside.sock");
    for name in ["elsewhere-1.sock", "../outside.sock", &absolute, "o d.sock"] {
        let service = files().await;
        service.say_socket(name);
        let edge = before(&service, &inside.display().to_string()).await;
        check(&fetch(&edge, 100_000).await, 100_000);
        eventually("the edge has asked", Duration::from_secs(10), || async {
            (service.checks() > 0).then_some(())
        })
        .await;
        for _ in 0..5 {
            check(&fetch(&edge, 100_000).await, 100_000);
        }
        edge.stop().await;
        assert_eq!(service.accepted_near(), 0, "{name}");
    }
    for nobodys in [outside, odd] {
        nobodys.set_nonblocking(true).unwrap();
        assert!(nobodys.accept().is_err(), "nobody came");
    }
}

/// A balancer's address: one copy must not get what is meant for all.
#[actix_web::test]
async fn an_address_of_several_copies_is_asked_by_tcp() {
    let (_dir, folder) = folder();
    let (service, by_socket) = (files().await, Rc::new(Cell::new(0)));
    let count = by_socket.clone();
    let _file = service.listen_near(&folder, move |mut call: Call| {
        let count = count.clone();
        async move {
            while let Some(seen) = call.head().await {
                count.set(count.get() + 1);
                serve_file(&mut call, &seen).await;
            }
        }
    });
    let edge = before(&service, &folder).await;
    found(&edge).await;
    let (other, _other_file) = files_near(&folder).await;
    service.say_socket(&other.socket());
    eventually("it is asked by TCP again", Duration::from_secs(30), || async {
        let before = by_socket.get();
        check(&fetch(&edge, 10).await, 10);
        (by_socket.get() == before).then_some(())
    })
    .await;
    assert_eq!(other.count(), 0);
    edge.stop().await;
}

/// It may be a cut, which a Unix socket can't say: what the viewer has not got yet it does not get.
#[actix_web::test]
async fn an_answer_that_ends_early_is_a_reset() {
    let (_dir, folder) = folder();
    let service = files().await;
    let _file = service.listen_near(&folder, |mut call: Call| async move {
        if call.head().await.is_some() {
            call.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n"))
                .await;
            call.give(&content(300_000)).await;
        }
    });
    let edge = before(&service, &folder).await;
    eventually("the socket is used", Duration::from_secs(20), || async {
        let mut client = Raw::connect(&edge.public).await;
        client.send(&get(LONG)).await;
        let head = client.head().await;
        if opened(&edge, "unix") == 0 {
            return None;
        }
        // The edge has all that will come before the client reads on.
        no_relay(&edge).await;
        let (body, whole) = client.body(&head).await;
        assert!(!whole && content(LONG).starts_with(&body));
        assert!(body.len() < 300_000, "what was on its way is thrown away");
        Some(())
    })
    .await;
    edge.stop().await;
}

/// Without a folder nobody is asked.
#[actix_web::test]
async fn an_edge_without_a_folder_asks_by_tcp() {
    let (_dir, folder) = folder();
    let (service, _file) = files_near(&folder).await;
    let edge = before(&service, "").await;
    for _ in 0..10 {
        check(&fetch(&edge, 100_000).await, 100_000);
    }
    assert_eq!((opened(&edge, "unix"), service.accepted_near()), (0, 0));
    assert_eq!(service.checks(), 0, "nobody asks");
    edge.stop().await;
}
