//! What a process says that can't start: one line that begins with the key, and exit code 2 (promise 20). And what it answers when
//! the same thing happens later.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::db::Backend;
use common::testing::{TestDatabase, eventually, postgres_url, postgres_user_with_password};
use serde_json::json;

use crate::person::{PASSWORD, Person, client};
use crate::site::Home;

/// Whoever needs this long has not noticed.
const SOON: Duration = Duration::from_secs(30);

/// Runs to its end and checks that it is a refusal about `key`; its line.
#[track_caller]
fn refused(home: &Home, command: &str, settings: &[&str], key: &str, says: &str) -> String {
    let listen: &[&str] = if ["migrate", "check-config"].contains(&command) {
        &[]
    } else {
        &["--listen", "127.0.0.1:0"]
    };
    let output = bounded(home.command(command, listen, settings, &secrets()));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let shown = format!("{command} {settings:?}: {out}{err}");
    assert_eq!(output.status.code(), Some(2), "{shown}");
    let last = err.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with(&format!("sluice: {key}: ")), "{shown}");
    assert!(last.contains(says), "{shown}");
    assert!(!err.contains("s3cret") && !err.contains("panicked"), "{shown}");
    assert!(!out.contains("ready"), "{shown}");
    last
}

/// A command that should have been refused and runs instead is ended.
fn bounded(command: Command) -> std::process::Output {
    let mut limited = Command::new("timeout");
    limited.arg("60").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn secrets() -> Vec<(String, String)> {
    vec![
        (
            "SLUICE_SECRETS__INTERNAL_TOKEN".into(),
            "0123456789abcdef0123456789abcdef".into(),
        ),
        ("SLUICE_SECRETS__GRANT_KEYS".into(), format!("k1:{}", "A".repeat(43))),
    ]
}

const SERVICES: [&str; 3] = ["api", "stream", "scheduler"];

#[test]
fn promise_20_wrong_credentials_of_a_database() {
    let home = Home::new();
    let url = postgres_user_with_password("bad_start", "right");
    let wrong = url.replace(":right@", ":s3cret@");
    for service in SERVICES {
        let set = format!("database.{service}={wrong}");
        let key = format!("database.{service}");
        for command in [service, "serve", "migrate"] {
            let line = refused(&home, command, &[&set], &key, "password authentication failed");
            assert!(line.contains("bad_start"), "the line names the user: {line}");
        }
    }
    let nobody = postgres_url("bad_start").replace("postgres://postgres@", "postgres://nobody_here@");
    let set = format!("database.api={nobody}");
    refused(
        &home,
        "serve",
        &[&set],
        "database.api",
        "role \"nobody_here\" does not exist",
    );
    let elsewhere = postgres_url("bad_start").replace("/bad_start", "/not_there");
    let set = format!("database.api={elsewhere}");
    refused(
        &home,
        "serve",
        &[&set],
        "database.api",
        "database \"not_there\" does not exist",
    );
}

#[test]
fn promise_20_a_database_that_is_not_reached() {
    let home = Home::new();
    for (url, says) in [
        ("postgres://u:s3cret@127.0.0.1:1/x", "refused"),
        ("postgres://u:s3cret@no-such-host.invalid/x", "no-such-host.invalid"),
        ("postgres://u:s3cret@%2Fno%2Fsuch%2Ffolder/x", "/no/such/folder"),
    ] {
        for service in SERVICES {
            let set = format!("database.{service}={url}");
            refused(&home, "serve", &[&set], &format!("database.{service}"), says);
        }
    }
    // One that takes the connection and says nothing: the wait has a deadline.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let set = format!("database.api=postgres://u:s3cret@{}/x", silent.local_addr().unwrap());
    refused(&home, "serve", &[&set], "database.api", "timeout");
    // A file that is none of SQLite's, and a folder that can't be there.
    std::fs::write(
        home.dir.path().join("a-file"),
        "this is no database, and long enough to be looked at".repeat(40),
    )
    .unwrap();
    let file = home.dir.path().join("a-file");
    let set = format!("database.stream=sqlite:{}", file.display());
    refused(&home, "serve", &[&set], "database.stream", "not a database");
    let set = format!("database.stream=sqlite:{}/x.db", file.display());
    refused(&home, "serve", &[&set], "database.stream", "a-file/x.db");
}

#[test]
fn promise_20_mistyped_addresses_say_what_would_be_right() {
    let home = Home::new();
    let file = home.dir.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let below_a_file = format!("store.url=file:{}/media", file.display());
    for command in ["serve", "stream", "migrate", "check-config"] {
        for (set, key, says) in [
            (
                "database.api=postgress://u:s3cret@h/d",
                "database.api",
                "postgres://USER@HOST",
            ),
            ("database.api=./api.db", "database.api", "sqlite:PATH"),
            (
                "database.stream=sqlite://data/stream.db",
                "database.stream",
                "sqlite:data/stream.db",
            ),
            (
                "database.scheduler=postgres:u:s3cret@h",
                "database.scheduler",
                "postgres://",
            ),
            ("store.url=fiel:/srv/media", "store.url", "file:PATH"),
            ("store.url=/srv/media", "store.url", "file:PATH"),
            ("bus.url=nat://h:4222", "bus.url", "is not a bus"),
            ("bus.url=locl:", "bus.url", "is not a bus"),
            (
                "server.public_url=video.example",
                "server.public_url",
                "https://video.example",
            ),
            ("proxy.api=127.0.0.1:9001", "proxy.api", "http://host:port"),
            ("internal.stream=https://s:1", "internal.stream", "http://host:port"),
        ] {
            refused(&home, command, &[set], key, says);
        }
    }
    refused(&home, "serve", &[&below_a_file], "store.url", "a-file/media");
}

#[test]
fn promise_20_a_port_in_use_or_not_ours() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for command in ["serve", "api", "stream", "scheduler", "proxy"] {
        let set = format!("internal.listen={taken}");
        refused(&home, command, &[&set], "internal.listen", "in use");
        let set = format!("server.listen={taken}");
        let output = bounded(home.command(command, &[], &[&set], &secrets()));
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(
            line.lines().last().unwrap().starts_with("sluice: server.listen: "),
            "{line}"
        );
        assert!(line.contains("in use"), "{line}");
    }
    // An address of documentation (RFC 5737): no machine has it.
    refused(
        &home,
        "serve",
        &["internal.listen=192.0.2.1:0"],
        "internal.listen",
        "192.0.2.1",
    );
}

