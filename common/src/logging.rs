//! Log lines on standard error: text for people, JSON for machines, with fields and the operation id in both.

use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use chrono::{SecondsFormat, Utc};
use env_logger::fmt::Formatter;
use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};
use serde_json::Map;

use crate::config::{ConfigError, LogConfig, LogFormat};
use crate::operation;

/// The logger of this process, whose level can change, and the format that it keeps.
struct Replaceable {
    format: LogFormat,
    logger: RwLock<env_logger::Logger>,
}

static LOGGER: OnceLock<Replaceable> = OnceLock::new();

/// Installs the logger of this process; a second call does nothing. Errors when `log.level` can't be read.
pub fn init(config: &LogConfig) -> Result<(), ConfigError> {
    let logger = build(&config.level, config.format)?;
    let most = logger.filter();
    let ours = Replaceable {
        format: config.format,
        logger: RwLock::new(logger),
    };
    // A logger that a test harness installed stays.
    if LOGGER.set(ours).is_ok()
        && let Some(ours) = LOGGER.get()
        && log::set_logger(ours).is_ok()
    {
        log::set_max_level(most);
    }
    Ok(())
}

/// Logs from now on at another level. Errors when it can't be read.
pub fn set_level(level: &str) -> Result<(), ConfigError> {
    let Some(ours) = LOGGER.get() else {
        return build(level, LogFormat::Text).map(drop);
    };
    let logger = build(level, ours.format)?;
    log::set_max_level(logger.filter());
    *ours.logger.write().unwrap_or_else(PoisonError::into_inner) = logger;
    Ok(())
}

impl Replaceable {
    fn read(&self) -> RwLockReadGuard<'_, env_logger::Logger> {
        self.logger.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for Replaceable {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.read().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.read().log(record);
    }

    fn flush(&self) {
        self.read().flush();
    }
}

fn build(level: &str, format: LogFormat) -> Result<env_logger::Logger, ConfigError> {
    let mut builder = env_logger::Builder::new();
    // It announces every thread; `log.level` can ask for it by name.
    builder.filter_module("actix_server", log::LevelFilter::Warn);
    builder
        .try_parse_filters(level)
        .map_err(|error| ConfigError::new("log.level", error))?;
    match format {
        LogFormat::Text => builder.format(text_line),
        LogFormat::Json => builder.format(json_line),
    };
    Ok(builder.build())
}

trait TryParseFilters {
    fn try_parse_filters(&mut self, level: &str) -> Result<(), String>;
}

impl TryParseFilters for env_logger::Builder {
    /// `parse_filters` prints a warning and goes on: a wrong configuration must not start.
    fn try_parse_filters(&mut self, level: &str) -> Result<(), String> {
        for part in level.split(',') {
            let name = part.rsplit('=').next().unwrap_or_default().trim();
            if name.parse::<log::LevelFilter>().is_err() {
                return Err(format!("`{name}` is not one of off, error, warn, info, debug, trace"));
            }
        }
        self.parse_filters(level);
        Ok(())
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn text_line(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let level = match record.level() {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    };
    write!(out, "{} {level} {} ", now(), record.target())?;
    // One line per record, whatever a message holds: a newline in it must not forge another record.
    write!(out, "{}", OneLine(&record.args().to_string()))?;
    for (key, value) in fields(record) {
        match value {
            serde_json::Value::String(text) => write!(out, " {key}={}", OneLine(&text))?,
            other => write!(out, " {key}={other}")?,
        }
    }
    writeln!(out)
}

fn json_line(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let mut line = Map::new();
    line.insert("time".into(), now().into());
    line.insert("level".into(), record.level().as_str().to_lowercase().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    for (key, value) in fields(record) {
        line.entry(key).or_insert(value);
    }
    writeln!(out, "{}", serde_json::Value::Object(line))
}

/// The record's fields, and the operation id when the record does not say one itself.
fn fields(record: &Record<'_>) -> Map<String, serde_json::Value> {
    let mut visitor = Fields(Map::new());
    // Writing into a map can't fail.
    drop(record.key_values().visit(&mut visitor));
    if let Some(id) = operation::current() {
        visitor.0.entry("operation_id").or_insert_with(|| id.as_str().into());
    }
    visitor.0
}

struct Fields(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let value = if let Some(number) = value.to_u64() {
            number.into()
        } else if let Some(number) = value.to_i64() {
            number.into()
        } else if let Some(flag) = value.to_bool() {
            flag.into()
        } else {
            value.to_string().into()
        };
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}

/// Shows control characters as escapes.
struct OneLine<'a>(&'a str);

impl std::fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?
            } else {
                write!(f, "{c}")?
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_message_stays_in_its_line() {
        assert_eq!(OneLine("a\nb\r\u{1b}[0m").to_string(), "a\\nb\\r\\u{1b}[0m");
    }

    #[test]
    fn a_wrong_level_is_refused_with_the_key() {
        let mut config = LogConfig {
            level: "info,api_service=debug".into(),
            ..LogConfig::default()
        };
        assert!(init(&config).is_ok());
        config.level = "loud".into();
        assert_eq!(init(&config).unwrap_err().key, "log.level");
    }
}
