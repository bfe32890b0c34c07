//! Ranges and preconditions of `/media/{grant}/{videoId}/file` on the real socket, many requests on one connection.

use crate::app::{App, SOON, on_each_app};
use common::{ids::VideoId, testing::eventually};
use reqwest::header::HeaderMap;
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
        assert!(headers.get_all("content-length").iter().count() <= 1, "{head}");
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
