//! `GET /api/v1/videos`: order, search, paging.

use std::collections::HashSet;

use serde_json::json;

use crate::app::{App, each, members};

async fn titles(app: &App, query: &str) -> Vec<String> {
    members(&app.get(&format!("/api/v1/videos{query}")).await.expect(200), "title")
}

/// Follows `next` to the end.
async fn all(app: &App, query: &str, name: &str) -> Vec<String> {
    from(app, query, None, name).await
}

/// The same from a cursor on.
async fn from(app: &App, query: &str, cursor: Option<&str>, name: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut position = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    loop {
        let page = app.get(&format!("/api/v1/videos?{query}{position}")).await.expect(200);
        seen.extend(members(&page, name));
        match page["next"].as_str() {
            Some(next) => position = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[test]
fn an_empty_list_is_a_list() {
    each(async |app| {
        let text = app.get("/api/v1/videos").await;
        assert_eq!(text.text, r#"{"items":[],"next":null}"#);
    });
}

#[test]
fn the_list_is_sorted_as_asked_and_shows_only_what_is_public_and_ready() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        for title in ["beta", "Alpha", "gamma"] {
            let id = ann.publish(title).await;
            // Apart in time, whatever the clock's grain.
            app.sql(&format!(
                "UPDATE videos SET ready_at = ready_at + (SELECT COUNT(*) FROM videos) WHERE id = '{id}'"
            ))
            .await;
        }
        for (title, visibility) in [("hidden", "unlisted"), ("secret", "private")] {
            let id = bob.create(json!({ "title": title, "visibility": visibility })).await;
            app.media_ready(&id).await.expect(200);
        }
        bob.create(json!({ "title": "not there yet" })).await;
        assert_eq!(titles(app, "").await, ["gamma", "Alpha", "beta"]);
        assert_eq!(titles(app, "?sort=new").await, ["gamma", "Alpha", "beta"]);
        assert_eq!(titles(app, "?sort=old").await, ["beta", "Alpha", "gamma"]);
        assert_eq!(titles(app, "?sort=title").await, ["Alpha", "beta", "gamma"]);
        assert_eq!(titles(app, "?author=ann").await.len(), 3);
        for nobody in ["bob", "nobody", "%00", "Ann"] {
            assert_eq!(titles(app, &format!("?author={nobody}")).await, [""; 0], "{nobody}");
        }
        let author = &app.get("/api/v1/videos").await.expect(200)["items"][0]["author"];
        assert_eq!(*author, json!({ "username": "ann", "displayName": "ann" }));
    });
}

#[test]
fn a_search_is_a_text_not_a_pattern() {
    each(async |app| {
        let ann = app.register("ann").await;
        for title in ["100% bear", "100 bears", "a_b", "aXb", "back\\slash", "МЕДВЕДЬ", "it's"] {
            ann.publish(title).await;
        }
        let id = ann
            .create(json!({ "title": "plain", "description": "with HONEY inside" }))
            .await;
        app.media_ready(&id).await.expect(200);
        let check = async |query: &str, expected: &[&str]| {
            let request = app
                .request(reqwest::Method::GET, "/api/v1/videos")
                .query(&[("q", query), ("sort", "title")]);
            let found = members(&app.send(request).await.expect(200), "title");
            assert_eq!(found, expected, "{query}");
        };
        check("BEAR", &["100 bears", "100% bear"]).await;
        check("0% b", &["100% bear"]).await;
        check("a_b", &["a_b"]).await;
        check("\\", &["back\\slash"]).await;
        check("медведь", &["МЕДВЕДЬ"]).await;
        check("honey", &["plain"]).await;
        check("'", &["it's"]).await;
        check("%", &["100% bear"]).await;
        check("nothing like it", &[]).await;
        check(
            "  ",
            &[
                "100 bears",
                "100% bear",
                "a_b",
                "axb",
                "back\\slash",
                "it's",
                "plain",
                "медведь",
            ]
            .map(|title| {
                // The order ignores case, the titles keep it.
                match title {
                    "axb" => "aXb",
                    "медведь" => "МЕДВЕДЬ",
                    other => other,
                }
            }),
        )
        .await;
        let request = app
            .request(reqwest::Method::GET, "/api/v1/videos")
            .query(&[("q", "a\0b")]);
        app.send(request).await.invalid(&["/q"]);
    });
}

#[test]
fn pages_meet_without_gap_or_repetition_while_videos_come_and_go() {
    each(async |app| {
        let ann = app.register("ann").await;
        let mut ids = Vec::new();
        for n in 0..7 {
            ids.push(ann.publish(&format!("Same title {}", n % 2)).await);
        }
        // All at the same moment: only the ids tell them apart.
        app.sql("UPDATE videos SET ready_at = 1700000000000").await;
        for sort in ["new", "old", "title"] {
            let seen = all(app, &format!("sort={sort}&limit=2"), "id").await;
            assert_eq!(seen.len(), 7, "{sort}");
            assert_eq!(
                seen.iter().collect::<HashSet<_>>(),
                ids.iter().collect::<HashSet<_>>(),
                "{sort}"
            );
        }
        let first = app.get("/api/v1/videos?limit=3").await.expect(200);
        ann.publish("Newer").await;
        ann.trash(&members(&first, "id")[2]).await.expect(202);
        let rest = from(app, "limit=3", first["next"].as_str(), "id").await;
        let seen: HashSet<String> = members(&first, "id").into_iter().chain(rest.iter().cloned()).collect();
        assert_eq!((rest.len(), seen.len()), (4, 7));
        assert_eq!(seen, ids.into_iter().collect());
    });
}

#[test]
fn limits_and_cursors_are_checked() {
    each(async |app| {
        let ann = app.register("ann").await;
        for n in 0..21 {
            ann.publish(&n.to_string()).await;
        }
        let page = app.get("/api/v1/videos").await.expect(200);
        assert_eq!(members(&page, "id").len(), 20, "the default");
        let next = page["next"].as_str().unwrap();
        app.get(&format!("/api/v1/videos?sort=old&cursor={next}"))
            .await
            .problem(400, "bad_request");
        app.get(&format!("/api/v1/videos?sort=title&cursor={next}"))
            .await
            .problem(400, "bad_request");
        for cursor in ["x", "AAAA", "%00", "e30", &"a".repeat(5000)] {
            app.get(&format!("/api/v1/videos?cursor={cursor}"))
                .await
                .problem(400, "bad_request");
        }
        for limit in ["0", "101"] {
            app.get(&format!("/api/v1/videos?limit={limit}"))
                .await
                .invalid(&["/limit"]);
        }
        for query in ["limit=x", "limit=-1", "sort=best"] {
            app.get(&format!("/api/v1/videos?{query}"))
                .await
                .problem(400, "bad_request");
        }
        assert_eq!(
            members(&app.get("/api/v1/videos?limit=100").await.expect(200), "id").len(),
            21
        );
        // A forged cursor is a position and no more: also one with a NUL in its title.
        let forged = [
            "{\"l\":\"title\",\"k\":\"a\\u0000\",\"i\":\"x\"}",
            "{\"l\":\"new\",\"k\":\"text\",\"i\":\"x\"}",
        ];
        for (forged, sort) in forged.iter().zip(["title", "new"]) {
            let cursor = base64(forged.as_bytes());
            app.get(&format!("/api/v1/videos?sort={sort}&cursor={cursor}"))
                .await
                .problem(400, "bad_request");
        }
    });
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
