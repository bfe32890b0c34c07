//! Reads the data of a call into its type. A refusal names the member and says what would be right; it shows nothing of
//! what was sent, which may be a token.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::{Path, Segment};

use crate::gateway::envelope::Refusal;

/// The data of a call as `T`; no data and null are an empty object. Refusals are 1001.
pub fn read<T: DeserializeOwned>(data: &str) -> Result<T, Refusal> {
    let data = match data.trim_ascii() {
        "" | "null" => "{}",
        data => data,
    };
    let mut json = serde_json::Deserializer::from_str(data);
    let parsed = serde_path_to_error::deserialize(&mut json);
    match parsed {
        // serde takes an array for a struct, member by member: nobody means that.
        Ok(_) if !data.starts_with('{') => Err(not_an_object()),
        Ok(value) => json.end().map(|()| value).map_err(|_| not_json()),
        // serde_json calls an array where a word is expected a mistake of the syntax.
        Err(error) if !error.inner().is_data() => match serde_json::from_str::<IgnoredAny>(data) {
            Ok(_) => Err(refused_at(error.path(), "not a value of this member")),
            Err(_) => Err(not_json()),
        },
        Err(_) if !data.starts_with('{') => Err(not_an_object()),
        Err(error) => Err(wrong(error.path(), &error.inner().to_string())),
    }
}

/// 1001 for the member at `path`, such as `usernames`.
pub fn refused(path: &str, right: &str) -> Refusal {
    Refusal::bad_parameter(format!("data.{path}: {right}."))
}

fn not_json() -> Refusal {
    Refusal::bad_parameter("data: not JSON; the function takes an object.")
}

fn not_an_object() -> Refusal {
    Refusal::bad_parameter("data: the function takes an object.")
}

fn refused_at(path: &Path, right: &str) -> Refusal {
    Refusal::bad_parameter(format!("data{}: {right}.", place(path)))
}

/// serde's words in ours.
fn wrong(path: &Path, text: &str) -> Refusal {
    let text = text.split(" at line ").next().unwrap_or(text);
    let (at, named) = (place(path), text.split('`').nth(1).unwrap_or_default());
    if text.starts_with("missing field") {
        return Refusal::bad_parameter(format!("data{at}.{named} is missing."));
    }
    if text.starts_with("duplicate field") {
        return Refusal::bad_parameter(format!("data{at}.{named} stands more than once."));
    }
    if text.starts_with("unknown field") {
        let known = text.rsplit_once(", expected ").map(|(_, known)| known);
        let known = known.map_or("it takes none".to_owned(), |known| format!("known: {known}"));
        return Refusal::bad_parameter(format!("data{}: there is no such member; {known}.", parent(path)));
    }
    let right = match text.rsplit_once(", expected ") {
        Some((_, expected)) => expectation(expected),
        None => text,
    };
    refused_at(path, right)
}

/// serde names Rust's types.
fn expectation(expected: &str) -> &str {
    match expected {
        "u32" | "u64" | "i64" => "a whole number, 0 or more",
        "a sequence" => "an array",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    }
}

/// `.rooms[2].videoID`; empty for the data itself.
fn place(path: &Path) -> String {
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => place.push_str(&format!("[{index}]")),
            Segment::Map { key } => place.push_str(&format!(".{key}")),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    place
}

/// Where an unknown member stands: its name is the client's own text, of any length.
fn parent(path: &Path) -> String {
    let place = place(path);
    place
        .rsplit_once('.')
        .map_or(String::new(), |(parent, _)| parent.to_owned())
}
