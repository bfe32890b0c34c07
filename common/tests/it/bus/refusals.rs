//! Brokers that a process can't start with: one line that says what to mend.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::bus::Bus;
use common::config::BusConfig;
use common::metrics::Metrics;
use common::testing::Broker;

use super::{Node, settings};

async fn refused(settings: &BusConfig) -> String {
    let Err(error) = Bus::open(settings, &Metrics::new()).await else {
        panic!("it is let in");
    };
    assert_eq!(error.key, "bus.url");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
    text
}

fn user(url: &str, user: &str, password: &str) -> BusConfig {
    BusConfig {
        user: user.into(),
        password: password.into(),
        ..settings(url)
    }
}

#[test]
fn promise_20_wrong_credentials_do_not_start() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::with("authorization { user: ann, password: s3cr3t-1 }");
        let url = broker.url();
        let text = refused(&settings(&url)).await;
        assert!(text.contains("asks for credentials"), "{text}");
        for settings in [
            user(&url, "ann", "s3cr3t-2"),
            user(&url, "ben", "s3cr3t-1"),
            settings(&url.replace("//", "//ann:s3cr3t-3@")),
        ] {
            let text = refused(&settings).await;
            assert!(text.contains("refuses bus.user") && text.contains(&url), "{text}");
        }
        let token = BusConfig {
            token: "s3cr3t-4".into(),
            ..settings(&url)
        };
        let text = refused(&token).await;
        assert!(text.contains("refuses bus.token"), "{text}");
        Node::with(&user(&url, "ann", "s3cr3t-1")).await;
        Node::with(&settings(&url.replace("//", "//ann:s3cr3t%2d1@"))).await;
        let broker = Broker::with("authorization { token: s3cr3t-5 }");
        Node::with(&settings(&broker.url().replace("//", "//s3cr3t-5@"))).await;
    });
}

#[test]
fn promise_20_a_user_who_may_do_nothing_does_not_start() {
    actix_web::rt::System::new().block_on(async {
        let users = r#"authorization { users: [
            { user: ann, password: s3cr3t, permissions: { publish: "sluice.>", subscribe: "sluice.>" } },
            { user: ben, password: s3cr3t, permissions: { publish: "other.>", subscribe: "other.>" } },
        ] }"#;
        let broker = Broker::with(users);
        Node::with(&user(&broker.url(), "ann", "s3cr3t")).await;
        let text = refused(&user(&broker.url(), "ben", "s3cr3t")).await;
        assert!(text.contains("below `sluice`"), "{text}");
        let other = BusConfig {
            prefix: "other.place".into(),
            ..user(&broker.url(), "ben", "s3cr3t")
        };
        Node::with(&other).await;
    });
}

#[test]
fn promise_20_what_is_no_broker_does_not_start() {
    actix_web::rt::System::new().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let text = refused(&settings(&url)).await;
        assert!(text.contains("is no NATS server"), "{text}");
        serving.join().unwrap();
    });
}

#[test]
fn promise_20_a_broker_that_cannot_be_reached_ends_the_start_after_a_while() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::stopped("");
        let begun = Instant::now();
        let text = refused(&settings(&broker.url())).await;
        assert!(text.contains("can't be reached, tried for 10 s"), "{text}");
        assert!(begun.elapsed() >= Duration::from_secs(10), "compose may start it later");
    });
}

#[test]
fn a_broker_that_comes_up_beside_the_process_is_waited_for() {
    actix_web::rt::System::new().block_on(async {
        let mut broker = Broker::stopped("");
        let url = broker.url();
        let node = tokio::task::spawn_local(async move { Node::with(&settings(&url)).await });
        tokio::time::sleep(Duration::from_millis(700)).await;
        let started = tokio::task::spawn_blocking(move || {
            broker.start_again();
            broker
        });
        let _broker = started.await.unwrap();
        assert_eq!(node.await.unwrap().bus.state(), Some(Ok(())));
    });
}
