//! Promise 10: a path has one reading. What could have two is refused, what goes on goes on byte for byte.

use crate::edge::{ask, config, start};
use crate::upstream::Upstream;

#[actix_web::test]
async fn promise_10_paths_reach_their_service_exactly_or_nobody() {
    let api = Upstream::named("api").await;
    let stream = Upstream::named("stream").await;
    let scheduler = Upstream::named("scheduler").await;
    let edge = start(config(&[&api.base], &[&stream.base], &[&scheduler.base])).await;

    for (target, service) in [
        ("/api/v1/videos", "api"),
        ("/api/v1", "api"),
        ("/api/v1/", "api"),
        ("/api/v1/videos?cursor=a%2Fb&limit=3", "api"),
        ("/api/v1/videos?q=it's|{}^`[]\\..//", "api"),
        ("/api/v1/videos?", "api"),
        ("/api/v1/users/%E8%A7%86", "api"),
        ("/api/v1/users/a%20b", "api"),
        ("/api/v1/%76ideos", "api"),
        ("/%61pi/v1/videos", "api"),
        ("/api/v1/%252e%252e/internal", "api"),
        ("/api/v1/a;b=c/d", "api"),
        ("/api/v1/videos/:id@x!$&'()*+,=~", "api"),
        ("/api/v1/.../x", "api"),
        ("/api/v1/..x", "api"),
        ("/api/v1/jobsx", "api"),
        ("/api/v1/%c0%ae%c0%ae/x", "api"),
        ("/api/v1/jobs", "scheduler"),
        ("/api/v1/jobs/summary", "scheduler"),
        ("/api/v1/jobs?state=dead", "scheduler"),
        ("/api/v1/job%73/1", "scheduler"),
        ("/uploads", "stream"),
        ("/uploads/", "stream"),
        ("/uploads/by-video/0123456789ab", "stream"),
        ("/media/grant.with-chars_~/0123456789ab/file?download=1", "stream"),
        ("/m%65dia/g/v/file", "stream"),
    ] {
        let answer = ask(&edge, &format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, service), "{target}");
        let seen = match service {
            "api" => api.last(),
            "stream" => stream.last(),
            _ => scheduler.last(),
        };
        assert_eq!(seen.target(), target, "byte for byte");
    }

    let reached = api.count() + stream.count() + scheduler.count();
    for (target, status) in [
        ("/internal", 404),
        ("/internal/", 404),
        ("/internal/tokens/parse", 404),
        ("/%69nternal/tokens/parse", 404),
        ("/Internal/tokens/parse", 404),
        ("/INTERNAL/tokens/parse", 404),
        ("/api/v1/../../internal/tokens/parse", 400),
        ("/api/v1/%2e%2e/%2e%2e/internal/x", 400),
        ("/api/v1/.%2e/%2E./internal/x", 400),
        ("/api/v1/..%2f..%2finternal/x", 400),
        ("/api/v1/..%5c..%5cinternal/x", 400),
        ("/api/v1\\..\\..\\internal", 400),
        ("/api/v1/..;/..;/internal/x", 400),
        ("/api/v1/%2e%2e;x/internal", 400),
        ("/api/v1/./videos", 400),
        ("/api/v1/videos/.", 400),
        ("/api/v1/videos/..", 400),
        ("/./internal/x", 400),
        ("/../internal/x", 400),
        ("//internal/x", 400),
        ("//api/v1/videos", 400),
        ("/api//v1/videos", 400),
        ("/api/v1//internal", 400),
        ("/api/v1/a%00b", 400),
        ("/api/v1/a%0d%0aX-Sluice-User:%20admin", 400),
        ("/api/v1/a%7f", 400),
        ("/api/v1/a%2fb", 400),
        ("/api/v1/a%", 400),
        ("/api/v1/a%2", 400),
        ("/api/v1/a%zz", 400),
        ("/api/v1/a\"b", 400),
        ("/api/v1/a|b", 400),
        ("/media/g/v/../../../internal/x", 400),
        ("/uploads/%2e%2e/internal", 400),
        ("/api/v2/videos", 404),
        ("/api", 404),
        ("/apiv1/videos", 404),
        ("/ws", 400),
        ("/ws/", 404),
        ("/metrics", 404),
        ("http://t/internal/x", 404),
        ("http://t/api/v1/../../internal/x", 400),
    ] {
        let answer = ask(&edge, &format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        let code = if status == 404 { "not_found" } else { "bad_request" };
        assert_eq!(answer.status, status, "{target}");
        answer.check_problem(status, code);
    }
    let long = format!("GET /api/v1/{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(9000));
    ask(&edge, &long).await.check_problem(414, "uri_too_long");
    let long = format!("GET /api/v1/x?{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(9000));
    ask(&edge, &long).await.check_problem(414, "uri_too_long");
    for line in ["CONNECT t:80", "TRACE /api/v1/x", "CONNECT /api/v1/x"] {
        let answer = ask(&edge, &format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n")).await;
        assert!(matches!(answer.status, 400 | 405), "{line}: {}", answer.status);
    }
    let answer = ask(&edge, "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n").await;
    answer.check_problem(400, "bad_request");
    assert_eq!(
        api.count() + stream.count() + scheduler.count(),
        reached,
        "none of them reached a service"
    );
    edge.stop().await;
}
