//! The classifier against the decoder of actix-http: random requests, whole and broken, one behind the other. Where the layer
//! understands a head, both must see the same head and the same body; what it does not understand it passes on unseen, and
//! what is incomplete for it must be so for the decoder. `CAPTURE_FUZZ` sets how many cases there are, `CAPTURE_SEED` the
//! first.

use actix_codec::Decoder;
use actix_http::h1::{Codec, Message, MessageType};
use bytes::BytesMut;
use common::capture::{Verdict, classify};
use common::testing::random::Random;
use common::testing::raw::Raw;

use super::{GET, MIB, bytes, config, put, start, sum};

const CASES: u64 = 5_000;
const SEED: u64 = 0x51_1c_e0;

/// One request. A `wild` one has something odd in most of its parts.
fn request(random: &mut Random, wild: bool, out: &mut Vec<u8>) {
    let odd = |random: &mut Random, one_in: usize| wild && random.below(one_in) == 0;
    let end = if odd(random, 30) { "\n" } else { "\r\n" };
    if odd(random, 20) {
        out.extend_from_slice(random.pick(&["\r\n", "\n", "\r\n\r\n"]).as_bytes());
    }
    let mut method = random.pick(&["PUT", "PUT", "PATCH", "PATCH", "GET", "POST", "HEAD"]);
    if odd(random, 8) {
        method = random.pick(&["CONNECT", "put", "P@T"]);
    }
    let mut target = random.pick(&["/uploads/by-video/x", "/uploads/x", "/"]);
    if odd(random, 6) {
        target = random.pick(&["http://t/uploads/x", "*", "/uploads/by-video/%00?a=b#c", "/ü"]);
    }
    let mut version = "HTTP/1.1";
    if odd(random, 8) {
        version = random.pick(&["HTTP/1.0", "HTTP/2.0", "HTTP/1.1 "]);
    }
    out.extend_from_slice(format!("{method} {target} {version}{end}").as_bytes());
    let body = match random.below(6) {
        0 => 0,
        1 | 2 => random.below(60),
        3 => random.below(5_000),
        _ => (1 << 20) + random.below(1 << 20),
    };
    for field in fields(random, wild, body) {
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(if odd(random, 60) { b"\n" } else { end.as_bytes() });
    }
    out.extend_from_slice(end.as_bytes());
    let sent = if odd(random, 8) {
        random.below(body + 1)
    } else {
        body.min(6_000)
    };
    out.extend_from_slice(&bytes(sent, random.number()));
}

/// Of a request whose body has, or seems to have, so many bytes.
fn fields(random: &mut Random, wild: bool, body: usize) -> Vec<String> {
    let odd = |random: &mut Random, one_in: usize| wild && random.below(one_in) == 0;
    let mut fields = Vec::new();
    for _ in 0..1 + u64::from(odd(random, 12)) - u64::from(odd(random, 12)) {
        fields.push(random.pick(&["Host: t", "hOST:t", "Host: t:80"]).to_owned());
    }
    let lengths = u64::from(body > 0 && random.below(20) != 0) + u64::from(odd(random, 12));
    for _ in 0..lengths {
        let name = random.pick(&["Content-Length", "content-length", "CONTENT-LENGTH"]);
        let odd_number = [
            "",
            "-1",
            "0x10",
            "1 0",
            "00000000",
            "18446744073709551616",
            "9223372036854775808",
            "１",
        ];
        fields.push(match random.below(if wild { 14 } else { 2 }) {
            0 => format!("{name}:\t{body}\t "),
            2 => format!("{name}: 0{body}"),
            3 => format!("{name}: +{body}"),
            4 => format!("{name}: {body}, {body}"),
            5 => format!("{name} : {body}"),
            6 => format!("{name}: {}", random.pick(&odd_number)),
            _ => format!("{name}: {body}"),
        });
    }
    if odd(random, 10) {
        let coding = random.pick(&[
            "chunked",
            "identity",
            "gzip, chunked",
            "Chunked",
            "chunked, chunked",
            "x",
        ]);
        let name = random.pick(&["Transfer-Encoding", "transfer-encoding", "Transfer-Encoding "]);
        fields.push(format!("{name}: {coding}"));
    }
    if odd(random, 12) {
        let upgrades = [
            "Upgrade: websocket",
            "Upgrade: h2c",
            "upgrade:  WebSocket",
            "Connection: upgrade",
        ];
        fields.push(random.pick(&upgrades).to_owned());
    }
    let harmless = [
        "X: y",
        "Connection: close",
        "Expect: 100-continue",
        "X:",
        "Content-Length-X: 5",
        "X: Content-Length: 5",
    ];
    for _ in 0..random.below(4) {
        fields.push(random.pick(&harmless).to_owned());
    }
    if odd(random, 8) {
        fields.push(
            random
                .pick(&[": y", " folded", "\tfolded", "X\0: y", "X: \u{7f}"])
                .to_owned(),
        );
    }
    for at in (1..fields.len()).rev() {
        fields.swap(at, random.below(at + 1));
    }
    fields
}

fn case(seed: u64) -> Vec<u8> {
    let (mut random, mut out) = (Random::fixed(seed), Vec::new());
    let wild = random.below(2) == 0;
    for last in (0..1 + random.below(4)).rev() {
        let wild = wild && (last == 0 || random.below(3) == 0);
        request(&mut random, wild, &mut out);
    }
    if random.below(4) == 0 {
        for _ in 0..1 + random.below(3) {
            if out.is_empty() {
                break;
            }
            let at = random.below(out.len());
            match random.below(4) {
                0 => out[at] = random.number() as u8,
                1 => out.insert(at, random.pick(&[" ", "\r", "\n", "\0", ":", "0"]).as_bytes()[0]),
                2 => drop(out.remove(at)),
                _ => out.truncate(at.max(1)),
            }
        }
    }
    out
}

