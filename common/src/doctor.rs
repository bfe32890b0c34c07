//! What `sluice doctor` finds, and the checks that belong to no service: clock, disk, secrets, the bus. Each service examines what it
//! owns (its database, the store, the edge) and gives its findings in this form. A check changes nothing that lasts: what it
//! writes it removes or rolls back.

mod bus;
mod host;
mod secrets;
pub mod seen;

pub use bus::bus;
pub use host::{clock, data_dir, disk, folder};
pub use secrets::secrets;

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    #[serde(rename = "ok")]
    Ok,
    /// It works, and will hurt.
    #[serde(rename = "warn")]
    Warn,
    /// It does not work.
    #[serde(rename = "FAIL")]
    Fail,
}

/// One line of the doctor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// The setting that it is about, such as `database.api`.
    pub key: String,
    /// What was looked at, in a word or two.
    pub check: &'static str,
    pub says: String,
    /// What to write or do instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl Finding {
    pub fn ok(key: impl Into<String>, check: &'static str, says: impl fmt::Display) -> Self {
        Finding::new(Level::Ok, key.into(), check, says.to_string(), None)
    }

    pub fn warn(
        key: impl Into<String>,
        check: &'static str,
        says: impl fmt::Display,
        instead: impl fmt::Display,
    ) -> Self {
        Finding::new(
            Level::Warn,
            key.into(),
            check,
            says.to_string(),
            Some(instead.to_string()),
        )
    }

    pub fn fail(
        key: impl Into<String>,
        check: &'static str,
        says: impl fmt::Display,
        instead: impl fmt::Display,
    ) -> Self {
        Finding::new(
            Level::Fail,
            key.into(),
            check,
            says.to_string(),
            Some(instead.to_string()),
        )
    }

    fn new(level: Level, key: String, check: &'static str, says: String, instead: Option<String>) -> Self {
        Finding {
            level,
            key,
            check,
            says,
            instead,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        // libpq and others write several lines.
        let says: Vec<&str> = self.says.lines().map(str::trim).collect();
        write!(f, "{level}  {}: {}: {}", self.key, self.check, says.join(" "))?;
        match &self.instead {
            Some(instead) => write!(f, " -> {instead}"),
            None => Ok(()),
        }
    }
}
