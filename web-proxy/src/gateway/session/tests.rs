//! Frames in, steps out.

use std::time::Duration;

use common::ids::Id;
use common::messages::Role;
use common::time::Timestamp;
use serde_json::{Value, json};

use super::*;

struct Client {
    session: Session,
    functions: Functions,
    now: Instant,
}

impl Client {
    fn new() -> Client {
        let owner = TokenOwner {
            user: Id::now(),
            session: Id::now(),
            username: "ann".into(),
            role: Role::User,
            expires_at: Timestamp(i64::MAX),
        };
        let now = Instant::now();
        Client {
            session: Session::new(Arc::new(owner), DataForm::Object, now),
            functions: Functions::new(Duration::from_secs(5)),
            now,
        }
    }

    fn frame(&mut self, frame: &Value) -> Step {
        // A second later each time: the limit of calls has tests of its own.
        self.now += Duration::from_secs(1);
        self.session.on_text(&frame.to_string(), self.now, &self.functions)
    }

    fn call(&mut self, name: &str) -> Step {
        self.frame(&json!({ "reqFuncName": name, "operationID": "op", "data": {} }))
    }

    fn run(&mut self, name: &str) -> Call {
        match self.call(name) {
            Step::Run(call) => call,
            step => panic!("{name}: {step:?}"),
        }
    }

    fn code(&mut self, name: &str) -> i64 {
        match self.call(name) {
            Step::Reply(text) => parsed(&text)["errCode"].as_i64().unwrap(),
            step => panic!("{name}: {step:?}"),
        }
    }

    fn status(&mut self) -> i64 {
        let Step::Reply(text) = self.call("GetLoginStatus") else {
            panic!("not answered at once")
        };
        parsed(&text)["data"]["status"].as_i64().unwrap()
    }

