//! A broker that goes away, comes back, is slow, or takes less than we send: nobody waits for it, nothing grows without
//! bound, and listeners are told to read the record.

use std::time::Duration;

use common::bus::{Message, Subject};
use common::ids::{Id, VideoId};
use common::testing::{Broker, eventually};

use super::{Node, SOON, next, number, settings};

#[test]
fn promise_17_who_listened_while_the_broker_was_away_is_told_to_read_the_record() {
    actix_web::rt::System::new().block_on(async {
        let mut broker = Broker::start();
        let (here, there) = (Node::on(&broker).await, Node::on(&broker).await);
        let subjects: Vec<Subject> = (0..50).map(|_| Subject::Video(VideoId::random())).collect();
        let mut listeners = Vec::new();
        for subject in &subjects {
            listeners.push(there.listen(subject).await);
        }
        for round in 0..3_u64 {
            broker.stop();
            there.is_away().await;
            here.is_away().await;
            assert!(!there.bus.is_current());
            // Its own listeners hear a process as before.
            let mut own = here.bus.subscribe(&subjects[0]);
            here.bus.publish(&subjects[0], &round);
            assert_eq!(number(&mut own).await, round);
            // One that comes meanwhile does not wait for long.
            let mut late = there.listen(&Subject::User(Id::now())).await;
            broker.start_again();
            there.is_back().await;
            here.is_back().await;
            for listener in &mut listeners {
                assert_eq!(next(listener).await, Message::Missed(0));
            }
            assert_eq!(next(&mut late).await, Message::Missed(0));
            for (n, subject) in subjects.iter().enumerate() {
                here.bus.publish(subject, &(1_000 + n));
            }
            for (n, listener) in listeners.iter_mut().enumerate() {
                // What waited for the broker may come before.
                while number(listener).await != 1_000 + n as u64 {}
            }
            eventually("it is current", SOON, || async { there.bus.is_current().then_some(()) }).await;
        }
        assert_eq!(there.metric("sluice_bus_reconnects_total"), 3);
    });
}

#[test]
fn a_broker_that_hangs_is_noticed_and_left_and_found_again() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::start();
        let (here, there) = (Node::on(&broker).await, Node::on(&broker).await);
        let mut listener = there.listen(&Subject::JobsReady).await;
        broker.pause();
        eventually("it does not count on it any more", SOON, || async {
            (!there.bus.is_current()).then_some(())
        })
        .await;
        there.is_away().await;
        here.is_away().await;
        broker.resume();
        there.is_back().await;
        here.is_back().await;
        assert_eq!(next(&mut listener).await, Message::Missed(0));
        here.bus.publish(&Subject::JobsReady, &1_u64);
        assert_eq!(number(&mut listener).await, 1);
    });
}

#[test]
fn publishing_never_waits_and_keeps_a_bounded_part_while_the_broker_is_away() {
    actix_web::rt::System::new().block_on(async {
        let mut broker = Broker::start();
        let (here, there) = (Node::on(&broker).await, Node::on(&broker).await);
        let subject = Subject::Video(VideoId::random());
        let mut listener = there.listen(&subject).await;
        broker.stop();
        here.is_away().await;
        let count = 200_000_u64;
        for n in 0..count {
            here.bus.publish(&subject, &n);
        }
        let lost = here.metric("sluice_bus_lost_total{reason=\"queue\"}");
        assert!((count / 2..count).contains(&lost), "{lost}");
        broker.start_again();
        here.is_back().await;
        there.is_back().await;
        here.bus.publish(&subject, &count);
        while number(&mut listener).await != count {}
    });
}

