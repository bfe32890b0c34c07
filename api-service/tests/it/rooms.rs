//! `/api/v1/videos/{id}/events`, its internal twin and `/internal/rooms/heads`: the log of a room.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, each};

/// `kind seq` of each entry.
fn kinds(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|entry| format!("{} {}", entry["kind"].as_str().unwrap(), entry["seq"]))
        .collect()
}

async fn log(app: &App, video: &str, query: &str) -> Value {
    let path = format!("/internal/videos/{video}/events?{query}");
    app.internal(Method::GET, &path, json!(null)).await.expect(200)
}

#[test]
fn whatever_is_said_is_one_log_in_order() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("Bears").await;
        assert_eq!(
            app.get(&format!("/api/v1/videos/{id}/events")).await.text,
            r#"{"items":[],"next":null,"seq":0}"#
        );
        let comment = bob.comment(&id, "What a bear!").await.expect(201);
        let danmaku = bob.danmaku(&id, "熊", 7).await.expect(201);
        let entries = app.get(&format!("/api/v1/videos/{id}/events")).await.expect(200);
        assert_eq!(entries["seq"], 2);
        let entries = &entries["items"];
        assert_eq!(kinds(entries), ["comment 1", "danmaku 2"]);
        assert_eq!((&entries[0]["data"], &entries[1]["data"]), (&comment, &danmaku));
        assert_eq!(entries[0]["videoID"], id.as_str());
        assert_eq!(entries[1]["at"], danmaku["createdAt"]);
        let path = format!("/api/v1/comments/{}", comment["id"].as_str().unwrap());
        let removal = app.request(Method::DELETE, &path).bearer_auth(&ann.token);
        let removal = removal.header("x-operation-id", "taking-it-back");
        app.send(removal).await.expect(204);
        let entries = bob.events(&id).await;
        assert_eq!(kinds(&entries), ["comment 1", "danmaku 2", "revoked 3"]);
        assert_eq!(entries[0]["data"], json!(null));
        assert_eq!(
            entries[2]["data"],
            json!({ "id": comment["id"], "kind": "comment", "seq": 1 })
        );
        assert_eq!(entries[2]["operationID"], "taking-it-back");
    });
}

#[test]
fn the_log_is_read_in_pages_from_either_end() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (id, other) = (ann.publish("x").await, ann.publish("y").await);
        for n in 0..9 {
            ann.danmaku(&id, &n.to_string(), n).await.expect(201);
        }
        let path = format!("/api/v1/videos/{id}/events");
        let check = async |query: &str, seqs: std::ops::Range<i64>, next: Value| {
            let page = app.get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(page, log(app, &id, query).await, "{query}");
            let found: Vec<i64> = page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["seq"].as_i64().unwrap())
                .collect();
            assert_eq!(
                (found, &page["next"], &page["seq"]),
                (seqs.collect(), &next, &json!(9)),
                "{query}"
            );
        };
        check("", 1..10, json!(null)).await;
        check("limit=4", 1..5, json!(4)).await;
        check("limit=4&afterSeq=4", 5..9, json!(8)).await;
        check("limit=4&afterSeq=8", 9..10, json!(null)).await;
        check("limit=9", 1..10, json!(null)).await;
        check("afterSeq=9", 0..0, json!(null)).await;
        check(&format!("afterSeq={}", i64::MAX), 0..0, json!(null)).await;
        let tail = log(app, &id, "last=3").await;
        assert_eq!(
            (kinds(&tail["items"]), &tail["next"]),
            (
                vec!["danmaku 7".into(), "danmaku 8".into(), "danmaku 9".into()],
                &json!(null)
            )
        );
        assert_eq!(log(app, &id, "last=1000").await["items"].as_array().unwrap().len(), 9);
        assert_eq!(log(app, &other, "last=5").await["items"], json!([]));
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("afterSeq=-1", "/afterSeq"),
        ] {
            app.get(&format!("{path}?{query}")).await.invalid(&[field]);
        }
        app.get(&format!("{path}?afterSeq=x")).await.problem(400, "bad_request");
        let heads = json!({ "videos": [other, "000000000000", id] });
        let mut heads = app.report("/internal/rooms/heads", heads).await.expect(200);
        heads["heads"]
            .as_array_mut()
            .unwrap()
            .sort_by_key(|head| head["seq"].as_i64());
        let expected = json!([{ "videoID": other, "seq": 0 }, { "videoID": id, "seq": 9 }]);
        assert_eq!(heads["heads"], expected);
        let many = json!({ "videos": vec![id.as_str(); 1001] });
        app.report("/internal/rooms/heads", many).await.invalid(&["/videos"]);
    });
}
