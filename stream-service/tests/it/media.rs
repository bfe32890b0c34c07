//! `/media/{grant}/{videoId}/file`: ranges, preconditions, headers, limits; on the real socket.

use crate::app::{App, SOON, on_each_app, on_each_app_with};
use common::{grant::Grant, ids::VideoId, messages::Visibility, testing::eventually, time::Timestamp};
use reqwest::header::HeaderMap;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

const SIZE: usize = 300_000;

/// One connection that is kept for many requests, as a player keeps it.
struct Player {
    socket: BufReader<TcpStream>,
    path: String,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Player {
    async fn new(app: &App, video: &VideoId) -> Self {
        Self {
            socket: BufReader::new(crate::upload::connect(app).await),
            path: app.file_path(video),
        }
    }

    async fn ask(&mut self, method: &str, headers: &str) -> Answer {
        let request = format!("{method} {} HTTP/1.1\r\nHost: test\r\n{headers}\r\n", self.path);
        self.socket.get_mut().write_all(request.as_bytes()).await.unwrap();
        tokio::time::timeout(SOON, self.read_answer(method))
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.socket.read_u8().await.expect("the connection stays open"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(
                reqwest::header::HeaderName::try_from(name).unwrap(),
                value.parse().unwrap(),
            );
        }
        assert!(!headers.contains_key("transfer-encoding"), "{head}");
        let length = headers
            .get("content-length")
            .map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; if method == "HEAD" || status == 304 { 0 } else { length }];
        self.socket.read_exact(&mut body).await.unwrap();
        Answer { status, headers, body }
    }
}

/// What a `Range` header is to bring: bytes `start..end`, everything, several parts, or nothing.
enum Expected {
    Part(usize, usize),
    Whole,
    Parts(&'static [(usize, usize)]),
    Nothing,
}

use Expected::{Nothing, Part, Parts, Whole};

const RANGES: &[(&str, Expected)] = &[
    ("bytes=0-0", Part(0, 1)),
    ("bytes=0-1", Part(0, 2)),
    ("bytes=0-499", Part(0, 500)),
    ("bytes=500-999", Part(500, 1000)),
    ("bytes=0-", Part(0, SIZE)),
    ("bytes=1-", Part(1, SIZE)),
    ("bytes=299999-", Part(299_999, SIZE)),
    ("bytes=299999-299999", Part(299_999, SIZE)),
    ("bytes=131071-131072", Part(131_071, 131_073)),
    ("bytes=131072-262143", Part(131_072, 262_144)),
    ("bytes=100-299999", Part(100, SIZE)),
    ("bytes=100-300000", Part(100, SIZE)),
    ("bytes=100-99999999999999999999999", Part(100, SIZE)),
    ("bytes=0-18446744073709551615", Part(0, SIZE)),
    ("bytes=-1", Part(299_999, SIZE)),
    ("bytes=-500", Part(299_500, SIZE)),
    ("bytes=-300000", Part(0, SIZE)),
    ("bytes=-300001", Part(0, SIZE)),
    ("bytes=-99999999999999999999999", Part(0, SIZE)),
    ("BYTES=5-9", Part(5, 10)),
    ("bytes= 5-9 ", Part(5, 10)),
    ("bytes=,5-9,", Part(5, 10)),
    ("bytes=5-9,400000-500000", Part(5, 10)),
    ("bytes=300000-", Nothing),
    ("bytes=300000-400000", Nothing),
    ("bytes=-0", Nothing),
    ("bytes=99999999999999999999999-", Nothing),
    ("bytes=400000-500000,600000-", Nothing),
    ("bytes=0-1,5-6", Parts(&[(0, 2), (5, 7)])),
    ("bytes=0-0,-1", Parts(&[(0, 1), (299_999, SIZE)])),
    (
        "bytes=0-131071, 131072-262144",
        Parts(&[(0, 131_072), (131_072, 262_145)]),
    ),
    (
        "bytes=0-0,2-2,4-4,6-6,8-8",
        Parts(&[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]),
    ),
    ("bytes=0-0,2-2,4-4,6-6,8-8,10-10", Whole),
    ("bytes=0-5,3-9", Whole),
    ("bytes=0-,0-,0-", Whole),
    ("bytes=500-600,0-1", Whole),
    ("bytes=5-4", Whole),
    ("bytes=a-b", Whole),
    ("bytes=--5", Whole),
    ("bytes=-", Whole),
    ("bytes=", Whole),
    ("bytes", Whole),
    ("items=0-5", Whole),
    ("seconds=1-2", Whole),
    ("bytes=+1-5", Whole),
    ("bytes=0x0-5", Whole),
    ("bytes=0-1;3-4", Whole),
    ("", Whole),
];

#[test]
fn ranges_on_one_connection() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let mut player = Player::new(&app, &video).await;
        assert!(RANGES.len() >= 40);
        for (range, expected) in RANGES {
            let answer = player.ask("GET", &format!("Range: {range}\r\n")).await;
            match expected {
                Part(start, end) => {
                    assert_eq!(answer.status, 206, "{range}");
                    assert_eq!(
                        answer.header("content-range"),
                        format!("bytes {start}-{}/{SIZE}", end - 1),
                        "{range}"
                    );
                    assert_eq!(answer.header("content-type"), "video/mp4");
                    assert!(answer.body == bytes[*start..*end], "{range}");
                }
                Whole => {
                    assert_eq!(answer.status, 200, "{range}");
                    assert_eq!(answer.header("content-range"), "");
                    assert!(answer.body == bytes, "{range}");
                }
                Parts(parts) => {
                    assert_eq!(answer.status, 206, "{range}");
                    assert_parts(&answer, parts, &bytes);
                }
                Nothing => {
                    assert_eq!(answer.status, 416, "{range}");
                    assert_eq!(answer.header("content-range"), format!("bytes */{SIZE}"));
                    assert_eq!(answer.header("cache-control"), "no-store");
                    assert!(
                        String::from_utf8(answer.body)
                            .unwrap()
                            .contains("range_not_satisfiable")
                    );
                }
            }
        }
        eventually("all permits are back", SOON, || async {
            (app.state.limits.streams.held() == 0).then_some(())
        })
        .await;
    });
}

