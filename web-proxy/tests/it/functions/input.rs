//! Data that a function does not take: 1001, with words that name the member.

use web_proxy::gateway::envelope::err_code;
use web_proxy::gateway::functions::request::{LoginData, LogoutData, RoomPosition};
use web_proxy::gateway::functions::{Kind, read};

use super::{api, functions, run};
use crate::upstream::Upstream;

#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str)] = &[
    ("GetVideo", "", "data.videoID is missing."),
    ("GetVideo", "null", "data.videoID is missing."),
    ("GetVideo", "{}", "data.videoID is missing."),
    ("GetVideo", "{", "data: not JSON; the function takes an object."),
    ("GetVideo", "0123456789ab", "data: not JSON; the function takes an object."),
    ("GetVideo", r#"{"videoID":"0123456789ab"} x"#, "data: not JSON; the function takes an object."),
    ("GetVideo", r#""0123456789ab""#, "data: the function takes an object."),
    ("GetVideo", r#"["0123456789ab"]"#, "data: the function takes an object."),
    ("GetVideo", "5", "data: the function takes an object."),
    ("GetVideo", r#"{"videoID":5}"#, "data.videoID: a string."),
    ("GetVideo", r#"{"videoID":null}"#, "data.videoID: a string."),
    ("GetVideo", r#"{"videoID":"../users/me"}"#, "data.videoID: a video id is 12 characters of lower-case Crockford base32."),
    ("GetVideo", r#"{"videoID":"0123456789AB"}"#, "data.videoID: a video id is 12 characters of lower-case Crockford base32."),
    ("GetVideo", r#"{"videoId":"0123456789ab"}"#, "data: there is no such member; known: `videoID`."),
    ("GetVideo", r#"{"videoID":"0123456789ab","videoID":"0123456789ab"}"#, "data.videoID stands more than once."),
    ("GetVideo", r#"{"videoID":"0123456789ab","x":"SECRET"}"#, "data: there is no such member; known: `videoID`."),
    ("GetSelfUserInfo", r#"{"x":1}"#, "data: there is no such member; it takes none."),
    ("SetSelfInfo", r#"{"bio":7}"#, "data.bio: a string."),
    ("SetSelfInfo", r#"{"username":"x"}"#, "data: there is no such member; known: one of `displayName`, `bio`, `language`."),
    ("ListVideos", r#"{"limit":"5"}"#, "data.limit: a whole number, 0 or more."),
    ("ListVideos", r#"{"limit":-5}"#, "data.limit: a whole number, 0 or more."),
    ("ListVideos", r#"{"limit":1.5}"#, "data.limit: a whole number, 0 or more."),
    ("ListVideos", r#"{"limit":99999999999}"#, "data.limit: a whole number, 0 or more."),
    ("ListVideos", r#"{"sort":"best"}"#, "data.sort: one of `new`, `old`, `title`."),
    ("ListVideos", r#"{"sort":["new"]}"#, "data.sort: not a value of this member."),
    ("CreateVideo", "{}", "data.title is missing."),
    ("CreateVideo", r#"{"title":null}"#, "data.title: a string."),
    ("CreateVideo", r#"{"title":"x","visibility":"secret"}"#, "data.visibility: one of `public`, `unlisted`, `private`."),
    ("UpdateVideo", r#"{"videoID":"0123456789ab","title":null}"#, "data.title: a string."),
    ("UpdateVideo", r#"{"title":"x"}"#, "data.videoID is missing."),
    ("DeleteVideo", r#"{"videoID":"0123456789ab","permanent":"true"}"#, "data.permanent: a boolean."),
    ("DeleteVideo", r#"{"videoID":"0123456789ab","permanent":null}"#, "data.permanent: a boolean."),
    ("PostComment", r#"{"videoID":"0123456789ab"}"#, "data.text is missing."),
    ("PostComment", r#"{"videoID":"0123456789ab","text":["x"]}"#, "data.text: a string."),
    ("PostComment", r#"{"videoID":"0123456789ab","text":"\ud83d"}"#, "data.text: not a value of this member."),
    ("PostComment", r#"{"videoID":"0123456789ab","text":"x","parentID":"7"}"#, "data.parentID: the id is a UUID in lower-case hyphenated form."),
    ("DeleteComment", r#"{"commentID":"../videos/0123456789ab"}"#, "data.commentID: the id is a UUID in lower-case hyphenated form."),
    ("SendDanmaku", r#"{"videoID":"0123456789ab","text":"x"}"#, "data.atMs is missing."),
    ("SendDanmaku", r#"{"videoID":"0123456789ab","text":"x","atMs":-1}"#, "data.atMs: a whole number, 0 or more."),
    ("SendDanmaku", r#"{"videoID":"0123456789ab","text":"x","atMs":1,"mode":"up"}"#, "data.mode: one of `scroll`, `top`, `bottom`."),
    ("ListDanmaku", r#"{"videoID":"0123456789ab","afterID":"x"}"#, "data.afterID: the id is a UUID in lower-case hyphenated form."),
    ("GetUsersInfo", "", "data.usernames is missing."),
    ("GetUsersInfo", r#"{"usernames":[]}"#, "data.usernames: 1 to 50 names."),
    ("GetUsersInfo", r#"{"usernames":"ann"}"#, "data.usernames: an array."),
    ("GetUsersInfo", r#"{"usernames":["ann",5]}"#, "data.usernames[1]: a string."),
];

#[actix_web::test]
async fn what_is_refused_reaches_nobody() {
    let upstream = Upstream::named("{}").await;
    let api = api(&[&upstream.base]);
    let many = serde_json::json!({ "usernames": vec!["ann"; 51] }).to_string();
    let many = ("GetUsersInfo", many.as_str(), "data.usernames: 1 to 50 names.");
    for (name, data, message) in REFUSED.iter().copied().chain([many]) {
        let refusal = run(&api, name, data).await.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (err_code::BAD_PARAMETER, message),
            "{name} {data}"
        );
    }
    assert_eq!(upstream.accepted(), 0);
    for function in functions()
        .all()
        .filter(|function| matches!(function.kind, Kind::Api(_)))
    {
        assert!(
            run(&api, function.name, r#"{"no such member":1}"#).await.is_err(),
            "{}",
            function.name
        );
    }
}

#[test]
fn a_long_or_secret_text_is_not_repeated() {
    let long = "x".repeat(60_000);
    for data in [
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"videoID":"{long}"}}"#),
        format!(r#"{{"rooms":"{long}"}}"#),
        format!(r#"{{"token":["{long}"]}}"#),
        format!(r#"{{"rooms":[{{"{long}":1}}]}}"#),
    ] {
        let refusal = read::<LoginData>(&data).unwrap_err();
        assert!(refusal.message.len() < 200, "{}", &refusal.message[..200]);
    }
    let login: LoginData = read(r#"{"userID":"ann","token":"SECRET"}"#).unwrap();
    assert!(!format!("{login:?}").contains("SECRET"));
    assert!(!format!("{:?}", super::caller()).contains("the-token"));
}

#[test]
fn data_of_the_functions_that_the_connection_runs() {
    let check = |data: &str, expected: Result<Vec<Option<i64>>, &str>| {
        let rooms =
            read::<LoginData>(data).map(|login| login.rooms.into_iter().flatten().map(|room| room.after_seq).collect());
        assert_eq!(
            rooms.map_err(|refusal| refusal.message),
            expected.map_err(str::to_owned),
            "{data}"
        );
    };
    check("", Ok(vec![]));
    check(r#"{"rooms":[]}"#, Ok(vec![]));
    check(
        r#"{"rooms":[{"videoID":"0123456789ab"},{"videoID":"0123456789ab","afterSeq":0}]}"#,
        Ok(vec![None, Some(0)]),
    );
    check(r#"{"rooms":null}"#, Err("data.rooms: an array."));
    check(
        r#"{"rooms":[{"videoID":"0123456789ab"},{}]}"#,
        Err("data.rooms[1].videoID is missing."),
    );
    check(
        r#"{"rooms":[{"videoID":"0123456789ab","afterSeq":-1}]}"#,
        Err("data.rooms[0].afterSeq: a whole number, 0 or more."),
    );
    check(
        r#"{"rooms":[{"videoID":"0123456789ab","afterSeq":18446744073709551615}]}"#,
        Err("data.rooms[0].afterSeq: a whole number, 0 or more, that the log has."),
    );
    check(
        r#"{"rooms":[{"videoID":"0123456789ab","x":1}]}"#,
        Err("data.rooms[0]: there is no such member; known: `videoID` or `afterSeq`."),
    );
    let room: RoomPosition = read(r#"{"videoID":"0123456789ab","afterSeq":7}"#).unwrap();
    assert_eq!((room.video.as_str(), room.after_seq), ("0123456789ab", Some(7)));
    assert!(read::<LogoutData>(r#"{"session":true}"#).unwrap().session);
    assert!(!read::<LogoutData>("").unwrap().session);
}
