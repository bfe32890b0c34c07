//! Where the next page of a list begins: the sort key and id of the last item shown, so that what is inserted or removed
//! meanwhile neither repeats nor hides an item. Opaque to clients; nothing in it is trusted further than as a position.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::error::ApiError;
use common::http::Page;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::input::bad_cursor;

/// Longer texts are refused unread: a title of 200 characters of 4 bytes, escaped and in base64, stays below.
const MAX_CURSOR_LEN: usize = 4096;

/// A position in the list named `list`; a cursor of another list or order is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<K> {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "k")]
    pub key: K,
    #[serde(rename = "i")]
    pub id: String,
}

impl<K: Serialize + DeserializeOwned> Cursor<K> {
    pub fn new(list: &str, key: K, id: impl Into<String>) -> Self {
        Cursor {
            list: list.to_owned(),
            key,
            id: id.into(),
        }
    }

    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a cursor is plain data"))
    }

    pub fn decode(list: &str, text: &str) -> Result<Self, ApiError> {
        if text.len() > MAX_CURSOR_LEN {
            return Err(bad_cursor());
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_cursor())?;
        let cursor: Self = serde_json::from_slice(&json).map_err(|_| bad_cursor())?;
        // PostgreSQL takes no NUL in a text.
        if cursor.list == list && !cursor.id.contains('\0') {
            Ok(cursor)
        } else {
            Err(bad_cursor())
        }
    }
}

/// A page of at most `limit` items out of up to one more: that one tells that the list goes on.
pub fn page<T>(mut items: Vec<T>, limit: i64, position: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(position);
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_in_its_own_list_only() {
        let cursor = Cursor::new("new", 5_i64, "id");
        let text = cursor.encode();
        assert_eq!(Cursor::decode("new", &text).ok(), Some(cursor));
        assert!(Cursor::<i64>::decode("old", &text).is_err());
        assert!(Cursor::<String>::decode("new", &text).is_err());
        for text in ["", "a", "💥", &"a".repeat(5000), &URL_SAFE_NO_PAD.encode("{}")] {
            assert!(Cursor::<i64>::decode("new", text).is_err(), "{text}");
        }
        let nul = Cursor::new("new", 5_i64, "\0").encode();
        assert!(Cursor::<i64>::decode("new", &nul).is_err());
    }
}
