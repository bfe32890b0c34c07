//! Database URLs: the scheme picks the backend, everything that can be checked without connecting is checked here, and the
//! text of an error says what would be right. The caller puts its config key in front.

use super::Backend;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What is wrong with a database URL and what would be right; never contains a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(pub(super) String);

const EXAMPLES: &str =
    "write sqlite:PATH (for example sqlite:./sluice-data/api.db) or postgres://USER@HOST:5432/DATABASE";

/// Longest name that PostgreSQL keeps whole (NAMEDATALEN - 1).
const MAX_IDENTIFIER_BYTES: usize = 63;

/// A checked database URL. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    Sqlite {
        path: PathBuf,
    },
    /// `url` as libpq takes it, without our own `schema` parameter.
    Postgres {
        url: String,
        schema: Option<String>,
    },
}

impl DatabaseUrl {
    pub fn backend(&self) -> Backend {
        match self {
            DatabaseUrl::Sqlite { .. } => Backend::Sqlite,
            DatabaseUrl::Postgres { .. } => Backend::Postgres,
        }
    }

    /// Takes password and URL out of a text that libpq wrote (it likes to quote the whole URL).
    pub(super) fn redact(&self, text: &str) -> String {
        let DatabaseUrl::Postgres { url, .. } = self else {
            return text.trim().to_owned();
        };
        let shown = self.to_string();
        let text = text.replace(url.as_str(), &shown);
        match password_of(url) {
            Some(password) if !password.is_empty() => text.replace(password, "***"),
            _ => text,
        }
        .trim()
        .to_owned()
    }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(UrlError(format!("has no scheme: {EXAMPLES}")));
        };
        match scheme {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => postgres(text, rest),
            // The scheme alone is shown: what follows may be a password.
            other => Err(UrlError(format!("has the unknown scheme {other:?}: {EXAMPLES}"))),
        }
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, UrlError> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(path) if path.starts_with('/') => path,
        Some(path) => {
            return Err(UrlError(format!(
                "is ambiguous: write sqlite:{path} for a relative path or sqlite:/{path} for an absolute one"
            )));
        }
    };
    let wrong = if path.is_empty() {
        "names no file"
    } else if path == ":memory:" {
        "names a database in memory, which every connection would have for itself"
    } else if path.starts_with("file:") || path.contains('?') {
        "has parameters, which are not taken"
    } else if path.contains('\0') {
        "contains a NUL"
    } else if path.ends_with('/') || Path::new(path).is_dir() {
        "names a directory"
    } else {
        return Ok(DatabaseUrl::Sqlite {
            path: PathBuf::from(path),
        });
    };
    Err(UrlError(format!(
        "{wrong}: write sqlite:PATH with the path of a file, for example sqlite:./sluice-data/api.db"
    )))
}

fn postgres(text: &str, rest: &str) -> Result<DatabaseUrl, UrlError> {
    if !rest.starts_with("//") || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlError(
            "is no PostgreSQL URL: write postgres://USER@HOST:5432/DATABASE, special characters as %XX".into(),
        ));
    }
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let mut schema = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("schema", name)) => schema = Some(identifier(name)?),
            Some(_) => kept.push(pair),
            None => return Err(UrlError("has a parameter without a value: write ?name=value".into())),
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    Ok(DatabaseUrl::Postgres { url, schema })
}

fn identifier(name: &str) -> Result<String, UrlError> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if first && rest && name.len() <= MAX_IDENTIFIER_BYTES && !name.starts_with("pg_") {
        return Ok(name.to_owned());
    }
    Err(UrlError(format!(
        "has the schema {name:?}: a schema is 1 to {MAX_IDENTIFIER_BYTES} of a-z 0-9 _ and does not begin with a digit or pg_, for example ?schema=api"
    )))
}

/// The password between the first `:` of the authority and its last `@`.
fn password_of(url: &str) -> Option<&str> {
    let authority = url.split_once("//")?.1.split(['/', '?']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite { path } => write!(f, "sqlite:{}", path.display()),
            DatabaseUrl::Postgres { url, .. } => {
                // A password may also stand in the query; so only what is before it is shown.
                let base = url.split('?').next().unwrap_or_default();
                match password_of(base) {
                    Some(password) => f.write_str(&base.replacen(&format!(":{password}@"), ":***@", 1)),
                    None => f.write_str(base),
                }
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, says: &str) {
        let error = text.parse::<DatabaseUrl>().expect_err(text).to_string();
        assert!(error.contains(says), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }

    #[test]
    fn good_urls() {
        let path = |text: &str| match text.parse().unwrap() {
            DatabaseUrl::Sqlite { path } => path.to_str().unwrap().to_owned(),
            other => panic!("{other}"),
        };
        assert_eq!(path("sqlite:a/b.db"), "a/b.db");
        assert_eq!(path("sqlite:/a/b.db"), "/a/b.db");
        assert_eq!(path("sqlite:///a/b.db"), "/a/b.db");
        let url = "postgres://u:s3cret@h:1/d?schema=api&sslmode=disable"
            .parse::<DatabaseUrl>()
            .unwrap();
        assert_eq!(
            url,
            DatabaseUrl::Postgres {
                url: "postgres://u:s3cret@h:1/d?sslmode=disable".into(),
                schema: Some("api".into())
            }
        );
        assert_eq!(
            format!("{url} {url:?}"),
            "postgres://u:***@h:1/d postgres://u:***@h:1/d"
        );
        assert_eq!(
            url.redact("x \"s3cret\" of postgres://u:s3cret@h:1/d?sslmode=disable"),
            "x \"***\" of postgres://u:***@h:1/d"
        );
    }

    #[test]
    fn a_mistyped_url_says_what_would_be_right() {
        refused("", "write sqlite:PATH");
        refused("./x.db", "write sqlite:PATH");
        refused("postgress://u:s3cret@h/d", "unknown scheme \"postgress\"");
        refused("mysql://u:s3cret@h/d", "postgres://USER@HOST");
        refused("Sqlite:x", "write sqlite:PATH");
        refused("sqlite:", "names no file");
        refused("sqlite://a/b.db", "write sqlite:a/b.db for a relative path");
        refused("sqlite::memory:", "in memory");
        refused("sqlite:file:x?mode=ro", "parameters");
        refused("sqlite:/", "directory");
        refused("postgres:u:s3cret@h", "write postgres://");
        refused("postgres://u:s3cret@h/d b", "%XX");
        refused("postgres://h/d?schema=a-b", "for example ?schema=api");
        refused("postgres://h/d?schema=pg_x", "pg_");
        refused("postgres://h/d?schema", "?name=value");
    }
}
