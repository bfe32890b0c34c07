//! `/api/v1/videos/{id}/danmaku` and `/api/v1/danmaku/{id}`.

use common::ids::Id;
use serde_json::json;

use crate::app::{each, each_with, members};

#[test]
fn danmaku_are_read_by_moment_and_by_what_is_new() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}/danmaku");
        assert_eq!(app.get(&path).await.text, r#"{"items":[],"next":null}"#);
        let full = json!({ "text": " 前方高能 ", "atMs": 2736, "mode": "top", "color": "#FFaa00" });
        let full = bob.post(&path, full).await.expect(201);
        let shown = json!({ "id": full["id"], "text": "前方高能", "atMs": 2736, "mode": "top", "color": "#ffaa00",
            "author": { "username": "bob", "displayName": "bob" }, "createdAt": full["createdAt"] });
        assert_eq!(full, shown);
        for (text, at) in [("c", 500), ("a", 0), ("b", 500), ("d", 1000)] {
            let plain = ann.danmaku(&id, text, at).await.expect(201);
            assert_eq!((&plain["mode"], &plain["color"]), (&json!("scroll"), &json!("#ffffff")));
        }
        let all = app.get(&path).await.expect(200);
        assert_eq!(members(&all, "text"), ["a", "c", "b", "d", "前方高能"]);
        assert_eq!(all["items"][4], shown);
        let span = app.get(&format!("{path}?fromMs=500&toMs=1000")).await.expect(200);
        assert_eq!(members(&span, "text"), ["c", "b"]);
        // Two of one moment stand on two pages; what comes in before the cursor's place moves nothing.
        let first = app.get(&format!("{path}?limit=2")).await.expect(200);
        assert_eq!(members(&first, "text"), ["a", "c"]);
        ann.danmaku(&id, "early", 1).await.expect(201);
        let next = first["next"].as_str().unwrap();
        let second = app.get(&format!("{path}?limit=3&cursor={next}")).await.expect(200);
        assert_eq!(
            (members(&second, "text"), &second["next"]),
            (vec!["b".into(), "d".into(), "前方高能".into()], &json!(null))
        );
        let since = format!("{path}?afterId={}", full["id"].as_str().unwrap());
        let new = app.get(&since).await.expect(200);
        assert_eq!(members(&new, "text"), ["c", "a", "b", "d", "early"]);
        let page = app.get(&format!("{since}&limit=2")).await.expect(200);
        let next = page["next"].as_str().unwrap();
        let page = app.get(&format!("{since}&limit=100&cursor={next}")).await.expect(200);
        assert_eq!(members(&page, "text"), ["b", "d", "early"]);
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 0);
    });
}

#[test]
fn what_a_list_is_asked_for_is_checked() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}/danmaku");
        for at in [0, 1, 2] {
            ann.danmaku(&id, "x", at).await.expect(201);
        }
        for limit in ["0", "501"] {
            app.get(&format!("{path}?limit={limit}")).await.invalid(&["/limit"]);
        }
        app.get(&format!("{path}?limit=500")).await.expect(200);
        for query in ["limit=x", "fromMs=x", "afterId=x", "cursor=x", "fromMs=1.5"] {
            app.get(&format!("{path}?{query}")).await.problem(400, "bad_request");
        }
        let some = Id::now();
        app.get(&format!("{path}?afterId={some}&fromMs=1"))
            .await
            .invalid(&["/afterId"]);
        let first = app.get(&format!("{path}?limit=1")).await.expect(200);
        let next = first["next"].as_str().unwrap();
        // A cursor belongs to its list.
        for query in [
            format!("afterId={some}&cursor={next}"),
            format!("fromMs=1&cursor={next}"),
        ] {
            app.get(&format!("{path}?{query}")).await.problem(400, "bad_request");
        }
        let all = app.get(&format!("{path}?fromMs={}&toMs={}", i64::MIN, i64::MAX)).await;
        assert_eq!(members(&all.expect(200), "text").len(), 3);
    });
}

