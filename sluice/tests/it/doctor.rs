//! `sluice doctor` on the real binary: what is right is found right, and each thing that is broken is found, named by its setting.

mod front;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::db::Backend;
use common::testing::{Broker, TestDatabase, postgres_execute, postgres_url, postgres_user_with_password};
use serde_json::Value;

use crate::site::{Home, files};
use front::{Front, Way};

/// The findings, and the exit code.
fn doctor(home: &Home, args: &[&str], settings: &[&str], env: &[(String, String)]) -> (i32, Vec<Value>) {
    let args: Vec<&str> = [&["--json"], args].concat();
    let output = home.command("doctor", &args, settings, env).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!error.contains("panicked"), "{error}");
    assert!(!text.contains("s3cret") && !error.contains("s3cret"), "{text}{error}");
    let findings = serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{problem}: {text}{error}"));
    (output.status.code().unwrap(), findings)
}

fn of_level<'a>(findings: &'a [Value], level: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["level"] == level).collect()
}

/// Checks that something of `level` is said about `key`, that it says `says`, and what to write instead.
#[track_caller]
fn named(findings: &[Value], level: &str, key: &str, says: &str) {
    let found = of_level(findings, level).into_iter().find(|finding| {
        finding["key"] == key
            && finding.to_string().contains(says)
            && finding["instead"].as_str().is_some_and(|text| !text.is_empty())
    });
    assert!(found.is_some(), "no {level} of {key} that says {says:?}: {findings:#?}");
}

/// The settings with which nothing is wrong on a machine of the tests, however little is free there.
const ROOM: [&str; 2] = ["stream.min_free=1 MiB", "stream.max_upload=8 MiB"];

#[test]
fn what_is_right_is_found_right_and_left_as_it_was() {
    let home = Home::new();
    // Before the first start there is nothing, and nothing is made.
    let (code, findings) = doctor(&home, &[], &ROOM, &[]);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    assert!(!home.data().exists());
    let site = home.serve(&ROOM);
    let before = files(&home.data()).len();
    let (code, findings) = doctor(&home, &["--url", &site.base], &ROOM, &[]);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    for (key, check) in [
        ("database.api", "schema"),
        ("database.stream", "write"),
        ("database.scheduler", "clock"),
        ("store.url", "put, get, range, delete"),
        ("bus.url", "publish and receive"),
        ("--url", "WebSocket"),
        ("--url", "host"),
        ("server.trusted_proxies", "client"),
        ("stream.max_upload", "body"),
        ("clock", "of the site"),
    ] {
        let found = findings
            .iter()
            .find(|finding| finding["key"] == key && finding["check"] == check);
        assert_eq!(
            found.map(|finding| &finding["level"]),
            Some(&"ok".into()),
            "{key} {check}: {findings:#?}"
        );
    }
    assert_eq!(files(&home.data()).len(), before, "the doctor left nothing behind");
    let plain = home.command("doctor", &[], &ROOM, &[]).output().unwrap();
    let lines = String::from_utf8(plain.stdout).unwrap();
    assert!(
        lines
            .lines()
            .all(|line| ["ok ", "warn"].iter().any(|level| line.starts_with(level))),
        "{lines}"
    );
    site.stop();
}

#[test]
fn a_wrong_configuration_is_a_finding_too() {
    let home = Home::new();
    let (code, findings) = doctor(&home, &[], &["stream.max_uplaod=1 GiB"], &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "stream.max_uplaod", "unknown key");
}

