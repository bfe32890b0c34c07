//! Backup while people work, and what comes back from it.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::library::{Library, somebody};
use super::text;
use crate::media::{hex, small_clips};
use crate::person::Person;
use crate::site::{Home, files};
use sha2::{Digest, Sha256};

fn backup(home: &Home, to: &Path, more: &[&str]) -> Output {
    let args = [&["--to", to.to_str().unwrap()], more].concat();
    home.command("backup", &args, &[], &[]).output().unwrap()
}

fn restore(home: &Home, from: &Path) -> Output {
    home.command("restore", &["--from", from.to_str().unwrap()], &[], &[])
        .output()
        .unwrap()
}

/// Stored objects of a backup.
fn objects(backup: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = files(&backup.join("media")).into_iter().map(|(path, _)| path).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_backup_of_a_running_platform_comes_back_whole() {
    let home = Home::new();
    let site = home.serve(&[]);
    let library = Library::fill(&home, &site).await;
    for (folder, more) in [("linked", &[][..]), ("copied", &["--copy"][..])] {
        let to = home.dir.path().join(folder);
        let output = backup(&home, &to, more);
        assert!(output.status.success(), "{}", text(&output));
        // What comes after it is not in it.
        somebody_new(&site.base, folder).await;
        let other = Home::new();
        let output = restore(&other, &to);
        assert!(output.status.success(), "{}", text(&output));
        let again = other.serve(&[]);
        library.is_served(&again.base).await;
        library.goes_on(&again.base).await;
        again.stop();
    }
    library.is_served(&site.base).await;
    site.stop();
}

async fn somebody_new(base: &str, name: &str) {
    Person::register(base, name).await;
}

#[tokio::test]
async fn promise_2_a_backup_never_holds_a_live_row_without_its_object() {
    let home = Home::new();
    // What is deleted is purged at once: objects go away while they are backed up.
    let site = home.serve(&["api.trash_retention=0s", "scheduler.poll=50ms"]);
    let ann = Person::register(&site.base, "ann").await;
    let clips = small_clips();
    let working = {
        let (ann, clip) = (ann.clone(), clips[0].clone());
        tokio::spawn(async move {
            for n in 0..200 {
                let id = ann.publish(&format!("short-lived {n}"), &clip).await;
                ann.delete(&format!("/api/v1/videos/{id}")).await.expect(202);
            }
        })
    };
    for round in 0..4 {
        let to = home.dir.path().join(format!("backup-{round}"));
        let data = home.data();
        let output = {
            let mut command = home.command("backup", &["--to", to.to_str().unwrap()], &[], &[]);
            assert!(data.is_dir());
            tokio::task::spawn_blocking(move || command.output().unwrap())
                .await
                .unwrap()
        };
        assert!(output.status.success(), "{}", text(&output));
        let other = Home::new();
        let restored = restore(&other, &to);
        assert!(
            restored.status.success(),
            "every live row has its object: {}",
            text(&restored)
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(to.join("backup.json")).unwrap()).unwrap();
        assert_eq!(manifest["objects"], objects(&to).len(), "and nothing else lies there");
    }
    working.abort();
    drop(working.await);
    site.stop();
}

#[tokio::test]
async fn what_is_damaged_or_half_or_in_the_way_is_refused() {
    let home = Home::new();
    let library = Library::make(&home).await;
    let to = home.dir.path().join("backup");
    assert!(backup(&home, &to, &["--copy"]).status.success());
    let refused = |output: Output, code: i32, says: &str| {
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(says), "{says}: {}", text(&output));
    };
    refused(backup(&home, &to, &[]), 2, "--to: ");
    refused(restore(&home, &to), 2, "server.data_dir: ");
    // A changed bit in an object: named, and no service starts on what was restored so far.
    let damaged = objects(&to).pop().unwrap();
    let good = std::fs::read(&damaged).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    std::fs::write(&damaged, bad).unwrap();
    let other = Home::new();
    let output = restore(&other, &to);
    let name = damaged.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(
        text(&output).contains(&format!("/{name}: has the SHA-256")),
        "{}",
        text(&output)
    );
    refused(output, 1, "DAMAGED");
    let start = other
        .command("serve", &["--listen", "127.0.0.1:0"], &[], &[])
        .output()
        .unwrap();
    refused(start, 2, "unfinished `sluice restore`");
    // Mended, it goes on where it was.
    std::fs::write(&damaged, good).unwrap();
    let output = restore(&other, &to);
    assert!(output.status.success(), "{}", text(&output));
    let site = other.serve(&[]);
    library.is_served(&site.base).await;
    site.stop();
    // A changed bit in a database; a backup that was cut off; what is none.
    let ledger = to.join("stream.db");
    let mut bytes = std::fs::read(&ledger).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&ledger, bytes).unwrap();
    refused(restore(&Home::new(), &to), 2, "stream.db");
    std::fs::remove_file(to.join("backup.json")).unwrap();
    refused(restore(&Home::new(), &to), 2, "not a whole backup");
    refused(restore(&Home::new(), Path::new("/nowhere")), 2, "not a whole backup");
    // PostgreSQL is backed up by its own tools.
    let settings = ["database.api=postgres://u:p@127.0.0.1:1/x"];
    let elsewhere = home.dir.path().join("elsewhere");
    let args = ["--to", elsewhere.to_str().unwrap()];
    let output = home.command("backup", &args, &settings, &[]).output().unwrap();
    refused(output, 2, "pg_dump");
    let site = home.serve(&[]);
    somebody(&site.base).await;
    site.stop();
}

#[tokio::test]
async fn nobody_else_can_read_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let library = Library::make(&home).await;
    let to = home.dir.path().join("backup");
    assert!(backup(&home, &to, &[]).status.success());
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    for (path, _) in files(&to) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    assert_eq!(library.secrets().len(), 2);
    let hash = |path: PathBuf| hex(&Sha256::digest(std::fs::read(path).unwrap()));
    let name = "secrets/grant_keys";
    assert_eq!(hash(to.join(name)), hash(home.data().join(name)));
}
