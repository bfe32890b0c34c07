//! Frames of `tests/vectors/envelopes.txt` and the answers' text.

use std::collections::HashSet;

use serde_json::{Value, json};
use web_proxy::gateway::envelope::{BadFrame, DataForm, Refusal, Request, err_code, reply};

const VECTORS: &str = include_str!("../vectors/envelopes.txt");

/// A frame with the line below it.
pub fn vectors() -> Vec<(&'static str, &'static str)> {
    let mut lines = VECTORS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut vectors = Vec::new();
    while let Some(frame) = lines.next() {
        let expected = lines.next().and_then(|line| line.strip_prefix("=> "));
        vectors.push((
            frame,
            expected.unwrap_or_else(|| panic!("nothing is expected of {frame}")),
        ));
    }
    vectors
}

fn shown(form: Option<DataForm>) -> &'static str {
    match form {
        None => "-",
        Some(DataForm::Text) => "text",
        Some(DataForm::Object) => "object",
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        text.replace('\n', "\\n")
    }
}

#[test]
fn every_frame_of_the_table() {
    let vectors = vectors();
    let refused = vectors
        .iter()
        .filter(|(_, expected)| !expected.starts_with("0 "))
        .count();
    assert!(refused >= 60, "{refused}");
    assert_eq!(vectors.iter().collect::<HashSet<_>>().len(), vectors.len());
    for (frame, expected) in vectors {
        let found = match Request::parse(frame) {
            Ok(call) => {
                let minted = expected.ends_with(" *") && call.operation.as_str().len() == 32;
                let operation = if minted { "*" } else { call.operation.as_str() };
                format!("0 {} {} {operation}", call.function, shown(call.form))
            }
            Err(bad) => {
                check_answer(&bad);
                let (code, event, operation) = (bad.refusal.code, or_dash(&bad.event), or_dash(&bad.operation));
                format!("{code} {event} {} {operation}", shown(bad.form))
            }
        };
        assert_eq!(found, expected, "{frame}");
    }
}

/// The answer is JSON with the members of every answer, and its words are a sentence.
fn check_answer(bad: &BadFrame) {
    let message = &bad.refusal.message;
    assert!(message.ends_with('.') && message.len() > 10, "{message}");
    for usual in [DataForm::Text, DataForm::Object] {
        let answer: Value = serde_json::from_str(&bad.reply(usual)).unwrap();
        let data = match bad.form.unwrap_or(usual) {
            DataForm::Text => json!(""),
            DataForm::Object => json!(null),
        };
        let expected = json!({"event": bad.event, "errCode": bad.refusal.code, "errMsg": message, "data": data,
            "operationID": bad.operation});
        assert_eq!(answer, expected);
    }
}

#[test]
fn frames_that_a_line_can_not_hold() {
    for frame in ["", "   ", "\n", "\0", "{\"reqFuncName\":\"Pi\nng\"}", "{\"a\":1}\0"] {
        assert_eq!(
            Request::parse(frame).unwrap_err().refusal.code,
            err_code::FRAME,
            "{frame:?}"
        );
    }
    let spread = "{\r\n  \"reqFuncName\": \"Ping\",\n  \"operationID\": \"a\"\n}\n";
    assert_eq!(Request::parse(spread).unwrap().function, "Ping");
    // The largest frame the socket lets through, in the shapes that cost a parser most.
    let most = 64 * 1024;
    for (begin, again, end) in [
        ("", "[", ""),
        ("{\"x\":", "{\"x\":", ""),
        ("{\"reqFuncName\":\"Ping\",\"data\":\"", "[", "\"}"),
        ("{\"reqFuncName\":\"Ping\",\"x\":[0", ",0", "]"),
        ("{\"reqFuncName\":\"Ping\",\"data\":[0", ",[]", "]}x"),
        ("{\"reqFuncName\":\"Ping\"", ",\"x\":0", ""),
        ("{\"reqFuncName\":\"", "\\u0050", "\"}"),
        ("{\"reqFuncName\":\"Ping\",\"operationID\":\"", "é", "\"}"),
    ] {
        let frame = format!(
            "{begin}{}{end}",
            again.repeat((most - begin.len() - end.len()) / again.len())
        );
        let bad = Request::parse(&frame).unwrap_err();
        check_answer(&bad);
        assert!(
            bad.reply(DataForm::Text).len() < 1_000,
            "a refusal is short, whatever is refused"
        );
    }
}

