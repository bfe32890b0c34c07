//! The configuration: precedence, refusals, secrets. Promise 20.

use std::collections::BTreeMap;

use common::config::{ByteSize, Config, Sources, load};

fn sources(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sluice.toml");
    std::fs::write(&path, file).unwrap();
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect::<Vec<_>>()
    };
    let env: BTreeMap<_, _> = owned(env).into_iter().collect();
    let sources = Sources {
        file: Some(path),
        env,
        flags: owned(flags),
    };
    (dir, sources)
}

fn loaded(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Config {
    let (_dir, sources) = sources(file, env, flags);
    load(&sources).unwrap()
}

/// Loads and expects one line that begins with `key` and holds `says`.
fn refused(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)], key: &str, says: &str) {
    let (_dir, sources) = sources(file, env, flags);
    let error = load(&sources)
        .expect_err(&format!("{file} {env:?} {flags:?} must be refused"))
        .to_string();
    assert!(error.starts_with(&format!("{key}: ")), "{error}");
    assert!(error.contains(says), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn each_source_overrides_the_one_before() {
    assert_eq!(loaded("", &[], &[]).stream.rate, 50);
    let file = "[stream]\nrate = 1\nmax_upload = \"3 MiB\"";
    assert_eq!(loaded(file, &[], &[]).stream.rate, 1);
    assert_eq!(loaded(file, &[("SLUICE_STREAM__RATE", "2")], &[]).stream.rate, 2);
    let all = loaded(file, &[("SLUICE_STREAM__RATE", "2")], &[("stream.rate", "3")]);
    assert_eq!((all.stream.rate, all.stream.max_upload), (3, ByteSize(3 << 20)));
}

#[test]
fn the_environment_has_every_type() {
    let config = loaded(
        "",
        &[
            ("SLUICE_SERVER__LISTEN", "127.0.0.1:0"),
            ("SLUICE_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.0/16"),
            ("SLUICE_LOG__FORMAT", "json"),
            ("SLUICE_API__TRASH_RETENTION", "2d"),
            ("SLUICE_CONFIG", "names the file and is no key"),
            ("SLUICE_TEST_SEED", "belongs to the suites"),
        ],
        &[],
    );
    assert_eq!(config.server.listen.port(), 0);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.api.trash_retention.to_string(), "2d");
}

#[test]
fn promise_20_a_wrong_configuration_does_not_start() {
    refused(
        "[stream]\nmax_uplaod = \"1 GiB\"",
        &[],
        &[],
        "stream.max_uplaod",
        "did you mean `max_upload`?",
    );
    refused("[straem]\nrate = 1", &[], &[], "straem", "did you mean `stream`?");
    refused("stream = 1", &[], &[], "stream", "[stream]");
    refused(
        "",
        &[("SLUICE_STREAM__MAX_UPLAOD", "1 GiB")],
        &[],
        "SLUICE_STREAM__MAX_UPLAOD",
        "unknown key",
    );
    refused(
        "",
        &[("SLUICE_NONSENSE", "1")],
        &[],
        "SLUICE_NONSENSE",
        "SLUICE_SECTION__NAME",
    );
    refused("", &[], &[("stream.nothing", "1")], "stream.nothing", "unknown key");
    refused(
        "[stream]\npace = \"15 KiB\"",
        &[],
        &[],
        "stream.pace",
        "at least 16 KiB",
    );
    refused(
        "[stream]\nmax_upload = \"2 gigs\"",
        &[],
        &[],
        "stream.max_upload",
        "2 GiB",
    );
    refused("[stream]\nmax_upload = 5", &[], &[], "stream.max_upload", "string");
    refused("[api]\nsession_ttl = \"30\"", &[], &[], "api.session_ttl", "30s");
    refused("[api]\nsession_ttl = \"0\"", &[], &[], "api.session_ttl", "too short");
    refused("[stream]\nrate = -1", &[], &[], "stream.rate", "");
    refused("[stream]\nrate = 0", &[], &[], "stream.rate", "at least 1");
    for key in ["posts_per_second", "post_burst", "max_danmaku_per_video"] {
        let named = format!("api.{key}");
        refused(&format!("[api]\n{key} = 0"), &[], &[], &named, "at least 1");
    }
    refused("[server]\nlisten = \"8080\"", &[], &[], "server.listen", "");
    refused(
        "[server]\npublic_url = \"video.example\"",
        &[],
        &[],
        "server.public_url",
        "https://video.example",
    );
    refused(
        "[server]\ntrusted_proxies = [\"ten\"]",
        &[],
        &[],
        "server.trusted_proxies",
        "10.0.0.0/8",
    );
    refused("[log]\nformat = \"xml\"", &[], &[], "log.format", "json");
    refused(
        "[database]\napi = \"postgre://u:pw@h/d\"",
        &[],
        &[],
        "database.api",
        "postgres://",
    );
    refused("[store]\nurl = \"/srv/media\"", &[], &[], "store.url", "file:PATH");
    for (line, key, says) in [
        ("url = \"s3:bucket\"", "store.url", "s3://BUCKET"),
        ("url = \"s3://Bucket\"", "store.url", "not a bucket"),
        ("url = \"s3://\"", "store.url", "not a bucket"),
        ("url = \"s3://bucket/a//b\"", "store.url", "not a prefix"),
        ("url = \"s3://bucket/../b\"", "store.url", "not a prefix"),
        (
            "url = \"s3://bucket\"\nendpoint = \"garage:3900\"",
            "store.endpoint",
            "http://host:3900",
        ),
        ("url = \"s3://bucket\"\nregion = \"\"", "store.region", "needed"),
        (
            "url = \"s3://bucket\"\nsecret_key = \"s\"",
            "store.access_key",
            "needed",
        ),
        (
            "url = \"s3://bucket\"\naccess_key = \"a\"",
            "store.secret_key",
            "needed",
        ),
    ] {
        refused(&format!("[store]\n{line}"), &[], &[], key, says);
    }
    refused("[bus]\nurl = \"nats:\"", &[], &[], "bus.url", "local:");
    refused(
        "[internal]\napi = [\"api:8081\"]",
        &[],
        &[],
        "internal.api",
        "http://host:port",
    );
    refused(
        "[secrets]\ninternal_token = \"short\"",
        &[],
        &[],
        "secrets.internal_token",
        "32",
    );
    refused(
        "[secrets]\ngrant_keys = [\"k1:c2hvcnQ\"]",
        &[],
        &[],
        "secrets.grant_keys",
        "32",
    );
    let (dir, mut broken) = sources("not toml at all [", &[], &[]);
    assert!(load(&broken).unwrap_err().to_string().contains("is not TOML"));
    broken.file = Some(dir.path().join("missing.toml"));
    assert!(load(&broken).unwrap_err().to_string().contains("can't be read"));
}

#[test]
fn a_refusal_never_shows_the_password_of_a_database() {
    let (_dir, sources) = sources("[database]\napi = \"mysql://root:hunter2@host/db\"", &[], &[]);
    assert!(!load(&sources).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn promise_14_secrets_come_from_files_and_are_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "0123456789012345678901234567890123456789\n").unwrap();
    let path = path.to_str().unwrap();
    let config = loaded(
        "[database]\napi = \"postgres://u:hunter2@h/d\"",
        &[("SLUICE_SECRETS__INTERNAL_TOKEN_FILE", path)],
        &[],
    );
    assert_eq!(config.secrets.internal_token.expose().len(), 40);
    for shown in [config.redacted(), format!("{config:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("0123456789"), "{shown}");
        assert!(shown.contains("***"));
    }
    let short = loaded("", &[("SLUICE_ADMIN_PASSWORD_FILE", path)], &[]);
    assert_eq!(short.secrets.admin_password.expose().len(), 40);
    refused(
        "",
        &[("SLUICE_ADMIN_PASSWORD_FILE", "/nowhere/at/all")],
        &[],
        "SLUICE_ADMIN_PASSWORD_FILE",
        "can't be read",
    );
}

#[test]
fn a_key_that_ends_like_a_file_is_itself() {
    let ca = loaded("", &[("SLUICE_STORE__CA_FILE", "/etc/store/ca.pem")], &[]);
    assert_eq!(ca.store.ca_file, "/etc/store/ca.pem");
}

/// Containers get their secrets as files: every key that is one has that way.
#[test]
fn every_secret_may_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = |id: &str| format!("{id}:{}", "a2V5".repeat(11));
    let files = [
        ("SLUICE_DATABASE__API_FILE", written("api", "postgres://u:pw@h/api\n")),
        (
            "SLUICE_DATABASE__STREAM_FILE",
            written("stream", "postgres://u:pw@h/stream\r\n"),
        ),
        (
            "SLUICE_DATABASE__SCHEDULER_FILE",
            written("scheduler", "postgres://u:pw@h/scheduler"),
        ),
        ("SLUICE_STORE__SECRET_KEY_FILE", written("s3", "s3cr3t\n")),
        ("SLUICE_SECRETS__INTERNAL_TOKEN_FILE", written("token", &"t".repeat(40))),
        (
            "SLUICE_SECRETS__GRANT_KEYS_FILE",
            written("keys", &format!("{}\n{}\n", key("new"), key("old"))),
        ),
        (
            "SLUICE_SECRETS__ADMIN_PASSWORD_FILE",
            written("admin", "a pass word \n"),
        ),
    ];
    let env: Vec<(&str, &str)> = files.iter().map(|(name, path)| (*name, path.as_str())).collect();
    let config = loaded("", &env, &[]);
    let database = &config.database;
    assert_eq!(database.api.expose(), "postgres://u:pw@h/api");
    assert_eq!(database.stream.expose(), "postgres://u:pw@h/stream");
    assert_eq!(database.scheduler.expose(), "postgres://u:pw@h/scheduler");
    assert_eq!(config.store.secret_key.expose(), "s3cr3t");
    assert_eq!(config.secrets.internal_token.expose().len(), 40);
    assert_eq!(config.secrets.grant_keys.len(), 2);
    assert_eq!(config.secrets.admin_password.expose(), "a pass word ");
    let shown = config.redacted();
    assert_eq!(shown.matches("***").count(), 8, "a secret is missing above: {shown}");

    let twice = [
        ("SLUICE_STORE__SECRET_KEY", "one"),
        ("SLUICE_STORE__SECRET_KEY_FILE", env[3].1),
    ];
    refused(
        "",
        &twice,
        &[],
        "SLUICE_STORE__SECRET_KEY_FILE",
        "leave one of them out",
    );
}

#[test]
fn an_s3_store_has_a_bucket_and_maybe_a_prefix() {
    let keys = "access_key = \"a\"\nsecret_key = \"s\"";
    let s3 = |url: &str| {
        let config = loaded(&format!("[store]\nurl = \"{url}\"\n{keys}"), &[], &[]);
        let (bucket, prefix) = config.store.s3().unwrap();
        (bucket.to_owned(), prefix)
    };
    let is = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
    assert_eq!(s3("s3://my.bucket-1"), is("my.bucket-1", ""));
    assert_eq!(s3("s3://bucket/"), is("bucket", ""));
    assert_eq!(s3("s3://bucket/site/media"), is("bucket", "site/media/"));
    assert_eq!(s3("s3://bucket/site/media/"), is("bucket", "site/media/"));
    assert!(Config::default().store.s3().is_none());
}

#[test]
fn the_example_names_every_key_and_loads_to_the_defaults() {
    let example = Config::example();
    let config = loaded(&example, &[], &[]);
    assert_eq!(config.redacted(), Config::default().redacted());
    let tree: toml::Table = example.parse().unwrap();
    for (section, table) in toml::Value::try_from(Config::default()).unwrap().as_table().unwrap() {
        for key in table.as_table().unwrap().keys() {
            assert!(
                tree[section].get(key).is_some(),
                "{section}.{key} has no line in config/docs.rs"
            );
        }
    }
}
