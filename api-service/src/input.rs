//! Bodies and queries that more than one handler takes apart.

use common::error::{ApiError, Code};
use common::http::{DEFAULT_LIMIT, MAX_LIMIT};
use serde::{Deserialize, Deserializer};

/// A member of a PATCH body (RFC 7396): not there, `null`, or a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<T> Patch<T> {
    /// The new value where `null` means "back to `default`".
    pub fn or_default(self, default: T) -> Option<T> {
        match self {
            Patch::Absent => None,
            Patch::Null => Some(default),
            Patch::Value(value) => Some(value),
        }
    }

    /// The new value of a member that can't be taken away.
    pub fn required(self) -> Result<Option<T>, String> {
        match self {
            Patch::Absent => Ok(None),
            Patch::Null => Err("can be changed, but not removed: it may not be null".into()),
            Patch::Value(value) => Ok(Some(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Patch::Null, Patch::Value))
    }
}

/// `?cursor=&limit=` of every list.
#[derive(Debug, Default, Deserialize)]
pub struct Paging {
    pub cursor: Option<String>,
    pub limit: Option<u32>,
}

impl Paging {
    /// 1 to 100, 20 when not named.
    pub fn limit(&self) -> Result<i64, ApiError> {
        self.limit_of(DEFAULT_LIMIT, MAX_LIMIT)
    }

    /// The same for a list with bounds of its own.
    pub fn limit_of(&self, default: u32, most: u32) -> Result<i64, ApiError> {
        match self.limit.unwrap_or(default) {
            limit if (1..=most).contains(&limit) => Ok(i64::from(limit)),
            _ => Err(ApiError::invalid("/limit", format!("1 to {most}"))),
        }
    }
}

/// The failure for a cursor that this list did not give out.
pub fn bad_cursor() -> ApiError {
    ApiError::new(Code::BadRequest, "The cursor is not one of this list.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        title: Patch<String>,
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        let check = |json: &str, expected: Patch<String>| {
            assert_eq!(serde_json::from_str::<Body>(json).unwrap().title, expected, "{json}");
        };
        check("{}", Patch::Absent);
        check(r#"{"title":null}"#, Patch::Null);
        check(r#"{"title":"x"}"#, Patch::Value("x".into()));
    }
}
