//! Random streams that are nearly right: frames in an order that could be, now and then one rule broken or a bit turned.
//! (Random bytes alone end at the second of them.) The codec must say what the naive decoder says, however they are cut.

use super::corpus::frame::{check, reference};
use super::{Random, corpus::frame::reference::Event, words};

const STREAMS: usize = 4000;
const MAX_MESSAGE: usize = 300;

#[test]
fn random_streams_have_one_verdict() {
    let mut random = Random::from_clock();
    for _ in 0..STREAMS {
        let stream = stream(&mut random);
        check(&stream, MAX_MESSAGE, random.number());
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random::from_clock();
    for _ in 0..STREAMS {
        let len = random.below(64);
        let mut bytes = random.bytes(len);
        // Half of them with a first frame that gets past the first two bytes.
        if let [first, second, ..] = &mut bytes[..]
            && random.once_in(2)
        {
            *first = random.pick(&[0x81, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8A]);
            *second |= 0x80;
        }
        check(&bytes, MAX_MESSAGE, random.number());
    }
}

/// The generator would be worth nothing if one kind of end were all it made.
#[test]
fn random_streams_end_in_every_way() {
    let mut random = Random::fixed(1);
    let mut seen = [0; 6];
    for _ in 0..STREAMS {
        match reference::decode(&stream(&mut random), MAX_MESSAGE).last() {
            Some(Event::Error(1002)) => seen[0] += 1,
            Some(Event::Error(1007)) => seen[1] += 1,
            Some(Event::Error(1009)) => seen[2] += 1,
            Some(Event::Close(_)) => seen[3] += 1,
            Some(Event::Pending) => seen[4] += 1,
            _ => seen[5] += 1,
        }
    }
    assert!(seen.iter().all(|count| *count > STREAMS / 50), "{seen:?}");
}

fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = false;
    for _ in 0..1 + random.below(8) {
        bytes.extend(frame(random, &mut open));
    }
    if random.once_in(4) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    if random.once_in(4) {
        bytes.truncate(random.below(bytes.len()));
    }
    bytes
}

fn frame(random: &mut Random, open: &mut bool) -> Vec<u8> {
    let is_control = random.once_in(4);
    let fin = is_control || !random.once_in(3);
    let opcode = match (is_control, *open) {
        (true, _) => random.pick(&[8, 9, 9, 9, 10, 10]),
        (false, true) => 0,
        (false, false) => random.pick(&[1, 1, 2]),
    };
    if !is_control {
        *open = !fin;
    }
    let payload = payload(random, opcode);
    let opcode = if random.once_in(40) {
        random.below(16) as u8
    } else {
        opcode
    };
    let fin = fin != random.once_in(60);
    let reserved = if random.once_in(60) {
        1 << (4 + random.below(3))
    } else {
        0
    };
    let mut frame = vec![if fin { 0x80 } else { 0 } | reserved | opcode];
    let mask = if random.once_in(60) { 0 } else { 0x80 };
    let declared = if random.once_in(40) {
        random.below(1000)
    } else {
        payload.len()
    } as u64;
    // The form of the length, sometimes a longer one than needed.
    match declared {
        0..126 if !random.once_in(60) => frame.push(mask | declared as u8),
        0..0x1_0000 if !random.once_in(60) => {
            frame.push(mask | 126);
            frame.extend((declared as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend(declared.to_be_bytes());
        }
    }
    let key = random.bytes(4);
    frame.extend(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn payload(random: &mut Random, opcode: u8) -> Vec<u8> {
    if opcode == 8 {
        let code = random.pick(&[1000u16, 1001, 1012, 3000, 4999, 999, 1005, 1015, 2000, 5000]);
        let mut payload = code.to_be_bytes().to_vec();
        let reason = random.below(10);
        payload.extend(words(random, reason).bytes());
        payload.truncate(random.pick(&[0, 1, 2, 50, 50, 50]));
        return payload;
    }
    let size = random.pick(&[0, 1, 2, 5, 20, 40, 100]);
    let mut payload = if opcode == 2 {
        random.bytes(size)
    } else {
        words(random, size).into_bytes()
    };
    if opcode >= 8 {
        payload.truncate(125);
    }
    if random.once_in(12) {
        payload.truncate(size);
    }
    payload
}
