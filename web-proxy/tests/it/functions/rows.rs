//! Each function between a call and api-service: data in, the request that was seen, the reply.

use std::collections::HashSet;

use serde_json::Value;
use web_proxy::gateway::functions::{Found, Kind};

use super::{api, function, functions, run};
use crate::upstream::Upstream;

const VIDEO: &str = "0123456789ab";
const COMMENT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A function, its data, and the request it makes: `GET /path?query`, and the body (empty for none).
type Row = (&'static str, &'static str, &'static str, &'static str);

/// `V` and `C` stand for ids of a video and of a comment.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("GetSelfUserInfo", "", "GET /api/v1/users/me", ""),
    ("GetSelfUserInfo", "null", "GET /api/v1/users/me", ""),
    ("GetSelfUserInfo", " {} ", "GET /api/v1/users/me", ""),
    ("SetSelfInfo", r#"{"displayName":"Ann B","bio":null}"#, "PATCH /api/v1/users/me", r#"{"displayName":"Ann B","bio":null}"#),
    ("SetSelfInfo", r#"{"language":"zh-CN"}"#, "PATCH /api/v1/users/me", r#"{"language":"zh-CN"}"#),
    ("SetSelfInfo", "{}", "PATCH /api/v1/users/me", "{}"),
    ("ListVideos", "", "GET /api/v1/videos", ""),
    ("ListVideos", r#"{"q":"a b&c=熊/../?#","author":"bob","sort":"title","cursor":"abc","limit":5}"#,
        "GET /api/v1/videos?author=bob&cursor=abc&limit=5&q=a+b%26c%3D%E7%86%8A%2F..%2F%3F%23&sort=title", ""),
    ("ListVideos", r#"{"limit":0,"cursor":null}"#, "GET /api/v1/videos?limit=0", ""),
    ("GetVideo", r#"{"videoID":"V"}"#, "GET /api/v1/videos/V", ""),
    ("CreateVideo", r#"{"title":"A bear"}"#, "POST /api/v1/videos", r#"{"title":"A bear"}"#),
    ("CreateVideo", r#"{"visibility":"unlisted","description":"d\n","title":""}"#, "POST /api/v1/videos",
        r#"{"title":"","description":"d\n","visibility":"unlisted"}"#),
    ("UpdateVideo", r#"{"videoID":"V","title":"B"}"#, "PATCH /api/v1/videos/V", r#"{"title":"B"}"#),
    ("UpdateVideo", r#"{"videoID":"V","description":null,"visibility":"private"}"#, "PATCH /api/v1/videos/V",
        r#"{"description":null,"visibility":"private"}"#),
    ("DeleteVideo", r#"{"videoID":"V"}"#, "DELETE /api/v1/videos/V", ""),
    ("DeleteVideo", r#"{"videoID":"V","permanent":false}"#, "DELETE /api/v1/videos/V", ""),
    ("DeleteVideo", r#"{"videoID":"V","permanent":true}"#, "DELETE /api/v1/videos/V?permanent=true", ""),
    ("RestoreVideo", r#"{"videoID":"V"}"#, "POST /api/v1/videos/V/restore", ""),
    ("GetPlayback", r#"{"videoID":"V"}"#, "GET /api/v1/videos/V/playback", ""),
    ("GetDeletion", r#"{"videoID":"V"}"#, "GET /api/v1/videos/V/deletion", ""),
    ("PostComment", r#"{"videoID":"V","text":"<b> \u0000"}"#, "POST /api/v1/videos/V/comments", r#"{"text":"<b> \u0000"}"#),
    ("PostComment", r#"{"videoID":"V","text":"x","parentID":"C"}"#, "POST /api/v1/videos/V/comments", r#"{"text":"x","parentId":"C"}"#),
    ("PostComment", r#"{"videoID":"V","text":"x","parentID":null}"#, "POST /api/v1/videos/V/comments", r#"{"text":"x"}"#),
    ("ListComments", r#"{"videoID":"V"}"#, "GET /api/v1/videos/V/comments", ""),
    ("ListComments", r#"{"videoID":"V","limit":100,"cursor":"x y"}"#, "GET /api/v1/videos/V/comments?cursor=x+y&limit=100", ""),
    ("DeleteComment", r#"{"commentID":"C"}"#, "DELETE /api/v1/comments/C", ""),
    ("SendDanmaku", r#"{"videoID":"V","text":"666","atMs":1500}"#, "POST /api/v1/videos/V/danmaku", r#"{"text":"666","atMs":1500}"#),
    ("SendDanmaku", r##"{"videoID":"V","text":"x","atMs":0,"mode":"top","color":"#ff0000"}"##, "POST /api/v1/videos/V/danmaku",
        r##"{"text":"x","atMs":0,"mode":"top","color":"#ff0000"}"##),
    ("ListDanmaku", r#"{"videoID":"V"}"#, "GET /api/v1/videos/V/danmaku", ""),
    ("ListDanmaku", r#"{"videoID":"V","fromMs":0,"toMs":60000,"limit":500}"#, "GET /api/v1/videos/V/danmaku?fromMs=0&limit=500&toMs=60000", ""),
    ("ListDanmaku", r#"{"videoID":"V","afterID":"C","cursor":"z"}"#, "GET /api/v1/videos/V/danmaku?afterId=C&cursor=z", ""),
];

fn with_ids(text: &str) -> String {
    let ends = |text: String, id: &str, letter: char| {
        let text = text.replace(&format!("\"{letter}\""), &format!("\"{id}\""));
        text.replace(&format!("/{letter}"), &format!("/{id}"))
            .replace(&format!("={letter}"), &format!("={id}"))
    };
    ends(ends(text.to_owned(), VIDEO, 'V'), COMMENT, 'C')
}

#[actix_web::test]
async fn every_function_makes_its_request_and_gives_the_answer() {
    let answer = r#"{"n":1.50,"t":"\u718a","a":[]}"#;
    let upstream = Upstream::answering(&format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ))
    .await;
    let api = api(&[&upstream.base]);
    for (name, data, request, body) in ROWS {
        let (data, request, body) = (with_ids(data), with_ids(request), with_ids(body));
        let reply = run(&api, name, &data).await;
        assert_eq!(
            reply.as_deref(),
            Ok(answer),
            "{name} {data}: the answer's text is not touched"
        );
        let seen = upstream.last();
        assert_eq!(seen.line(), format!("{request} HTTP/1.1"), "{name} {data}");
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), body, "{name} {data}");
        assert_eq!(seen.headers("authorization"), ["Bearer the-token-of-ann"]);
        assert_eq!(seen.headers("x-operation-id"), ["op-1"]);
        assert_eq!(seen.headers("x-forwarded-for"), ["203.0.113.7"]);
        let kind = (!body.is_empty()).then(|| "application/json".to_owned());
        assert_eq!(seen.header("content-type"), kind, "{name}");
        for absent in ["cookie", "origin", "transfer-encoding"] {
            assert_eq!(seen.header(absent), None, "{name}");
        }
    }
    assert_eq!(upstream.count(), ROWS.len());
    assert_eq!(upstream.accepted(), 1, "connections are kept");
    let functions = functions();
    let asked: HashSet<_> = ROWS.iter().map(|(name, ..)| *name).chain(["GetUsersInfo"]).collect();
    let all = functions.all().filter(|function| matches!(function.kind, Kind::Api(_)));
    assert_eq!(all.map(|function| function.name).collect::<HashSet<_>>(), asked);
}

#[actix_web::test]
async fn nothing_is_answered_with_nothing() {
    let upstream = Upstream::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let data = with_ids(r#"{"commentID":"C"}"#);
    assert_eq!(
        run(&api(&[&upstream.base]), "DeleteComment", &data).await.as_deref(),
        Ok("")
    );
}

/// Answers profiles by name; who is unknown is 404.
async fn people() -> Upstream {
    Upstream::new(|mut call| async move {
        while let Some(mut seen) = call.head().await {
            call.body(&mut seen).await;
            let name = seen.target().rsplit('/').next().unwrap().to_owned();
            let (status, body) = if name.starts_with("no-") {
                let problem = r#"{"type":"/problems/not_found","title":"","status":404,"detail":"There is no such user.","code":"not_found","errCode":2004,"operationID":"x"}"#;
                ("404 Not Found", problem.to_owned())
            } else {
                ("200 OK", format!(r#"{{"username":"{name}"}}"#))
            };
            // Later ones first, as far as they are asked at once.
            let number: u64 = name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
            tokio::time::sleep(std::time::Duration::from_millis(30_u64.saturating_sub(number * 3))).await;
            call.say(&format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await
}

#[actix_web::test]
async fn people_come_in_the_order_of_the_request() {
    let people = people().await;
    let api = api(&[&people.base]);
    let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
    let data = serde_json::json!({ "usernames": names }).to_string();
    let reply: Value = serde_json::from_str(&run(&api, "GetUsersInfo", &data).await.unwrap()).unwrap();
    let found: Vec<&str> = reply["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(found, names);
    assert!(
        people.accepted() <= 8,
        "at most 8 at once, {} connections",
        people.accepted()
    );

    let check = async |data: &str, expected: &str, asked: usize| {
        let before = people.count();
        assert_eq!(run(&api, "GetUsersInfo", data).await.as_deref(), Ok(expected), "{data}");
        assert_eq!(people.count() - before, asked, "{data}");
    };
    check(
        r#"{"usernames":["bob","no-one","ann","no-body"]}"#,
        r#"{"users":[{"username":"bob"},{"username":"ann"}]}"#,
        4,
    )
    .await;
    check(r#"{"usernames":["no-one"]}"#, r#"{"users":[]}"#, 1).await;
    check(r#"{"usernames":["ann","ann"]}"#, r#"{"users":[{"username":"ann"}]}"#, 1).await;
    // Names that nobody has are not asked about; `me` and paths are none.
    check(
        r#"{"usernames":["me","../videos","a/b","Ann","","ann?x","änn","%6de"]}"#,
        r#"{"users":[]}"#,
        0,
    )
    .await;
}

#[test]
fn names_find_their_function() {
    let functions = functions();
    for function in functions.all() {
        let Found::Function(found) = functions.lookup(function.name) else {
            panic!("{}", function.name);
        };
        assert_eq!(found.name, function.name);
        assert_eq!(
            function.needs_login,
            function.group.name() != "session",
            "{}",
            function.name
        );
    }
    for name in [
        "AddFriend",
        "CreateGroup",
        "GetSubDepartment",
        "GetWorkMomentsNotification",
        "SignalingInvite",
        "SendMessage",
        "InitSDK",
        "GetAllConversationList",
        "MarkMessageAsReadByConID",
        "TypingStatusUpdate",
    ] {
        assert!(matches!(functions.lookup(name), Found::Unsupported), "{name}");
    }
    for name in [
        "",
        "ping",
        "Ping ",
        "addFriend",
        "DropTables",
        "Login\0",
        &"x".repeat(10_000),
    ] {
        assert!(matches!(functions.lookup(name), Found::Unknown), "{name}");
    }
    assert_eq!(function("Ping").deadline, std::time::Duration::from_secs(5));
}

/// The words with which a call that api-service answers is refused before anybody is asked.
pub fn refusal(name: &str, data: &str) -> String {
    use futures_util::FutureExt;
    let nobody = api(&["http://127.0.0.1:1"]);
    let refused = run(&nobody, name, data).now_or_never();
    refused
        .unwrap_or_else(|| panic!("{name} takes {data}"))
        .unwrap_err()
        .message
}
