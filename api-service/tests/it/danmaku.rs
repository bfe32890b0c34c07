//! `/api/v1/videos/{id}/danmaku` and `/api/v1/danmaku/{id}`.

use common::ids::Id;
use serde_json::json;

use crate::app::{each, members};

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
