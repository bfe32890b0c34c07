//! Frames of RFC 6455 as a client writes and reads them, apart from the product's own codec.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::socket::Heard;

/// RFC 6455 section 5.2.
pub const TEXT: u8 = 0x81;
pub const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

/// Whatever it is: the server must unmask it.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub async fn read_head(reader: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub fn length(head: &str) -> usize {
    let lines = head.lines().map(str::to_ascii_lowercase);
    let length = lines.filter_map(|line| {
        line.strip_prefix("content-length:")
            .map(|text| text.trim().parse().unwrap())
    });
    length.max().unwrap_or(0)
}

/// Reads frames until the end; answers pings and the close.
pub async fn listen(
    mut reader: BufReader<OwnedReadHalf>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    sender: UnboundedSender<(Heard, String)>,
) {
    while let Some((first, payload)) = read_frame(&mut reader).await {
        let mut raw = String::new();
        let heard = match first {
            TEXT => {
                raw = String::from_utf8(payload).unwrap();
                Heard::Frame(serde_json::from_str(&raw).unwrap())
            }
            CLOSE => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                write_frame(&writer, CLOSE, &payload[..2]).await;
                Heard::Close(code, String::from_utf8(payload[2..].to_vec()).unwrap())
            }
            0x89 => {
                write_frame(&writer, PONG, &payload).await;
                continue;
            }
            other => panic!("a frame begins with {other:#x}"),
        };
        if sender.send((heard, raw)).is_err() {
            return;
        }
    }
    drop(sender.send((Heard::End, String::new())));
}

async fn read_frame(reader: &mut BufReader<OwnedReadHalf>) -> Option<(u8, Vec<u8>)> {
    let first = reader.read_u8().await.ok()?;
    let length = match reader.read_u8().await.ok()? {
        126 => reader.read_u16().await.ok()?.into(),
        127 => reader.read_u64().await.ok()?,
        short => u64::from(short),
    };
    assert!(
        length < 16 << 20,
        "a server does not mask, and sends nothing of {length} bytes"
    );
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    reader.read_exact(&mut payload).await.ok()?;
    Some((first, payload))
}

/// A socket that is gone takes nothing; its end is heard.
pub async fn write_frame(writer: &Mutex<OwnedWriteHalf>, first: u8, payload: &[u8]) {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
        medium => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    drop(writer.lock().await.write_all(&frame).await);
}
