//! Keys in the bucket: `<prefix><first two characters of the video>/<video>/<object>` as on a disk, and beside an object that is
//! being received its tails, `<object>.tail-<id>`.

use crate::store::ObjectKey;
use common::ids::{Id, VideoId};

/// Between the name of an object and what sets one of its tails apart.
const TAIL: &str = ".tail-";

/// What lies under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Object(ObjectKey),
    Tail(ObjectKey),
    /// In the place of a video and no name of ours.
    Stray,
}

#[derive(Clone, Debug)]
pub struct Names {
    /// Empty, or ends with `/`.
    prefix: String,
}

impl Names {
    pub fn new(prefix: &str) -> Self {
        let trimmed = prefix.trim_matches('/');
        let prefix = if trimmed.is_empty() {
            String::new()
        } else {
            format!("{trimmed}/")
        };
        Self { prefix }
    }

    pub fn root(&self) -> &str {
        &self.prefix
    }

    /// With the slash at its end.
    pub fn group(&self, group: &str) -> String {
        format!("{}{group}/", self.prefix)
    }

    /// With the slash at its end.
    pub fn video(&self, video: &VideoId) -> String {
        format!("{}{}/{video}/", self.prefix, &video.as_str()[..2])
    }

    pub fn object(&self, key: &ObjectKey) -> String {
        format!("{}{}", self.video(&key.video), key.object)
    }

    pub fn tail(&self, key: &ObjectKey, name: &str) -> String {
        format!("{}{TAIL}{name}", self.object(key))
    }

    /// What all tails of an object begin with.
    pub fn tails(&self, key: &ObjectKey) -> String {
        self.tail(key, "")
    }

    /// What a key stands for; `None` when it is not in the place of a video: then it is none of our business.
    pub fn read(&self, key: &str) -> Option<Named> {
        let path = key.strip_prefix(&self.prefix)?;
        let (group, rest) = path.split_once('/')?;
        let (video, name) = rest.split_once('/')?;
        let video: VideoId = video.parse().ok()?;
        if group != &video.as_str()[..2] {
            return None;
        }
        let (object, tail) = name
            .split_once(TAIL)
            .map_or((name, false), |(object, _)| (object, true));
        Some(match object.parse::<Id>() {
            Ok(object) if tail => Named::Tail(ObjectKey { video, object }),
            Ok(object) => Named::Object(ObjectKey { video, object }),
            Err(_) => Named::Stray,
        })
    }

    /// A key without the prefix.
    pub fn path<'a>(&self, key: &'a str) -> &'a str {
        key.strip_prefix(&self.prefix).unwrap_or(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_read_back_and_what_is_not_ours_is_not() {
        let key = ObjectKey {
            video: "0abcdefghjkm".parse().unwrap(),
            object: Id::now(),
        };
        for prefix in ["", "media", "/a/b/"] {
            let names = Names::new(prefix);
            assert_eq!(names.read(&names.object(&key)), Some(Named::Object(key.clone())));
            assert_eq!(names.read(&names.tail(&key, "x")), Some(Named::Tail(key.clone())));
            let stray = format!("{}notes.txt", names.video(&key.video));
            assert_eq!(names.read(&stray), Some(Named::Stray));
            for foreign in ["0a/readme", "readme", "zz/0abcdefghjkm/x", "0a/short/x", ""] {
                assert_eq!(names.read(&format!("{}{foreign}", names.root())), None, "{foreign}");
            }
        }
        assert_eq!(Names::new("a").read(&Names::new("b").object(&key)), None);
        assert_eq!(
            Names::new("/a/").object(&key),
            format!("a/0a/0abcdefghjkm/{}", key.object)
        );
    }
}
