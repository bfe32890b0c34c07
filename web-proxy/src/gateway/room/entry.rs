//! One entry of a room's log as the gateway carries it: the JSON text as it came, and beside it the little that the
//! gateway looks at. What an entry says is never decoded; it passes through byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use common::messages::{RoomEntry, RoomEntryKind};
use serde::{Deserialize, Serialize};

/// The largest number JavaScript counts to without a gap. No room comes near it, and `seq + 1` can't overflow.
pub const MAX_SEQ: i64 = (1 << 53) - 1;

/// Cheap to clone: the texts are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1 to [`MAX_SEQ`].
    pub seq: i64,
    pub kind: RoomEntryKind,
    /// What caused it.
    pub operation: Option<Arc<str>>,
    /// The entry this one takes back; only when kind is `revoked`.
    pub revokes: Option<i64>,
    /// One JSON object: the entry, whole.
    pub raw: Arc<str>,
}

/// Why bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("a room entry that is not UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
    #[error("not a room entry: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("a room entry with seq {0}")]
    Seq(i64),
}

/// All of an entry but its data, which is skipped when read and null when written.
#[derive(Deserialize, Serialize)]
struct Head<'a> {
    #[serde(borrow, rename = "videoID")]
    video: Cow<'a, str>,
    seq: i64,
    kind: RoomEntryKind,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(default, rename = "operationID")]
    operation: Option<Cow<'a, str>>,
    #[serde(skip_deserializing)]
    data: (),
}

/// The part of a `revoked` entry that says what it takes back.
#[derive(Deserialize)]
struct Revocation {
    data: Revoked,
}

#[derive(Deserialize)]
struct Revoked {
    seq: i64,
}

impl Entry {
    /// Reads the head of an entry; never panics, whatever the bytes are.
    pub fn parse(bytes: &[u8]) -> Result<Entry, EntryError> {
        // What the JSON reader skips it does not check for UTF-8, and a text frame must be that.
        let text = std::str::from_utf8(bytes)?;
        let head: Head = serde_json::from_str(text)?;
        if !(1..=MAX_SEQ).contains(&head.seq) {
            return Err(EntryError::Seq(head.seq));
        }
        Ok(Entry {
            seq: head.seq,
            kind: head.kind,
            revokes: revoked_by(head.kind, text),
            operation: head.operation.map(|operation| Arc::from(&*operation)),
            raw: Arc::from(text.trim_ascii()),
        })
    }

    /// An entry that was read typed, from a page of the log.
    pub fn from_typed(entry: &RoomEntry) -> Result<Entry, EntryError> {
        Entry::parse(&serde_json::to_vec(entry)?)
    }

    /// The same entry without what it said: it was taken back.
    #[must_use]
    pub fn blanked(&self) -> Entry {
        let head: Head = serde_json::from_str(&self.raw).expect("parsed when the entry was made");
        let text = serde_json::to_string(&head).expect("a head is plain data");
        Entry {
            raw: text.into(),
            ..self.clone()
        }
    }
}