/// Where the tables of each service are.
fn settings_for(backend: Backend, database: &TestDatabase) -> Vec<String> {
    match backend {
        Backend::Sqlite => Vec::new(),
        Backend::Postgres => SERVICES
            .iter()
            .map(|service| format!("database.{service}={}?schema={service}", database.url))
            .collect(),
    }
}

#[test]
fn promise_21_an_older_binary_on_a_newer_schema_of_each_service() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let home = Home::new();
        let database = TestDatabase::new(Backend::Postgres);
        let settings = settings_for(backend, &database);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let done = bounded(home.command("migrate", &[], &settings, &[]));
        assert!(done.status.success(), "{}", text(&done.stderr));
        for service in SERVICES {
            let table = "__diesel_schema_migrations";
            match backend {
                Backend::Sqlite => sqlite(
                    &home.data().join(format!("{service}.db")),
                    &format!("INSERT INTO {table} (version) VALUES ('99990101000000')"),
                ),
                Backend::Postgres => postgres(
                    &database.url,
                    &format!("INSERT INTO {service}.{table} (version) VALUES ('99990101000000')"),
                ),
            }
            let key = format!("database.{service}");
            refused(&home, service, &settings, &key, "newer than this binary");
            // It stays refused, and the others are not harmed by it.
            let removed = format!("DELETE FROM {table} WHERE version = '99990101000000'");
            match backend {
                Backend::Sqlite => sqlite(&home.data().join(format!("{service}.db")), &removed),
                Backend::Postgres => postgres(&database.url, &removed.replace(table, &format!("{service}.{table}"))),
            }
        }
        let again = bounded(home.command("migrate", &[], &settings, &[]));
        assert_eq!(text(&again.stdout).matches("up to date").count(), 3, "{again:?}");
    }
}

#[test]
fn promise_21_migrators_at_once_take_turns() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let home = Home::new();
        let database = TestDatabase::new(Backend::Postgres);
        let settings = settings_for(backend, &database);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let outputs: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| bounded(home.command("migrate", &[], &settings, &[]))))
                .collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for output in &outputs {
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let all: String = outputs.iter().map(|output| text(&output.stdout)).collect();
        for service in SERVICES {
            assert_eq!(all.matches(&format!("{service}: applied")).count(), 1, "{all}");
            assert_eq!(all.matches(&format!("{service}: up to date")).count(), 3, "{all}");
        }
    }
}

#[tokio::test]
async fn promise_17_a_database_that_goes_away_later_is_503_and_heals() {
    let home = Home::new();
    let database = TestDatabase::new(Backend::Postgres);
    let settings: Vec<String> = SERVICES
        .iter()
        .map(|service| format!("database.{service}={}?schema={service}", database.url))
        .collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let site = home.serve(&settings);
    let ann = Person::register(&site.base, "ann").await;
    let (video, _) = ann.create("before").await;
    let name = database.url.rsplit('/').next().unwrap().to_owned();
    let admin = postgres_url("admin");
    postgres(
        &admin,
        &format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ),
    );
    let ready = || async {
        client()
            .get(format!("{}/readyz", site.base))
            .send()
            .await
            .unwrap()
            .status()
    };
    eventually("it says that it is not ready", SOON, || async {
        (ready().await == 503).then_some(())
    })
    .await;
    let answer = ann.video(&video).await;
    answer.problem(503, "upstream_unavailable");
    let body = json!({ "username": "ann", "password": PASSWORD });
    assert_eq!(ann.post("/api/v1/sessions", body).await.status, 503);
    let healthz = client().get(format!("{}/healthz", site.base)).send().await.unwrap();
    assert_eq!(healthz.status(), 200, "the process itself lives");
    postgres(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    eventually("it is ready again", SOON, || async {
        (ready().await == 200).then_some(())
    })
    .await;
    assert_eq!(ann.video(&video).await.expect(200)["title"], "before");
    site.stop();
}

fn sqlite(file: &Path, statement: &str) {
    let program = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let status = Command::new("python3")
        .args(["-c", program])
        .arg(file)
        .arg(statement)
        .status();
    assert!(status.unwrap().success());
}

fn postgres(url: &str, statements: &str) {
    common::testing::postgres_execute(url, statements);
}
