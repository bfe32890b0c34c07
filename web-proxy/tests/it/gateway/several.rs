//! Two gateways before one api-service, with a real broker between them: no step notices which of them answered.

use common::testing::{Broker, eventually};
use serde_json::json;

use super::client::{Client, PATIENCE};
use super::rooms::expect_entries;
use super::site::{Site, config};
use crate::edge;

async fn two(broker: &Broker) -> (Site, Site) {
    let here = Site::with(|config| config.bus.url = broker.url().into()).await;
    let there = beside(&here, broker).await;
    (here, there)
}

/// One more gateway of the same site.
async fn beside(site: &Site, broker: &Broker) -> Site {
    let mut config = config(&site.api);
    config.bus.url = broker.url().into();
    let edge = edge::start(config).await;
    Site {
        edge,
        api: site.api.clone(),
    }
}

/// Waits until it is told that so many are in the room.
async fn until_count(client: &mut Client, count: u64) {
    while client.event("OnRoomMemberCount").await["data"]["count"] != count {}
}

async fn until_bus(site: &Site, there: bool) {
    eventually("the bus is there or not", PATIENCE, || async {
        let state = site.edge.platform.bus.state().unwrap();
        (state.is_ok() == there).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn entries_and_events_reach_the_clients_of_every_gateway() {
    let broker = Broker::start();
    let (here, there) = two(&broker).await;
    let (ann, bob) = (here.api.user("ann"), here.api.user("bob"));
    let room = here.api.room();
    let (mut one, mut two) = (here.member(&ann, &room).await, there.member(&ann, &room).await);
    let mut other = there.member(&bob, &room).await;
    for n in (1..=40).step_by(2) {
        here.danmaku(&room, "said to one");
        there.danmaku(&room, "said to the other");
        for client in [&mut one, &mut two, &mut other] {
            expect_entries(client, n, n + 1).await;
        }
    }
    for (number, site) in [(1, &here), (2, &there)] {
        site.tell(&ann, "OnSelfInfoUpdated", json!({"number": number}));
        for client in [&mut one, &mut two] {
            assert_eq!(client.event("OnSelfInfoUpdated").await["data"]["number"], number);
        }
    }
    // To both gateways, and to nobody else.
    here.revoke(&ann);
    assert_eq!(one.closed_well().await, 4401);
    assert_eq!(two.closed_well().await, 4401);
    other.is_alive().await;
    there.close_room(&room, "trashed");
    other.event("OnRoomClosed").await;
    other.leave().await;
    here.stop().await;
    there.stop().await;
}

#[actix_web::test]
async fn a_rooms_count_is_the_sum_over_all_gateways() {
    let broker = Broker::start();
    let (here, there) = two(&broker).await;
    let (ann, bob) = (here.api.user("ann"), here.api.user("bob"));
    let room = here.api.room();
    let mut one = here.member(&ann, &room).await;
    let mut two = there.member(&bob, &room).await;
    until_count(&mut one, 2).await;
    until_count(&mut two, 2).await;
    let three = there.member(&bob, &room).await;
    until_count(&mut one, 3).await;
    assert_eq!(one.call("JoinRoom", json!({"videoID": room})).await["memberCount"], 3);
    // One that starts later knows of those who were there before.
    let late = beside(&here, &broker).await;
    let mut four = late.member(&ann, &room).await;
    until_count(&mut four, 4).await;
    until_count(&mut one, 4).await;
    three.leave().await;
    until_count(&mut one, 3).await;
    four.leave().await;
    late.stop().await;
    until_count(&mut one, 2).await;
    // A gateway that stops takes its members with it.
    two.leave().await;
    there.stop().await;
    until_count(&mut one, 1).await;
    one.leave().await;
    here.stop().await;
}

#[actix_web::test]
async fn promise_17_everything_has_caught_up_after_the_broker_was_away() {
    let mut broker = Broker::start();
    let (here, there) = two(&broker).await;
    let (ann, bob) = (here.api.user("ann"), here.api.user("bob"));
    let room = here.api.room();
    let (mut one, mut two) = (here.member(&ann, &room).await, there.member(&ann, &room).await);
    let mut seq = 0;
    for round in 1..=3 {
        broker.stop();
        until_bus(&here, false).await;
        until_bus(&there, false).await;
        // People are served meanwhile.
        let mut late = there.member(&bob, &here.api.room()).await;
        for text in ["said", "while it was away"] {
            here.danmaku(&room, text);
        }
        expect_entries(&mut one, seq + 1, seq + 2).await;
        broker.start_again();
        expect_entries(&mut two, seq + 1, seq + 2).await;
        until_bus(&here, true).await;
        until_bus(&there, true).await;
        seq += 2;
        for client in [&mut one, &mut two, &mut late] {
            client.event("OnEventsMissed").await;
        }
        // And goes on as before.
        here.danmaku(&room, "again");
        seq += 1;
        expect_entries(&mut one, seq, seq).await;
        expect_entries(&mut two, seq, seq).await;
        here.tell(&bob, "OnSelfInfoUpdated", json!({"number": round}));
        assert_eq!(late.event("OnSelfInfoUpdated").await["data"]["number"], round);
        late.leave().await;
    }
    // Ended while nobody could be told.
    broker.stop();
    until_bus(&there, false).await;
    here.revoke(&ann);
    assert_eq!(one.closed_well().await, 4401);
    assert_eq!(two.closed_well().await, 4401);
    here.stop().await;
    there.stop().await;
}
