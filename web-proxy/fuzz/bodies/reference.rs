//! RFC 6455 decoded as naively as can be: everything in memory, byte by byte, no state but the loop's. It shares no line
//! with the codec, so that a mistake has to be made twice to stay unseen.

/// What came out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, Vec<u8>)>),
    Error(u16),
    /// Something is half received at the end.
    Pending,
}

/// Decodes everything a client has sent so far.
pub fn decode(bytes: &[u8], max_message: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let mut message: Option<(bool, Vec<u8>)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let frame = match frame(
            &bytes[at..],
            message.as_ref().map(|(_, bytes)| bytes.len()),
            max_message,
        ) {
            Ok(frame) => frame,
            Err(last) => {
                events.push(last);
                return events;
            }
        };
        at += frame.size;
        if frame.opcode >= 8 {
            match control(&frame) {
                Some(event) => events.push(event),
                None => {
                    events.push(Event::Pending);
                    return events;
                }
            }
            if matches!(events.last(), Some(Event::Close(_) | Event::Error(_))) {
                return events;
            }
            continue;
        }
        let (is_text, so_far) = message.get_or_insert_with(|| (frame.opcode == 1, Vec::new()));
        so_far.extend(&frame.payload);
        let verdict = if *is_text { utf8(so_far) } else { Utf8::Valid };
        let ends = frame.fin && frame.complete;
        if verdict == Utf8::Invalid || (ends && verdict == Utf8::Incomplete) {
            events.push(Event::Error(1007));
            return events;
        }
        if ends {
            events.extend(
                message
                    .take()
                    .map(|(is_text, all)| if is_text { Event::Text(all) } else { Event::Binary(all) }),
            );
        }
    }
    if message.is_some() {
        events.push(Event::Pending);
    }
    events
}

struct Frame {
    fin: bool,
    opcode: u8,
    /// What there is of it.
    payload: Vec<u8>,
    complete: bool,
    size: usize,
}

/// Reads one frame; the error is what ends the stream.
fn frame(bytes: &[u8], open: Option<usize>, max_message: usize) -> Result<Frame, Event> {
    let byte = |at: usize| bytes.get(at).copied().ok_or(Event::Pending);
    let wrong = |is_wrong: bool, code: u16| if is_wrong { Err(Event::Error(code)) } else { Ok(()) };
    let (fin, reserved, opcode) = (byte(0)? >= 128, byte(0)? / 16 % 8, byte(0)? % 16);
    wrong(reserved != 0, 1002)?;
    wrong(![0, 1, 2, 8, 9, 10].contains(&opcode), 1002)?;
    wrong(opcode == 0 && open.is_none(), 1002)?;
    wrong((opcode == 1 || opcode == 2) && open.is_some(), 1002)?;
    wrong(opcode >= 8 && !fin, 1002)?;
    wrong(byte(1)? < 128, 1002)?;
    let short = byte(1)? % 128;
    wrong(opcode >= 8 && short > 125, 1002)?;
    let more = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut len = if more == 0 { u128::from(short) } else { 0 };
    for at in 2..2 + more {
        len = len * 256 + u128::from(byte(at)?);
    }
    wrong(len >= 1 << 63, 1002)?;
    wrong((more == 2 && len < 126) || (more == 8 && len < 65536), 1002)?;
    wrong(
        opcode < 8 && len + open.unwrap_or(0) as u128 > max_message as u128,
        1009,
    )?;
    let start = 2 + more + 4;
    byte(start - 1)?;
    let key = &bytes[start - 4..start];
    let there = (bytes.len() - start).min(len as usize);
    let payload = (0..there).map(|at| bytes[start + at] ^ key[at % 4]).collect();
    Ok(Frame {
        fin,
        opcode,
        payload,
        complete: there as u128 == len,
        size: start + there,
    })
}

fn control(frame: &Frame) -> Option<Event> {
    if !frame.complete {
        return None;
    }
    let payload = frame.payload.clone();
    Some(match (frame.opcode, payload.len()) {
        (9, _) => Event::Ping(payload),
        (10, _) => Event::Pong,
        (_, 0) => Event::Close(None),
        (_, 1) => Event::Error(1002),
        _ => {
            let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
            let never_sent = [1004, 1005, 1006].contains(&code);
            if code < 1000 || never_sent || (1015..3000).contains(&code) || code >= 5000 {
                Event::Error(1002)
            } else if utf8(&payload[2..]) != Utf8::Valid {
                Event::Error(1007)
            } else {
                Event::Close(Some((code, payload[2..].to_vec())))
            }
        }
    })
}

#[derive(PartialEq, Eq)]
enum Utf8 {
    Valid,
    Incomplete,
    Invalid,
}

/// The grammar of RFC 3629 section 4: what the first byte asks of the second, and how many follow.
fn utf8(bytes: &[u8]) -> Utf8 {
    let mut at = 0;
    while at < bytes.len() {
        let (second, len) = match bytes[at] {
            0x00..=0x7F => (0..=0, 1),
            0xC2..=0xDF => (0x80..=0xBF, 2),
            0xE0 => (0xA0..=0xBF, 3),
            0xE1..=0xEC | 0xEE..=0xEF => (0x80..=0xBF, 3),
            0xED => (0x80..=0x9F, 3),
            0xF0 => (0x90..=0xBF, 4),
            0xF1..=0xF3 => (0x80..=0xBF, 4),
            0xF4 => (0x80..=0x8F, 4),
            _ => return Utf8::Invalid,
        };
        for offset in 1..len {
            let allowed = if offset == 1 { second.clone() } else { 0x80..=0xBF };
            match bytes.get(at + offset) {
                None => return Utf8::Incomplete,
                Some(byte) if !allowed.contains(byte) => return Utf8::Invalid,
                Some(_) => {}
            }
        }
        at += len;
    }
    Utf8::Valid
}
