//! The published document, in both ways to run.

use common::testing::test_config;
use serde_json::{Value, json};
use web_proxy::Documents;

use super::edge::{ask, before, config, page, start, start_pages};
use super::upstream::{Upstream, nobody};

const GET: &str = "GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n";

fn document(path: &str) -> utoipa::openapi::OpenApi {
    let text = json!({ "openapi": "3.1.0", "info": { "title": "one", "version": "1" }, "paths": { path: { "get": { "responses": {} } } } });
    serde_json::from_value(text).unwrap()
}

async fn service(path: &str) -> Upstream {
    let body = serde_json::to_string(&document(path)).unwrap();
    let length = body.len();
    Upstream::answering(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")).await
}

fn paths(document: &Value) -> Vec<&str> {
    document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[actix_web::test]
async fn embedded_documents_become_one() {
    let documents = Documents::from([
        document("/api/v1/videos"),
        document("/uploads"),
        document("/api/v1/jobs"),
    ]);
    let site = start_pages(test_config(), documents, page()).await;
    let answer = ask(&site, GET).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let whole = answer.json();
    assert_eq!(whole["openapi"], "3.1.0");
    assert_eq!(whole["info"]["title"], "Sluice");
    assert_eq!(paths(&whole), ["/api/v1/jobs", "/api/v1/videos", "/uploads"]);
    assert!(whole.get("x-sluice-missing").is_none());
    let fresh = format!("If-None-Match: {}\r\n\r\n", answer.header("etag").unwrap());
    assert_eq!(
        ask(&site, &GET.replacen("\r\n\r\n", &format!("\r\n{fresh}"), 1))
            .await
            .status,
        304
    );
    ask(&site, &GET.replacen("GET", "POST", 1))
        .await
        .check_problem(405, "method_not_allowed");
    site.stop().await;
}

#[actix_web::test]
async fn scaled_documents_are_fetched_from_each_service_and_kept() {
    let (api, stream, scheduler) = (
        service("/api/v1/videos").await,
        service("/uploads").await,
        service("/api/v1/jobs").await,
    );
    let edge = start(config(&[&api.base], &[&stream.base], &[&scheduler.base])).await;
    for _ in 0..3 {
        let whole = ask(&edge, GET).await.json();
        assert_eq!(paths(&whole), ["/api/v1/jobs", "/api/v1/videos", "/uploads"]);
    }
    for (service, target) in [
        (&api, "/api/v1/openapi.json"),
        (&stream, "/uploads/openapi.json"),
        (&scheduler, "/api/v1/jobs/openapi.json"),
    ] {
        assert_eq!(service.count(), 1, "asked once for three readers");
        assert_eq!(service.last().target(), target);
    }
    edge.stop().await;
}

#[actix_web::test]
async fn a_service_that_is_away_is_named_and_the_others_are_there() {
    let api = service("/api/v1/videos").await;
    let nonsense = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]").await;
    let edge = start(config(
        &[&nobody().await, &api.base],
        &[&nobody().await],
        &[&nonsense.base],
    ))
    .await;
    let answer = ask(&edge, GET).await;
    assert_eq!(answer.status, 200);
    let whole = answer.json();
    assert_eq!(paths(&whole), ["/api/v1/videos"], "the second replica of api answered");
    assert_eq!(whole["x-sluice-missing"], json!(["stream", "scheduler"]));
    edge.stop().await;

    let failing = Upstream::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    let edge = before(&failing).await;
    let whole = ask(&edge, GET).await.json();
    assert_eq!(whole["x-sluice-missing"], json!(["api", "stream", "scheduler"]));
    edge.stop().await;
}
