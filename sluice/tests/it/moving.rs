//! `sluice move`, `backup` and `restore` on the real binary: what people had they have again, wherever it was interrupted; what is
//! damaged is named; nothing that is not theirs is touched.

mod backup;
mod library;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::db::Backend;
use common::testing::TestDatabase;
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};

use crate::media::hex;
use crate::site::{Home, files};
use library::Library;
use sha2::{Digest, Sha256};

const SERVICES: [&str; 3] = ["api", "stream", "scheduler"];

/// Where a library is moved to.
struct Target {
    home: Home,
    database: TestDatabase,
    /// Else media goes to a folder.
    bucket: Option<s3_server::Server>,
}

impl Target {
    fn new() -> Self {
        Target {
            home: Home::new(),
            database: TestDatabase::new(Backend::Postgres),
            bucket: None,
        }
    }

    fn with_bucket() -> Self {
        Target {
            bucket: Some(s3_server::Server::spawn().unwrap()),
            ..Target::new()
        }
    }

    fn media(&self) -> PathBuf {
        self.home.dir.path().join("media")
    }

    /// The configuration of services on the target.
    fn settings(&self) -> Vec<String> {
        let database = |service: &str| format!("database.{service}={}?schema={service}", self.database.url);
        let mut settings = SERVICES.map(database).to_vec();
        match &self.bucket {
            None => settings.push(format!("store.url=file:{}", self.media().display())),
            Some(server) => settings.extend([
                "store.url=s3://media/moved".to_owned(),
                format!("store.endpoint={}", server.endpoint()),
                format!("store.access_key={}", server.options.access_key),
                format!("store.secret_key={}", server.options.secret_key),
            ]),
        }
        settings
    }