/// A revocation that doesn't say of what is passed on all the same: it has its place in the order.
fn revoked_by(kind: RoomEntryKind, text: &str) -> Option<i64> {
    let revocation = (kind == RoomEntryKind::Revoked).then(|| serde_json::from_str::<Revocation>(text));
    Some(revocation?.ok()?.data.seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(value: &Value) -> Entry {
        Entry::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_head_is_read_and_the_text_kept_as_it_came() {
        let text = r#" {"data":{"text":"a\u00e4 \"q\" ","seq":"x"}, "videoID":"v","seq":7,"kind":"danmaku","at":"t","operationID":"op\n1","later":[1]}
"#;
        let entry = Entry::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (entry.seq, entry.kind, entry.revokes),
            (7, RoomEntryKind::Danmaku, None)
        );
        assert_eq!(entry.operation.as_deref(), Some("op\n1"));
        assert_eq!(&*entry.raw, text.trim());
    }

    #[test]
    fn an_operation_may_be_null_or_missing() {
        for text in [
            r#"{"videoID":"v","seq":1,"kind":"info","at":"t","operationID":null,"data":null}"#,
            r#"{"videoID":"v","seq":1,"kind":"info","at":"t"}"#,
        ] {
            assert_eq!(Entry::parse(text.as_bytes()).unwrap().operation, None, "{text}");
        }
    }

    #[test]
    fn promise_22_an_entry_of_a_newer_version_keeps_its_place_and_passes_as_it_came() {
        let text = r#"{"videoID":"v","seq":4,"kind":"poll","at":"t","data":{"seq":1,"new":[]},"more":1}"#;
        let entry = Entry::parse(text.as_bytes()).unwrap();
        assert_eq!((entry.seq, entry.kind.name(), entry.revokes), (4, "poll", None));
        assert_eq!(&*entry.raw, text);
        let kind = |entry: Entry| serde_json::from_str::<Value>(&entry.raw).unwrap()["kind"].clone();
        assert_eq!(kind(entry.blanked()), "poll");
        let typed: RoomEntry = serde_json::from_value(json!({
            "videoID": "0123456789ab", "seq": 4, "kind": "poll", "at": "2026-01-01T00:00:00.000Z"
        }))
        .unwrap();
        assert_eq!(kind(Entry::from_typed(&typed).unwrap()), "poll");
    }

    #[test]
    fn malformed_entries_are_errors() {
        let deep = format!(
            r#"{{"videoID":"v","seq":1,"kind":"info","at":"t","data":{}"#,
            "[".repeat(100_000)
        );
        let bad: &[&[u8]] = &[
            b"",
            b"null",
            b"[]",
            b"{}",
            b"\xff\xfe",
            br#"{"videoID":"v","seq":1,"kind":"info","at":"t"} x"#,
            br#"{"videoID":"v","seq":1,"kind":"info","at":"t""#,
            br#"{"videoID":"v","seq":1,"kind":7,"at":"t"}"#,
            br#"{"videoID":"v","seq":"1","kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":1.5,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":0,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":-1,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":9007199254740992,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":99999999999999999999,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":1,"seq":2,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","kind":"info","at":"t"}"#,
            br#"{"videoID":7,"seq":1,"kind":"info","at":"t"}"#,
            br#"{"videoID":"v","seq":1,"kind":"info"}"#,
            b"{\"videoID\":\"v\",\"seq\":1,\"kind\":\"info\",\"at\":\"t\",\"data\":\"\xc3\x28\"}",
            deep.as_bytes(),
        ];
        for bytes in bad {
            assert!(
                Entry::parse(bytes).is_err(),
                "{}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(90)])
            );
        }
    }

    #[test]
    fn data_is_skipped_however_deep_it_is() {
        let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
        let text = format!(r#"{{"videoID":"v","seq":1,"kind":"danmaku","at":"t","data":{open}{close}}}"#);
        let blank = Entry::parse(text.as_bytes()).unwrap().blanked();
        assert_eq!(
            serde_json::from_str::<Value>(&blank.raw).unwrap(),
            json!({"videoID": "v", "seq": 1, "kind": "danmaku", "at": "t", "operationID": null, "data": null})
        );
    }

    #[test]
    fn a_revocation_says_what_it_takes_back() {
        let revocation =
            |data: Value| entry(&json!({"videoID": "v", "seq": 9, "kind": "revoked", "at": "t", "data": data})).revokes;
        assert_eq!(revocation(json!({"id": "x", "kind": "danmaku", "seq": 4})), Some(4));
        assert_eq!(revocation(json!(null)), None);
        assert_eq!(revocation(json!({"id": "x"})), None);
        let not_one = json!({"videoID": "v", "seq": 9, "kind": "comment", "at": "t", "data": {"seq": 4}});
        assert_eq!(entry(&not_one).revokes, None);
    }

    #[test]
    fn a_blanked_entry_keeps_all_but_what_it_said() {
        let value = json!({"videoID": "v\"", "seq": 3, "kind": "comment", "at": "2026-01-01T00:00:00Z",
            "operationID": "ö\u{1}", "data": {"text": "secret"}});
        let blank = entry(&value).blanked();
        let mut expected = value;
        expected["data"] = Value::Null;
        assert_eq!(serde_json::from_str::<Value>(&blank.raw).unwrap(), expected);
        assert_eq!((blank.seq, blank.operation.as_deref()), (3, Some("ö\u{1}")));
        assert_eq!(blank.blanked(), blank);
    }
}
