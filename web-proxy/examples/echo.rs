//! An echo server over the gateway's frame codec, for Autobahn's fuzzing client (`make test-autobahn`): the gateway itself
//! has no function that returns what it is sent. One thread per connection; it prints the port the system gave it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use tungstenite::handshake::derive_accept_key;
use web_proxy::gateway::frame::{Decoder, Incoming, Opcode, close, encode, pong};

/// Room for Autobahn's largest message (case 9, 16 MiB), which `scripts/autobahn.sh` can be told to send as well.
const MAX_MESSAGE: usize = 16 << 20;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("connection: {error}");
            }
        });
    }
    Ok(())
}

pub fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let key = read_key(&mut reader)?;
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )?;
    let mut decoder = Decoder::new(MAX_MESSAGE);
    let mut buffer = vec![0; 16 << 10];
    let mut out = Vec::new();
    loop {
        let len = reader.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        let ended = answer(&mut decoder, &mut buffer[..len], &mut out);
        stream.write_all(&out)?;
        out.clear();
        if ended {
            // What the peer still sends is read, or the system would answer it with a reset that overtakes our close frame.
            stream.shutdown(Shutdown::Write)?;
            while reader.read(&mut buffer)? > 0 {}
            return Ok(());
        }
    }
}

/// Puts the answers to what was read into `out`; true when the last of them is a close frame.
fn answer(decoder: &mut Decoder, mut bytes: &mut [u8], out: &mut Vec<u8>) -> bool {
    loop {
        match decoder.next(&mut bytes) {
            Ok(None) => return false,
            Ok(Some(Incoming::Text(text))) => encode(Opcode::Text, text.as_bytes(), out),
            Ok(Some(Incoming::Binary(payload))) => encode(Opcode::Binary, &payload, out),
            Ok(Some(Incoming::Ping(payload))) => out.extend(pong(&payload)),
            Ok(Some(Incoming::Pong)) => {}
            Ok(Some(Incoming::Close(code))) => {
                match code {
                    Some((code, _)) => out.extend(close(code, "")),
                    None => encode(Opcode::Close, b"", out),
                }
                return true;
            }
            Err(violation) => {
                out.extend(close(violation.code, violation.reason));
                return true;
            }
        }
    }
}

/// Reads the request's head and finds the key to answer.
fn read_key(reader: &mut impl BufRead) -> io::Result<String> {
    let mut key = None;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            key = Some(value.trim().to_owned());
        }
        line.clear();
    }
    key.ok_or_else(|| io::Error::other("no Sec-WebSocket-Key"))
}
