//! The races of login, logout and calls that gateways of this kind are known for.

use std::time::Duration;

use common::config::Span;
use futures_util::future::join_all;
use serde_json::json;

use super::client::{Came, Client, PATIENCE};
use super::knock::Knock;
use super::site::Site;

/// Everything that comes until an event with this `mark` in its data; how often such an event came.
async fn count_until(client: &mut Client, event: &str, mark: &str) -> usize {
    let mut count = client.kept().iter().filter(|one| one["event"] == event).count();
    loop {
        let next = client.next().await;
        count += usize::from(next["event"] == event);
        if next["data"]["mark"] == mark {
            return count;
        }
    }
}

#[actix_web::test]
async fn sixty_four_logins_of_one_user_at_the_same_moment_while_others_call_functions() {
    let began = std::time::Instant::now();
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 64).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let room = site.api.room();
    let mut callers = join_all((0..8).map(|_| site.logged_in(&bob))).await;
    let mut clients = join_all((0..64).map(|_| site.enter(&ann))).await;
    let logins = join_all(clients.iter_mut().map(async |client| {
        let login = client.begin("Login", json!({"rooms": [{"videoID": room}]})).await;
        // At once, on the same connection: answered in whichever way, but answered.
        let repeated = client.begin("Login", json!({})).await;
        let call = client.begin("GetSelfUserInfo", json!({})).await;
        assert_eq!(client.answer(&login).await["data"]["rooms"][0]["errCode"], 0);
        for operation in [repeated, call] {
            let code = client.answer(&operation).await["errCode"].as_u64().unwrap();
            assert!(code == 0 || code == 1002, "{code}");
        }
        assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 3);
    }));
    let calls = join_all(callers.iter_mut().map(async |caller| {
        for _ in 0..15 {
            assert_eq!(caller.call("GetSelfUserInfo", json!({})).await["username"], "bob");
        }
    }));
    futures_util::future::join(logins, calls).await;
    // One for each of the two, as long as an answer is good.
    let asked = site.api.count("tokens/parse") as u64;
    assert!(asked <= 2 + 2 * (began.elapsed().as_secs() / 5), "{asked}");
    assert_eq!(
        clients[0].call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        64
    );
    // Each is logged in once: one event, one copy; and the log of the room once.
    site.danmaku(&room, "hello");
    site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "one"}));
    site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "end"}));
    for client in &mut clients {
        assert_eq!(client.entries().await[0]["seq"], 1);
        assert_eq!(count_until(client, "OnSelfInfoUpdated", "end").await, 2);
    }
    drop((clients, callers));
    site.stop().await;
}

