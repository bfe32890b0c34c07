//! Reading the configuration again while the process runs, at SIGHUP: the same sources as at the start (the file as it is by now,
//! the environment and the flags as they were). What can change without a restart is handed to whoever uses it; what can't is
//! named in the log. A configuration that is wrong changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use toml::Value;

use crate::config::{Config, ConfigError, Loaded, Secret, Sources, load};
use crate::logging;

/// The settings that count without a restart.
pub const LIVE: &[&str] = &[
    "log.level",
    "stream.rate",
    "stream.burst",
    "stream.max_streams",
    "stream.max_streams_per_client",
    "stream.max_uploads",
    "stream.max_uploads_per_user",
    "stream.pace",
    "stream.egress_per_user_day",
    "stream.egress_per_address_day",
    "api.posts_per_second",
    "api.post_burst",
];

/// The configuration as it was read last. Only the settings of [`LIVE`] may be taken from it; clones share it.
#[derive(Clone)]
pub struct Live(Arc<watch::Sender<Arc<Config>>>);

impl Live {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Live(Arc::new(watch::Sender::new(Arc::new(config.clone()))))
    }

    /// To be awaited for the next one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }

    /// A new one was read.
    pub fn replace(&self, config: Config) {
        self.0.send_replace(Arc::new(config));
    }
}

/// What reading again found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Key, value before, value now.
    pub live: Vec<(String, String, String)>,
    /// Keys that differ from what the process was started with and count after a restart only.
    pub waiting: Vec<String>,
}

/// Compares what is read with what was read before.
pub struct Reloader {
    sources: Sources,
    started: Config,
    last: Mutex<Config>,
    live: Live,
}

impl Reloader {
    #[must_use]
    pub fn new(loaded: Loaded, live: Live) -> Self {
        Reloader {
            sources: loaded.sources,
            last: Mutex::new(loaded.config.clone()),
            started: loaded.config,
            live,
        }
    }

    /// Reads again and applies. Blocks on the file.
    pub fn reload(&self) -> Result<Changes, ConfigError> {
        let config = load(&self.sources)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = Changes {
            live: differing(&last, &config)
                .into_iter()
                .filter(|(key, ..)| LIVE.contains(&key.as_str()))
                .collect(),
            waiting: differing(&self.started, &config)
                .into_iter()
                .map(|(key, ..)| key)
                .filter(|key| !LIVE.contains(&key.as_str()))
                .collect(),
        };
        if last.log.level != config.log.level {
            logging::set_level(&config.log.level)?;
        }
        last.clone_from(&config);
        self.live.replace(config);
        Ok(changes)
    }

    /// Reads again at every SIGHUP, until the process ends.
    pub fn on_signal(self) -> std::io::Result<()> {
        let mut hang_up = signal(SignalKind::hangup())?;
        let reloader = Arc::new(self);
        tokio::task::spawn_local(async move {
            while hang_up.recv().await.is_some() {
                let reading = reloader.clone();
                match tokio::task::spawn_blocking(move || reading.reload()).await {
                    Ok(read) => tell(read),
                    Err(error) => log::error!("Reading the configuration again failed; nothing changes: {error}"),
                }
            }
        });
        Ok(())
    }
}

fn tell(read: Result<Changes, ConfigError>) {
    let changes = match read {
        Ok(changes) => changes,
        Err(error) => {
            log::error!("The configuration was read again and is wrong; nothing changes: {error}");
            return;
        }
    };
    if changes == Changes::default() {
        log::info!("The configuration was read again; nothing in it has changed");
        return;
    }
    for (key, before, now) in &changes.live {
        log::info!(setting = key; "The configuration was read again: {key} is {now} now, it was {before}");
    }
    if !changes.waiting.is_empty() {
        let keys = changes.waiting.join(", ");
        log::warn!("The configuration was read again: what changed of {keys} counts after a restart");
    }
}

/// Keys whose values differ, with both values. Secrets compare by their text and show none.
fn differing(before: &Config, now: &Config) -> Vec<(String, String, String)> {
    let tree = |config: &Config| Value::try_from(config).expect("the configuration is plain data");
    let (old, new) = (tree(before), tree(now));
    let mut differing = Vec::new();
    for (section, table) in new.as_table().into_iter().flatten() {
        for (name, value) in table.as_table().into_iter().flatten() {
            let was = old.get(section).and_then(|table| table.get(name));
            if was != Some(value) {
                let was = was.map(Value::to_string).unwrap_or_default();
                differing.push((format!("{section}.{name}"), was, value.to_string()));
            }
        }
    }
    for ((key, old), (_, new)) in secrets(before).into_iter().zip(secrets(now)) {
        let named = differing.iter().any(|(named, ..)| named == key);
        if old != new && !named {
            differing.push((key.to_owned(), "***".to_owned(), "***".to_owned()));
        }
    }
    differing
}

