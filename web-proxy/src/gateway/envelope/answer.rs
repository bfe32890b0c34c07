//! Answers and events as text, their members in the order of the original.

use super::DataForm;

/// Bytes of an answer around its name, message and data.
const FRAME: usize = 80;

/// One answer or event. `data` is one JSON text, or empty for none.
///
/// In the object form data is itself, and none is null. In the text form data is a string that holds the JSON; a JSON
/// string is that string, and none and null are the empty one: so the original writes `ok` and its other plain answers.
#[must_use]
pub fn reply(event: &str, code: u16, message: &str, data: &str, operation: &str, form: DataForm) -> String {
    let mut text = String::with_capacity(FRAME + event.len() + message.len() + data.len() * 9 / 8 + operation.len());
    text.push_str(r#"{"event":"#);
    push_string(&mut text, event);
    text.push_str(r#","errCode":"#);
    text.push_str(&code.to_string());
    text.push_str(r#","errMsg":"#);
    push_string(&mut text, message);
    text.push_str(r#","data":"#);
    push_data(&mut text, data, form);
    text.push_str(r#","operationID":"#);
    push_string(&mut text, operation);
    text.push('}');
    text
}

fn push_data(text: &mut String, data: &str, form: DataForm) {
    match (form, data) {
        (DataForm::Object, "") => text.push_str("null"),
        (DataForm::Text, "" | "null") => text.push_str(r#""""#),
        (DataForm::Text, data) if !data.starts_with('"') => push_string(text, data),
        (_, data) => text.push_str(data),
    }
}

fn push_string(text: &mut String, value: &str) {
    text.push_str(&serde_json::to_string(value).expect("a string is plain data"));
}
