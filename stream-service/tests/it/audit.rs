//! What the log says of changes of limits.

use crate::app::{App, OPERATOR, on_each_app};
use common::db::DbError;
use diesel::prelude::*;
use log::{LevelFilter, Log, Metadata, Record};
use serde_json::json;
use std::sync::{Mutex, Once, PoisonError};

/// Operators' changes so far, as the log has them.
static CHANGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "stream_service::handlers::limits"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            changes_with(|changes| changes.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

fn changes_with<T>(what: impl FnOnce(&mut Vec<String>) -> T) -> T {
    what(&mut CHANGES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Capture)).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

async fn patch(app: &App, body: serde_json::Value) -> u16 {
    let request = app.http.patch(format!("{}/api/v1/limits", app.running.public));
    let answer = request.bearer_auth(OPERATOR).json(&body).send().await.unwrap();
    answer.status().as_u16()
}

async fn sql(app: &App, statement: &'static str) {
    let done = app
        .db
        .write(move |conn| Ok::<_, DbError>(diesel::sql_query(statement).execute(conn)?));
    done.await.unwrap();
}

/// How often the log has that this was done.
fn logged(what: &str) -> usize {
    changes_with(|changes| changes.iter().filter(|line| line.ends_with(what)).count())
}

#[test]
fn the_log_has_what_operators_changed_and_nothing_that_was_not_stored() {
    capture();
    on_each_app(|app| async move {
        let before = logged("stream.max_uploads: 4711");
        sql(&app, "ALTER TABLE limit_settings RENAME TO elsewhere").await;
        assert!(patch(&app, json!({ "maxUploads": 4711 })).await >= 500);
        sql(&app, "ALTER TABLE elsewhere RENAME TO limit_settings").await;
        assert_eq!(logged("stream.max_uploads: 4711"), before);
        assert_eq!(patch(&app, json!({ "maxUploads": 4711 })).await, 200);
        assert_eq!(logged("Operator opal sets stream.max_uploads: 4711"), before + 1);
        assert_eq!(patch(&app, json!({ "maxUploads": null })).await, 200);
        assert!(logged("Operator opal sets stream.max_uploads: the configuration's again") > before);
    });
}