/// Reads `multipart/byteranges` as a client would.
fn assert_parts(answer: &Answer, expected: &[(usize, usize)], bytes: &[u8]) {
    let kind = answer.header("content-type");
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a multipart type");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = &answer.body[..];
    for (start, end) in expected {
        let head = format!(
            "{delimiter}\r\nContent-Type: video/mp4\r\nContent-Range: bytes {start}-{}/{}\r\n\r\n",
            end - 1,
            bytes.len()
        );
        rest = rest.strip_prefix(head.as_bytes()).expect("the head of the part");
        rest = rest.strip_prefix(&bytes[*start..*end]).expect("the bytes of the part");
    }
    assert_eq!(rest, format!("{delimiter}--\r\n").as_bytes());
}

#[test]
fn heads_and_preconditions_on_one_connection() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(SIZE).await;
        let mut player = Player::new(&app, &video).await;
        let whole = player.ask("GET", "").await;
        let (etag, modified) = (
            whole.header("etag").to_owned(),
            whole.header("last-modified").to_owned(),
        );
        assert_eq!(etag, format!("\"{}\"", crate::clip::sha256(&bytes)));
        let head = player.ask("HEAD", "").await;
        assert_eq!((head.status, head.header("content-length")), (200, "300000"));
        assert_eq!(
            (head.header("etag"), head.header("content-type")),
            (etag.as_str(), "video/mp4")
        );
        let head = player.ask("HEAD", "Range: bytes=0-5\r\n").await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, "300000"),
            "a range is for GET"
        );

        let mut check = async |method: &str, headers: String, status: u16| {
            let answer = player.ask(method, &headers).await;
            assert_eq!(answer.status, status, "{method} {headers}");
            if status == 304 {
                assert_eq!(answer.header("etag"), etag);
                assert_eq!(answer.header("content-length"), "");
            }
        };
        check("GET", format!("If-None-Match: {etag}\r\n"), 304).await;
        check("HEAD", format!("If-None-Match: {etag}\r\n"), 304).await;
        check("GET", format!("If-None-Match: \"x\", W/{etag}\r\n"), 304).await;
        check("GET", format!("If-None-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 304).await;
        check("GET", "If-None-Match: *\r\n".into(), 304).await;
        check("GET", "If-None-Match: \"x\"\r\n".into(), 200).await;
        check("GET", format!("If-Modified-Since: {modified}\r\n"), 304).await;
        check(
            "GET",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(),
            200,
        )
        .await;
        check(
            "GET",
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}\r\n"),
            200,
        )
        .await;
        check("GET", format!("If-Match: {etag}\r\n"), 200).await;
        check("GET", "If-Match: \"x\"\r\n".into(), 412).await;
        check("GET", format!("If-Match: W/{etag}\r\n"), 412).await;
        check("GET", format!("If-Unmodified-Since: {modified}\r\n"), 200).await;
        check(
            "GET",
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(),
            412,
        )
        .await;
        check("GET", format!("Range: bytes=0-1\r\nIf-Range: {etag}\r\n"), 206).await;
        check("GET", format!("Range: bytes=0-1\r\nIf-Range: {modified}\r\n"), 206).await;
        check("GET", format!("Range: bytes=0-1\r\nIf-Range: W/{etag}\r\n"), 200).await;
        check("GET", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n".into(), 200).await;
        check(
            "GET",
            "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(),
            200,
        )
        .await;
        check("GET", "Range: bytes=900000-\r\nIf-Range: \"x\"\r\n".into(), 200).await;
        check("GET", format!("Range: bytes=900000-\r\nIf-None-Match: {etag}\r\n"), 304).await;
    });
}

