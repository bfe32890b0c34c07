//! What the fuzz target `envelope` does with its input, as a plain function: the tests of web-proxy run it over the corpus
//! and over mutations of it on stable Rust. What is taken for a call says what an ordinary JSON parser reads in the frame;
//! what is refused gets an answer that is JSON and short.

use serde::de::IgnoredAny;
use serde_json::{Value, from_str, json};
use web_proxy::gateway::envelope::{BadFrame, DataForm, Request, reply};

/// Text of any kind; bytes that are not UTF-8 never get past the frames.
pub fn envelope(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        match Request::parse(text) {
            Ok(call) => taken(text, &call),
            Err(bad) => refused(&bad),
        }
    }
}

fn taken(text: &str, call: &Request) {
    assert!((1..=64).contains(&call.function.len()), "{text}");
    let operation = call.operation.as_str();
    assert!((1..=64).contains(&operation.len()) && operation.is_ascii(), "{text}");
    from_str::<IgnoredAny>(text).expect("what is taken is JSON");
    // Numbers that fit no type are skipped by the envelope and refused by `Value`.
    if let Ok(frame) = from_str::<Value>(text) {
        assert_eq!(frame["reqFuncName"], json!(call.function), "{text}");
        assert_eq!(
            frame.get("userID"),
            call.user.as_ref().map(|user| json!(user)).as_ref(),
            "{text}"
        );
        assert!(frame.get("operationID").is_none_or(|id| id == operation), "{text}");
        match call.form {
            None => assert_eq!(frame.get("data"), None, "{text}"),
            Some(DataForm::Text) => assert_eq!(frame["data"], json!(call.data), "{text}"),
            Some(DataForm::Object) if call.data.is_empty() => assert_eq!(frame["data"], Value::Null, "{text}"),
            Some(DataForm::Object) => assert_eq!(frame["data"], from_str::<Value>(&call.data).unwrap(), "{text}"),
        }
    }
    assert_eq!(Request::parse(&written_again(call)).as_ref(), Ok(call), "{text}");
    if from_str::<Value>(&call.data).is_ok() {
        for form in [DataForm::Text, DataForm::Object] {
            let answer = reply(&call.function, 0, "", &call.data, operation, form);
            let answer: Value = from_str(&answer).expect("an answer is JSON");
            assert_eq!(
                (&answer["event"], &answer["operationID"]),
                (&json!(call.function), &json!(operation))
            );
        }
    }
}

/// The call as a frame of its own, its members in another order.
fn written_again(call: &Request) -> String {
    let data = match (call.form, call.data.as_str()) {
        (None, _) => String::new(),
        (Some(DataForm::Text), data) => format!(",\"data\":{}", json!(data)),
        (Some(DataForm::Object), "") => ",\"data\":null".to_owned(),
        (Some(DataForm::Object), data) => format!(",\"data\":{data}"),
    };
    let batch = call
        .batch
        .map(|batch| format!(",\"batch\":{}", u8::from(batch)))
        .unwrap_or_default();
    let user = call
        .user
        .as_ref()
        .map(|user| format!(",\"userID\":{}", json!(user)))
        .unwrap_or_default();
    let (function, operation) = (json!(call.function), json!(call.operation.as_str()));
    format!("{{\"operationID\":{operation}{user}{batch}{data},\"reqFuncName\":{function}}}")
}

fn refused(bad: &BadFrame) {
    let code = bad.refusal.code;
    assert!(code == 100 || code == 1001, "{code}");
    for usual in [DataForm::Text, DataForm::Object] {
        let answer = bad.reply(usual);
        assert!(answer.len() < 4096, "a refusal is short: {answer}");
        let answer: Value = from_str(&answer).expect("an answer is JSON");
        let (event, operation) = (json!(bad.event), json!(bad.operation));
        assert_eq!((&answer["event"], &answer["operationID"]), (&event, &operation));
        assert_eq!(
            (&answer["errCode"], &answer["errMsg"]),
            (&json!(code), &json!(bad.refusal.message))
        );
    }
}
