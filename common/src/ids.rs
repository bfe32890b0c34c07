//! The ids of the platform's things. A video id appears in links and must not be guessable; every other id is a UUIDv7,
//! whose order is the order of creation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Lower-case Crockford base32: no `i l o u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 60 random bits.
const VIDEO_ID_LEN: usize = 12;

/// Characters of a UUID.
const ID_LEN: usize = 36;

/// A text of `N` characters of ASCII in place: ids are copied at every turn, and must cost nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ascii<const N: usize>([u8; N]);

impl<const N: usize> Ascii<N> {
    fn new(text: &str) -> Option<Self> {
        let text = text.is_ascii().then_some(text)?;
        text.as_bytes().try_into().ok().map(Ascii)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is made of ASCII only")
    }
}

const IS_OF_ALPHABET: [bool; 256] = {
    let (mut is, mut at) = ([false; 256], 0);
    while at < ALPHABET.len() {
        is[ALPHABET[at] as usize] = true;
        at += 1;
    }
    is
};

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
pub struct VideoId(Ascii<VIDEO_ID_LEN>);

impl VideoId {
    /// Characters of each.
    pub const LENGTH: usize = VIDEO_ID_LEN;

    #[must_use]
    pub fn random() -> Self {
        let bits: u64 = rand::random();
        VideoId(Ascii(std::array::from_fn(|at| {
            ALPHABET[(bits >> (5 * at) & 31) as usize]
        })))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for VideoId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Ascii::new(text)
            .filter(|text| text.0.iter().all(|byte| IS_OF_ALPHABET[usize::from(*byte)]))
            .map(VideoId)
            .ok_or(IdError::Video)
    }
}

/// A UUIDv7 in lower-case hyphenated form. The things it names are told apart by where it stands, as in every other API.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Ascii<ID_LEN>);

impl Id {
    #[must_use]
    pub fn now() -> Self {
        Id::of(uuid::Uuid::now_v7())
    }

    fn of(uuid: uuid::Uuid) -> Self {
        let mut text = [0; ID_LEN];
        uuid.hyphenated().encode_lower(&mut text);
        Id(Ascii(text))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let id = Id::of(uuid::Uuid::try_parse(text).map_err(|_| IdError::Uuid)?);
        // One id, one spelling: upper case, braces and URNs are other texts.
        if id.as_str() == text {
            Ok(id)
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
                id.as_str().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl log::kv::ToValue for $name {
            fn to_value(&self) -> log::kv::Value<'_> {
                self.as_str().into()
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
