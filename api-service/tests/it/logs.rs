//! Every log line of this test binary, kept, so that a test can look for what must not be there.

use std::sync::{Mutex, Once, PoisonError};

use log::kv::{Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

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
        // The tests' own client is not the product.
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

/// Begins to keep them; a second call does nothing.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Capture)).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
}

/// Everything so far.
pub fn lines() -> String {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
