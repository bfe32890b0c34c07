//! Events of a user: to every connection that is logged in as that user, and to nobody else.

use serde_json::json;

use super::client::data_of;
use super::knock::Knock;
use super::site::Site;

#[actix_web::test]
async fn events_reach_all_connections_of_the_owner_and_nobody_else() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let phone = site.api.again(&ann);
    let mut hers = vec![site.logged_in(&ann).await, site.logged_in(&ann).await];
    hers.push(site.logged_in(&phone).await);
    let mut tablet = Knock::on(&phone, 9).enter(site.base()).await;
    tablet.as_text = true;
    tablet.login().await;
    hers.push(tablet);
    let mut silent = site.enter(&ann).await;
    let mut his = site.logged_in(&bob).await;
    let video = site.api.room();
    for name in ["OnVideoReady", "OnVideoTrashed", "OnVideoRestored", "OnVideoPurged"] {
        site.tell(&ann, name, json!({"videoID": video}));
        for client in &mut hers {
            let event = client.event(name).await;
            assert_eq!(data_of(&event), json!({"videoID": video}));
            assert_eq!(event["data"].is_string(), client.as_text);
        }
    }
    site.tell(&bob, "OnVideoReady", json!({"videoID": video}));
    his.event("OnVideoReady").await;
    for client in [&mut his, &mut silent] {
        client.is_alive().await;
        let kept = client.kept();
        assert!(
            kept.iter().all(|event| event["event"] == "OnConnectSuccess"),
            "{kept:?}"
        );
    }
    for client in hers.into_iter().chain([silent, his]) {
        client.leave().await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn an_event_bears_the_operation_that_caused_it() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let event = common::messages::UserEvent {
        event: "OnVideoTrashed".into(),
        data: json!({"videoID": "x"}),
        operation: common::operation::OperationId::parse("the-cause"),
    };
    let subject = common::bus::Subject::User(ann.id().clone());
    site.edge.platform.bus.publish(&subject, &"something else");
    site.edge.platform.bus.publish(&subject, &event);
    assert_eq!(client.event("OnVideoTrashed").await["operationID"], "the-cause");
    client.leave().await;
    site.stop().await;
}

/// The bus keeps 1,024 messages: the oldest are lost, which is said to nobody, and the rest goes on.
#[actix_web::test]
async fn a_bus_that_is_too_fast_loses_events_and_nothing_else() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    for number in 0..3000 {
        site.tell(&ann, "OnSelfInfoUpdated", json!({"number": number}));
    }
    let (mut last, mut count) = (-1, 0);
    while last < 2999 {
        let number = client.event("OnSelfInfoUpdated").await["data"]["number"]
            .as_i64()
            .unwrap();
        assert!(number > last, "{number} after {last}");
        (last, count) = (number, count + 1);
    }
    assert!(count >= 1000, "{count}");
    client.leave().await;
    site.stop().await;
}
