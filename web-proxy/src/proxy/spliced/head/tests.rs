//! Which answers are plain, told from their bytes.

use super::super::super::headers::Length;
use super::*;

/// Status, length, whether the connection is kept, and the length of the head.
type Expected = Option<(u16, Option<u64>, bool)>;

/// What the head is taken for, however many of its bytes have come before the last: nothing, or what it is in the end.
fn check(text: &str, expected: Expected) {
    let found = match parse(&Bytes::copy_from_slice(text.as_bytes())) {
        Some(Answer::Plain(plain)) => {
            assert_eq!(plain.head, text.find("\r\n\r\n").unwrap() + 4, "{text}");
            Some((plain.status.as_u16(), plain.length, plain.keep))
        }
        Some(Answer::Odd) => None,
        Some(Answer::Interim(_)) => panic!("an answer follows: {text}"),
        None => panic!("more is needed: {text}"),
    };
    assert_eq!(found, expected, "{text}");
    if expected.is_some() {
        let end = text.find("\r\n\r\n").unwrap() + 3;
        for length in 0..=end {
            assert!(
                parse(&Bytes::copy_from_slice(&text.as_bytes()[..length])).is_none(),
                "{length} bytes of {text}"
            );
        }
    }
}

#[test]
fn plain_answers_have_one_end() {
    let plain = |status, length| Some((status, Some(length), true));
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\nbody",
        plain(200, 70_000),
    );
    check(
        "HTTP/1.1 206 Partial Content\r\ncontent-length:7\r\n\r\n",
        plain(206, 7),
    );
    check("HTTP/1.1 206\r\nContent-Length: 7\r\n\r\n", plain(206, 7));
    check("HTTP/1.1 200 OK\r\nContent-Length:   0007  \r\n\r\n", plain(200, 7));
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        plain(200, 9_999_999_999_999_999_999),
    );
    check("HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n", plain(416, 0));
    check("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", plain(503, 2));
    check("HTTP/1.1 304 Not\r\nContent-Length: 7\r\n\r\n", plain(304, 7));
    check("HTTP/1.1 304 Not\r\n\r\n", Some((304, None, true)));
    check("HTTP/1.1 204 No\r\n\r\n", Some((204, None, true)));
    for options in [
        "close",
        "Close",
        "x, close",
        "close,x",
        "keep-alive\r\nConnection: CLOSE",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nConnection: {options}\r\nContent-Length: 7\r\n\r\n");
        check(&text, Some((200, Some(7), false)));
    }
    for options in ["keep-alive", "closed", "x-close", ""] {
        let text = format!("HTTP/1.1 200 OK\r\nConnection: {options}\r\nContent-Length: 7\r\n\r\n");
        check(&text, plain(200, 7));
    }
}

#[test]
fn all_others_are_left_to_hyper() {
    for fields in [
        "X: no length",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "transfer-encoding:",
        "Content-Length: 7\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 7",
        "Content-Length: 7\r\nContent-Length: 7",
        "Content-Length: 7\r\nContent-Length: 8",
        "Content-Length: 7, 7",
        "Content-Length: +7",
        "Content-Length: -7",
        "Content-Length: 0x7",
        "Content-Length: 7 7",
        "Content-Length: \u{b2}",
        "Content-Length:",
        "Content-Length: 10000000000000000000",
        "Content-Length: 7\r\nX: 1\r\n folded",
        "X: 1\r\n Content-Length: 7\r\nContent-Length: 7",
        "Content-Length : 7",
        "Content-Length: 7\r\nX y: 1",
        "Content-Length: 7\r\nNo colon",
        "Content-Length: 7\r\n: nameless",
        "Content-Length: 7\r\nX: a\0b",
        "Content-Length: 7\r\nX: a\rb",
    ] {
        check(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), None);
    }
    for line in [
        "HTTP/1.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.1 101 Switching",
        "HTTP/1.0 100 Continue",
        "HTTP/1.1 600 Odd",
        "HTTP/1.1 999 Odd",
        "HTTP/1.1 099 Odd",
        "HTTP/1.1 abc OK",
        "HTTP/1.1  200 OK",
        "http/1.1 200 OK",
        "garbage",
    ] {
        check(&format!("{line}\r\nContent-Length: 7\r\n\r\n"), None);
    }
    check(
        &format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 7\r\n\r\n",
            "X: 1\r\n".repeat(MAX_FIELDS)
        ),
        None,
    );
    check(
        &format!(
            "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 7\r\n\r\n",
            "y".repeat(MAX_HEAD)
        ),
        None,
    );
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD));
    assert!(
        matches!(parse(&Bytes::from(endless)), Some(Answer::Odd)),
        "it is not waited for"
    );
}

#[test]
fn what_is_said_before_an_answer_is_skipped() {
    for line in [
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 102 Wait",
        "HTTP/1.1 104 Upload",
        "HTTP/1.1 199 Early",
    ] {
        for fields in ["", "Location: /u\r\n", "Content-Length: 7\r\n"] {
            let interim = format!("{line}\r\n{fields}\r\n");
            let found = parse(&Bytes::from(format!("{interim}HTTP/1.1 200 OK\r\n")));
            assert!(
                matches!(found, Some(Answer::Interim(length)) if length == interim.len()),
                "{interim}"
            );
        }
    }
}

#[test]
fn requests_are_written_as_they_are_to_be_read() {
    let head = |query, length| Head {
        method: &actix_web::http::Method::GET,
        path: "/media/g/v/file",
        query,
        fields: [
            ("Range", "bytes=0-5"),
            ("accept", "a"),
            ("accept", "b"),
            ("host", "t:1"),
        ]
        .map(|(name, value)| (name, value.as_bytes().into()))
        .into(),
        length,
        old_client: false,
    };
    let fields = "Range: bytes=0-5\r\naccept: a\r\naccept: b\r\nhost: t:1\r\n";
    for (query, target) in [
        (None, "/media/g/v/file"),
        (Some(""), "/media/g/v/file?"),
        (Some("x='1'&y={}"), "/media/g/v/file?x='1'&y={}"),
    ] {
        let text = String::from_utf8(write(&head(query, Length::None))).unwrap();
        assert_eq!(text, format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
        let text = String::from_utf8(write(&head(query, Length::Known(1_048_576)))).unwrap();
        let length = "content-length: 1048576\r\n";
        assert_eq!(text, format!("GET {target} HTTP/1.1\r\n{fields}{length}\r\n"));
    }
}
