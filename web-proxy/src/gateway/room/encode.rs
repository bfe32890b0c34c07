//! Entries as WebSocket frames. A flush is encoded once in each form that somebody needs, and the bytes are shared by all
//! who get it: what a subscriber costs is one pointer.

use std::cell::OnceCell;
use std::sync::Arc;

use common::ids::VideoId;
use common::messages::RoomEntryKind;

use super::entry::Entry;
use crate::gateway::envelope::DataForm;
use crate::gateway::frame::{self, Opcode};

/// Whole frames, ready for a socket, shared.
pub type Frames = Arc<[u8]>;

/// Entries of a frame of `OnRecvNewMessages`.
pub const BATCH_ENTRIES: usize = 50;

/// Bytes of its payload. One entry that is larger goes alone.
pub const BATCH_BYTES: usize = 16 * 1024;

/// What a member asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub data: DataForm,
    /// `batchMsg: 1`: `OnRecvNewMessages` for all kinds.
    pub batch: bool,
}

impl Form {
    const COUNT: usize = 4;

    const fn index(self) -> usize {
        self.data as usize * 2 + self.batch as usize
    }
}

/// Entries that go out together, in order.
#[derive(Debug)]
pub struct Flush {
    entries: Vec<Entry>,
    encoded: [OnceCell<Frames>; Form::COUNT],
}

impl Flush {
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Flush {
        Flush {
            entries,
            encoded: Default::default(),
        }
    }

    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All memberships end with it. A closing entry is always the last one.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.entries
            .last()
            .is_some_and(|entry| entry.kind == RoomEntryKind::Closed)
    }

    /// The frames in this form; encoded by the first who asks.
    pub fn frames(&self, form: Form) -> &Frames {
        self.encoded[form.index()].get_or_init(|| {
            if form.batch {
                batch(&self.entries, form.data).into()
            } else {
                single(&self.entries, form.data).into()
            }
        })
    }
}

/// The entries as one JSON array, for the answer to a join.
#[must_use]
pub fn array(entries: &[Entry]) -> String {
    let texts: Vec<&str> = entries.iter().map(|entry| &*entry.raw).collect();
    format!("[{}]", texts.join(","))
}

/// `OnRoomMemberCount`; `seq` is the newest number that was sent to this room's members.
#[must_use]
pub fn member_count(video: &VideoId, count: usize, seq: i64, form: DataForm) -> Frames {
    let data = serde_json::json!({ "videoID": video, "count": count, "seq": seq });
    event("OnRoomMemberCount", &data.to_string(), "", form)
}

/// One event as a frame. `data` is JSON text.
#[must_use]
pub fn event(name: &str, data: &str, operation: &str, form: DataForm) -> Frames {
    let mut out = Vec::with_capacity(data.len() + operation.len() + 128);
    let mut payload = Vec::with_capacity(out.capacity());
    write_event(name, data, operation, form, &mut payload);
    frame::encode(Opcode::Text, &payload, &mut out);
    out.into()
}

const fn event_name(kind: RoomEntryKind) -> &'static str {
    match kind {
        RoomEntryKind::Danmaku => "OnRecvDanmaku",
        RoomEntryKind::Comment => "OnRecvComment",
        RoomEntryKind::Revoked => "OnMessageRevoked",
        RoomEntryKind::Info => "OnRoomInfoChanged",
        RoomEntryKind::Closed => "OnRoomClosed",
        RoomEntryKind::Newer(_) => "OnRoomEntry",
    }
}

/// One frame per entry.
fn single(entries: &[Entry], form: DataForm) -> Vec<u8> {
    let size: usize = entries.iter().map(|entry| entry.raw.len() + 160).sum();
    let mut out = Vec::with_capacity(size);
    let mut payload = Vec::new();
    for entry in entries {
        payload.clear();
        write_event(event_name(entry.kind), &entry.raw, operation(entry), form, &mut payload);
        frame::encode(Opcode::Text, &payload, &mut out);
    }
    out
}

/// As few frames as the limits allow.
fn batch(entries: &[Entry], form: DataForm) -> Vec<u8> {
    let (open, close) = match form {
        DataForm::Object => ("[", "]"),
        DataForm::Text => ("\"[", "]\""),
    };
    let size: usize = entries.iter().map(|entry| entry.raw.len() + 32).sum();
    let mut out = Vec::with_capacity(size + 256);
    let (mut payload, mut piece, mut end) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for entry in entries {
        piece.clear();
        match form {
            DataForm::Object => piece.extend_from_slice(entry.raw.as_bytes()),
            DataForm::Text => {
                write_string(&entry.raw, &mut piece);
                // Without its quotes: it is a part of the string.
                piece.pop();
                piece.remove(0);
            }
        }
        let mut next_end = Vec::with_capacity(64);
        next_end.extend_from_slice(close.as_bytes());
        write_end(operation(entry), &mut next_end);
        let full = count == BATCH_ENTRIES || payload.len() + 1 + piece.len() + next_end.len() > BATCH_BYTES;
        if count > 0 && full {
            payload.append(&mut end);
            frame::encode(Opcode::Text, &payload, &mut out);
            payload.clear();
            count = 0;
        }
        if count == 0 {
            write_start("OnRecvNewMessages", &mut payload);
            payload.extend_from_slice(open.as_bytes());
        } else {
            payload.push(b',');
        }
        payload.append(&mut piece);
        count += 1;
        end = next_end;
    }
    if count > 0 {
        payload.append(&mut end);
        frame::encode(Opcode::Text, &payload, &mut out);
    }
    out
}

fn operation(entry: &Entry) -> &str {
    entry.operation.as_deref().unwrap_or_default()
}

fn write_event(name: &str, data: &str, operation: &str, form: DataForm, payload: &mut Vec<u8>) {
    write_start(name, payload);
    match form {
        DataForm::Object => payload.extend_from_slice(data.as_bytes()),
        DataForm::Text => write_string(data, payload),
    }
    write_end(operation, payload);
}

fn write_start(name: &str, payload: &mut Vec<u8>) {
    payload.extend_from_slice(br#"{"event":"#);
    write_string(name, payload);
    payload.extend_from_slice(br#","errCode":0,"errMsg":"","data":"#);
}

fn write_end(operation: &str, payload: &mut Vec<u8>) {
    payload.extend_from_slice(br#","operationID":"#);
    write_string(operation, payload);
    payload.push(b'}');
}

fn write_string(text: &str, payload: &mut Vec<u8>) {
    serde_json::to_writer(payload, text).expect("a string is JSON and a Vec takes it");
}

#[cfg(test)]
pub(super) mod tests;
