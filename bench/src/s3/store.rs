//! The store that is measured, and the clients of S3 beside ours.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Side, api};
use crate::running::{self, Running};
use crate::server::Server;

/// The store: a bucket and who may use it.
pub struct Store {
    pub name: String,
    endpoint: String,
    region: String,
    bucket: String,
    access_key: String,
    secret_key: String,
    /// The S3 server of this repository, with the folder that its objects lie in.
    _running: Option<(Running, tempfile::TempDir)>,
}

impl Store {
    /// The S3 server of this repository.
    pub fn started() -> Store {
        let folder = running::folder("s3-server");
        let secret_key = "of-the-bench".to_owned();
        let mut command = Command::new(beside("s3-server"));
        command
            .args(["--listen", "127.0.0.1:0", "--folder"])
            .arg(folder.path())
            .env("S3_SECRET_KEY", &secret_key);
        let running = Running::says(&mut command);
        Store {
            name: "s3-server".into(),
            endpoint: format!("http://{}", running.address),
            region: "us-east-1".into(),
            bucket: "media".into(),
            access_key: "sluice".into(),
            secret_key,
            _running: Some((running, folder)),
        }
    }

    pub fn given(endpoint: String, region: Option<String>, bucket: Option<String>) -> Result<Store, String> {
        let env = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
        Ok(Store {
            name: endpoint.clone(),
            endpoint,
            region: region.unwrap_or_else(|| "garage".into()),
            bucket: bucket.unwrap_or_else(|| "media".into()),
            access_key: env("S3_ACCESS_KEY")?,
            secret_key: env("S3_SECRET_KEY")?,
            _running: None,
        })
    }

    /// What a Sluice on this store is told of it, in its environment.
    pub fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("SLUICE_STORE__URL", format!("s3://{}/bench", self.bucket)),
            ("SLUICE_STORE__ENDPOINT", self.endpoint.clone()),
            ("SLUICE_STORE__REGION", self.region.clone()),
            ("SLUICE_STORE__ACCESS_KEY", self.access_key.clone()),
            ("SLUICE_STORE__SECRET_KEY", self.secret_key.clone()),
        ]
    }

    /// The path of an object in an address that anybody may use for an hour, who says `host`.
    pub fn presigned(&self, method: rusty_s3::Method, host: &str, key: &str) -> String {
        let url = format!("http://{host}/{}/{key}", self.bucket);
        let signed = rusty_s3::signing::sign(
            &jiff::Timestamp::now(),
            method,
            url.parse().expect("an address"),
            &self.access_key,
            &self.secret_key,
            None,
            &self.region,
            3_600,
            std::iter::empty(),
            std::iter::empty(),
        );
        signed[url::Position::BeforePath..].to_owned()
    }

    pub fn address(&self) -> SocketAddr {
        let address = self.endpoint.trim_start_matches("http://").parse();
        address.expect("the endpoint is an IP address and a port")
    }

    /// stream-service alone on this store.
    pub fn service(&self, folder: &Path, key: &str) -> Server {
        let env = [
            ("SECRETS__INTERNAL_TOKEN", "bench-".repeat(6)),
            ("SECRETS__GRANT_KEYS", key.to_owned()),
            ("INTERNAL__API", format!("http://{}", api::serve())),
            ("SERVER__LISTEN", "127.0.0.1:0".into()),
            ("SERVER__DATA_DIR", folder.join("data").display().to_string()),
            ("LOG__LEVEL", "error".into()),
        ];
        let mut command = Command::new(beside("stream-service"));
        command.envs(self.settings());
        command.envs(env.map(|(name, value)| (format!("SLUICE_{name}"), value)));
        Server::says(&mut command, &folder.join("data"))
    }

    /// Those that are installed.
    pub fn peers(&self, path: &Path) -> Vec<Side<'static>> {
        let s3 = format!("s3://{}/peer", self.bucket);
        let own = self.command(
            &beside("s3-put"),
            &[&self.endpoint, &self.region, &self.bucket, "peer"],
            path,
        );
        let aws = self.aws(&["s3", "cp", "--only-show-errors"]).map(|mut command| {
            command.arg(path).arg(&s3);
            ("aws-cli", command)
        });
        let rclone = installed("rclone").map(|program| {
            let mut command = self.command(
                &program,
                &["copyto", "--s3-upload-concurrency=4", "--s3-chunk-size=8Mi"],
                path,
            );
            command.arg(format!(":s3:{}/peer", self.bucket));
            ("rclone", command)
        });
        let found = [Some(("our client alone", own)), aws, rclone].into_iter().flatten();
        let side = |(name, mut command): (&'static str, Command)| Side {
            name,
            upload: Box::new(move |_| succeeds(&mut command)),
            seconds: Vec::new(),
        };
        found.map(side).collect()
    }

    fn command(&self, program: &Path, arguments: &[&str], path: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(path)
            .env("S3_ACCESS_KEY", &self.access_key)
            .env("S3_SECRET_KEY", &self.secret_key)
            // rclone 1.60 can't take authorities from there, and says so even for http.
            .env_remove("AWS_CA_BUNDLE")
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_S3_PROVIDER", "Other")
            .env("RCLONE_S3_ENDPOINT", &self.endpoint)
            .env("RCLONE_S3_REGION", &self.region)
            .env("RCLONE_S3_ACCESS_KEY_ID", &self.access_key)
            .env("RCLONE_S3_SECRET_ACCESS_KEY", &self.secret_key);
        command
    }

    /// The command of Debian's package with its own settings: parts of 8 MiB, ten at once.
    fn aws(&self, arguments: &[&str]) -> Option<Command> {
        let mut command = Command::new(installed("aws")?);
        command
            .args(["--endpoint-url", &self.endpoint, "--region", &self.region])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        Some(command)
    }

    /// What the last one uploaded goes: a round is not to pay for it.
    pub fn emptied(&self) {
        if let Some((_, folder)) = &self._running {
            let bucket = std::fs::read_dir(folder.path().join(&self.bucket)).expect("the bucket has a folder");
            for object in bucket.flatten() {
                std::fs::remove_file(object.path()).expect("an object can be removed");
            }
        } else if let Some(mut command) = self.aws(&["s3", "rm", "--recursive", "--only-show-errors"]) {
            succeeds(command.arg(format!("s3://{}/", self.bucket)));
        }
    }
}

fn succeeds(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{:?}: {status}", command.get_program());
}

/// Debian's own, not what somebody has in a folder of theirs.
fn installed(name: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    let found = File::open(&path).is_ok();
    if !found {
        println!("{name} is not installed (scripts/setup.sh bench installs it)");
    }
    found.then_some(path)
}

/// An executable beside this one; examples lie in a folder of their own.
fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this executable has a path");
    let folder = own.parent().unwrap_or(Path::new("."));
    let paths = [folder.join(name), folder.join("examples").join(name)];
    let found = paths.iter().find(|path| path.exists());
    found
        .unwrap_or_else(|| panic!("{name} is missing: run `make bench-s3`"))
        .clone()
}
