//! The page and the headers of every answer.

use common::testing::{Running, test_config};
use web_proxy::pages::Pages;
use web_proxy::{Documents, security_headers};

use super::edge::{INDEX, ask, ask_head, page, start_pages};

const HTML: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

async fn site() -> Running {
    start_pages(test_config(), Documents::from([]), page()).await
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

#[actix_web::test]
async fn files_have_their_type_and_their_time_to_live() {
    let site = site().await;
    for (path, mime, cache) in [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        (
            "/assets/index-AbCd1234.js",
            "text/javascript; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        (
            "/assets/style-Zz.css",
            "text/css; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
        (
            "/assets/icon-9.svg",
            "image/svg+xml",
            "public, max-age=31536000, immutable",
        ),
        ("/favicon.ico", "image/x-icon", "no-cache"),
        ("/robots.txt", "text/plain; charset=utf-8", "no-cache"),
        (
            "/assets/index-AbCd1234.js?v=2",
            "text/javascript; charset=utf-8",
            "public, max-age=31536000, immutable",
        ),
    ] {
        let answer = ask(&site, &get(path, "")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(mime), "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        let etag = answer.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.len() > 30, "a strong tag: {etag}");

        let length = answer.body.len().to_string();
        let head = ask_head(&site, &get(path, "").replacen("GET", "HEAD", 1)).await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(length.as_str())),
            "{path}"
        );
        for tags in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".into()] {
            let fresh = ask(&site, &get(path, &format!("If-None-Match: {tags}\r\n"))).await;
            assert_eq!((fresh.status, fresh.body.len()), (304, 0), "{path} {tags}");
            assert_eq!(fresh.header("etag"), Some(etag.as_str()));
            assert_eq!(fresh.header("cache-control"), Some(cache));
        }
        let stale = ask(&site, &get(path, "If-None-Match: \"other\"\r\n")).await;
        assert_eq!(stale.status, 200, "{path}");
    }
    site.stop().await;
}

#[actix_web::test]
async fn addresses_of_the_page_get_index_html_and_those_of_services_never_do() {
    let site = site().await;
    for path in [
        "/v/0123456789ab",
        "/upload",
        "/me",
        "/v/x?t=3",
        "/signin?next=%2Fme",
        "/v/%E8%A7%86",
        "/apiary",
        "/v/",
    ] {
        let answer = ask(&site, &get(path, HTML)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, INDEX), "{path}");
        assert_eq!(
            (answer.header("cache-control"), answer.header("vary")),
            (Some("no-cache"), Some("accept"))
        );
        // A program that asks for JSON has mistyped.
        ask(&site, &get(path, "Accept: application/json\r\n"))
            .await
            .check_problem(404, "not_found");
        ask(&site, &get(path, "")).await.check_problem(404, "not_found");
        ask(&site, &get(path, "Accept: text/html;q=0, */*\r\n"))
            .await
            .check_problem(404, "not_found");
    }
    for path in [
        "/api",
        "/api/",
        "/api/v1/nothing",
        "/api/v2/videos",
        "/uploads",
        "/uploads/x",
        "/media/g/v/file",
        "/internal",
        "/internal/tokens/parse",
        "/ws/x",
        "/assets/gone-1.js",
        "/assets/",
        "/assets",
        "/metrics",
        "/%61pi/v1/x",
        "/%69nternal/x",
    ] {
        ask(&site, &get(path, HTML)).await.check_problem(404, "not_found");
    }
    // The gateway speaks WebSocket only.
    ask(&site, &get("/ws", HTML)).await.check_problem(400, "bad_request");
    site.stop().await;
}

#[actix_web::test]
async fn pages_are_only_read() {
    let site = site().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = ask(
            &site,
            &format!("{method} /me HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"),
        )
        .await;
        answer.check_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
    }
    ask(
        &site,
        "POST /api/v1/nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
    )
    .await
    .check_problem(404, "not_found");
    for path in ["//", "//evil.example/x", "/v/../x", "/v/%2e%2e/x", "/v/%00", "/v/a%2fb"] {
        ask(&site, &get(path, HTML)).await.check_problem(400, "bad_request");
    }
    site.stop().await;
}

#[actix_web::test]
async fn without_a_built_page_the_root_says_how_to_build_it() {
    let site = start_pages(test_config(), Documents::from([]), Pages::default()).await;
    for path in ["/", "/v/0123456789ab"] {
        let answer = ask(&site, &get(path, HTML)).await;
        answer.check_problem(503, "upstream_unavailable");
        assert!(answer.text().contains("make ui"), "{}", answer.text());
    }
    assert_eq!(ask(&site, &get("/openapi.json", "")).await.status, 200);
    site.stop().await;
}

/// What `make ui` built, when it did.
#[actix_web::test]
async fn the_page_that_is_compiled_in_loads_what_it_names() {
    let site = start_pages(test_config(), Documents::from([]), Pages::embedded()).await;
    let index = ask(&site, &get("/", HTML)).await;
    if index.status == 200 {
        for quoted in index.text().split('"').filter(|text| text.starts_with("/assets/")) {
            assert_eq!(ask(&site, &get(quoted, "")).await.status, 200, "{quoted}");
        }
    } else {
        index.check_problem(503, "upstream_unavailable");
    }
    site.stop().await;
}

#[actix_web::test]
async fn every_answer_carries_the_security_headers() {
    let mut config = test_config();
    let site = start_pages(config.clone(), Documents::from([]), page()).await;
    for (path, fields, status) in [
        ("/", "", 200),
        ("/assets/style-Zz.css", "", 200),
        ("/assets/style-Zz.css", "If-None-Match: *\r\n", 304),
        ("/nothing", "", 404),
        ("/v/%00", "", 400),
        ("/openapi.json", "", 200),
        ("/healthz", "", 200),
    ] {
        let answer = ask(&site, &get(path, fields)).await;
        assert_eq!(answer.status, status, "{path}");
        for (name, value) in security_headers(&config) {
            assert_eq!(answer.header(name.as_str()), value.to_str().ok(), "{path} {name}");
        }
        assert!(answer.header("x-request-id").is_some());
        assert!(answer.header("strict-transport-security").is_none(), "plain HTTP");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            !policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
    }
    site.stop().await;
    config.server.public_url = "https://video.example".into();
    let names: Vec<_> = security_headers(&config)
        .into_iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert!(names.contains(&"strict-transport-security".to_owned()));
}
