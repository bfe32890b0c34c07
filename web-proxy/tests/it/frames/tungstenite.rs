//! Against tungstenite, an implementation of the same RFC by others: what its client sends we understand, what we send it
//! understands, whatever the sizes, the fragments and the cuts.

use std::io::{Cursor, Read, Write};

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};
use web_proxy::gateway::frame::{Opcode, close, encode, ping, pong, text};

use super::corpus::frame::reference::Event;
use super::corpus::frame::run;
use super::{Random, words};

const ROUNDS: usize = 300;
const MAX_MESSAGE: usize = 1 << 17;

/// A stream in memory: what is read stands in it from the start, what is written is kept.
#[derive(Default)]
struct Wire {
    incoming: Cursor<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.incoming.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.outgoing.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn client(incoming: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire {
        incoming: Cursor::new(incoming),
        outgoing: Vec::new(),
    };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

fn random_message(random: &mut Random) -> Event {
    let size = random.pick(&[0, 1, 5, 30, 124, 125, 126, 127, 1000, 20_000, 65_535, 65_536]);
    match random.below(6) {
        0 | 1 => {
            let mut text = words(random, size.min(2000));
            text.push_str(&"x".repeat(size.saturating_sub(text.len())));
            Event::Text(text.into_bytes())
        }
        2 | 3 => Event::Binary(random.bytes(size)),
        4 => Event::Ping(random.bytes(size.min(125))),
        _ => Event::Pong,
    }
}

/// Has tungstenite's client send `event`, a message now and then in fragments with control frames between.
fn send(client: &mut WebSocket<Wire>, event: &Event, random: &mut Random, sent: &mut Vec<Event>) {
    let (opcode, payload) = match event {
        Event::Text(text) => (Data::Text, text),
        Event::Binary(payload) => (Data::Binary, payload),
        Event::Ping(payload) => {
            client.send(Message::Ping(payload.clone().into())).unwrap();
            return sent.push(event.clone());
        }
        _ => {
            client.send(Message::Pong(random.bytes(7).into())).unwrap();
            return sent.push(Event::Pong);
        }
    };
    let pieces = if random.once_in(2) { 1 } else { 1 + random.below(5) };
    let mut cuts: Vec<usize> = (1..pieces).map(|_| random.below(payload.len() + 1)).collect();
    cuts.extend([0, payload.len()]);
    cuts.sort();
    for (number, cut) in cuts.windows(2).enumerate() {
        let opcode = if number == 0 { opcode } else { Data::Continue };
        let piece = payload[cut[0]..cut[1]].to_vec();
        client
            .send(Message::Frame(Frame::message(
                piece,
                OpCode::Data(opcode),
                number + 1 == pieces,
            )))
            .unwrap();
        if number + 1 < pieces && random.once_in(3) {
            client.send(Message::Ping(vec![number as u8].into())).unwrap();
            sent.push(Event::Ping(vec![number as u8]));
        }
    }
    sent.push(event.clone());
}

#[test]
fn what_tungstenite_sends_is_understood() {
    let mut random = Random::from_clock();
    for _ in 0..ROUNDS {
        let mut client = client(Vec::new());
        let mut sent = Vec::new();
        for _ in 0..1 + random.below(6) {
            let event = random_message(&mut random);
            send(&mut client, &event, &mut random, &mut sent);
        }
        if random.once_in(3) {
            let reason = words(&mut random, 20);
            client
                .close(Some(CloseFrame {
                    code: 4321.into(),
                    reason: reason.clone().into(),
                }))
                .unwrap();
            sent.push(Event::Close(Some((4321, reason.into_bytes()))));
        }
        client.flush().unwrap();
        let wire = &client.get_ref().outgoing;
        let largest = random.pick(&[1, 3, 100, 5000, 100_000]);
        let received = run(wire, MAX_MESSAGE, |rest| 1 + random.below(rest.min(largest)));
        assert!(received == sent, "{received:.200?}\n{sent:.200?}");
    }
}

#[test]
fn what_we_send_tungstenite_understands() {
    let mut random = Random::from_clock();
    for _ in 0..ROUNDS {
        let mut wire = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..1 + random.below(6) {
            sent.push(match random_message(&mut random) {
                Event::Text(payload) => {
                    let payload = String::from_utf8(payload).unwrap();
                    wire.extend(text(&payload));
                    Message::text(payload)
                }
                Event::Binary(payload) => {
                    encode(Opcode::Binary, &payload, &mut wire);
                    Message::binary(payload)
                }
                Event::Ping(payload) => {
                    wire.extend(ping(&payload));
                    Message::Ping(payload.into())
                }
                _ => {
                    wire.extend(pong(b"pong"));
                    Message::Pong(b"pong".to_vec().into())
                }
            });
        }
        let reason = words(&mut random, 10);
        wire.extend(close(4408u16, &reason));
        sent.push(Message::Close(Some(CloseFrame {
            code: 4408.into(),
            reason: reason.into(),
        })));
        let mut client = client(wire);
        for message in sent {
            assert_eq!(client.read().unwrap(), message);
        }
        assert!(matches!(
            client.read(),
            Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_))
        ));
    }
}
