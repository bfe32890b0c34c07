//! Every row of the errCode table, through a socket.

use std::time::Duration;

use common::config::Span;
use common::error::Code;
use common::ids::VideoId;
use serde_json::{Value, json};

use super::client::{call, data_of};
use super::knock::Knock;
use super::site::Site;

#[actix_web::test]
async fn err_code_100_is_a_frame_that_is_no_call() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.enter(&ann).await;
    client.event("OnConnectSuccess").await;
    for frame in [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        r#"{"reqFuncName":7}"#,
        r#"{"reqFuncName":"Ping","data":1}"#,
    ] {
        client.say(frame).await;
        assert_eq!(client.next().await["errCode"], 100, "{frame}");
    }
    client
        .say(r#"{"reqFuncName":"Ping","operationID":"x","batchMsg":7}"#)
        .await;
    let answer = client.next().await;
    assert_eq!(
        (&answer["event"], &answer["operationID"]),
        (&json!("Ping"), &json!("x"))
    );
    client.is_alive().await;
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn err_code_1001_is_a_bad_parameter_an_unknown_function_and_the_name_of_another() {
    let site = Site::new().await;
    let (ann, bob) = (site.api.user("ann"), site.api.user("bob"));
    let mut client = site.logged_in(&ann).await;
    for (function, data) in [
        ("Nonsense", json!({})),
        ("ping", json!({})),
        ("Ping", json!({"a": 1})),
        ("Ping", json!([])),
        ("JoinRoom", json!({})),
        ("JoinRoom", json!({"videoID": "../../etc"})),
        ("JoinRoom", json!({"videoID": 7})),
        ("JoinRoom", json!({"videoID": VideoId::random(), "afterSeq": -1})),
        ("JoinRoom", json!({"videoID": VideoId::random(), "afterSeq": 1e300})),
        ("Login", json!({"rooms": [{}]})),
        ("Login", json!({"userID": "bob"})),
        ("Login", json!({"token": bob.token})),
        ("Logout", json!({"session": "yes"})),
    ] {
        assert_eq!(client.refused(function, data.clone()).await, 1001, "{function} {data}");
    }
    for user in [bob.name(), bob.id().as_str()] {
        client
            .say(&json!({"reqFuncName": "Ping", "operationID": user, "userID": user}).to_string())
            .await;
        assert_eq!(client.answer(user).await["errCode"], 1001);
    }
    for user in [ann.name(), ann.id().as_str(), ""] {
        client
            .say(&json!({"reqFuncName": "Ping", "operationID": "own", "userID": user}).to_string())
            .await;
        assert_eq!(client.answer("own").await["errCode"], 0);
    }
    let own = json!({"userID": ann.id(), "token": ann.token});
    assert_eq!(client.call("Login", own).await, "ok");
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn err_code_1002_is_only_while_a_login_is_in_flight() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    let mut client = site.enter(&ann).await;
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 1);
    let held = site.api.hold("/internal/videos/");
    let login = client.begin("Login", json!({"rooms": [{"videoID": room}]})).await;
    site.api.until_count("/internal/videos/", 1).await;
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 2);
    assert_eq!(client.refused("Login", json!({})).await, 1002);
    assert_eq!(client.refused("GetSelfUserInfo", json!({})).await, 1002);
    assert_eq!(client.refused("JoinRoom", json!({"videoID": room})).await, 1002);
    drop(held);
    let answer = client.answer(&login).await;
    assert_eq!(answer["errCode"], 0, "{answer}");
    assert_eq!(answer["data"]["rooms"][0]["errCode"], 0, "{answer}");
    assert_eq!(client.call("GetLoginStatus", json!({})).await["status"], 3);
    client.login().await;
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn err_code_1003_is_before_login_and_after_logout() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.enter(&ann).await;
    let functions = client.call("ListFunctions", json!({})).await;
    let (mut open, mut closed) = (0, 0);
    for function in functions["functions"].as_array().unwrap() {
        let name = function["name"].as_str().unwrap();
        if function["login"] == false {
            open += 1;
            continue;
        }
        closed += 1;
        assert_eq!(client.refused(name, json!({})).await, 1003, "{name}");
    }
    assert!(open >= 6 && closed >= 15, "{open} {closed}");
    client.leave().await;
    let mut client = site.logged_in(&ann).await;
    assert_eq!(client.call("GetSelfUserInfo", json!({})).await["username"], "ann");
    client.call("Logout", json!({})).await;
    assert_eq!(client.refused("GetSelfUserInfo", json!({})).await, 1003);
    assert_eq!(client.call("GetLoginUser", json!({})).await["username"], "ann");
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn err_code_1004_is_a_room_whose_record_can_not_be_followed_just_now() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let room = site.api.room();
    for number in 0..400 {
        site.unpublished(&room, &number.to_string());
    }
    let mut client = site.logged_in(&ann).await;
    // The record answers with nothing where there is something.
    site.api
        .answer_with("afterSeq=5&limit=1000", 200, r#"{"items":[],"next":null,"seq":400}"#);
    assert_eq!(
        client
            .refused("JoinRoom", json!({"videoID": room, "afterSeq": 5}))
            .await,
        1004
    );
    site.api.recover();
    let joined = client.call("JoinRoom", json!({"videoID": room, "afterSeq": 5})).await;
    assert_eq!(joined["events"].as_array().unwrap().len(), 395);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn err_code_1005_is_a_function_of_openim_that_means_nothing_here() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = Knock::by_query(&ann).enter(site.base()).await;
    for name in ["CreateGroup", "GetFriendList", "QuitGroup"] {
        client.say(&call(name, name, &json!("group 7"))).await;
        let answer = client.answer(name).await;
        assert_eq!(
            (&answer["errCode"], &answer["data"]),
            (&json!(1005), &json!("")),
            "{name}"
        );
    }
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn other_err_codes_are_the_catalogues_numbers_of_what_api_service_answered() {
    let site = Site::with(|config| config.gateway.call_timeout = Span(Duration::from_millis(500))).await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let video = VideoId::random();
    assert_eq!(client.refused("GetVideo", json!({"videoID": video})).await, 2004);
    for code in [
        Code::Forbidden,
        Code::Gone,
        Code::Conflict,
        Code::Internal,
        Code::StorageFull,
        Code::TooManyRequests,
    ] {
        site.api.fail_with("/api/v1/videos", code);
        let number = u64::from(code.entry().number);
        assert_eq!(
            client.refused("GetVideo", json!({"videoID": video})).await,
            number,
            "{code:?}"
        );
        site.api.recover();
    }
    let unusable = [
        (200, "<html>"),
        (500, "oops"),
        (302, ""),
        (404, r#"{"errCode":0}"#),
        (200, "\u{1}"),
    ];
    for (status, body) in unusable {
        site.api.answer_with("/api/v1/videos", status, body);
        assert_eq!(
            client.refused("GetVideo", json!({"videoID": video})).await,
            2026,
            "{status} {body}"
        );
        site.api.recover();
    }
    site.api.answer_with(
        "/api/v1/videos",
        422,
        &json!({"type": "", "title": "", "status": 422, "detail": "d", "code": "invalid",
        "errCode": 2018, "operationID": "x", "errors": [{"pointer": "/title", "detail": "too long"}]})
        .to_string(),
    );
    let answer = client.ask("CreateVideo", json!({"title": "x"})).await;
    assert_eq!(
        (&answer["errCode"], &answer["errMsg"]),
        (&json!(2018), &json!("/title: too long"))
    );
    site.api.recover();
    // Never answered: its deadline, in the client's form.
    let held = site.api.hold("/api/v1/videos");
    client.as_text = true;
    let answer = client.ask("GetVideo", json!({"videoID": video})).await;
    assert_eq!((&answer["errCode"], &answer["data"]), (&json!(2026), &json!("")));
    drop(held);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn more_calls_than_may_be_made_are_refused_with_the_number_of_429_and_cost_api_service_nothing() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    // Answered at once each, so that all of them are read in one piece; what reaches api-service comes last.
    let function = |number: i32| {
        if number < 50 {
            "GetLoginStatus"
        } else {
            "GetSelfUserInfo"
        }
    };
    let mut frames = Vec::new();
    for number in 0..60 {
        frames.extend(super::client::text(&call(
            function(number),
            &format!("n{number}"),
            &json!({}),
        )));
    }
    client.send(&frames).await;
    let (mut good, mut refused, mut reached) = (0, 0, 0);
    for number in 0..60 {
        match client.answer(&format!("n{number}")).await["errCode"].as_u64().unwrap() {
            0 => {
                good += 1;
                reached += usize::from(number >= 50);
            }
            2019 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        good >= 39 && refused > 0,
        "a burst of 40, of which Login was one: {good} {refused}"
    );
    assert_eq!(site.api.count("users/me"), reached);
    client.leave().await;
    site.stop().await;
}

#[actix_web::test]
async fn data_comes_back_in_the_form_it_was_sent_in_and_events_in_that_of_the_last_request() {
    let site = Site::new().await;
    let ann = site.api.user("ann");
    let mut client = site.logged_in(&ann).await;
    let ask = async |client: &mut super::client::Client, as_text: bool| -> (Value, Value) {
        client.as_text = as_text;
        let answer = client.ask("GetSelfUserInfo", json!({})).await;
        site.tell(&ann, "OnSelfInfoUpdated", json!({"username": "ann"}));
        (answer, client.event("OnSelfInfoUpdated").await)
    };
    for as_text in [false, true, false] {
        let (answer, event) = ask(&mut client, as_text).await;
        for frame in [answer, event] {
            assert_eq!(frame["data"].is_string(), as_text, "{frame}");
            assert_eq!(data_of(&frame)["username"], "ann");
        }
    }
    client.leave().await;
    site.stop().await;
}