#[test]
fn promise_15_stored_media_is_served_as_video_and_nothing_else() {
    on_each_app(|app| async move {
        // A playable video that carries a page.
        let (video, mut bytes) = (VideoId::random(), crate::clip::clip(20_000, 1));
        bytes[10_000..10_031].copy_from_slice(b"<html><script>alert(1)</script>");
        assert_eq!(app.put(&video, bytes).await.status(), 201);
        for (query, range) in [("", None), ("?download=1", None), ("", Some("bytes=10000-10030"))] {
            let request = app.http.get(format!("{}{query}", app.file_url(&video)));
            let response = match range {
                Some(range) => request.header("range", range),
                None => request,
            };
            let response = response.header("accept", "text/html").send().await.unwrap();
            let headers = response.headers();
            assert_eq!(headers["content-type"], "video/mp4");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(headers["content-security-policy"], "sandbox; default-src 'none'");
            assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
            assert_eq!(headers["cache-control"], "private, no-cache");
            assert_eq!(headers["accept-ranges"], "bytes");
            let name = headers
                .get("content-disposition")
                .map(|value| value.to_str().unwrap().to_owned());
            let expected = (query == "?download=1").then(|| format!("attachment; filename=\"{video}.mp4\""));
            assert_eq!(name, expected);
        }
    });
}

#[test]
fn grants_are_checked_and_tell_nothing() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        let other = VideoId::random();
        let expired = Grant {
            expires_ms: Timestamp::now().millis() - 1,
            ..app.play_grant(&video)
        };
        let paths = [
            (format!("/media/{}/{video}/file", app.sign(&expired)), 401),
            (format!("/media/{}/{video}/file", app.upload_token(&video)), 401),
            (format!("/media/nonsense/{video}/file"), 401),
            (
                format!("/media/{}/{video}/file", app.sign(&app.play_grant(&other))),
                404,
            ),
            (
                format!("/media/{}/{other}/file", app.sign(&app.play_grant(&other))),
                404,
            ),
            (
                format!("/media/{}/{}/file", app.sign(&app.play_grant(&video)), "..%2f..%2fetc"),
                404,
            ),
            (
                format!("/media/{}/{video}/other", app.sign(&app.play_grant(&video))),
                404,
            ),
        ];
        for (path, status) in paths {
            let response = app
                .http
                .get(format!("{}{path}", app.running.public))
                .send()
                .await
                .unwrap();
            assert_eq!(App::problem(response).await.0, status, "{path}");
        }
        let response = app.http.post(app.file_url(&video)).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert_eq!(response.status(), 405);
    });
}