#[test]
fn texts_moments_modes_and_colors_are_checked() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}/danmaku");
        for text in [
            "",
            "  ",
            "a\nb",
            "a\u{0}b",
            "\u{1b}[2J",
            "\u{202e}x",
            "\u{200b}",
            &"x".repeat(101),
        ] {
            ann.danmaku(&id, text, 0).await.invalid(&["/text"]);
        }
        ann.danmaku(&id, &"🐻".repeat(100), 0).await.expect(201);
        for at in [-1, 2737, i64::MIN, i64::MAX] {
            ann.danmaku(&id, "x", at).await.invalid(&["/atMs"]);
        }
        ann.danmaku(&id, "the end", 2736).await.expect(201);
        for color in ["red", "#fff", "#12345g", "", "#1234567"] {
            let draft = json!({ "text": "x", "atMs": 0, "color": color });
            ann.post(&path, draft).await.invalid(&["/color"]);
        }
        let both = json!({ "text": "", "atMs": 0, "color": "" });
        ann.post(&path, both).await.invalid(&["/text", "/color"]);
        for draft in [
            json!({ "text": "x" }),
            json!({ "atMs": 0 }),
            json!({ "text": "x", "atMs": "0" }),
            json!({ "text": "x", "atMs": 1.5 }),
            json!({ "text": "x", "atMs": 0, "mode": "sideways" }),
            json!({ "text": "x", "atMs": 0, "size": 30 }),
            json!({ "text": "x", "atMs": 0, "authorId": ann.id }),
            json!(["x", 0]),
        ] {
            let answer = ann.post(&path, draft.clone()).await;
            assert!(matches!(answer.status, 400 | 422), "{draft}: {}", answer.text);
        }
        let nobody = json!({ "text": "x", "atMs": 0 });
        app.post(&path, nobody).await.problem(401, "unauthenticated");
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM danmaku").await, 2);
        assert_eq!(
            app.count("SELECT MAX(room_seq) AS n FROM videos").await,
            2,
            "a refusal takes no number"
        );
    });
}

#[test]
fn a_video_of_unknown_length_takes_any_moment_of_a_day() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.create(json!({ "title": "x" })).await;
        let mut media = crate::app::media();
        media.as_object_mut().unwrap().remove("durationMs");
        let ready = format!("/internal/videos/{id}/media-ready");
        app.report(&ready, media).await.expect(200);
        ann.danmaku(&id, "x", 86_400_000).await.expect(201);
        ann.danmaku(&id, "x", 86_400_001).await.invalid(&["/atMs"]);
    });
}

#[test]
fn promise_15_hostile_text_comes_back_as_it_was() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let texts = [
            "<script>alert(1)</script>",
            "'; DROP TABLE room_log; --",
            "$1 $2 %s {0} {{7*7}} ${jndi:ldap://x}",
            r#"{"kind":"closed","data":null}"#,
            r#"\"},{\"seq\":99,"#,
            "../../../etc/passwd",
            "\\u0000 \\n",
            "ﷺ🏳️‍🌈é",
        ];
        for text in texts {
            let danmaku = ann.danmaku(&id, text, 0).await.expect(201);
            let comment = ann.comment(&id, text).await.expect(201);
            assert_eq!((&danmaku["text"], &comment["text"]), (&json!(text), &json!(text)));
        }
        let list = app.get(&format!("/api/v1/videos/{id}/danmaku")).await.expect(200);
        assert_eq!(members(&list, "text"), texts);
        let log = app.get(&format!("/api/v1/videos/{id}/events")).await.expect(200);
        let said = log["items"].as_array().unwrap().iter();
        let said: Vec<&str> = said.map(|entry| entry["data"]["text"].as_str().unwrap()).collect();
        assert_eq!(said, texts.iter().flat_map(|text| [*text, *text]).collect::<Vec<_>>());
    });
}

#[test]
fn only_ready_videos_that_one_may_see_take_danmaku() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let private = ann.create(json!({ "title": "x", "visibility": "private" })).await;
        let paths = [
            format!("/api/v1/videos/{private}/danmaku"),
            format!("/api/v1/videos/{private}/events"),
        ];
        ann.danmaku(&private, "early", 0).await.problem(409, "conflict");
        app.media_ready(&private).await.expect(200);
        bob.danmaku(&private, "hello", 0).await.problem(404, "not_found");
        for path in &paths {
            bob.get(path).await.problem(404, "not_found");
            app.get(path).await.problem(404, "not_found");
        }
        ann.danmaku(&private, "to myself", 0).await.expect(201);
        ann.trash(&private).await.expect(202);
        ann.danmaku(&private, "late", 0).await.problem(409, "conflict");
        let mine = ann.get(&paths[0]).await.expect(200);
        assert_eq!(members(&mine, "text"), ["to myself"]);
        ann.get(&paths[1]).await.expect(200);
        bob.danmaku("000000000000", "x", 0).await.problem(404, "not_found");
        bob.get("/api/v1/videos/000000000000/events")
            .await
            .problem(404, "not_found");
        // What was refused took no number: a danmaku, and the room that was closed.
        assert_eq!(app.count("SELECT MAX(room_seq) AS n FROM videos").await, 2);
    });
}

