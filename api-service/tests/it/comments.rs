//! `/api/v1/videos/{id}/comments` and `/api/v1/comments/{id}`.

use serde_json::json;

use crate::app::{each, members};

#[test]
fn comments_are_listed_newest_first_with_their_parents_and_counted() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let id = ann.publish("x").await;
        let path = format!("/api/v1/videos/{id}/comments");
        assert_eq!(app.get(&path).await.text, r#"{"items":[],"next":null}"#);
        let first = bob.comment(&id, " What a bear!\nReally. ").await.expect(201);
        assert_eq!(first["text"], "What a bear!\nReally.");
        assert_eq!(first["author"], json!({ "username": "bob", "displayName": "bob" }));
        assert_eq!(first["parentId"], json!(null));
        let reply = json!({ "text": "Yes", "parentId": first["id"] });
        let reply = ann.post(&path, reply).await.expect(201);
        assert_eq!(reply["parentId"], first["id"]);
        for n in 0..3 {
            bob.comment(&id, &n.to_string()).await.expect(201);
        }
        let list = app.get(&path).await.expect(200);
        assert_eq!(members(&list, "text"), ["2", "1", "0", "Yes", "What a bear!\nReally."]);
        assert_eq!(list["items"][3], reply);
        let page = app.get(&format!("{path}?limit=2")).await.expect(200);
        let next = page["next"].as_str().unwrap();
        bob.comment(&id, "newer").await.expect(201);
        let page = app.get(&format!("{path}?limit=2&cursor={next}")).await.expect(200);
        assert_eq!(members(&page, "text"), ["0", "Yes"]);
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 6);
    });
}

#[test]
fn a_comment_is_removed_by_its_author_or_the_owner_of_the_video() {
    each(async |app| {
        let (ann, bob, eve) = (
            app.register("ann").await,
            app.register("bob").await,
            app.register("eve").await,
        );
        let id = ann.publish("x").await;
        let made = async |text: &str| {
            let comment = bob.comment(&id, text).await.expect(201);
            format!("/api/v1/comments/{}", comment["id"].as_str().unwrap())
        };
        let (one, two) = (made("one").await, made("two").await);
        eve.delete(&one).await.problem(404, "not_found");
        app.send(app.request(reqwest::Method::DELETE, &one))
            .await
            .problem(401, "unauthenticated");
        bob.delete(&one).await.expect(204);
        ann.delete(&two).await.expect(204);
        bob.delete(&one).await.problem(404, "not_found");
        eve.delete("/api/v1/comments/nonsense").await.problem(404, "not_found");
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 0);
    });
}

#[test]
fn an_answer_outlives_what_it_answers() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let first = ann.comment(&id, "first").await.expect(201);
        let path = format!("/api/v1/videos/{id}/comments");
        ann.post(&path, json!({ "text": "answer", "parentId": first["id"] }))
            .await
            .expect(201);
        ann.delete(&format!("/api/v1/comments/{}", first["id"].as_str().unwrap()))
            .await
            .expect(204);
        let list = app.get(&path).await.expect(200);
        assert_eq!(
            (members(&list, "text"), &list["items"][0]["parentId"]),
            (vec!["answer".into()], &first["id"])
        );
        ann.post(&path, json!({ "text": "late", "parentId": first["id"] }))
            .await
            .invalid(&["/parentId"]);
    });
}

#[test]
fn only_ready_videos_that_one_may_see_are_commented_on() {
    each(async |app| {
        let (ann, bob) = (app.register("ann").await, app.register("bob").await);
        let private = ann.create(json!({ "title": "x", "visibility": "private" })).await;
        ann.comment(&private, "early").await.problem(409, "conflict");
        app.media_ready(&private).await.expect(200);
        bob.comment(&private, "hello").await.problem(404, "not_found");
        bob.get(&format!("/api/v1/videos/{private}/comments"))
            .await
            .problem(404, "not_found");
        ann.comment(&private, "to myself").await.expect(201);
        ann.trash(&private).await.expect(202);
        ann.comment(&private, "late").await.problem(409, "conflict");
        let mine = ann.get(&format!("/api/v1/videos/{private}/comments")).await.expect(200);
        assert_eq!(members(&mine, "text"), ["to myself"]);
        bob.comment("000000000000", "x").await.problem(404, "not_found");
    });
}

#[test]
fn texts_and_parents_are_checked() {
    each(async |app| {
        let ann = app.register("ann").await;
        let (one, two) = (ann.publish("one").await, ann.publish("two").await);
        let other = ann.comment(&two, "elsewhere").await.expect(201);
        let path = format!("/api/v1/videos/{one}/comments");
        for text in ["", "  \n ", "a\u{0}b", "\u{1b}[2J", &"x".repeat(2001), "\u{200b}"] {
            ann.comment(&one, text).await.invalid(&["/text"]);
        }
        ann.post(&path, json!({ "text": "", "parentId": "x" }))
            .await
            .invalid(&["/text", "/parentId"]);
        ann.post(&path, json!({ "text": "x", "parentId": other["id"] }))
            .await
            .invalid(&["/parentId"]);
        app.post(&path, json!({ "text": "x" }))
            .await
            .problem(401, "unauthenticated");
        ann.comment(&one, &"🐻".repeat(2000)).await.expect(201);
        ann.comment(&one, "<script>alert(1)</script> {{7*7}} %s")
            .await
            .expect(201);
        let list = app.get(&path).await.expect(200);
        assert_eq!(list["items"][0]["text"], "<script>alert(1)</script> {{7*7}} %s");
    });
}

#[test]
fn the_count_is_right_after_many_at_once() {
    each(async |app| {
        let ann = app.register("ann").await;
        let id = ann.publish("x").await;
        let made = futures_util::future::join_all((0..20).map(|_| ann.comment(&id, "at once"))).await;
        assert!(made.iter().all(|answer| answer.status == 201));
        let removed = made
            .iter()
            .take(7)
            .map(|answer| answer.body["id"].as_str().unwrap().to_owned());
        let paths: Vec<String> = removed
            .flat_map(|id| [format!("/api/v1/comments/{id}"), format!("/api/v1/comments/{id}")])
            .collect();
        let ended = futures_util::future::join_all(paths.iter().map(|path| ann.delete(path))).await;
        assert_eq!(
            ended.iter().filter(|answer| answer.status == 204).count(),
            7,
            "each once"
        );
        assert_eq!(ann.video(&id).await.expect(200)["commentCount"], 13);
        assert_eq!(app.count("SELECT COUNT(*) AS n FROM comments").await, 13);
    });
}
