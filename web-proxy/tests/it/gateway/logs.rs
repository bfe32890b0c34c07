//! Every log line of this test binary, kept, so that a test can look for what must not be there.

use std::sync::{Mutex, Once, PoisonError};

use log::kv::{Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use super::knock::Knock;
use super::site::Site;

static LINES: Mutex<String> = Mutex::new(String::new());

struct Capture;

struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The client below the gateway's own; the product's filter never lets it say more than warnings.
        !["hyper", "reqwest", "mio"]
            .iter()
            .any(|name| metadata.target().starts_with(name))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_str(&format!("{} {} {}", record.level(), record.target(), record.args()));
            record.key_values().visit(&mut Fields(&mut lines)).unwrap();
            lines.push('\n');
        }
    }

    fn flush(&self) {}
}

fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Capture)).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
}

fn lines() -> String {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[actix_web::test]
async fn promise_14_no_token_is_in_a_log_line_however_it_was_brought_and_whatever_became_of_it() {
    capture();
    let site = Site::with(|config| config.gateway.max_connections_per_platform = 1).await;
    let ann = site.api.user("ann");
    let mut client = Knock::by_query(&ann).enter(site.base()).await;
    client.login().await;
    client
        .refused("Login", serde_json::json!({ "token": "secret-of-somebody" }))
        .await;
    client
        .refused("Login", serde_json::json!({ "tokens": ann.token }))
        .await;
    // No place, refused for its origin, of another, cut off in the middle of its parameters.
    assert_eq!(Knock::by_query(&ann).refused(site.base()).await.status, 429);
    let foreign = Knock::by_query(&ann).with("Origin: http://evil.example");
    assert_eq!(foreign.refused(site.base()).await.status, 403);
    let protocol = Knock::plain("/ws?sendID=bob&platformID=5")
        .with(&format!("Sec-WebSocket-Protocol: sluice.v1, bearer.{}", ann.token));
    assert_eq!(protocol.refused(site.base()).await.status, 401);
    let mut plain = Knock::by_query(&ann);
    plain.target.push_str("&sendID=%ff");
    assert_eq!(plain.refused(site.base()).await.status, 400);
    assert_eq!(plain.without("Upgrade").refused(site.base()).await.status, 400);
    // Asked for while api-service is away, and a call that nobody answers.
    site.api.set_away(true);
    let bob = site.api.user("bob");
    assert_eq!(Knock::by_query(&bob).refused(site.base()).await.status, 503);
    assert_eq!(client.refused("GetSelfUserInfo", serde_json::json!({})).await, 2026);
    client.leave().await;
    site.stop().await;
    let lines = lines();
    assert!(lines.contains("/ws"), "the handshakes are logged: {lines}");
    let told = lines.lines().find(|line| line.contains("secret-"));
    assert_eq!(told, None);
}
