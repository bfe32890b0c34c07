//! What the doctor looks at in a database: that it is reached with these credentials, that its schema is one that this binary
//! knows, that it takes changes, and that its clock agrees with this machine's.

use super::connect::{Role, establish};
use super::{AnyConn, Backend, DatabaseUrl, DbError, DbOptions, MigrateError, Migrations, now_ms, pending};
use crate::config::Config;
use crate::doctor::Finding;
use crate::time::Timestamp;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use std::path::Path;

/// Clocks further apart make due times visibly late or early, milliseconds.
const APART_MS: i64 = 2_000;
/// Clocks further apart make grants expired when they are made.
const FAR_APART_MS: i64 = 60_000;

/// Everything about `database.<service>`. Blocks, each step with a deadline; changes nothing.
#[must_use]
pub fn examine(config: &Config, service: &str, migrations: &Migrations) -> Vec<Finding> {
    let key = format!("database.{service}");
    let url: DatabaseUrl = match config.database_url(service).parse() {
        Ok(url) => url,
        Err(error) => return vec![Finding::fail(key, "address", error, "as the message says")],
    };
    if let DatabaseUrl::Sqlite { path } = &url
        && !path.exists()
    {
        return vec![absent(&key, path)];
    }
    let options = DbOptions {
        application_name: "sluice-doctor".into(),
        ..DbOptions::default()
    };
    let mut conn = match establish(&url, Role::Writer, &options) {
        Ok(conn) => conn,
        Err(error) => return vec![unreachable(&key, &error)],
    };
    let mut findings = vec![Finding::ok(&key, "reached", &url)];
    findings.push(schema(&key, &url, migrations));
    findings.push(writable(&key, &mut conn));
    findings.push(clock(&key, &mut conn));
    if conn.backend() == Backend::Postgres {
        findings.extend(server(&key, &mut conn, config));
    }
    findings
}

fn absent(key: &str, path: &Path) -> Finding {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // The data folder is made at the start; any other has to be there.
    if folder.exists() || folder.ancestors().skip(1).any(Path::exists) {
        return Finding::ok(
            key,
            "file",
            format!("{} will be made at the first start", path.display()),
        );
    }
    Finding::fail(
        key,
        "file",
        format!("{} is not there", folder.display()),
        "make the folder",
    )
}

fn unreachable(key: &str, error: &DbError) -> Finding {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    let instead = if has("password authentication failed") || has("no password supplied") {
        "write the right password: postgres://USER:PASSWORD@HOST:5432/DATABASE, special characters as %XX"
    } else if has("role \"") {
        "make the user (CREATE ROLE … LOGIN PASSWORD …), or write one that is there"
    } else if has("database \"") && has("does not exist") {
        "make it (CREATE DATABASE … ENCODING 'UTF8'), or write one that is there"
    } else if has("could not translate host name") {
        "write a host that this machine can look up"
    } else if has("no encryption") || has("pg_hba.conf") {
        "let the server take this user from this address without TLS (pg_hba.conf): this build speaks none to PostgreSQL"
    } else if has("refused") || has("timeout") || has("No such file") {
        "start the server, or write its host and port; look at its listen_addresses and the firewall"
    } else if has("not a database") {
        "name a file of ours, or one that is not there"
    } else {
        "as the message says"
    };
    Finding::fail(key, "reached", text, instead)
}

fn schema(key: &str, url: &DatabaseUrl, migrations: &Migrations) -> Finding {
    match pending(url, migrations) {
        Ok(missing) if missing.is_empty() => Finding::ok(key, "schema", "as this binary knows it"),
        Ok(missing) => Finding::warn(
            key,
            "schema",
            format!("is older than this binary: {} to apply", missing.join(", ")),
            "run `sluice migrate`, or let the next start do it",
        ),
        Err(error @ MigrateError::Newer(_)) => {
            Finding::fail(key, "schema", error, "run the newer binary, or name another database")
        }
        Err(error) => Finding::fail(key, "schema", error, "as the message says"),
    }
}