#[test]
fn broken_databases_are_named() {
    let home = Home::new();
    let good = postgres_user_with_password("doctor", "right");
    let url = |text: &str| format!("database.api={text}");
    let cases = [
        (good.replace(":right@", ":s3cret@"), "write the right password"),
        (
            postgres_url("doctor").replace("postgres://postgres@", "postgres://nobody_here@"),
            "CREATE ROLE",
        ),
        (
            postgres_url("doctor").replace("/doctor", "/not_there"),
            "CREATE DATABASE",
        ),
        ("postgres://u:s3cret@127.0.0.1:1/x".into(), "listen_addresses"),
        ("postgres://u:s3cret@no-such-host.invalid/x".into(), "look up"),
    ];
    for (text, instead) in &cases {
        let (code, findings) = doctor(&home, &[], &[&url(text)], &[]);
        assert_eq!(code, 1, "{findings:#?}");
        named(&findings, "FAIL", "database.api", instead);
    }
    // Another user may connect and not make tables.
    postgres_execute(
        &postgres_url("doctor"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CREATE ON DATABASE doctor FROM doctor",
    );
    let (code, findings) = doctor(&home, &[], &[&url(&good)], &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "database.api", "GRANT CREATE");
    postgres_execute(
        &postgres_url("doctor"),
        "ALTER DATABASE doctor SET default_transaction_read_only = on",
    );
    let (_, findings) = doctor(&home, &[], &[&url(&good)], &[]);
    named(&findings, "FAIL", "database.api", "name the primary server");
}

#[test]
fn schemas_that_are_older_or_newer_are_named_and_left_alone() {
    let home = Home::new();
    let database = TestDatabase::new(Backend::Postgres);
    let settings: Vec<String> = ["api", "stream", "scheduler"]
        .map(|service| format!("database.{service}={}?schema={service}", database.url))
        .to_vec();
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(ROOM).collect();
    let (code, findings) = doctor(&home, &[], &settings, &[]);
    assert_eq!(code, 0, "{findings:#?}");
    named(&findings, "warn", "database.stream", "sluice migrate");
    // Nothing was made by looking: neither schema nor table.
    let (_, again) = doctor(&home, &[], &settings, &[]);
    named(&again, "warn", "database.stream", "sluice migrate");
    assert!(home.command("migrate", &[], &settings, &[]).status().unwrap().success());
    let (code, findings) = doctor(&home, &[], &settings, &[]);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    postgres_execute(
        &database.url,
        "INSERT INTO stream.__diesel_schema_migrations (version) VALUES ('99990101000000')",
    );
    let (code, findings) = doctor(&home, &[], &settings, &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "database.stream", "newer than this binary");
    let many = [settings.clone(), vec!["database.connections=5000"]].concat();
    let (_, findings) = doctor(&home, &[], &many, &[]);
    named(&findings, "FAIL", "database.connections", "max_connections");
}

#[test]
fn a_broken_store_bus_or_secret_is_named() {
    let home = Home::new();
    let file = home.dir.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let (code, findings) = doctor(&home, &[], &[&format!("store.url=file:{}", file.display())], &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "store.url", "not a folder");
    let (_, findings) = doctor(&home, &[], &["stream.min_free=1000000 TiB"], &[]);
    named(&findings, "FAIL", "stream.min_free", "507");
    let apart = ["internal.api=http://127.0.0.1:1"];
    let (code, findings) = doctor(&home, &[], &apart, &[]);
    assert_eq!(code, 1);
    named(
        &findings,
        "FAIL",
        "secrets.internal_token",
        "SLUICE_SECRETS__INTERNAL_TOKEN_FILE",
    );
    named(&findings, "warn", "bus.url", "nats://");
    let token = home.dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let env = [(
        "SLUICE_SECRETS__INTERNAL_TOKEN_FILE".to_owned(),
        token.display().to_string(),
    )];
    let (_, findings) = doctor(&home, &[], &ROOM, &env);
    named(&findings, "warn", "SLUICE_SECRETS__INTERNAL_TOKEN_FILE", "chmod 600");
    if Path::new("/dev/shm").is_dir() {
        let (_, findings) = doctor(&home, &[], &["store.url=file:/dev/shm/sluice-media"], &[]);
        named(&findings, "warn", "store.url", "tmpfs");
        assert!(!Path::new("/dev/shm/sluice-media").exists());
    }
}

#[test]
fn the_way_people_come_is_looked_at_from_outside() {
    let home = Home::new();
    let site = home.serve(&ROOM);
    let look = |way: Way, settings: &[&str]| {
        let front = Front::start(&site.base, way);
        let settings = [&ROOM[..], settings].concat();
        doctor(&home, &["--url", &front.url], &settings, &[])
    };
    // Nothing in between changes anything.
    let (code, findings) = look(Way::default(), &[]);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    // nginx as it comes: Host rewritten, bodies of 1 MiB, no upgrades.
    let nginx = Way {
        server: "nginx",
        max_body: Some(1 << 20),
        drops_upgrade: true,
        host: Some("upstream_name"),
        forwarded_for: None,
    };
    let (code, findings) = look(nginx.clone(), &[]);
    assert_eq!(code, 1);
    named(&findings, "warn", "stream.max_upload", "client_max_body_size");
    named(&findings, "FAIL", "--url", "proxy_set_header Upgrade");
    named(&findings, "FAIL", "server.public_url", "proxy_set_header Host");
    named(&findings, "warn", "server.trusted_proxies", "X-Forwarded-For");
    // A body limit that even the page can't get through.
    let (_, findings) = look(
        Way {
            max_body: Some(64 << 10),
            ..Way::default()
        },
        &[],
    );
    named(&findings, "FAIL", "stream.max_upload", "256 KiB");
    // A limit between what is sent and what is allowed: the largest upload is only announced.
    let (_, findings) = look(
        Way {
            max_body: Some(4 << 20),
            ..Way::default()
        },
        &[],
    );
    named(&findings, "warn", "stream.max_upload", "an upload of 8 MiB");
    // The proxy says whom it serves, and is not believed.
    let says = Way {
        forwarded_for: Some("203.0.113.7"),
        ..Way::default()
    };
    let (code, findings) = look(says, &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "server.trusted_proxies", "[\\\"127.0.0.1\\\"]");
    // Whoever trusts everybody trusts liars.
    let (_, findings) = look(Way::default(), &["server.trusted_proxies=0.0.0.0/0"]);
    named(&findings, "FAIL", "server.trusted_proxies", "trusts every address");
    // Links and cookies of another address.
    let (_, findings) = look(Way::default(), &["server.public_url=https://video.example"]);
    named(&findings, "warn", "server.public_url", "Secure session cookie");
    let (_, findings) = look(Way::default(), &["server.public_url=http://video.example"]);
    named(&findings, "warn", "server.public_url", "links lead there");
    // Nobody there, or somebody else.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, findings) = doctor(&home, &["--url", &format!("http://{gone}")], &ROOM, &[]);
    assert_eq!(code, 1);
    named(&findings, "FAIL", "--url", "refused");
    let (_, findings) = doctor(&home, &["--url", "video.example"], &ROOM, &[]);
    named(&findings, "FAIL", "--url", "https://video.example");
    // With another token nothing is told, and that is said.
    let env = [("SLUICE_SECRETS__INTERNAL_TOKEN".to_owned(), "x".repeat(40))];
    let (_, findings) = doctor(&home, &["--url", &site.base], &ROOM, &env);
    named(&findings, "warn", "secrets.internal_token", "another token");
    let base = site.base.clone();
    site.stop();
    let front = Front::start(
        &base,
        Way {
            server: "nginx",
            ..Way::default()
        },
    );
    let (_, findings) = doctor(&home, &["--url", &front.url], &ROOM, &[]);
    named(&findings, "FAIL", "--url", "the proxy can't reach sluice");
}

#[test]
fn a_trusted_proxy_is_found_right_and_services_behind_the_edge_are_asked() {
    let home = Home::new();
    let site = home.roles(&ROOM);
    let mut env = TOKENS.map(owned).to_vec();
    env.push(owned(("SLUICE_SERVER__TRUSTED_PROXIES", "127.0.0.1")));
    let front = Front::start(
        &site.base,
        Way {
            server: "nginx",
            forwarded_for: Some("203.0.113.7"),
            ..Way::default()
        },
    );
    let (code, findings) = doctor(&home, &["--url", &front.url], &ROOM, &env);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    let client = |check: &str| {
        let found = findings
            .iter()
            .find(|finding| finding["key"] == "server.trusted_proxies" && finding["check"] == check);
        found.unwrap_or_else(|| panic!("{check}: {findings:#?}"))["says"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(client("client").contains("203.0.113.7"));
    // Asked from the proxy's own machine.
    let near = Way {
        server: "nginx",
        forwarded_for: Some("127.0.0.1"),
        ..Way::default()
    };
    let front = Front::start(&site.base, near);
    let (code, findings) = doctor(&home, &["--url", &front.url], &ROOM, &env);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    site.stop();
}

#[test]
fn a_bucket_that_refuses_is_named_by_its_setting() {
    let home = Home::new();
    let server = s3_server::Server::spawn().unwrap();
    let settings: Vec<String> = [
        "store.url=s3://media".to_owned(),
        format!("store.endpoint={}", server.endpoint()),
        format!("store.access_key={}", server.options.access_key),
        format!("store.secret_key={}", server.options.secret_key),
    ]
    .to_vec();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let (code, findings) = doctor(&home, &[], &settings, &[]);
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    for (set, key, says) in [
        ("store.url=s3://elsewhere", "store.url", "make the bucket"),
        ("store.access_key=nobody", "store.access_key", "name of a key"),
        ("store.secret_key=s3cret", "store.secret_key", "the secret of this key"),
    ] {
        let (code, findings) = doctor(&home, &[], &[&settings[..], &[set]].concat(), &[]);
        assert_eq!(code, 1);
        named(&findings, "FAIL", key, says);
    }
    server.stop();
    let (_, findings) = doctor(&home, &[], &settings, &[]);
    named(&findings, "FAIL", "store.endpoint", "start the store");
}

/// The server of the store speaks TLS, and is not ours: both are seen.
#[test]
fn certificates_are_looked_at_as_browsers_do() {
    let home = Home::new();
    let options = s3_server::Options {
        https: true,
        ..s3_server::Options::default()
    };
    let server = s3_server::Server::start(options).unwrap();
    let public = format!("server.public_url={}", server.endpoint());
    let settings = [&ROOM[..], &[public.as_str()]].concat();
    let (_, findings) = doctor(&home, &["--url", &server.endpoint()], &settings, &[]);
    named(&findings, "FAIL", "--url", "give the proxy a certificate");
    let authority = home.dir.path().join("authority.pem");
    std::fs::write(&authority, server.authority().unwrap()).unwrap();
    let env = [("SSL_CERT_FILE".to_owned(), authority.display().to_string())];
    let (_, findings) = doctor(&home, &["--url", &server.endpoint()], &settings, &env);
    named(&findings, "FAIL", "--url", "that is not sluice");
    let (_, findings) = doctor(&home, &["--url", &server.endpoint()], &ROOM, &env);
    named(&findings, "FAIL", "server.public_url", "not Secure");
}

#[test]
fn a_broker_that_refuses_or_drops_is_named() {
    let home = Home::new();
    let users = r#"authorization { users = [
        { user: "sluice", password: "right" },
        { user: "deaf", password: "right", permissions: { subscribe: { deny: ">" } } } ] }"#;
    let mut broker = Broker::with(users);
    let url = |who: &str| format!("bus.url=nats://{who}@{}", broker.address());
    let look = |setting: &str| doctor(&home, &[], &[&ROOM[..], &[setting]].concat(), &TOKENS.map(owned));
    let (code, findings) = look(&url("sluice:right"));
    assert_eq!((code, of_level(&findings, "FAIL").len()), (0, 0), "{findings:#?}");
    let (code, findings) = look(&url("sluice:s3cret"));
    assert_eq!(code, 1);
    named(&findings, "FAIL", "bus.url", "USER:PASSWORD");
    let (_, findings) = look(&url("deaf:right"));
    named(&findings, "FAIL", "bus.url", "publish and subscribe");
    let good = url("sluice:right");
    broker.stop();
    let (_, findings) = look(&good);
    named(&findings, "FAIL", "bus.url", "start the server");
}

/// A bus of several processes wants secrets that are given to all of them.
const TOKENS: [(&str, &str); 2] = [
    ("SLUICE_SECRETS__INTERNAL_TOKEN", "0123456789abcdef0123456789abcdef"),
    (
        "SLUICE_SECRETS__GRANT_KEYS",
        "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
];

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
