//! What the doctor finds at the address that people use: what stands between them and the edge passes on whom they ask for, who
//! they are, bodies of any size, and upgrades to WebSocket. Nothing is created: uploads are refused for want of a grant, and
//! that refusal is ours or not.

mod people;
mod probe;
mod tls;

use common::config::{ByteSize, Config};
use common::doctor::Finding;
use common::time::Timestamp;

use people::people;
use probe::{Answer, Site};

const URL: &str = "--url";
const NGINX_HOST: &str = "nginx: proxy_set_header Host $http_host;";
const NGINX_BODY: &str = "nginx: client_max_body_size 0; (in http, server or location), Apache: LimitRequestBody 0, ingress-nginx: proxy-body-size \"0\"";
const NGINX_UPGRADE: &str =
    "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// What the page falls back to after a 413: less than this has to pass.
const LEAST_PIECE: usize = 256 * 1024;
/// nginx takes 1 MiB when nobody says otherwise.
const ABOVE_NGINX: usize = (1 << 20) + 64 * 1024;

/// A clock that is wrong by more makes cookies and grants expired, milliseconds.
const APART_MS: i64 = 60_000;

/// A grant that opens nothing: without one the answer would come from elsewhere than for real uploads.
const NO_GRANT: (&str, &str) = ("Authorization", "Bearer sluice-doctor");

/// Looks at the site behind `url`. `config` is that of the site; with its internal token more is found. Blocks, with deadlines.
#[must_use]
pub fn examine(config: &Config, url: &str) -> Vec<Finding> {
    let Some(site) = Site::parse(url) else {
        let says = format!("`{url}` is no address of a site");
        return vec![Finding::fail(
            URL,
            "address",
            says,
            "write it like https://video.example",
        )];
    };
    let mut findings = vec![public_url(config, &site)];
    let healthz = match site.get("/healthz", &[]) {
        Ok(answer) if answer.status == 200 && answer.is_ours() => answer,
        other => {
            findings.push(not_reached(&site, config, other));
            return findings;
        }
    };
    findings.push(Finding::ok(URL, "reached", site.origin()));
    findings.extend(clock(&healthz));
    findings.push(ready(&site));
    findings.extend(people(&site, config, healthz.header("server")));
    findings.extend(bodies(&site, config));
    findings.push(upgrade(&site));
    findings
}

/// Whether links and cookies fit the address.
fn public_url(config: &Config, site: &Site) -> Finding {
    const KEY: &str = "server.public_url";
    let (set, here) = (&config.server.public_url, site.origin());
    let instead = format!("write server.public_url = \"{here}\"");
    if set.eq_ignore_ascii_case(&here) {
        return Finding::ok(KEY, "cookies and links", &here);
    }
    if site.https && !set.starts_with("https://") {
        let says = format!("is `{set}`, and people come by https: their session cookie is not Secure");
        return Finding::fail(KEY, "cookies and links", says, instead);
    }
    if !site.https && set.starts_with("https://") {
        let says = format!("is `{set}`, and this address is http: browsers don't send the Secure session cookie there");
        let instead = format!("look at {set} instead, and redirect http to it");
        return Finding::warn(KEY, "cookies and links", says, instead);
    }
    if set.is_empty() {
        return Finding::ok(KEY, "cookies and links", "is not set: links are made without a host");
    }
    let says = format!("is `{set}`: links lead there, and not to {here}");
    Finding::warn(KEY, "cookies and links", says, instead)
}

fn not_reached(site: &Site, config: &Config, answer: Result<Answer, String>) -> Finding {
    let listen = config.server.listen;
    match answer {
        Err(error) if error.contains("certificate") => Finding::fail(
            URL,
            "reached",
            format!("{}: {error}", site.origin()),
            "give the proxy a certificate for this name, with the whole chain",
        ),
        Err(error) => Finding::fail(
            URL,
            "reached",
            format!("{}: {error}", site.origin()),
            "look at the name in DNS, the port, the firewall, and whether the proxy runs",
        ),
        Ok(answer) if (300..400).contains(&answer.status) => {
            let to = answer.header("location").unwrap_or("elsewhere");
            let instead = format!("look at {} instead", to.trim_end_matches("/healthz"));
            Finding::fail(URL, "reached", format!("people are sent to {to}"), instead)
        }
        Ok(answer) if (502..=504).contains(&answer.status) && !answer.is_ours() => Finding::fail(
            URL,
            "reached",
            format!("{}: the proxy can't reach sluice", answer.shown()),
            format!("start sluice, and point the proxy at server.listen, here {listen}"),
        ),
        Ok(answer) => Finding::fail(
            URL,
            "reached",
            format!("/healthz answers {}: that is not sluice", answer.shown()),
            format!("pass every path of this host to server.listen, here {listen}"),
        ),
    }
}

