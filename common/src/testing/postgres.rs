//! One private PostgreSQL server for each test binary: made in a temporary directory, reached through a Unix socket there (no
//! port to collide on), without fsync, and gone with the test process, also when that is killed: a shell that owns the server
//! waits for the end of a pipe that only the test process holds open.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A server of one's own, which can be stopped and started; gone with its data when it is dropped, or with the process.
pub struct Postgres {
    /// Socket, data and log.
    dir: PathBuf,
    /// The shell; the end of its stdin ends the server.
    watchdog: Child,
    /// It repeats what it has done.
    done: BufReader<ChildStdout>,
}

/// The one of the test binary. Never dropped: the end of the process closes the pipe.
static SERVER: OnceLock<Postgres> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

/// How long the server may take to answer. It takes half a second alone and much longer while four suites compile.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Makes the data and runs the server, both in the directory $1 with the programs of $2 and the settings that follow, stops and
/// starts it as stdin says until that ends; then nothing is left of either. The signal is repeated, because a server that has
/// just been started ignores it (POSIX: what a shell runs in the background begins so). A failed initdb leaves its log.
const WATCHDOG: &str = r#"dir=$1; bin=$2; shift 2
"$bin/initdb" --no-sync -A trust -U postgres -E UTF8 --locale=C -D "$dir/data" >"$dir/log" 2>&1 || exit 1
sed -i '1i local all +with_password scram-sha-256' "$dir/data/pg_hba.conf"
start() { "$bin/postgres" -D "$dir/data" -k "$dir" -h "" "$@" >>"$dir/log" 2>&1 & pid=$!; }
stop() { while kill -INT "$pid" 2>/dev/null; do sleep 0.1; done; }
start "$@"
while read -r word; do
  case $word in stop) stop ;; start) start "$@" ;; esac
  echo "$word"
done
stop
rm -rf "$dir""#;

/// The URL of the database of this name in the private server; it is created when missing and lives as long as the process.
pub fn postgres_url(dbname: &str) -> String {
    let mut admin = admin();
    let made = admin.batch_execute(&format!("CREATE DATABASE \"{dbname}\""));
    if let Err(e) = made {
        assert!(
            e.to_string().contains("already exists"),
            "create database {dbname}: {e}"
        );
    }
    url(&server().dir, dbname)
}

/// The URL of the database of this name for a user of the same name, who has to give this password (all others are trusted).
pub fn postgres_user_with_password(name: &str, password: &str) -> String {
    let url = postgres_url(name);
    // The group's name stands in pg_hba.conf; it may be there already.
    drop(admin().batch_execute("CREATE ROLE with_password"));
    postgres_execute(
        &url,
        &format!(
            "DROP ROLE IF EXISTS \"{name}\"; \
             CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}' IN ROLE with_password; \
             GRANT ALL ON DATABASE \"{name}\" TO \"{name}\""
        ),
    );
    url.replace("postgres://postgres@", &format!("postgres://{name}:{password}@"))
}

/// Runs statements on the database of this URL, past what a service would.
pub fn postgres_execute(url: &str, statements: &str) {
    let mut conn = PgConnection::establish(url).expect("the private PostgreSQL answers");
    conn.batch_execute(statements)
        .unwrap_or_else(|error| panic!("{statements}: {error}"));
}

pub(super) fn fresh_database() -> String {
    postgres_url(&format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(super) fn drop_database(url: &str) {
    let name = url.rsplit('/').next().unwrap_or_default();
    if let Err(e) = admin().batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))
        && !std::thread::panicking()
    {
        panic!("drop database {name}: {e}");
    }
}

fn admin() -> PgConnection {
    PgConnection::establish(&url(&server().dir, "postgres")).expect("the private PostgreSQL answers")
}

fn url(dir: &Path, dbname: &str) -> String {
    let host = dir
        .to_str()
        .expect("the temporary directory is UTF-8")
        .replace('/', "%2F");
    format!("postgres://postgres@{host}/{dbname}")
}

fn server() -> &'static Postgres {
    SERVER.get_or_init(Postgres::start)
}

impl Postgres {
    /// A new server that answers.
    #[must_use]
    pub fn start() -> Postgres {
        let mut server = launch();
        server.until_it_answers();
        server
    }

    /// The URL of its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        url(&self.dir, "postgres")
    }

    /// Ends it as `systemctl stop` does: sessions are ended, what runs is rolled back.
    pub fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts it again on the same data; returns when it answers.
    pub fn start_again(&mut self) {
        self.tell("start");
        self.until_it_answers();
    }

    fn tell(&mut self, word: &str) {
        let to = self.watchdog.stdin.as_mut().expect("its stdin is a pipe");
        writeln!(to, "{word}").expect("the shell listens");
        let mut said = String::new();
        self.done.read_line(&mut said).expect("the shell answers");
        assert_eq!(said.trim_end(), word);
    }

    fn until_it_answers(&mut self) {
        let started = Instant::now();
        while let Err(e) = PgConnection::establish(&self.url()) {
            let gone = self.watchdog.try_wait().expect("own child").is_some();
            assert!(
                !gone && started.elapsed() < START_WITHIN,
                "the private PostgreSQL did not start: {e}\n{}",
                read(&self.dir.join("log"))
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        drop(self.watchdog.wait());
    }
}

fn launch() -> Postgres {
    let bin = binaries();
    let owner = owner();
    let dir = tempfile::Builder::new()
        .prefix("sluice-pg-")
        .tempdir()
        .expect("a temporary directory")
        .keep();
    if let Some((uid, gid)) = owner {
        chown(&dir, Some(uid), Some(gid)).expect("root may give the directory away");
    }
    std::fs::set_permissions(&dir, Permissions::from_mode(0o700)).expect("own directory");
    let mut watchdog = as_owner(Command::new("sh"), owner, &dir);
    watchdog.args(["-c", WATCHDOG, "sh"]).arg(&dir).arg(&bin);
    for setting in SETTINGS {
        watchdog.args(["-c", setting]);
    }
    // Its own process group: Ctrl-C in the terminal must reach the test, not the server before it.
    watchdog
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut watchdog = watchdog.spawn().expect("sh starts");
    let done = watchdog.stdout.take().expect("its stdout is a pipe");
    Postgres {
        dir,
        watchdog,
        done: BufReader::new(done),
    }
}

/// Durability off (the data is thrown away), room for many pools, little memory.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "autovacuum_naptime=10s",
    "lc_messages=C",
];

fn as_owner(mut command: Command, owner: Option<(u32, u32)>, dir: &Path) -> Command {
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .env_remove("PGDATA");
    command
}

/// Where `initdb` and `postgres` are: in PATH, else the newest of Debian's.
fn binaries() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort_by_key(|bin| version(bin));
    let found = std::env::split_paths(&path)
        .chain(debian.into_iter().rev())
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file());
    found.expect("PostgreSQL is not installed, and no test is skipped for that: run `make setup-test`")
}

/// 15 of /usr/lib/postgresql/15/bin.
fn version(bin: &Path) -> u32 {
    let name = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres` that its package made.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = read(Path::new("/etc/passwd"));
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line
        .expect("root needs the user postgres to run PostgreSQL: run `make setup-test`")
        .split(':')
        .skip(2);
    let mut number = || {
        fields
            .next()
            .and_then(|field| field.parse().ok())
            .expect("a well-formed /etc/passwd")
    };
    Some((number(), number()))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