#[test]
fn promise_13_a_hidden_video_does_not_play_and_comes_back() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(5_000).await;
        let client = app.client();
        let hide = |hidden, version| client.set_hidden(&video, Visibility { hidden, version });
        assert_eq!(app.get(&video).await.status(), 200);
        hide(true, 3).await.unwrap();
        assert_eq!(app.get(&video).await.status(), 404, "at once, whatever was remembered");
        hide(false, 2).await.unwrap();
        assert_eq!(app.get(&video).await.status(), 404, "an older version changes nothing");
        hide(true, 3).await.unwrap();
        hide(false, 4).await.unwrap();
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
    });
}

#[test]
fn promise_13_what_another_process_hides_is_noticed_within_a_second() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(5_000).await;
        assert_eq!(app.get(&video).await.status(), 200);
        // As another process would: in the ledger, with a lost message.
        app.sql(&format!(
            "INSERT INTO media (video_id, hidden, version) VALUES ('{video}', TRUE, 1)"
        ))
        .await;
        let since = Instant::now();
        eventually("hidden", SOON, || async {
            (app.get(&video).await.status() == 404).then_some(())
        })
        .await;
        assert!(since.elapsed() < Duration::from_millis(1100), "{:?}", since.elapsed());
    });
}

#[test]
fn promise_8_a_client_that_asks_too_often_is_told_when_to_come_back() {
    on_each_app_with(
        |config| (config.stream.rate, config.stream.burst) = (1, 3),
        |app| async move {
            let video = VideoId::random();
            let url = app.file_url(&video);
            for _ in 0..3 {
                assert_eq!(app.http.get(&url).send().await.unwrap().status(), 404);
            }
            let refused = app.http.get(&url).send().await.unwrap();
            let headers = refused.headers().clone();
            let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert_eq!(headers["ratelimit-policy"], "\"rate\";q=3;w=3");
            assert_eq!(headers["ratelimit"], format!("\"rate\";r=0;t={wait}"));
            assert_eq!(App::problem(refused).await.1, "too_many_requests");
            // Another user is not affected, and a wait as told is enough.
            assert_eq!(app.get(&video).await.status(), 404);
            tokio::time::sleep(Duration::from_secs(wait)).await;
            assert_eq!(app.http.get(&url).send().await.unwrap().status(), 404);
        },
    );
}

#[test]
fn streams_are_counted_per_client_until_their_last_byte() {
    on_each_app_with(
        |config| (config.stream.max_streams_per_client, config.stream.max_streams) = (2, 3),
        |app| async move {
            let (video, _) = app.stored(8 << 20).await;
            let url = app.file_url(&video);
            let first = slow_stream(&app, &url).await;
            let second = slow_stream(&app, &url).await;
            let refused = app.http.get(&url).send().await.unwrap();
            assert_eq!(
                refused.headers()["ratelimit-policy"],
                "\"streams\";q=2;qu=\"concurrent-requests\""
            );
            assert!(refused.headers().contains_key("retry-after"));
            assert_eq!(App::problem(refused).await.1, "too_many_streams");
            // Heads cost no stream.
            assert_eq!(app.http.head(&url).send().await.unwrap().status(), 200);
            // Other clients have theirs, until the service has enough.
            let third = slow_stream(&app, &app.file_url(&video)).await;
            assert_eq!(app.get(&video).await.status(), 429);
            assert_eq!(app.state.limits.streams.held(), 3);
            drop((first, second, third));
            eventually("all permits are back", SOON, || async {
                (app.state.limits.streams.held() == 0).then_some(())
            })
            .await;
            assert_eq!(
                app.http.get(&url).send().await.unwrap().bytes().await.unwrap().len(),
                8 << 20
            );
        },
    );
}

/// A viewer that has read the head and takes its time.
async fn slow_stream(app: &App, url: &str) -> TcpStream {
    let mut socket = crate::upload::connect(app).await;
    let path = url.strip_prefix(&app.running.public).unwrap();
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let head = crate::upload::read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    socket
}

