//! Reads frames.txt: included by the codec's unit tests (bytes in, messages out) and by the socket's (bytes in, close code
//! out), so that both are held to the same table. The format stands at the head of that file.

/// What the server of the table allows in one message, in bytes.
pub const MAX_MESSAGE: usize = 65536;

/// One line of the table.
pub struct Vector {
    pub name: String,
    pub bytes: Vec<u8>,
    pub expected: Vec<Expected>,
    /// Autobahn's cases of the same content, as it numbers them.
    pub autobahn: Vec<String>,
}

/// What comes out of the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<(u16, String)>),
    /// The connection is closed with this code.
    Error(u16),
    /// A frame or message is left incomplete.
    Pending,
}

pub fn all() -> Vec<Vector> {
    let lines = include_str!("frames.txt").lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(vector)
        .collect()
}

fn vector(line: &str) -> Vector {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let (name, bytes, expected, autobahn) = match columns[..] {
        [name, bytes, expected] => (name, bytes, expected, ""),
        [name, bytes, expected, autobahn] => (name, bytes, expected, autobahn),
        _ => panic!("not three or four columns: {line}"),
    };
    Vector {
        name: name.to_owned(),
        bytes: split(bytes, ';').flat_map(frame).collect(),
        expected: split(expected, ';').map(event).collect(),
        autobahn: autobahn.split_whitespace().map(str::to_owned).collect(),
    }
}

/// The bytes of one frame, masked from its key on.
fn frame(tokens: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut masked_from = None;
    for token in split(tokens, ' ') {
        let key = if token == "k" {
            Some("37fa213d")
        } else {
            token.strip_prefix("key:")
        };
        bytes.extend(literal(key.unwrap_or(token)));
        if key.is_some() {
            masked_from = Some(bytes.len());
        }
    }
    if let Some(start) = masked_from {
        let (head, payload) = bytes.split_at_mut(start);
        let key = &head[start - 4..];
        payload
            .iter_mut()
            .zip(key.iter().cycle())
            .for_each(|(byte, key)| *byte ^= key);
    }
    bytes
}

fn event(tokens: &str) -> Expected {
    let mut tokens = split(tokens, ' ');
    let kind = tokens.next().unwrap_or_default();
    if kind == "close" {
        let code = tokens.next().map(|code| code.parse().unwrap());
        let reason = tokens.flat_map(literal).collect();
        return Expected::Close(code.map(|code| (code, String::from_utf8(reason).unwrap())));
    }
    if kind == "error" {
        return Expected::Error(tokens.next().and_then(|code| code.parse().ok()).unwrap());
    }
    let payload: Vec<u8> = tokens.flat_map(literal).collect();
    match kind {
        "text" => Expected::Text(String::from_utf8(payload).unwrap()),
        "binary" => Expected::Binary(payload),
        "ping" => Expected::Ping(payload),
        "pong" => Expected::Pong,
        "pending" => Expected::Pending,
        other => panic!("nothing comes out as {other}"),
    }
}

/// Hex, "text", or hex*count.
fn literal(token: &str) -> Vec<u8> {
    if let Some(text) = token.strip_prefix('"') {
        return text.strip_suffix('"').unwrap().as_bytes().to_vec();
    }
    let (hex, count) = token.split_once('*').unwrap_or((token, "1"));
    assert!(hex.len() % 2 == 0, "half a byte: {token}");
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    bytes.repeat(count.parse().unwrap())
}

/// Splits at `separator` where it does not stand inside quotes; nothing empty comes out.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}