#[test]
fn a_danmaku_is_removed_by_its_author_or_the_owner_of_the_video() {
    each(async |app| {
        let (ann, bob, eve) = (
            app.register("ann").await,
            app.register("bob").await,
            app.register("eve").await,
        );
        let id = ann.publish("x").await;
        let made = async |text: &str| {
            let danmaku = bob.danmaku(&id, text, 0).await.expect(201);
            format!("/api/v1/danmaku/{}", danmaku["id"].as_str().unwrap())
        };
        let (one, two) = (made("one").await, made("two").await);
        eve.delete(&one).await.problem(404, "not_found");
        let nobody = app.request(reqwest::Method::DELETE, &one);
        app.send(nobody).await.problem(401, "unauthenticated");
        bob.delete(&one).await.expect(204);
        ann.delete(&two).await.expect(204);
        bob.delete(&one).await.problem(404, "not_found");
        eve.delete("/api/v1/danmaku/nonsense").await.problem(404, "not_found");
        let comment = bob.comment(&id, "a comment").await.expect(201);
        let as_danmaku = format!("/api/v1/danmaku/{}", comment["id"].as_str().unwrap());
        bob.delete(&as_danmaku).await.problem(404, "not_found");
        let list = app.get(&format!("/api/v1/videos/{id}/danmaku")).await.expect(200);
        assert_eq!(list["items"], json!([]));
    });
}

#[test]
fn a_video_takes_so_many_danmaku_and_no_more() {
    each_with(
        |config| config.api.max_danmaku_per_video = 3,
        async |app| {
            let ann = app.register("ann").await;
            let (id, other) = (ann.publish("x").await, ann.publish("y").await);
            let made = futures_util::future::join_all((0..10).map(|_| ann.danmaku(&id, "x", 0))).await;
            let (kept, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(|answer| answer.status == 201);
            assert_eq!((kept.len(), refused.len()), (3, 7));
            for answer in refused {
                answer.problem(409, "conflict");
            }
            ann.comment(&id, "comments go on").await.expect(201);
            ann.danmaku(&other, "so do other videos", 0).await.expect(201);
            let first = kept[0].body["id"].as_str().unwrap();
            ann.delete(&format!("/api/v1/danmaku/{first}")).await.expect(204);
            ann.danmaku(&id, "room again", 0).await.expect(201);
            ann.danmaku(&id, "full again", 0).await.problem(409, "conflict");
            let head = format!("SELECT room_seq AS n FROM videos WHERE id = '{id}'");
            assert_eq!(app.count(&head).await, 6, "a refusal takes no number");
        },
    );
}

#[test]
fn comments_and_danmaku_of_a_user_share_one_limit() {
    let slow = |config: &mut common::config::Config| {
        config.api.posts_per_second = 1;
        config.api.post_burst = 4;
    };
    each_with(slow, async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        // What could not be written anyway is not counted.
        for _ in 0..10 {
            ann.danmaku(&id, "", 0).await.invalid(&["/text"]);
        }
        let first = ann.danmaku(&id, "first", 0).await;
        assert_eq!(
            (first.status, first.header("ratelimit-policy")),
            (201, "\"posts\";q=4;w=4")
        );
        assert_eq!(first.header("ratelimit"), "\"posts\";r=3;t=1");
        let mut refused = None;
        // At one a second nobody gets this many through.
        for n in 0..100 {
            let answer = if n % 2 == 0 {
                ann.comment(&id, "flood").await
            } else {
                ann.danmaku(&id, "flood", 0).await
            };
            if answer.status != 201 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("a flood is refused");
        refused.problem(429, "too_many_requests");
        assert_eq!(
            (refused.header("retry-after"), refused.header("ratelimit")),
            ("1", "\"posts\";r=0;t=1")
        );
        assert_eq!(refused.header("ratelimit-policy"), "\"posts\";q=4;w=4");
        bob.danmaku(&id, "others are not concerned", 0).await.expect(201);
        let mine = format!("/api/v1/danmaku/{}", first.body["id"].as_str().unwrap());
        ann.delete(&mine).await.expect(204);
        ann.get(&format!("/api/v1/videos/{id}/danmaku")).await.expect(200);
    });
}