    fn move_from(&self, data: &Path, more: &[&str]) -> Command {
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let args = [&["--from-data-dir", data.to_str().unwrap()], more].concat();
        self.home.command("move", &args, &settings, &[])
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Every file of a folder with its hash, without the locks, and without SQLite's index of a log (`-shm`), which holds nothing that
/// lasts: every reader writes its marks there (https://www.sqlite.org/tempfiles.html, 2.3). A process on a busy machine may end
/// before its last connection has put the log into the file.
fn content(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all: Vec<_> = files(folder)
        .into_iter()
        .filter(|(path, _)| {
            !path
                .extension()
                .is_some_and(|extension| extension == "lock" || extension == "db-shm")
        })
        .map(|(path, _)| {
            let hash = hex(&Sha256::digest(std::fs::read(&path).unwrap()));
            (path, hash)
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn an_embedded_library_moves_to_postgres_and_s3_and_the_scaled_services_serve_it() {
    let home = Home::new();
    let library = Library::make(&home).await;
    let before = content(&home.data());
    let target = Target::with_bucket();
    let output = target.move_from(&home.data(), &[]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("1 uploads were under way"), "{said}");
    assert!(said.contains("api: comments: the same on both sides: 5 rows"), "{said}");
    assert_eq!(before, content(&home.data()), "the source is as it was");
    let settings = target.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let site = target.home.roles(&settings);
    library.is_served(&site.base).await;
    library.goes_on(&site.base).await;
    site.stop();
    // Once more there is nothing to do, and nothing is done.
    let again = target.move_from(&home.data(), &[]).output().unwrap();
    assert!(
        again.status.success() && text(&again).contains("nothing is left to do"),
        "{}",
        text(&again)
    );
}

/// Moves to `target`, killed again and again while it runs, until it is done; says how often the target was refused then because it
/// was half filled. `whole` is about how long one takes.
async fn killed_at_random(target: &Target, home: &Home, whole: Duration) -> usize {
    let settings = target.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let (mut kills, mut refused) = (0, 0);
    for _ in 0..40 {
        let mut child = target
            .move_from(&home.data(), &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = whole.mul_f64(rand::rng().random_range(0.05..0.9));
        tokio::time::sleep(patience).await;
        kill_process(Pid::from_child(&child), Signal::KILL).ok();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
        let output = target.home.command("migrate", &[], &settings, &[]).output().unwrap();
        // Before the record is made there is nothing to protect yet.
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(2), "{}", text(&output));
            assert!(text(&output).contains("unfinished `sluice move`"), "{}", text(&output));
            refused += 1;
        }
        if kills == 12 {
            let last = target.move_from(&home.data(), &[]).output().unwrap();
            assert!(last.status.success(), "{}", text(&last));
            break;
        }
    }
    refused
}

#[tokio::test]
async fn a_move_that_is_killed_at_any_moment_goes_on_and_half_of_it_is_never_served() {
    let home = Home::new();
    let library = Library::make(&home).await;
    // How long one takes undisturbed decides when the others are killed. It is a guess: how busy the machine is changes.
    let trial = Target::with_bucket();
    let began = std::time::Instant::now();
    assert!(trial.move_from(&home.data(), &[]).output().unwrap().status.success());
    let mut whole = began.elapsed();
    let mut target = Target::with_bucket();
    let mut tries = 1;
    while killed_at_random(&target, &home, whole).await == 0 {
        assert!(tries < 6, "no kill found the target half filled");
        (target, whole, tries) = (Target::with_bucket(), whole.mul_f64(0.7), tries + 1);
    }
    let settings = target.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let site = target.home.roles(&settings);
    library.is_served(&site.base).await;
    site.stop();
}

#[tokio::test]
async fn a_damaged_object_is_named_and_the_move_fails_until_it_is_mended() {
    let home = Home::new();
    let library = Library::make(&home).await;
    let (damaged, _) = media_files(&home).pop().unwrap();
    let good = std::fs::read(&damaged).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&damaged, &bad).unwrap();
    let (missing, _) = media_files(&home).remove(0);
    let there = std::fs::read(&missing).unwrap();
    std::fs::remove_file(&missing).unwrap();
    let target = Target::new();
    let output = target.move_from(&home.data(), &[]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (file, why) in [(&damaged, "SHA-256"), (&missing, "not in the store")] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let line = said
            .lines()
            .find(|line| line.contains("DAMAGED") && line.contains(name));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {said}");
    }
    let settings = target.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let early = target
        .home
        .command("stream", &["--listen", "127.0.0.1:0"], &settings, &library.secrets())
        .output()
        .unwrap();
    assert_eq!(early.status.code(), Some(2), "{}", text(&early));
    assert!(text(&early).contains("unfinished `sluice move`"), "{}", text(&early));
    std::fs::write(&damaged, good).unwrap();
    std::fs::write(&missing, there).unwrap();
    // From the beginning: what it has copied already is its own.
    let output = target.move_from(&home.data(), &["--start-over"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let site = target.home.roles(&settings);
    library.is_served(&site.base).await;
    site.stop();
}

/// Stored objects, whole ones.
fn media_files(home: &Home) -> Vec<(PathBuf, u64)> {
    let mut all = files(&home.data().join("media"));
    all.retain(|(path, _)| path.extension().is_none());
    all.sort();
    all
}

#[tokio::test]
async fn what_is_in_use_or_not_empty_is_refused() {
    let home = Home::new();
    let library = Library::make(&home).await;
    let target = Target::new();
    let refused = |command: &mut Command, says: &str| {
        let output = command.output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{says}: {said}");
    };
    // The source is in use.
    let site = home.serve(&[]);
    refused(&mut target.move_from(&home.data(), &[]), "another sluice process");
    site.stop();
    // The target is in use.
    let settings = target.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let site = target.home.serve(&settings);
    refused(&mut target.move_from(&home.data(), &[]), "in use");
    library::somebody(&site.base).await;
    site.stop();
    // It isn't empty, and --start-over is only for what a move has left.
    refused(&mut target.move_from(&home.data(), &[]), "isn't empty");
    refused(&mut target.move_from(&home.data(), &["--start-over"]), "isn't empty");
    // Neither is the store.
    let fresh = Target::new();
    std::fs::create_dir_all(fresh.media().join("ab")).unwrap();
    // The second run has the record of the first and is told the same.
    for _ in 0..2 {
        refused(&mut fresh.move_from(&home.data(), &[]), "store isn't empty");
    }
    refused(
        &mut fresh.move_from(&home.data(), &["--start-over"]),
        "store isn't empty",
    );
    // The store of the source, spelled in another way.
    let other = Target::new();
    let media = home.data().join("media");
    let (same, from) = (format!("file:{}/./", media.display()), home.data());
    let sides = [
        "--from",
        &format!("sqlite:{}", from.display()),
        "--to",
        &other.database.url,
    ];
    let stores = ["--store", &format!("file:{}", media.display()), &same];
    let words = [&sides[..], &stores].concat();
    for _ in 0..2 {
        refused(&mut other.home.command("move", &words, &[], &[]), "are the same");
    }
    // Mistyped.
    let mut command = fresh.home.command("move", &["--from-data-dir", "/nowhere"], &[], &[]);
    refused(&mut command, "--from-data-dir: /nowhere");
    let same = home.command("move", &["--from-data-dir", home.data().to_str().unwrap()], &[], &[]);
    let output = { same }.output().unwrap();
    assert_ne!(output.status.code(), Some(0), "onto itself: {}", text(&output));
    let site = home.serve(&[]);
    library.is_served(&site.base).await;
    site.stop();
}

#[tokio::test]
async fn a_move_goes_back_too_as_the_issue_writes_it() {
    let home = Home::new();
    let library = Library::make(&home).await;
    let there = Target::new();
    let run = |args: Vec<String>, home: &Home| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = home.command("move", &args, &[], &[]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    let file = |path: &Path| format!("file:{}", path.display());
    let sqlite = |path: &Path| format!("sqlite:{}", path.display());
    let words = |words: [&str; 7]| words.map(str::to_owned).to_vec();
    run(
        words([
            "--from",
            &sqlite(&home.data()),
            "--to",
            &there.database.url,
            "--store",
            &file(&home.data().join("media")),
            &file(&there.media()),
        ]),
        &there.home,
    );
    let back = Home::new();
    run(
        words([
            "--from",
            &there.database.url,
            "--to",
            &sqlite(&back.data()),
            "--store",
            &file(&there.media()),
            &file(&back.data().join("media")),
        ]),
        &back,
    );
    let site = back.serve(&[]);
    library.is_served(&site.base).await;
    library.goes_on(&site.base).await;
    site.stop();
}

/// A table that a migration adds and nobody lists would stay behind.
#[test]
fn every_table_is_in_its_services_list() {
    let home = Home::new();
    assert!(home.command("migrate", &[], &[], &[]).status().unwrap().success());
    let lists = [
        ("api", api_service::TABLES),
        ("stream", stream_service::transfer::TABLES),
        ("scheduler", scheduler_service::TABLES),
    ];
    for (service, listed) in lists {
        let program = "import sqlite3,sys; [print(r[0]) for r in sqlite3.connect(sys.argv[1]).execute(\"SELECT name FROM sqlite_master WHERE type='table'\")]";
        let output = Command::new("python3")
            .args(["-c", program])
            .arg(home.data().join(format!("{service}.db")))
            .output()
            .unwrap();
        let mut there: Vec<String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter(|name| !name.starts_with("sqlite_") && !name.starts_with("__diesel"))
            .map(str::to_owned)
            .collect();
        let mut listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        there.sort();
        listed.sort();
        assert_eq!(there, listed, "{service}");
    }
}

/// Longest wait for something that a site does by itself.
const SOON: Duration = Duration::from_secs(30);
