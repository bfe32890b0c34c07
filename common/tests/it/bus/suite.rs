//! What every bus does. `here` and `there` are two processes on NATS, and one without.

use common::bus::{Message, Subject};
use common::ids::{Id, VideoId};
use common::testing::Broker;

use super::{Node, next, settings};

/// Runs `body` over both buses.
fn on_each_bus<F, Fut>(body: F)
where
    F: Fn(Node, Node) -> Fut,
    Fut: Future<Output = ()>,
{
    actix_web::rt::System::new().block_on(async {
        let one = Node::with(&settings("local:")).await;
        let other = Node {
            bus: one.bus.clone(),
            metrics: one.metrics.clone(),
        };
        body(one, other).await;
        let broker = Broker::start();
        body(Node::on(&broker).await, Node::on(&broker).await).await;
    });
}

#[test]
fn a_message_reaches_the_listeners_of_its_subject_in_order_and_once() {
    on_each_bus(|here, there| async move {
        let (a, b) = (Subject::User(Id::now()), Subject::Video(VideoId::random()));
        let (mut for_a, mut also_a) = (there.listen(&a).await, there.listen(&a).await);
        let (mut for_b, mut own) = (there.listen(&b).await, here.listen(&a).await);
        for n in 0..5_000_u64 {
            here.bus.publish(&a, &n);
            if n % 10 == 0 {
                here.bus.publish(&b, &n);
            }
            // Nobody falls behind by more than a queue.
            if n % 500 == 499 {
                for expected in n - 499..=n {
                    for listener in [&mut for_a, &mut also_a, &mut own] {
                        assert_eq!(next(listener).await.decode::<u64>(), Some(expected));
                    }
                }
            }
        }
        for n in (0..5_000_u64).step_by(10) {
            assert_eq!(next(&mut for_b).await.decode::<u64>(), Some(n));
        }
        // Nothing comes twice: the next is the next.
        here.bus.publish(&a, &"the end");
        for listener in [&mut for_a, &mut also_a, &mut own] {
            assert_eq!(next(listener).await.decode::<String>().as_deref(), Some("the end"));
        }
    });
}

#[test]
fn who_listens_before_it_reads_misses_nothing() {
    on_each_bus(|here, there| async move {
        for round in 0..200_u64 {
            let subject = Subject::Video(VideoId::random());
            let mut listener = there.bus.subscribe(&subject);
            match round % 2 {
                0 => listener.established().await,
                // Without waiting it is told to read again, or has been established at once.
                _ if there.bus.is_shared() => assert_eq!(next(&mut listener).await, Message::Missed(0)),
                _ => {}
            }
            here.bus.publish(&subject, &round);
            assert_eq!(next(&mut listener).await.decode(), Some(round));
        }
    });
}

#[test]
fn a_slow_listener_is_told_what_it_missed_and_holds_nobody_up() {
    on_each_bus(|here, there| async move {
        let subject = Subject::JobsReady;
        let (mut slow, mut quick) = (there.listen(&subject).await, there.listen(&subject).await);
        let count = 4_000_u64;
        for n in 0..count {
            here.bus.publish(&subject, &n);
            assert_eq!(next(&mut quick).await.decode(), Some(n));
        }
        let Message::Missed(missed) = next(&mut slow).await else {
            panic!("it is not told");
        };
        assert!((1..count).contains(&missed), "{missed}");
        for n in missed..count {
            assert_eq!(next(&mut slow).await.decode(), Some(n));
        }
    });
}

#[test]
fn what_nobody_listens_to_costs_nothing_and_who_comes_back_is_served_at_once() {
    on_each_bus(|here, there| async move {
        let subject = Subject::User(Id::now());
        for round in 0..50_u64 {
            let mut listener = there.listen(&subject).await;
            here.bus.publish(&subject, &round);
            assert_eq!(next(&mut listener).await.decode(), Some(round));
        }
        if there.bus.is_shared() {
            // One subject, asked for once: churn doesn't flap.
            assert_eq!(there.metric("sluice_bus_subscriptions"), 1);
        }
    });
}