#[actix_web::test]
async fn logging_in_again_right_after_logging_out_gives_one_stream() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut client = site.logged_in(&ann).await;
    for round in 0..5 {
        client.call("Logout", json!({})).await;
        site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "lost"}));
        assert_eq!(client.refused("JoinRoom", json!({"videoID": room})).await, 1003);
        let login = client.call("Login", json!({"rooms": [{"videoID": room}]})).await;
        assert_eq!(login["rooms"][0]["memberCount"], 1, "round {round}");
        let entry = site.danmaku(&room, "x");
        assert_eq!(client.entries().await[0]["seq"], entry.seq);
        site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "end"}));
        let count = count_until(&mut client, "OnSelfInfoUpdated", "end").await;
        assert_eq!(count, 1, "round {round}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn login_logout_login_without_waiting_ends_in_what_the_status_says() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for round in 0..10 {
        let mut client = site.enter(&ann).await;
        let first = client.begin("Login", json!({"rooms": [{"videoID": room}]})).await;
        let logout = client.begin("Logout", json!({})).await;
        let second = client.begin("Login", json!({})).await;
        for operation in [&first, &logout, &second] {
            let code = client.answer(operation).await["errCode"].as_u64().unwrap();
            assert!([0, 1002, 1003].contains(&code), "{round}: {code}");
        }
        let status = client.call("GetLoginStatus", json!({})).await["status"]
            .as_u64()
            .unwrap();
        assert!(status == 1 || status == 3, "{status}");
        // The logout came after the first login: nothing of that is left.
        let mut observer = site.logged_in(&site.api.user("bob")).await;
        assert_eq!(observer.join(&room).await["memberCount"], 1);
        site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "one"}));
        site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "end"}));
        if status == 3 {
            assert_eq!(count_until(&mut client, "OnSelfInfoUpdated", "end").await, 2, "{round}");
        } else {
            client.is_alive().await;
            let events = client.kept();
            assert!(
                events.iter().all(|event| event["event"] != "OnSelfInfoUpdated"),
                "{events:?}"
            );
        }
        observer.leave().await;
        client.leave().await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn a_logout_while_a_login_waits_leaves_nothing_of_it() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut client = site.enter(&ann).await;
    let held = site.api.hold("/internal/videos/");
    let login = client.begin("Login", json!({"rooms": [{"videoID": room}]})).await;
    site.api.until_count("/internal/videos/", 1).await;
    client.call("Logout", json!({})).await;
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 1);
    drop(held);
    assert_eq!(client.answer(&login).await["errCode"], 1003);
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 1);
    assert_eq!(client.call("Login", json!({})).await, "ok");
    assert_eq!(
        client.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        0
    );
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_join_that_a_logout_overtakes_is_no_membership() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut client = site.logged_in(&ann).await;
    let held = site.api.hold("/internal/videos/");
    let join = client.begin("JoinRoom", json!({"videoID": room})).await;
    site.api.until_count("/internal/videos/", 1).await;
    client.call("Logout", json!({})).await;
    client.login().await;
    drop(held);
    // It belongs to the login before.
    assert_eq!(client.answer(&join).await["errCode"], 1003);
    assert_eq!(
        client.call("GetRoomMemberCount", json!({"videoID": room})).await["count"],
        0
    );
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_failed_login_leaves_nothing_behind_and_the_next_one_is_good() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.enter(&ann).await;
    assert_eq!(client.refused("Login", json!({"token": "another"})).await, 1001);
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 1);
    site.api.set_away(true);
    // What is known of the token is good for a moment yet.
    let began = std::time::Instant::now();
    let code = loop {
        assert!(began.elapsed() < PATIENCE, "the login goes on being good");
        match client.ask("Login", json!({})).await["errCode"].as_u64().unwrap() {
            0 => client.call("Logout", json!({})).await,
            code => break code,
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(code, 2026);
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 1);
    assert_eq!(client.refused("GetSelfUserInfo", json!({})).await, 1003);
    site.api.set_away(false);
    client.login().await;
    site.tell(&ann, "OnSelfInfoUpdated", json!({"mark": "end"}));
    assert_eq!(count_until(&mut client, "OnSelfInfoUpdated", "end").await, 1);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_kicked_user_comes_back_with_a_new_session_and_not_with_the_old() {
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 1).await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for session in [ann.clone(), site.api.again(&ann), site.api.again(&ann)] {
        let mut client = site.member(&session, &room).await;
        site.revoke(&session);
        client.event("OnKickedOffline").await;
        assert_eq!(client.closed_well().await, 4401);
        assert_eq!(Knock::by(&session).refused(site.base()).await.status, 401);
    }
    let mut client = site.logged_in(&site.api.again(&ann)).await;
    assert_eq!(client.join(&room).await["memberCount"], 1);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn a_call_that_never_returns_has_a_deadline_and_its_neighbours_live_on() {
    let site = Site::with(|config| config.gateway.call_timeout = Span(Duration::from_millis(400))).await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut client = site.logged_in(&ann).await;
    let mut neighbour = site.logged_in(&bob).await;
    let held = site.api.hold("users/me");
    let mut operations = Vec::new();
    for _ in 0..20 {
        operations.push(client.begin("GetSelfUserInfo", json!({})).await);
    }
    site.api.until_count("users/me", 8).await;
    for _ in 0..10 {
        neighbour.is_alive().await;
    }
    for operation in &operations {
        assert_eq!(client.answer(operation).await["errCode"], 2026);
    }
    assert_eq!(site.api.count("users/me"), 20);
    drop(held);
    client.is_alive().await;
    assert_eq!(client.call("GetSelfUserInfo", json!({})).await["username"], "ann");
    client.leave().await;
    neighbour.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn answers_overtake_each_other_and_eight_calls_run_at_once() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let held = site.api.hold("users/me");
    let slow = client.begin("GetSelfUserInfo", json!({})).await;
    client.is_alive().await;
    let mut operations = vec![slow];
    for _ in 0..11 {
        operations.push(client.begin("GetSelfUserInfo", json!({})).await);
    }
    site.api.until_count("users/me", 8).await;
    // The ninth waits in the socket, and with it whatever comes after.
    let ping = client.begin("Ping", json!({})).await;
    let early = tokio::time::timeout(Duration::from_millis(150), client.came()).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(site.api.count("users/me"), 8);
    drop(held);
    for operation in operations.iter().chain([&ping]) {
        assert_eq!(client.answer(operation).await["errCode"], 0);
    }
    client.leave().await;
    site.stop().await;
}

/// A client that closes while its calls run is answered at once or when they end, and is gone.
#[actix_web::test]
async fn a_goodbye_behind_calls_that_wait_is_read() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let held = site.api.hold("users/me");
    for _ in 0..8 {
        client.begin("GetSelfUserInfo", json!({})).await;
    }
    site.api.until_count("users/me", 8).await;
    client.send(&super::client::masked(0x88, &1000u16.to_be_bytes())).await;
    drop(held);
    assert_eq!(client.closed().await, 1000);
    assert_eq!(client.came().await, Came::End);
    site.stop().await;
}

#[actix_web::test]
async fn a_leave_that_overtakes_a_join_is_the_last_word() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    for round in 0..10 {
        let room = site.api.room();
        let mut client = site.logged_in(&ann).await;
        let join = client.begin("JoinRoom", json!({"videoID": room})).await;
        let leave = client.begin("LeaveRoom", json!({"videoID": room})).await;
        assert_eq!(client.answer(&leave).await["errCode"], 0, "{round}");
        let joined = client.answer(&join).await["errCode"].as_u64().unwrap();
        assert!([0, 1004].contains(&joined), "{round}: {joined}");
        let mut observer = site.logged_in(&bob).await;
        assert_eq!(observer.join(&room).await["memberCount"], 1, "{round}");
        // What was left behind is nothing: joining again is as good as ever.
        assert_eq!(client.join(&room).await["memberCount"], 2, "{round}");
        observer.leave().await;
        client.leave().await;
    }
    site.stop().await;
}

#[actix_web::test]
async fn what_one_user_costs_is_bounded_over_all_connections() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let rooms: Vec<_> = (0..100)
        .map(|_| json!({"videoID": common::ids::VideoId::random()}))
        .collect();
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(site.logged_in(&ann).await);
    }
    let mut refused = 0;
    for client in &mut clients {
        for _ in 0..2 {
            let answer = client.ask("Login", json!({"rooms": rooms})).await;
            refused += usize::from(answer["errCode"] == 2019);
        }
    }
    assert!(refused > 0, "two thousand rooms at once");
    // Somebody else has a share of their own.
    let mut neighbour = site.logged_in(&site.api.user("bob")).await;
    neighbour.join(&site.api.room()).await;
    neighbour.leave().await;
    for client in clients {
        client.leave().await;
    }
    site.stop().await;
}