#[test]
fn promise_9_permits_come_back_from_viewers_who_leave_at_any_moment() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(2 << 20).await;
        let seed: u64 = std::env::var("SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| Timestamp::now().millis().unsigned_abs());
        println!("SEED={seed}");
        let mut random = Random(seed | 1);
        for round in 0..120 {
            let path = app.file_path(&video);
            let range = match random.below(4) {
                0 => "Range: bytes=0-99\r\n".to_owned(),
                1 => format!("Range: bytes={}-\r\n", random.below(2 << 20)),
                2 => "Range: bytes=0-1000,500000-900000,1000000-\r\n".to_owned(),
                _ => String::new(),
            };
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{range}\r\n");
            let mut socket = crate::upload::connect(&app).await;
            // Sometimes not even the head of the request is complete.
            let sent = if round % 10 == 0 {
                random.below(request.len() as u64) as usize
            } else {
                request.len()
            };
            socket.write_all(&request.as_bytes()[..sent]).await.unwrap();
            let mut read = random.below(3 << 20);
            let mut buffer = vec![0; 1 << 16];
            while read > 0 && sent == request.len() {
                match tokio::time::timeout(Duration::from_millis(20), socket.read(&mut buffer)).await {
                    Ok(Ok(n)) if n > 0 => read = read.saturating_sub(n as u64),
                    _ => break,
                }
            }
            drop(socket);
        }
        eventually("all permits are back", SOON, || async {
            (app.state.limits.streams.held() == 0).then_some(())
        })
        .await;
        let text = app.running.platform.metrics.encode();
        assert!(
            text.contains("sluice_stream_streams 0"),
            "the gauge of streams is not back at 0"
        );
    });
}

#[test]
fn promise_9_permits_come_back_from_uploads_that_end_at_any_moment() {
    on_each_app(|app| async move {
        let seed = Timestamp::now().millis().unsigned_abs();
        println!("SEED={seed}");
        let mut random = Random(seed | 1);
        let bytes = crate::clip::clip(700_000, 1);
        for _ in 0..40 {
            let video = VideoId::random();
            let mut socket = crate::upload::connect(&app).await;
            let head = crate::upload::put_head(&app, &video, &app.upload_token(&video), "Content-Length: 700000\r\n");
            let whole = [head.as_bytes(), &bytes].concat();
            let sent = random.below(whole.len() as u64) as usize;
            // An answer that comes first (429) closes the connection under us.
            drop(socket.write_all(&whole[..sent]).await);
            drop(socket);
        }
        app.nothing_is_left().await;
    });
}

/// A generator good enough for choosing moments (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn a_paced_stream_goes_at_its_pace() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(3_500_000).await;
        // A megabyte per second, two seconds ahead: 3.5 MB take about a second and a half.
        app.state.limits.pace.store(1_000_000, Ordering::Relaxed);
        let since = Instant::now();
        assert_eq!(app.get(&video).await.bytes().await.unwrap(), bytes);
        assert!(since.elapsed() > Duration::from_millis(1200), "{:?}", since.elapsed());
        app.state.limits.pace.store(0, Ordering::Relaxed);
        let since = Instant::now();
        app.get(&video).await.bytes().await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_file_that_became_shorter_ends_the_connection_and_not_the_service() {
    on_each_app(|app| async move {
        let (video, _) = app.stored(SIZE).await;
        let file = app.files().remove(0);
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(1000)
            .unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 500);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(App::problem(app.get(&video).await).await.0, 404);
        assert_eq!(app.state.limits.streams.held(), 0);
    });
}

#[test]
fn a_viewer_keeps_what_is_purged_while_it_is_sent() {
    on_each_app(|app| async move {
        let (video, bytes) = app.stored(8 << 20).await;
        let mut viewer = app.get(&video).await;
        let first = viewer.chunk().await.unwrap().unwrap();
        app.client().delete_media(&video).await.unwrap();
        let mut all = first.to_vec();
        while let Some(piece) = viewer.chunk().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert!(all == bytes);
        assert_eq!(app.get(&video).await.status(), 404);
    });
}