#[test]
fn a_message_that_is_too_large_for_the_broker_is_told_as_missed_and_breaks_nothing() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::with("max_payload: 2048");
        let (here, there) = (Node::on(&broker).await, Node::on(&broker).await);
        let subject = Subject::Video(VideoId::random());
        let (mut own, mut listener) = (here.listen(&subject).await, there.listen(&subject).await);
        let large = "x".repeat(3_000);
        for n in 0..20_u64 {
            here.bus.publish(&subject, &large);
            here.bus.publish(&subject, &n);
            assert_eq!(next(&mut listener).await, Message::Missed(1));
            assert_eq!(next(&mut listener).await.decode(), Some(n));
            // In the process it arrives.
            assert_eq!(next(&mut own).await.decode().as_ref(), Some(&large));
            assert_eq!(next(&mut own).await.decode(), Some(n));
        }
        assert_eq!(here.metric("sluice_bus_lost_total{reason=\"size\"}"), 20);
        assert_eq!(here.metric("sluice_bus_reconnects_total"), 0);
    });
}

#[test]
fn a_flood_is_not_waited_for_and_what_no_queue_takes_is_counted() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::start();
        let (here, there) = (Node::on(&broker).await, Node::on(&broker).await);
        let flooded = Subject::Video(VideoId::random());
        let (mut slow, mut other) = (there.listen(&flooded).await, there.listen(&Subject::JobsReady).await);
        let text = "y".repeat(4_000);
        let before = resident();
        for _ in 0..50_000 {
            here.bus.publish(&flooded, &text);
        }
        here.bus.publish(&Subject::JobsReady, &1_u64);
        assert_eq!(number(&mut other).await, 1);
        let grown = resident().saturating_sub(before);
        assert!(grown < 64 << 20, "200 MB were published and {grown} bytes are kept");
        let Message::Missed(missed) = next(&mut slow).await else {
            panic!("it is not told");
        };
        let lost = here.metric("sluice_bus_lost_total{reason=\"queue\"}");
        let mut got = 0;
        while let Ok(Some(Message::Data(_))) = tokio::time::timeout(Duration::ZERO, slow.next()).await {
            got += 1;
        }
        assert!(missed + lost + got == 50_000, "{missed} missed, {lost} lost, {got} got");
        assert_eq!(there.metric("sluice_bus_reconnects_total"), 0);
    });
}

#[test]
fn another_server_of_the_list_takes_over() {
    actix_web::rt::System::new().block_on(async {
        let (mut one, mut two) = (Broker::start(), Broker::stopped(""));
        let url = format!("{},{}", one.url(), two.address());
        let (here, there) = (Node::with(&settings(&url)).await, Node::with(&settings(&url)).await);
        let mut listener = there.listen(&Subject::JobsReady).await;
        one.stop();
        two.start_again();
        for node in [&here, &there] {
            eventually("it is on the other", SOON, || async {
                (node.metric("sluice_bus_reconnects_total") > 0).then_some(())
            })
            .await;
            node.is_back().await;
        }
        assert_eq!(next(&mut listener).await, Message::Missed(0));
        here.bus.publish(&Subject::JobsReady, &7_u64);
        assert_eq!(number(&mut listener).await, 7);
    });
}

#[test]
fn what_was_published_last_is_with_the_broker_when_the_process_ends() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::start();
        let there = Node::on(&broker).await;
        let mut listener = there.listen(&Subject::SessionsRevoked).await;
        for n in 0..20_u64 {
            let here = Node::on(&broker).await;
            here.bus.publish(&Subject::SessionsRevoked, &n);
            here.bus.flush().await;
            drop(here);
            assert_eq!(number(&mut listener).await, n);
        }
    });
}

#[test]
fn two_installations_on_one_broker_do_not_hear_each_other() {
    actix_web::rt::System::new().block_on(async {
        let broker = Broker::start();
        let mut other = settings(&broker.url());
        other.prefix = "other".into();
        let (here, there, same) = (
            Node::on(&broker).await,
            Node::with(&other).await,
            Node::on(&broker).await,
        );
        let (mut elsewhere, mut listener) = (
            there.listen(&Subject::JobsReady).await,
            same.listen(&Subject::JobsReady).await,
        );
        here.bus.publish(&Subject::JobsReady, &1_u64);
        assert_eq!(number(&mut listener).await, 1);
        there.bus.publish(&Subject::JobsReady, &2_u64);
        assert_eq!(number(&mut elsewhere).await, 2);
    });
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}

/// Bytes.
const PAGE: u64 = 4096;