/// Makes a table, fills it, and takes both back.
fn writable(key: &str, conn: &mut AnyConn) -> Finding {
    const TRIAL: &str = "CREATE TABLE sluice_doctor (x BIGINT NOT NULL); INSERT INTO sluice_doctor (x) VALUES (1);";
    let begin = match conn.backend() {
        Backend::Sqlite => "BEGIN IMMEDIATE",
        Backend::Postgres => "BEGIN; SET LOCAL lock_timeout = '5s'",
    };
    let tried = conn
        .batch_execute(begin)
        .and_then(|()| in_schema(conn))
        .and_then(|()| conn.batch_execute(TRIAL));
    let undone = conn.batch_execute("ROLLBACK");
    match tried.and(undone) {
        Ok(()) => Finding::ok(key, "write", "takes changes"),
        Err(error) => {
            let text = DbError::from(error).to_string();
            let instead = if text.contains("read-only transaction") {
                "name the primary server: this one is a replica, or read-only"
            } else if text.contains("readonly database") {
                "give the file and its folder to the user that runs sluice"
            } else if text.contains("permission denied") {
                "GRANT CREATE, USAGE on the schema (or CREATE on the database) to this user"
            } else if text.contains("busy") {
                "another process holds the write lock: look again when it is done"
            } else {
                "as the message says"
            };
            Finding::fail(key, "write", text, instead)
        }
    }
}

/// A schema that `?schema=` names is made by the first migration; for the trial it is made too, and taken back.
fn in_schema(conn: &mut AnyConn) -> QueryResult<()> {
    if conn.backend() == Backend::Sqlite {
        return Ok(());
    }
    let missing = diesel::sql_query(
        "SELECT CASE WHEN current_schema() IS NULL THEN split_part(current_setting('search_path'), ',', 1) ELSE '' END AS value",
    )
    .get_result::<Value>(conn)?
    .value;
    if missing.is_empty() {
        return Ok(());
    }
    conn.batch_execute(&format!("CREATE SCHEMA {missing}"))
}

fn clock(key: &str, conn: &mut AnyConn) -> Finding {
    let before = Timestamp::now().0;
    let theirs = match now_ms(conn) {
        Ok(theirs) => theirs,
        Err(error) => return Finding::fail(key, "clock", DbError::from(error), "as the message says"),
    };
    let after = Timestamp::now().0;
    difference(key, theirs - (before + (after - before) / 2))
}

fn difference(key: &str, apart_ms: i64) -> Finding {
    let says = format!("{apart_ms:+} ms from this machine's");
    let instead = "keep both clocks with NTP: due times come from the database's, grants from the services'";
    match apart_ms.abs() {
        0..=APART_MS => Finding::ok(key, "clock", says),
        ..=FAR_APART_MS => Finding::warn(key, "clock", says, instead),
        _ => Finding::fail(key, "clock", says, instead),
    }
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Settings of a PostgreSQL server that promises depend on.
fn server(key: &str, conn: &mut AnyConn, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut setting = |name: &str| {
        let text = format!("SELECT current_setting('{name}') AS value");
        diesel::sql_query(text).get_result::<Value>(conn).map(|row| row.value)
    };
    if let Ok(encoding) = setting("server_encoding")
        && encoding != "UTF8"
    {
        findings.push(Finding::fail(
            key,
            "encoding",
            format!("the database's is {encoding}: texts of people don't fit"),
            "make the database with ENCODING 'UTF8'",
        ));
    }
    if setting("fsync").is_ok_and(|fsync| fsync == "off") {
        findings.push(Finding::warn(
            key,
            "durability",
            "fsync is off: a power cut may lose what was acknowledged, or everything",
            "set fsync = on in postgresql.conf",
        ));
    }
    let room = diesel::sql_query(
        "SELECT CAST(current_setting('max_connections') AS BIGINT) - CAST(current_setting('superuser_reserved_connections') AS BIGINT) AS value",
    )
    .get_result::<Number>(conn);
    if let Ok(Number { value }) = room {
        // Three services, each with its pool.
        let wanted = 3 * i64::from(config.database.connections);
        let says = format!(
            "the server takes {value}; one copy of each of three services holds up to {wanted} (3 × database.connections)"
        );
        findings.push(if wanted > value {
            Finding::fail(
                "database.connections",
                "connections",
                says,
                "lower it, or raise max_connections of the server",
            )
        } else if wanted * 2 > value {
            Finding::warn(
                "database.connections",
                "connections",
                says,
                "for more copies lower it, or raise max_connections of the server",
            )
        } else {
            Finding::ok("database.connections", "connections", says)
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn clocks_that_differ_are_told() {
        assert_eq!(difference("database.api", 3).level, Level::Ok);
        assert_eq!(difference("database.api", -2_500).level, Level::Warn);
        assert_eq!(difference("database.api", 61_000).level, Level::Fail);
        assert!(difference("database.api", -2_500).says.contains("-2500 ms"));
    }
}