    fn log_in(&mut self) -> u32 {
        let call = self.run("Login");
        assert!(self.session.log_in(call.epoch, None));
        self.session.finished();
        call.epoch
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_login_is_pending_then_in_and_repeating_it_is_fine() {
    let mut client = Client::new();
    assert_eq!(client.status(), 1);
    assert_eq!(client.code("ListVideos"), 1003);
    let call = client.run("Login");
    assert_eq!(client.status(), 2);
    assert_eq!(client.code("Login"), 1002, "only while a login is in flight");
    assert_eq!(client.code("ListVideos"), 1002);
    assert!(client.session.log_in(call.epoch, Some(true)));
    client.session.finished();
    assert_eq!(client.status(), 3);
    assert!(client.session.batch());
    let again = client.run("Login");
    assert_eq!(client.status(), 3, "logged in all the while");
    assert!(client.session.log_in(again.epoch, None));
    assert!(client.session.batch(), "what was not said stays");
    client.run("ListVideos");
}

#[test]
fn a_failed_login_leaves_nothing_and_the_next_one_starts_afresh() {
    let mut client = Client::new();
    let call = client.run("Login");
    client.session.login_failed(call.epoch);
    client.session.finished();
    assert_eq!(client.status(), 1);
    assert_eq!(client.code("ListVideos"), 1003);
    client.log_in();
    // A repeated login that fails does not undo the one that stands.
    let again = client.run("Login");
    client.session.login_failed(again.epoch);
    assert_eq!(client.status(), 3);
}

#[test]
fn a_logout_ends_a_login_in_flight_and_relogin_is_another_one() {
    let mut client = Client::new();
    let first = client.run("Login");
    client.session.log_out();
    assert_eq!(client.status(), 1);
    let second = client.run("Login");
    assert!(!client.session.log_in(first.epoch, None), "the first one came too late");
    client.session.login_failed(first.epoch);
    assert_eq!(client.status(), 2, "and its failure is not that of the second");
    assert!(client.session.log_in(second.epoch, None));
    // What was begun before a logout does not belong to the login after it.
    let joining = client.run("JoinRoom");
    client.session.log_out();
    let third = client.log_in();
    assert!(!client.session.is_logged_in(joining.epoch));
    assert!(client.session.is_logged_in(third));
}

#[test]
fn eight_calls_run_at_once() {
    let mut client = Client::new();
    client.log_in();
    for _ in 0..MAX_IN_FLIGHT {
        assert!(!client.session.is_full());
        client.run("ListVideos");
    }
    assert!(client.session.is_full());
    client.session.finished();
    assert!(!client.session.is_full());
}

#[test]
fn too_many_calls_are_refused_then_the_connection_is() {
    let mut client = Client::new();
    let ping = r#"{"reqFuncName":"GetLoginStatus","operationID":"op-9","data":{}}"#;
    let step = |client: &mut Client| client.session.on_text(ping, client.now, &client.functions);
    for _ in 0..CALL_BURST {
        let Step::Reply(text) = step(&mut client) else { panic!() };
        assert_eq!(parsed(&text)["errCode"], 0);
    }
    for _ in 0..MAX_IGNORED {
        let Step::Reply(text) = step(&mut client) else { panic!() };
        let reply = parsed(&text);
        assert_eq!(reply["errCode"], i64::from(Code::TooManyRequests.entry().number));
        assert_eq!(
            (&reply["event"], &reply["operationID"]),
            (&json!("GetLoginStatus"), &json!("op-9"))
        );
    }
    assert!(matches!(step(&mut client), Step::Close(CloseCode::TooManyCalls, _)));

    // Who waits when told to may go on for ever.
    let mut client = Client::new();
    for _ in 0..500 {
        if let Step::Close(..) = step(&mut client) {
            panic!("closed though it waits");
        }
        client.now += Duration::from_millis(45);
    }
}

#[test]
fn pings_and_bytes_have_bounds_of_their_own() {
    let mut client = Client::new();
    let now = client.now;
    for _ in 0..PING_BURST {
        assert!(client.session.on_ping(now).is_ok());
    }
    assert!(matches!(
        client.session.on_ping(now),
        Err(Step::Close(CloseCode::TooManyCalls, _))
    ));
    // As many calls as may be made, each as large as may be, for a minute.
    let mut client = Client::new();
    for _ in 0..60 * CALLS_PER_SECOND {
        client.now += Duration::from_millis(50);
        assert!(client.session.on_bytes(64 * 1024, client.now).is_ok());
    }
    assert!(matches!(
        client.session.on_bytes(16 << 20, client.now),
        Err(Step::Close(CloseCode::TooManyCalls, _))
    ));
}

#[test]
fn the_user_of_a_frame_is_the_user_of_the_token() {
    let mut client = Client::new();
    client.log_in();
    let own = client.session.owner.user.to_string();
    let mut with = |user: &str| {
        client.frame(&json!({ "reqFuncName": "ListVideos", "operationID": "op", "data": {}, "userID": user }))
    };
    for user in ["", "ann", own.as_str()] {
        assert!(matches!(with(user), Step::Run(_)), "{user}");
    }
    for user in ["bob", "ANN", "0"] {
        let Step::Reply(text) = with(user) else {
            panic!("{user}")
        };
        assert_eq!(parsed(&text)["errCode"], 1001, "{user}");
    }
}

#[test]
fn names_that_are_no_functions() {
    let mut client = Client::new();
    assert_eq!(client.code("NoSuchFunction"), 1001);
    assert_eq!(client.code("GetFriendList"), 1005);
    assert_eq!(client.code("login"), 1001, "names are exact");
    assert!(matches!(
        client.session.on_binary(),
        Step::Close(CloseCode::Envelope, _)
    ));
}

#[test]
fn an_answer_has_the_form_of_its_question_and_events_that_of_the_last_one() {
    let mut client = Client::new();
    let text = json!({ "reqFuncName": "GetLoginStatus", "operationID": "op", "data": "{}" });
    let Step::Reply(reply) = client.frame(&text) else {
        panic!()
    };
    assert_eq!(parsed(&reply)["data"], json!("1"));
    assert_eq!(client.session.form(), DataForm::Text);
    // Without data the form stays.
    let Step::Reply(reply) = client.frame(&json!({ "reqFuncName": "GetLoginStatus", "operationID": "op" })) else {
        panic!()
    };
    assert_eq!(parsed(&reply)["data"], json!("1"));
    let Step::Reply(reply) = client.call("GetLoginStatus") else {
        panic!()
    };
    assert_eq!(parsed(&reply)["data"], json!({ "status": 1 }));
    assert_eq!(client.session.form(), DataForm::Object);
}

#[test]
fn a_call_is_answered_with_its_own_name_number_and_operation() {
    let mut client = Client::new();
    client.log_in();
    let call = client.run("ListVideos");
    let good = parsed(&call.reply(&Ok(r#"{"items":[]}"#.to_owned())));
    assert_eq!(
        good,
        json!({ "event": "ListVideos", "errCode": 0, "errMsg": "", "data": { "items": [] }, "operationID": "op" })
    );
    let bad = parsed(&call.reply(&Err(Refusal::new(1004, "not now"))));
    assert_eq!(
        bad,
        json!({ "event": "ListVideos", "errCode": 1004, "errMsg": "not now", "data": null, "operationID": "op" })
    );
}
