//! What a frame says. A message that goes to 5,000 subscribers is the same bytes 5,000 times: the first copy is read as
//! JSON, the others are recognised by comparing them with it, so that reading costs a hash and a comparison and allocates
//! nothing.

use std::collections::HashMap;

use serde_json::Value;

use super::latency;

/// Rooms one connection of the bench may be in.
pub const ROOMS: usize = 3;

const SLOTS: usize = 1024;

/// Room and number, as many as a login names.
pub type Heads = [(u16, u32); ROOMS];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    /// `OnConnectSuccess`.
    Connected,
    /// The answer to Login: where each room stands. Unused places are of room `u16::MAX`.
    LoggedIn(Heads),
    /// Entries of one room, dense from `first` to `last`; `sent` is the time the oldest bears.
    Entries {
        room: u16,
        first: u32,
        last: u32,
        sent: Option<u64>,
    },
    /// An errCode that is not 0.
    Refused(i64),
    /// Counts, heartbeats.
    Other,
    /// Not JSON of this shape, or entries that are not dense.
    Wrong,
}

struct Slot {
    hash: u64,
    payload: Vec<u8>,
    said: Said,
}

/// The messages read lately and the names of the rooms.
pub struct Reader {
    slots: Vec<Slot>,
    rooms: HashMap<String, u16>,
}

impl Reader {
    pub fn new() -> Self {
        let empty = || Slot {
            hash: 0,
            payload: Vec::new(),
            said: Said::Other,
        };
        Reader {
            slots: std::iter::repeat_with(empty).take(SLOTS).collect(),
            rooms: HashMap::new(),
        }
    }

    /// The number of a room, given when it is first named.
    pub fn room(&mut self, name: &str) -> u16 {
        let next = u16::try_from(self.rooms.len()).expect("fewer than 65,536 rooms");
        *self.rooms.entry(name.to_owned()).or_insert(next)
    }

    pub fn read(&mut self, payload: &[u8]) -> Said {
        let hash = hash(payload);
        let slots = self.slots.len() as u64;
        let at = usize::try_from(hash % slots).expect("less than the slots");
        let slot = &self.slots[at];
        if slot.hash == hash && slot.payload == payload {
            return slot.said;
        }
        let said = self.parse(payload).unwrap_or(Said::Wrong);
        let slot = &mut self.slots[at];
        slot.hash = hash;
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        slot.said = said;
        said
    }

    fn parse(&mut self, payload: &[u8]) -> Option<Said> {
        let frame: Value = serde_json::from_slice(payload).ok()?;
        let code = frame["errCode"].as_i64()?;
        if code != 0 {
            return Some(Said::Refused(code));
        }
        let data = &frame["data"];
        Some(match frame["event"].as_str()? {
            "OnConnectSuccess" => Said::Connected,
            "Login" => self.heads(data)?,
            "OnRecvNewMessages" => self.entries(data.as_array()?)?,
            "OnRecvDanmaku" | "OnRecvComment" | "OnMessageRevoked" => self.entries(std::slice::from_ref(data))?,
            _ => Said::Other,
        })
    }

    fn heads(&mut self, data: &Value) -> Option<Said> {
        let mut heads = [(u16::MAX, 0); ROOMS];
        let rooms = data["rooms"].as_array().map_or([].as_slice(), Vec::as_slice);
        for (place, room) in heads.iter_mut().zip(rooms) {
            let code = room["errCode"].as_i64()?;
            if code != 0 {
                return Some(Said::Refused(code));
            }
            *place = (self.room(room["videoID"].as_str()?), number(&room["seq"])?);
        }
        Some(Said::LoggedIn(heads))
    }

    fn entries(&mut self, entries: &[Value]) -> Option<Said> {
        let oldest = entries.first()?;
        let (name, first) = (oldest["videoID"].as_str()?, number(&oldest["seq"])?);
        let mut last = first;
        for entry in &entries[1..] {
            last += 1;
            if entry["videoID"] != name || number(&entry["seq"])? != last {
                return Some(Said::Wrong);
            }
        }
        let sent = oldest["data"]["text"].as_str().and_then(latency::sent);
        let room = self.room(name);
        Some(Said::Entries {
            room,
            first,
            last,
            sent,
        })
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// Good enough to find a slot; the comparison decides.
fn hash(payload: &[u8]) -> u64 {
    let (words, rest) = payload.as_chunks::<8>();
    let tail = rest
        .iter()
        .fold(payload.len() as u64, |tail, byte| tail << 8 ^ u64::from(*byte));
    words
        .iter()
        .fold(tail, |hash, word| {
            (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95)
        })
        .rotate_left(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u32) -> String {
        format!(r#"{{"videoID":"v","seq":{seq},"kind":"comment","data":{{"text":"@7@ x"}}}}"#)
    }

    fn event(name: &str, data: &str) -> Vec<u8> {
        format!(r#"{{"event":"{name}","errCode":0,"errMsg":"","data":{data},"operationID":""}}"#).into_bytes()
    }

    #[test]
    fn entries_are_read_alike_the_first_and_the_second_time() {
        let mut reader = Reader::new();
        let one = event("OnRecvComment", &entry(4));
        let expected = Said::Entries {
            room: 0,
            first: 4,
            last: 4,
            sent: Some(7),
        };
        assert_eq!((reader.read(&one), reader.read(&one)), (expected, expected));
    }

    #[test]
    fn a_batch_must_be_dense() {
        let mut reader = Reader::new();
        let batch = |a, b| event("OnRecvNewMessages", &format!("[{},{}]", entry(a), entry(b)));
        let expected = Said::Entries {
            room: 0,
            first: 4,
            last: 5,
            sent: Some(7),
        };
        assert_eq!(reader.read(&batch(4, 5)), expected);
        assert_eq!(reader.read(&batch(4, 6)), Said::Wrong);
    }

    #[test]
    fn a_login_tells_where_the_rooms_stand() {
        let mut reader = Reader::new();
        let answer = event(
            "Login",
            r#"{"rooms":[{"videoID":"v","errCode":0,"errMsg":"","seq":9}]}"#,
        );
        let none = (u16::MAX, 0);
        assert_eq!(reader.read(&answer), Said::LoggedIn([(0, 9), none, none]));
        let refused = event("Login", r#"{"rooms":[{"videoID":"v","errCode":1004,"errMsg":"x"}]}"#);
        assert_eq!(reader.read(&refused), Said::Refused(1004));
    }
}
