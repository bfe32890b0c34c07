//! What may stand in front of a site, and get in its way: a small proxy that changes heads and passes everything else on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How it behaves.
#[derive(Clone, Default)]
pub struct Way {
    /// Its name in answers; empty: it shows itself in none.
    pub server: &'static str,
    /// Larger bodies are answered 413, by what their head says.
    pub max_body: Option<u64>,
    /// Speaks HTTP/1.1 without upgrades.
    pub drops_upgrade: bool,
    pub host: Option<&'static str>,
    pub forwarded_for: Option<&'static str>,
}

/// A running proxy; ends when dropped.
pub struct Front {
    pub url: String,
    stop: Arc<AtomicBool>,
}

/// A connection on which nothing comes for this long has ended.
const PATIENCE: Duration = Duration::from_secs(15);

impl Front {
    pub fn start(base: &str, way: Way) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (upstream, ended) = (base.strip_prefix("http://").unwrap().to_owned(), stop.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (way, upstream) = (way.clone(), upstream.clone());
                std::thread::spawn(move || serve(client, &upstream, &way));
            }
        });
        Front {
            url: format!("http://{address}"),
            stop,
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the loop.
        drop(TcpStream::connect(self.url.strip_prefix("http://").unwrap()));
    }
}

/// One request of one connection. What fails ends the connection: the other side sees that.
fn serve(mut client: TcpStream, upstream: &str, way: &Way) -> Option<()> {
    client.set_read_timeout(Some(PATIENCE)).ok()?;
    let (head, rest) = read_head(&mut client)?;
    let length = field(&head, "content-length").and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| way.max_body.is_some_and(|most| length > most)) {
        let answer = "HTTP/1.1 413 Request Entity Too Large\r\nServer: nginx\r\nContent-Length: 4\r\nConnection: close\r\n\r\n413\n";
        client.write_all(answer.as_bytes()).ok()?;
        return linger(client);
    }
    let Ok(mut server) = TcpStream::connect(upstream) else {
        let answer = format!(
            "HTTP/1.1 502 Bad Gateway\r\nServer: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            way.server
        );
        return client.write_all(answer.as_bytes()).ok();
    };
    server.write_all(changed(&head, way).as_bytes()).ok()?;
    server.write_all(&rest).ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    server.set_read_timeout(Some(PATIENCE)).ok()?;
    let (head, rest) = read_head(&mut server)?;
    let head = match way.server {
        "" => head,
        name => head.replacen("\r\n", &format!("\r\nServer: {name}\r\n"), 1),
    };
    client.write_all(head.as_bytes()).ok()?;
    client.write_all(&rest).ok()?;
    drop(std::io::copy(&mut server, &mut client));
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    Some(())
}

/// Takes what still comes, so that the answer is not lost with it.
fn linger(mut client: TcpStream) -> Option<()> {
    client.shutdown(Shutdown::Write).ok()?;
    let mut piece = [0; 8192];
    while client.read(&mut piece).ok()? > 0 {}
    Some(())
}

/// A head with its empty line, and what came with it.
fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).ok()?, rest));
        }
        match stream.read(&mut piece).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1);
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn changed(head: &str, way: &Way) -> String {
    let mut lines = head.trim_end().lines();
    let mut out = format!("{}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match (name.as_str(), way.host) {
            ("host", Some(host)) => out.push_str(&format!("Host: {host}\r\n")),
            ("upgrade" | "connection", _) if way.drops_upgrade => {}
            _ => out.push_str(&format!("{line}\r\n")),
        }
    }
    if way.drops_upgrade {
        out.push_str("Connection: close\r\n");
    }
    if let Some(client) = way.forwarded_for {
        out.push_str(&format!("X-Forwarded-For: {client}\r\n"));
    }
    out + "\r\n"
}
