//! The secrets: whether they are there, and who may read them.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::bus::BusAddress;
use crate::config::{Config, Sources};

/// That the secrets are there (those of the embedded way are made at its first start) and nobody else can read their files.
#[must_use]
pub fn secrets(config: &Config, sources: &Sources) -> Vec<Finding> {
    let mut findings = Vec::new();
    let folder = config.data_dir().join("secrets");
    for (key, set, file) in [
        (
            "secrets.internal_token",
            !config.secrets.internal_token.is_empty(),
            "internal_token",
        ),
        (
            "secrets.grant_keys",
            !config.secrets.grant_keys.is_empty(),
            "grant_keys",
        ),
    ] {
        let file = folder.join(file);
        findings.push(match std::fs::metadata(&file) {
            _ if set => Finding::ok(key, "set", "by the configuration"),
            Ok(meta) => readable(key, &file, &meta).unwrap_or_else(|| Finding::ok(key, "set", file.display())),
            Err(error) if error.kind() == ErrorKind::NotFound && !apart(config) => {
                Finding::ok(key, "set", "will be made at the first start")
            }
            Err(_) => Finding::fail(
                key,
                "set",
                "is not set, and services that run apart need the same one",
                format!(
                    "give SLUICE_{}_FILE to every service",
                    key.to_uppercase().replace('.', "__")
                ),
            ),
        });
    }
    for (name, path) in secret_files(sources) {
        if let Ok(meta) = std::fs::metadata(&path) {
            findings.extend(readable(&name, &path, &meta));
        }
    }
    findings
}

/// Whether services run apart: then nothing is made by itself.
pub(super) fn apart(config: &Config) -> bool {
    let addresses = !config.internal.api.is_empty() || !config.internal.stream.is_empty();
    addresses || !matches!(BusAddress::of(&config.bus), Ok(BusAddress::Local))
}

/// Files that hold secrets: those that the environment names, and the configuration itself when it holds one.
fn secret_files(sources: &Sources) -> Vec<(String, PathBuf)> {
    // A certificate authority is for everybody.
    let named = sources.env.iter().filter(|(name, _)| {
        name.starts_with("SLUICE_")
            && name.ends_with("_FILE")
            && !name.starts_with("SLUICE_TEST_")
            && *name != "SLUICE_STORE__CA_FILE"
    });
    let mut files: Vec<(String, PathBuf)> = named.map(|(name, path)| (name.clone(), path.into())).collect();
    if let Some(path) = &sources.file
        && std::fs::read_to_string(path).is_ok_and(|text| holds_secret(&text))
    {
        files.push((path.display().to_string(), path.clone()));
    }
    files
}

/// Keys that hold secrets; addresses do when a password stands in them.
const SECRET_KEYS: [&str; 6] = [
    "internal_token",
    "grant_keys",
    "admin_password",
    "secret_key",
    "token",
    "password",
];

fn holds_secret(text: &str) -> bool {
    let set = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        let empty = ["\"\"", "[]"].contains(&value);
        Some((SECRET_KEYS.contains(&key) && !empty) || (value.contains("://") && value.contains('@')))
    };
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .any(|line| set(line).unwrap_or(false))
}

/// Others on this machine can read it. What an orchestrator mounts below /run/secrets is its own business.
fn readable(key: &str, path: &Path, meta: &Metadata) -> Option<Finding> {
    let mode = meta.mode() & 0o777;
    let mounted = ["/run/secrets", "/var/run/secrets"]
        .iter()
        .any(|folder| path.starts_with(folder));
    if mounted || mode & 0o077 == 0 {
        return None;
    }
    Some(Finding::warn(
        key,
        "permissions",
        format!(
            "{} has mode {mode:o}: others on this machine can read it",
            path.display()
        ),
        format!("chmod 600 {}", path.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_of_secrets_that_others_can_read_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, "x".repeat(40)).unwrap();
        let sources = Sources {
            env: [(
                "SLUICE_SECRETS__INTERNAL_TOKEN_FILE".to_owned(),
                token.display().to_string(),
            )]
            .into(),
            ..Sources::default()
        };
        let mut config = Config::default();
        config.server.data_dir = dir.path().join("none").display().to_string();
        let worst = |sources: &Sources| secrets(&config, sources).into_iter().max_by_key(|found| found.level);
        mode(&token, 0o644);
        let found = worst(&sources).unwrap();
        assert_eq!(
            (found.level, found.key.as_str()),
            (Level::Warn, "SLUICE_SECRETS__INTERNAL_TOKEN_FILE")
        );
        mode(&token, 0o600);
        assert_eq!(worst(&sources).unwrap().level, Level::Ok);
        config.internal.api = vec!["http://api:1".into()];
        let found = secrets(&config, &sources);
        assert!(
            found.iter().all(|found| found.level == Level::Fail),
            "services apart need secrets: {found:?}"
        );
    }

    #[test]
    fn a_configuration_file_is_a_secret_when_it_holds_one() {
        assert!(holds_secret("[secrets]\ninternal_token = \"abc\"\n"));
        assert!(holds_secret("[database]\napi = \"postgres://u:p@h/d\"\n"));
        assert!(!holds_secret(&Config::example()));
    }
}