fn secrets(config: &Config) -> Vec<(&'static str, Vec<Secret>)> {
    let one = |secret: &Secret| vec![secret.clone()];
    vec![
        ("database.api", one(&config.database.api)),
        ("database.stream", one(&config.database.stream)),
        ("database.scheduler", one(&config.database.scheduler)),
        ("secrets.internal_token", one(&config.secrets.internal_token)),
        ("secrets.grant_keys", config.secrets.grant_keys.clone()),
        ("secrets.admin_password", one(&config.secrets.admin_password)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Reloader, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let sources = Sources {
            file: Some(file.path().to_owned()),
            flags: vec![("stream.burst".to_owned(), "9".to_owned())],
            ..Sources::default()
        };
        let loaded = Loaded::read(sources).unwrap();
        let live = Live::new(&loaded.config);
        (Reloader::new(loaded, live), file)
    }

    #[test]
    fn what_changed_is_applied_or_waits_for_a_restart() {
        let (reloader, file) = read("[stream]\nrate = 5\n[server]\nworkers = 2\n");
        let watched = reloader.live.watch();
        assert_eq!(reloader.reload(), Ok(Changes::default()));
        std::fs::write(
            file.path(),
            "[stream]\nrate = 6\npace = \"1 MiB\"\nburst = 77\n[server]\nworkers = 3\n",
        )
        .unwrap();
        let live = |key: &str, before: &str, now: &str| (key.to_owned(), before.to_owned(), now.to_owned());
        let changes = reloader.reload().unwrap();
        assert_eq!(
            changes.live,
            [
                live("stream.pace", "\"0 B\"", "\"1 MiB\""),
                live("stream.rate", "5", "6")
            ],
            "a flag goes before the file"
        );
        assert_eq!(changes.waiting, ["server.workers"]);
        assert_eq!((watched.borrow().stream.rate, watched.borrow().stream.burst), (6, 9));
        // What waits is said again; what is live has been applied.
        let again = reloader.reload().unwrap();
        assert_eq!((again.live.len(), again.waiting.len()), (0, 1));
    }

    #[test]
    fn a_wrong_file_changes_nothing_and_a_right_one_after_it_counts() {
        let (reloader, file) = read("[stream]\nrate = 5\n");
        for wrong in [
            "[stream]\nrate = 0\n",
            "[stream]\nratte = 6\n",
            "[stream",
            "[log]\nlevel = \"loud\"\n",
        ] {
            std::fs::write(file.path(), wrong).unwrap();
            assert!(reloader.reload().is_err(), "{wrong}");
            assert_eq!(reloader.live.watch().borrow().stream.rate, 5);
        }
        std::fs::write(file.path(), "[stream]\nrate = 7\n").unwrap();
        assert_eq!(reloader.reload().unwrap().live.len(), 1);
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let (reloader, file) = read("[database]\napi = \"postgres://a:one@h/n\"\n");
        std::fs::write(file.path(), "[database]\napi = \"postgres://a:two@h/n\"\n").unwrap();
        let changes = reloader.reload().unwrap();
        assert_eq!(changes.waiting, ["database.api"]);
        assert!(!format!("{changes:?}").contains("two"));
    }

    #[test]
    fn every_secret_is_compared_and_every_live_setting_is_one() {
        let tree = Value::try_from(Config::default()).unwrap();
        for key in LIVE {
            let (section, name) = key.split_once('.').unwrap();
            assert!(
                tree.get(section).is_some_and(|table| table.get(name).is_some()),
                "{key}"
            );
        }
        let mut config = Config::default();
        let secret = Secret::from("a secret of some length, forty characters");
        config.database.api = secret.clone();
        config.database.stream = secret.clone();
        config.database.scheduler = secret.clone();
        config.secrets.internal_token = secret.clone();
        config.secrets.grant_keys = vec![secret.clone()];
        config.secrets.admin_password = secret;
        let shown = config.redacted().matches("***").count();
        assert_eq!(shown, secrets(&config).len());
    }
}
