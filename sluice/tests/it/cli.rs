//! The command line: what it prints, what it refuses and with which exit code.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::json;

use crate::person::{Person, client};
use crate::site::{ADMIN_PASSWORD, Home};

fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn sluice(args: &[&str]) -> Command {
    // A command that should have been refused and runs instead is ended.
    let mut command = Command::new("timeout");
    command.arg("60").arg(env!("CARGO_BIN_EXE_sluice")).args(args);
    command
}

#[test]
fn help_and_version_say_what_there_is() {
    let (code, out, _) = run(sluice(&["--version"]));
    assert_eq!((code, out.trim()), (0, concat!("sluice ", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = run(sluice(&["--help"]));
    assert_eq!(code, 0);
    for word in [
        "serve",
        "api",
        "stream",
        "scheduler",
        "proxy",
        "migrate",
        "check-config",
        "default-config",
        "healthcheck",
        "admin",
        "Examples:",
    ] {
        assert!(out.contains(word), "--help does not say {word}");
    }
}

#[test]
fn the_example_file_is_current_and_accepted() {
    let home = Home::new();
    let (code, out, _) = run(sluice(&["default-config"]));
    assert_eq!(code, 0);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/sluice.example.toml");
    assert_eq!(
        fs::read_to_string(example).unwrap(),
        out,
        "run: sluice default-config > deploy/sluice.example.toml"
    );
    let path = home.dir.path().join("sluice.toml");
    fs::write(&path, out).unwrap();
    let (code, out, err) = run(sluice(&["check-config", "--print", "--config", path.to_str().unwrap()]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("[stream]"));
}

#[test]
fn promise_20_a_wrong_configuration_ends_with_2_and_one_line() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = home.dir.path().join("a-file");
    fs::write(&file, "x").unwrap();
    let below_a_file = file.join("data");
    let (data, fresh) = (home.data(), home.dir.path().join("without-secrets"));
    let (data, fresh, below_a_file) = (
        data.to_str().unwrap(),
        fresh.to_str().unwrap(),
        below_a_file.to_str().unwrap(),
    );
    for (args, begins) in [
        (vec!["serve", "--data-dir", data, "--listen", &taken], "server.listen: "),
        (
            vec!["serve", "--data-dir", data, "--listen", "nowhere"],
            "server.listen: ",
        ),
        (vec!["serve", "--data-dir", below_a_file], "server.data_dir: "),
        (
            vec!["serve", "--data-dir", data, "--set", "stream.max_uplaod=1 GiB"],
            "stream.max_uplaod: ",
        ),
        (
            vec!["serve", "--data-dir", data, "--set", "stream.max_upload=much"],
            "stream.max_upload: ",
        ),
        (
            vec!["serve", "--data-dir", data, "--set", "database.api=mysql://x"],
            "database.api: ",
        ),
        (
            vec!["serve", "--data-dir", data, "--set", "log.level=loud"],
            "log.level: ",
        ),
        (
            vec![
                "serve",
                "--data-dir",
                data,
                "--listen",
                "127.0.0.1:0",
                "--set",
                "database.api=postgres://u:secretpw@127.0.0.1:1/x",
            ],
            "database.api: ",
        ),
        (vec!["api", "--data-dir", fresh, "--listen", "127.0.0.1:0"], "secrets."),
        (vec!["check-config", "--set", "api.session_ttl=30"], "api.session_ttl: "),
        (
            vec!["check-config", "--config", "/nowhere/sluice.toml"],
            "/nowhere/sluice.toml: ",
        ),
    ] {
        let (code, out, err) = run(sluice(&args));
        let last = err.lines().last().unwrap_or_default();
        assert_eq!(code, 2, "{args:?}: {out} {err}");
        assert!(last.starts_with(&format!("sluice: {begins}")), "{args:?}: {err}");
        assert!(!err.contains("secretpw"), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[tokio::test]
async fn one_data_folder_serves_one_process_and_keeps_its_secrets_private() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (code, _, err) = run(home.command("serve", &["--listen", "127.0.0.1:0"], &[], &[]));
    assert_eq!(code, 2);
    assert!(
        err.contains("server.data_dir: ") && err.contains("another sluice process"),
        "{err}"
    );
    for name in ["internal_token", "grant_keys"] {
        let meta = fs::metadata(home.data().join("secrets").join(name)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(home.data()).unwrap().permissions().mode() & 0o777, 0o700);
    site.stop();
}

#[tokio::test]
async fn healthcheck_tells_whether_it_is_ready() {
    let home = Home::new();
    let site = home.serve(&[]);
    let base = site.base.clone();
    let (code, _, err) = run(sluice(&["healthcheck", "--url", &base]));
    assert_eq!(code, 0, "{err}");
    for path in ["/healthz", "/readyz", "/readyz?verbose"] {
        assert_eq!(
            client().get(format!("{base}{path}")).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    assert_eq!(
        client()
            .get(format!("{base}/metrics"))
            .header("accept", "text/plain")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    site.stop();
    let (code, _, err) = run(sluice(&["healthcheck", "--url", &base]));
    assert_eq!(code, 1);
    assert!(err.contains("is not ready"), "{err}");
}

#[tokio::test]
async fn operators_are_made_by_command_or_at_the_first_start() {
    let home = Home::new();
    let site = home.serve(&[]);
    let admin = Person::sign_in(&site.base, "admin", ADMIN_PASSWORD).await;
    let (code, out, err) = run(home.command(
        "admin",
        &[
            "create",
            "--username",
            "second",
            "--password-file",
            home.dir.path().join("admin-password").to_str().unwrap(),
        ],
        &[],
        &[],
    ));
    assert_eq!(code, 0, "{out}{err}");
    let second = Person::sign_in(&site.base, "second", ADMIN_PASSWORD).await;
    for operator in [&admin, &second] {
        let who = operator.post("/api/v1/tokens/parse", json!({})).await.expect(200);
        assert_eq!(who["role"], "operator");
    }
    fs::write(home.dir.path().join("short"), "short").unwrap();
    let short = home.dir.path().join("short");
    let (code, _, err) = run(home.command(
        "admin",
        &[
            "create",
            "--username",
            "third",
            "--password-file",
            short.to_str().unwrap(),
        ],
        &[],
        &[],
    ));
    assert_ne!(code, 0, "a short password is refused");
    assert!(err.contains("password") && !err.contains("panicked"), "{err}");
    site.stop();
}

#[test]
fn promise_21_migrate_is_repeatable_and_an_older_binary_refuses() {
    let home = Home::new();
    let (code, out, err) = run(home.command("migrate", &[], &[], &[]));
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().count(), 3, "{out}");
    let (code, ..) = run(home.command("migrate", &[], &[], &[]));
    assert_eq!(code, 0);
    // A migration that this binary doesn't know stands in the database.
    let db = home.data().join("api.db");
    let insert = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(\"INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')\"); c.commit()";
    assert!(
        Command::new("python3")
            .args(["-c", insert])
            .arg(&db)
            .status()
            .unwrap()
            .success()
    );
    let (code, _, err) = run(home.command("serve", &["--listen", "127.0.0.1:0"], &[], &[]));
    assert_eq!(code, 2, "{err}");
    assert!(
        err.lines().last().unwrap().starts_with("sluice: database.api: ") && err.contains("newer"),
        "{err}"
    );
}