#[test]
fn refusals_name_the_member_and_what_would_be_right() {
    let check = |frame: &str, expected: &str| {
        assert_eq!(Request::parse(frame).unwrap_err().refusal.message, expected, "{frame}");
    };
    check("{}", "reqFuncName is missing; it names the function, such as \"Ping\".");
    check(r#"{"reqFuncName":5}"#, "reqFuncName: a string.");
    check(r#"{"reqFuncName":"Ping","userID":null}"#, "userID: a string.");
    check(r#"{"reqFuncName":"Ping","batch":"1"}"#, "batch: 0 or 1.");
    check(r#"{"reqFuncName":"Ping","batchMsg":2}"#, "batchMsg: 0 or 1.");
    check(
        r#"{"reqFuncName":"Ping","data":5}"#,
        "data: an object, an array, null, or a string that holds JSON.",
    );
    check(
        r#"{"reqFuncName":"Ping","operationID":"a","operationID":"b"}"#,
        "operationID stands more than once.",
    );
    check(
        r#"{"reqFuncName":"Ping","operationID":"a b"}"#,
        "operationID: 1 to 64 characters of A-Z a-z 0-9 . _ -, or no such member.",
    );
    check(
        "[]",
        r#"The frame is JSON, but not an object like {"reqFuncName":"Ping","operationID":"1","data":""}."#,
    );
    check(
        "{",
        "The frame is not JSON: EOF while parsing an object at line 1 column 1.",
    );
}

#[test]
fn the_data_is_the_text_that_was_sent() {
    let check = |frame: &str, data: &str, form: Option<DataForm>| {
        let call = Request::parse(frame).unwrap();
        assert_eq!((call.data.as_str(), call.form), (data, form), "{frame}");
    };
    let (text, object) = (Some(DataForm::Text), Some(DataForm::Object));
    check(r#"{"reqFuncName":"F"}"#, "", None);
    check(r#"{"reqFuncName":"F","data":""}"#, "", text);
    check(r#"{"reqFuncName":"F","data":null}"#, "", object);
    check(r#"{"reqFuncName":"F","data":"{\"a\":\"\\n\"}"}"#, r#"{"a":"\n"}"#, text);
    check(r#"{"reqFuncName":"F","data": {"a" : 1.0} }"#, r#"{"a" : 1.0}"#, object);
    let call = Request::parse(r#"{"reqFuncName":"F","userID":"ann","batch":0}"#).unwrap();
    assert_eq!((call.user.as_deref(), call.batch), (Some("ann"), Some(false)));
}

#[test]
fn answers_keep_the_order_of_members_and_the_form() {
    let check = |form: DataForm, data: &str, expected: &str| {
        let text = reply("GetVideo", 0, "", data, "op-1", form);
        let around = (
            r#"{"event":"GetVideo","errCode":0,"errMsg":"","data":"#,
            r#","operationID":"op-1"}"#,
        );
        assert_eq!(text, format!("{}{expected}{}", around.0, around.1));
        serde_json::from_str::<Value>(&text).unwrap();
    };
    check(DataForm::Object, r#"{"a":[1]}"#, r#"{"a":[1]}"#);
    check(DataForm::Text, r#"{"a":["\n"]}"#, r#""{\"a\":[\"\\n\"]}""#);
    check(DataForm::Object, r#""ok""#, r#""ok""#);
    check(DataForm::Text, r#""ok""#, r#""ok""#);
    check(DataForm::Object, "3", "3");
    check(DataForm::Text, "3", r#""3""#);
    check(DataForm::Object, "", "null");
    check(DataForm::Text, "", r#""""#);
    check(DataForm::Object, "null", "null");
    check(DataForm::Text, "null", r#""""#);
    assert_eq!(
        reply("F", 2004, "no \"x\"\n", "", "", DataForm::Object),
        r#"{"event":"F","errCode":2004,"errMsg":"no \"x\"\n","data":null,"operationID":""}"#
    );
    let refusal = Refusal::of(common::error::Code::Overloaded, "busy");
    assert_eq!((refusal.code, refusal.message.as_str()), (2027, "busy"));
}
