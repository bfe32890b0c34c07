//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use common::config::{Config, ConfigError, Loaded, Sources};

use crate::moving::MoveArgs;

#[derive(Parser)]
#[command(
    name = "sluice",
    version,
    about = "A video platform of your own: upload, play, talk, and delete for good",
    after_help = "Examples:\n  \
        sluice serve                                            everything, on http://127.0.0.1:8080, data in ./sluice-data\n  \
        sluice serve --listen 0.0.0.0:80 --data-dir /srv/video  somewhere else\n  \
        sluice admin create --username ann                      make an operator account\n  \
        sluice default-config > sluice.toml                     every setting with its default and its meaning\n  \
        SLUICE_STREAM__MAX_UPLOAD='8 GiB' sluice serve          a setting from the environment"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the whole platform in this process
    Serve(ConfigArgs),
    /// Run api-service alone: accounts, videos, comments
    Api(ConfigArgs),
    /// Run stream-service alone: uploads and playback
    Stream(ConfigArgs),
    /// Run scheduler-service alone: durable jobs
    Scheduler(ConfigArgs),
    /// Run web-proxy alone: the edge in front of the others
    Proxy(ConfigArgs),
    /// Bring the databases to this version (every service also does it at its start)
    Migrate(ConfigArgs),
    /// Say whether the configuration is right, and change nothing
    CheckConfig {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print the settings in force, secrets as ***
        #[arg(long)]
        print: bool,
    },
    /// Print every setting with its default and its meaning
    DefaultConfig,
    /// Look at databases, store, bus, clock, disk and secrets, and say which setting is wrong; exit code 1 when something does
    /// not work
    #[command(after_help = "Examples:\n  \
        sluice doctor                                    what the configuration names\n  \
        sluice doctor --url https://video.example        also the way people come: proxies, body limits, WebSocket\n  \
        sluice doctor --json                             for programs")]
    Doctor {
        #[command(flatten)]
        config: ConfigArgs,
        /// How people reach the site
        #[arg(long)]
        url: Option<String>,
        /// A list of {level, key, check, says, instead}
        #[arg(long)]
        json: bool,
    },
    /// Ask a running process whether it is ready; exit code 0 when it is
    Healthcheck {
        #[command(flatten)]
        config: ConfigArgs,
        /// Address to ask, such as http://127.0.0.1:8080 (default: server.listen)
        #[arg(long)]
        url: Option<String>,
    },
    /// Copy databases, media and secrets of the embedded way to a new folder, while the platform runs
    #[command(after_help = "Example:\n  sluice backup --data-dir /srv/sluice --to /backup/2026-11-21")]
    Backup {
        #[command(flatten)]
        config: ConfigArgs,
        /// A folder that is not there yet, or empty
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// Copy media also where it could be linked (on the same disk), and compare every hash
        #[arg(long)]
        copy: bool,
    },
    /// Bring a backup into an empty data folder; every hash is compared
    #[command(after_help = "Example:\n  sluice restore --from /backup/2026-11-21 --data-dir /srv/sluice")]
    Restore {
        #[command(flatten)]
        config: ConfigArgs,
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
    },
    /// Copy databases and media to another place, of the same or the other kind; may be interrupted and run again
    #[command(after_help = "Examples:\n  \
        sluice move --from-data-dir ./sluice-data --config scaled.toml\n  \
        sluice move --from sqlite:./sluice-data --to postgres://sluice@db/sluice --store file:./sluice-data/media s3://media")]
    Move(Box<MoveArgs>),
    /// Manage operators
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Make an operator account, or make an account an operator
    #[command(after_help = "Examples:\n  \
        sluice admin create --username ann                          asks for the password on standard input\n  \
        sluice admin create --username ann --password-file pw.txt")]
    Create {
        #[command(flatten)]
        config: ConfigArgs,
        #[arg(long)]
        username: String,
        /// File whose first line is the password (default: standard input)
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
}

/// Where the configuration comes from: defaults < file < SLUICE_* < these flags.
#[derive(Args, Clone)]
pub struct ConfigArgs {
    /// Configuration file (TOML)
    #[arg(long, env = "SLUICE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port for people, such as 127.0.0.1:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Folder for databases, media and secrets
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Any setting, such as --set stream.rate=100; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArgs {
    pub fn config(&self) -> Result<Config, ConfigError> {
        self.loaded().map(|loaded| loaded.config)
    }

    /// For a process that reads it again at SIGHUP.
    pub fn loaded(&self) -> Result<Loaded, ConfigError> {
        let mut sources = Sources::from_env(self.config.clone());
        let mut flag = |key: &str, value: &Option<String>| {
            sources
                .flags
                .extend(value.iter().map(|value| (key.to_owned(), value.clone())));
        };
        flag("server.listen", &self.listen);
        flag("server.data_dir", &self.data_dir);
        for pair in &self.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| ConfigError::new(pair, "write --set KEY=VALUE"))?;
            sources.flags.push((key.to_owned(), value.to_owned()));
        }
        Loaded::read(sources)
    }
}