/// The clock of who answers, by its `Date`.
fn clock(answer: &Answer) -> Option<Finding> {
    let theirs = http_date(answer.header("date")?)?;
    let apart = theirs - Timestamp::now().0;
    Some(if apart.abs() > APART_MS {
        Finding::fail(
            "clock",
            "of the site",
            format!("{} s from this machine's", apart / 1000),
            "keep all clocks with NTP: grants and sessions expire by them",
        )
    } else {
        Finding::ok("clock", "of the site", "agrees with this machine's to the minute")
    })
}

/// Unix milliseconds of an HTTP date.
fn http_date(text: &str) -> Option<i64> {
    use actix_web::http::header::HttpDate;
    let date: HttpDate = text.parse().ok()?;
    let since = std::time::SystemTime::from(date)
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    i64::try_from(since.as_millis()).ok()
}

fn ready(site: &Site) -> Finding {
    match site.get("/readyz?verbose", &[]) {
        Ok(answer) if answer.status == 200 => Finding::ok(URL, "ready", "its databases and services answer"),
        Ok(answer) if answer.is_ours() => Finding::fail(
            URL,
            "ready",
            String::from_utf8_lossy(&answer.body).trim().to_owned(),
            "look at the log of what is away",
        ),
        Ok(answer) => Finding::fail(
            URL,
            "ready",
            format!("/readyz answers {}", answer.shown()),
            "pass every path",
        ),
        Err(error) => Finding::fail(URL, "ready", error, "look at the log"),
    }
}

/// Bodies that have to come through.
fn bodies(site: &Site, config: &Config) -> Vec<Finding> {
    const KEY: &str = "stream.max_upload";
    let mut findings = Vec::new();
    for (size, needed) in [(LEAST_PIECE, true), (ABOVE_NGINX, false)] {
        let says = format!("a body of {} KiB", size / 1024);
        match passes(site, size as u64, Some(size)) {
            Ok(()) => findings.push(Finding::ok(KEY, "body", format!("{says} comes through"))),
            Err(why) => {
                let says = format!("{says} does not come through: {why}");
                findings.push(if needed {
                    Finding::fail(KEY, "body", says, NGINX_BODY)
                } else {
                    let says = format!("{says}; the page gets by with smaller pieces, other programs don't");
                    Finding::warn(KEY, "body", says, NGINX_BODY)
                });
                return findings;
            }
        }
    }
    let largest = config.stream.max_upload.0;
    let says = format!("an upload of {}", ByteSize(largest));
    findings.push(match passes(site, largest, None) {
        Ok(()) => Finding::ok(KEY, "body", format!("{says} is let through")),
        Err(why) => Finding::warn(
            KEY,
            "body",
            format!("{says} is not let through: {why}; the page gets by with smaller pieces, other programs don't"),
            NGINX_BODY,
        ),
    });
    findings
}

/// Sends `sent` bytes of a body that is announced with `announced`, or with `None` asks first and sends nothing.
fn passes(site: &Site, announced: u64, sent: Option<usize>) -> Result<(), String> {
    let length = announced.to_string();
    let mut headers = vec![
        NO_GRANT,
        ("Content-Type", "video/mp4"),
        ("Content-Length", &length),
        ("Connection", "close"),
    ];
    if sent.is_none() {
        headers.push(("Expect", "100-continue"));
    }
    // A video that can't be: its id has the right form, and no grant opens it.
    let body = vec![0; sent.unwrap_or_default()];
    let answer = site.ask("PUT", "/uploads/by-video/000000000000", &headers, &body)?;
    let passed = answer.is_ours() && answer.code().as_deref() != Some("body_too_large");
    // A proxy that takes the body itself before it asks us.
    if passed || (answer.status == 100 && sent.is_none()) {
        return Ok(());
    }
    Err(answer.shown())
}

/// A WebSocket handshake as a browser's, with a token that opens nothing.
fn upgrade(site: &Site) -> Finding {
    const CHECK: &str = "WebSocket";
    let origin = site.origin();
    let headers = [
        NO_GRANT,
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "c2x1aWNlLWRvY3RvciEhIQ=="),
        ("Origin", &origin),
    ];
    let answer = match site.ask("GET", "/ws?sendID=doctor&platformID=5", &headers, b"") {
        Ok(answer) => answer,
        Err(error) => return Finding::fail(URL, CHECK, format!("/ws: {error}"), NGINX_UPGRADE),
    };
    match (answer.status, answer.is_ours()) {
        (101 | 401, true) | (101, false) => Finding::ok(URL, CHECK, "upgrades come through"),
        (403, true) => Finding::fail(
            "server.public_url",
            CHECK,
            format!("pages of {origin} may not connect"),
            format!("write server.public_url = \"{origin}\", or pass Host on ({NGINX_HOST})"),
        ),
        (400, true) => Finding::fail(
            URL,
            CHECK,
            "the request arrives, and its Upgrade does not",
            NGINX_UPGRADE,
        ),
        (_, true) => Finding::fail(
            URL,
            CHECK,
            format!("/ws answers {}", answer.shown()),
            "look at the log of the edge",
        ),
        (_, false) => Finding::fail(URL, CHECK, format!("/ws answers {}", answer.shown()), NGINX_UPGRADE),
    }
}