/// What the decoder made of a request.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Bytes of the head, and of the body as far as they are here.
    Request(usize, usize),
    /// The rest of the connection is not HTTP.
    Stream,
    Incomplete,
    Refused,
}

fn decoded(stream: &[u8]) -> Vec<Seen> {
    let (mut codec, mut left, mut seen) = (Codec::default(), BytesMut::from(stream), Vec::new());
    loop {
        let before = left.len();
        match codec.decode(&mut left) {
            Ok(Some(Message::Item(_))) if codec.message_type() == MessageType::Stream => {
                seen.push(Seen::Stream);
                return seen;
            }
            Ok(Some(Message::Item(_))) => seen.push(Seen::Request(before - left.len(), 0)),
            Ok(Some(Message::Chunk(Some(piece)))) => match seen.last_mut() {
                Some(Seen::Request(_, body)) => *body += piece.len(),
                other => panic!("a body behind {other:?}"),
            },
            Ok(Some(Message::Chunk(None))) => {}
            Ok(None) => {
                seen.push(Seen::Incomplete);
                return seen;
            }
            Err(_) => {
                seen.push(Seen::Refused);
                return seen;
            }
        }
    }
}

/// How many heads were understood and how many captured.
fn compare(stream: &[u8], case: &str) -> (u64, u64) {
    let (mut at, mut understood, mut captured) = (0, 0, 0);
    for expected in decoded(stream) {
        let rest = &stream[at..];
        let head = match classify(rest) {
            Verdict::Raw => return (understood, captured),
            Verdict::Partial => {
                // A body that is not whole yet is incomplete for the decoder, too.
                assert_eq!(expected, Seen::Incomplete, "{case}: only half a head at {at}");
                return (understood, captured);
            }
            Verdict::Head(head) => head,
        };
        if expected == Seen::Refused {
            // Then the connection ends: no harm in having understood it.
            return (understood, captured);
        }
        let body = usize::try_from(head.body).unwrap().min(rest.len() - head.length);
        assert_eq!(expected, Seen::Request(head.length, body), "{case}: at {at}");
        understood += 1;
        if let Some(digits) = head.captured {
            captured += 1;
            let mut shown = rest[..head.length].to_vec();
            shown[digits].fill(b'0');
            assert_eq!(
                decoded(&shown),
                [Seen::Request(head.length, 0), Seen::Incomplete],
                "{case}: what is shown of a captured request at {at}"
            );
        }
        at += head.length + body;
        if (body as u64) < head.body {
            return (understood, captured);
        }
    }
    (understood, captured)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[actix_web::test]
async fn the_layer_and_the_decoder_agree_or_the_layer_keeps_out() {
    let (mut understood, mut captured) = (0, 0);
    let first = setting("CAPTURE_SEED", SEED);
    let cases = setting("CAPTURE_FUZZ", CASES);
    for seed in first..first + cases {
        let stream = case(seed);
        let (heads, of_uploads) = compare(&stream, &format!("CAPTURE_SEED={seed}"));
        understood += heads;
        captured += of_uploads;
    }
    // Otherwise nothing was compared.
    assert!(
        understood > cases / 4 && captured > cases / 20,
        "{understood} and {captured} of {cases}"
    );
}

/// The same through sockets: good requests in pieces of any size, all answered in order and with their own bodies.
#[actix_web::test]
async fn good_requests_in_pieces_of_any_size_get_their_own_answers() {
    let (server, _) = start(config()).await;
    let first = setting("CAPTURE_SEED", SEED);
    for seed in first..first + setting("CAPTURE_FUZZ", CASES) / 500 {
        let (mut random, mut due) = (Random::fixed(seed), Vec::new());
        let mut client = Raw::connect(&server.public).await;
        for number in 0..2 + random.below(4) {
            let length = random.below(2 * MIB);
            let body = bytes(length, seed * 10 + number as u64);
            let way = random.below(4);
            let (head, expected) = match way {
                0 => (GET.to_owned(), "small".to_owned()),
                1 => (
                    put("echo", length).replace("PUT /uploads/by-video/", "POST /"),
                    sum(&body),
                ),
                _ if length < MIB => (put("payload", length), sum(&body)),
                _ => (
                    put(random.pick(&["either", "file", "late", "payload"]), length),
                    sum(&body),
                ),
            };
            if way == 1 || (way > 1 && length < MIB) {
                // actix-http closes when a body comes behind a request that is not answered yet.
                answers(&mut client, &mut due, seed).await;
            }
            due.push(expected);
            let mut all = head.into_bytes();
            all.extend_from_slice(if way == 0 { &[] } else { &body });
            send_in_pieces(&mut client, &mut random, &all).await;
        }
        answers(&mut client, &mut due, seed).await;
    }
    server.stop().await;
}

async fn answers(client: &mut Raw, due: &mut Vec<String>, seed: u64) {
    for expected in due.drain(..) {
        assert_eq!(client.answer().await.text(), expected, "CAPTURE_SEED={seed}");
    }
}

async fn send_in_pieces(client: &mut Raw, random: &mut Random, mut rest: &[u8]) {
    while !rest.is_empty() {
        let most = [3, 700, 9_000, 300_000][random.below(4)];
        let (piece, later) = rest.split_at((1 + random.below(most)).min(rest.len()));
        client.send_bytes(piece).await;
        rest = later;
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
}
