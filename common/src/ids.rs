//! The ids of the platform's things. A video id appears in links and must not be guessable; every other id is a UUIDv7,
//! whose order is the order of creation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Lower-case Crockford base32: no `i l o u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of a video id: 60 random bits.
const VIDEO_ID_LEN: usize = 12;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a video id is 12 characters of lower-case Crockford base32")]
    Video,
    #[error("the id is a UUID in lower-case hyphenated form")]
    Uuid,
}

/// 12 characters of lower-case Crockford base32, random. Safe as a path segment and as a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(String);

impl VideoId {
    #[must_use]
    pub fn random() -> Self {
        let mut bits: u64 = rand::random();
        let text = (0..VIDEO_ID_LEN).map(|_| {
            let c = ALPHABET[(bits & 31) as usize] as char;
            bits >>= 5;
            c
        });
        VideoId(text.collect())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VideoId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let valid = text.len() == VIDEO_ID_LEN && text.bytes().all(|b| ALPHABET.contains(&b));
        if valid {
            Ok(VideoId(text.to_owned()))
        } else {
            Err(IdError::Video)
        }
    }
}

/// A UUIDv7 in lower-case hyphenated form. The things it names are told apart by where it stands, as in every other API.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    #[must_use]
    pub fn now() -> Self {
        Id(uuid::Uuid::now_v7().to_string())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| IdError::Uuid)?;
        // One id, one spelling: upper case, braces and URNs are other texts.
        if uuid.hyphenated().to_string() == text {
            Ok(Id(text.to_owned()))
        } else {
            Err(IdError::Uuid)
        }
    }
}

macro_rules! text_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl log::kv::ToValue for $name {
            fn to_value(&self) -> log::kv::Value<'_> {
                self.0.as_str().into()
            }
        }
        #[cfg(feature = "db")]
        impl<DB> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for $name
        where
            DB: diesel::backend::Backend,
            String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(String::from_sql(bytes)?.parse::<$name>()?)
            }
        }
        #[cfg(feature = "db")]
        impl<ST, DB> diesel::deserialize::Queryable<ST, DB> for $name
        where
            DB: diesel::backend::Backend,
            ST: diesel::sql_types::SingleValue,
            $name: diesel::deserialize::FromSql<ST, DB>,
        {
            type Row = Self;

            fn build(row: Self) -> diesel::deserialize::Result<Self> {
                Ok(row)
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }
        impl utoipa::ToSchema for $name {}
    };
}

text_id!(VideoId);
text_id!(Id);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_video_ids_parse_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| VideoId::random()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!(id.as_str().parse::<VideoId>().as_ref(), Ok(&id));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "0123456789ab0",
            "0123456789a",
            "0123456789aI",
            "0123456789a/",
            "../../../etc",
            "0123456789A0",
        ] {
            assert_eq!(text.parse::<VideoId>(), Err(IdError::Video), "{text}");
        }
        for text in [
            "",
            "not-a-uuid",
            "0193-",
            "{01890a5d-ac96-774b-bcce-b302099a8057}",
            "01890A5D-AC96-774B-BCCE-B302099A8057",
        ] {
            assert_eq!(text.parse::<Id>(), Err(IdError::Uuid), "{text}");
        }
        assert!(Id::now().as_str().parse::<Id>().is_ok());
    }
}
