//! Token checks: one call per token however many ask, kept for a moment, forgotten with the session, bounded in flight.

use std::time::Duration;

use common::testing::eventually;
use futures_util::future::join_all;

use super::client::PATIENCE;
use super::knock::Knock;
use super::site::Site;

const PARSE: &str = "tokens/parse";

fn many(config: &mut common::config::Config) {
    config.gateway.max_connections_per_platform = 1000;
}

#[actix_web::test]
async fn five_hundred_handshakes_at_once_ask_about_their_token_once() {
    let began = std::time::Instant::now();
    let site = Site::with(many).await;
    let ann = site.api.user("ann");
    let held = site.api.hold(PARSE);
    let knocking = join_all((0..500).map(|_| {
        let knock = Knock::by(&ann);
        let base = site.base().to_owned();
        async move { knock.enter(&base).await }
    }));
    let release = async {
        site.api.until_count(PARSE, 1).await;
        // Most of them wait for this one answer by now; those that come later find it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(held);
    };
    let (clients, ()) = futures_util::future::join(knocking, release).await;
    assert_eq!(clients.len(), 500);
    let asked = site.api.count(PARSE) as u64;
    assert!(asked <= 1 + began.elapsed().as_secs() / 5, "{asked}");
    drop(clients);
    site.stop().await;
}

#[actix_web::test]
async fn an_answer_is_kept_for_seconds_and_not_longer() {
    let began = std::time::Instant::now();
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let nobody = Knock::plain("/ws?sendID=ann&platformID=5&token=nonsense");
    for _ in 0..5 {
        site.enter(&ann).await.leave().await;
        assert_eq!(nobody.refused(site.base()).await.status, 401);
    }
    let asked = site.api.count(PARSE);
    assert!(
        asked as u64 <= 2 + 2 * (began.elapsed().as_secs() / 5),
        "one for each token: {asked}"
    );
    eventually("the answer is asked for again", PATIENCE, || async {
        site.enter(&ann).await.leave().await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        (site.api.count(PARSE) > asked).then_some(())
    })
    .await;
    site.stop().await;
}

#[actix_web::test]
async fn a_revocation_evicts_the_answer_also_when_the_record_is_late() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    // Another session ends in the same way, so that the test sees when the gateway knows of it.
    let mut witness = site.enter(&site.api.again(&ann)).await;
    site.enter(&ann).await.leave().await;
    assert_eq!(site.api.count(PARSE), 2);
    site.tell_revoked(ann.id(), &ann.owner.session);
    let user = witness.event("OnConnectSuccess").await["data"]["userID"].clone();
    assert_eq!(user, ann.id().as_str());
    // The fake still calls the token good: what the bus said counts.
    eventually("the token is refused", PATIENCE, || async {
        match Knock::by(&ann).try_enter(site.base()).await {
            Ok(client) => {
                client.leave().await;
                None
            }
            Err(refused) => {
                refused.check_problem(401, "unauthenticated");
                Some(())
            }
        }
    })
    .await;
    witness.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_revocation_that_crosses_a_check_leaves_no_socket() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let bob = site.api.user("bob");
    let mut witness = site.enter(&bob).await;
    let held = site.api.hold(PARSE);
    let base = site.base().to_owned();
    let knock = Knock::by(&ann);
    let asking = tokio::task::spawn_local(async move { knock.refused(&base).await });
    site.api.until_count(PARSE, 2).await;
    // The check is under way, and will be answered with "good". Told in this order, bob's end says that ann's is known.
    site.tell_revoked(ann.id(), &ann.owner.session);
    site.tell_revoked(bob.id(), &bob.owner.session);
    assert_eq!(witness.closed_well().await, 4401);
    drop(held);
    asking.await.unwrap().check_problem(401, "unauthenticated");
    site.stop().await;
}

#[actix_web::test]
async fn handshakes_and_revocations_in_any_order_leave_no_socket() {
    let site = Site::with(many).await;
    for round in 0..20 {
        let ann = site.api.user("ann");
        let knocks = (0..8).map(|number| {
            let (knock, base) = (Knock::by(&ann), site.base().to_owned());
            async move {
                for _ in 0..number {
                    tokio::task::yield_now().await;
                }
                match knock.try_enter(&base).await {
                    Ok(mut client) => assert_eq!(client.closed_well().await, 4401),
                    Err(refused) => assert_eq!(refused.status, 401),
                }
            }
        });
        let revoke = async {
            tokio::time::sleep(Duration::from_micros(round * 300)).await;
            site.revoke(&ann);
        };
        futures_util::future::join(join_all(knocks), revoke).await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn a_storm_of_new_tokens_is_asked_about_a_few_at_a_time() {
    let site = Site::new().await;
    let held = site.api.hold(PARSE);
    let knocking = join_all((0..200).map(|number| {
        let knock = Knock::by(&site.api.user(&format!("user{number}")));
        let base = site.base().to_owned();
        async move { knock.enter(&base).await }
    }));
    let release = async {
        site.api.until_count(PARSE, 64).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(site.api.count(PARSE), 64);
        drop(held);
    };
    let (clients, ()) = futures_util::future::join(knocking, release).await;
    assert_eq!((clients.len(), site.api.count(PARSE)), (200, 200));
    drop(clients);
    site.stop().await;
}

#[actix_web::test]
async fn who_waits_for_anothers_check_gets_its_answer_when_the_other_leaves() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let held = site.api.hold(PARSE);
    let mut leader = common::testing::raw::Raw::connect(site.base()).await;
    leader.send(&Knock::by(&ann).text()).await;
    site.api.until_count(PARSE, 1).await;
    let knock = Knock::by(&ann);
    let base = site.base().to_owned();
    let follower = tokio::task::spawn_local(async move { knock.enter(&base).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(leader);
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(held);
    follower.await.unwrap().leave().await;
    assert!(site.api.count(PARSE) <= 2);
    site.stop().await;
}
