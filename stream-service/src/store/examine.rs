//! What the doctor looks at in a store: an object goes the whole way of an upload (created, written, synced, published, read in a
//! range, removed), and there is room for more.

mod s3;

use super::{DiskStore, ObjectKey, StoreError};
use common::{
    config::{ByteSize, Config},
    doctor::{self, Finding, Level},
    ids::{Id, VideoId},
};
use std::{
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

const KEY: &str = "store.url";

/// Bytes of the trial object.
const TRIAL: usize = 64 * 1024;

/// Syncs that take longer make every upload slow.
const SLOW_SYNC: Duration = Duration::from_millis(500);

/// Everything about `store.url` and `stream.min_free`. Blocks; what it stores it removes.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    let url = config.store_url();
    match url.strip_prefix("file:") {
        Some(path) => disk(config, Path::new(path)),
        None => s3::examine(config),
    }
}

fn disk(config: &Config, root: &Path) -> Vec<Finding> {
    let mut findings = doctor::folder(KEY, root);
    let works = findings.iter().all(|finding| finding.level != Level::Fail);
    if works && root.is_dir() {
        findings.push(match DiskStore::open_there(root).map_err(StoreError::from) {
            Ok(store) => trial(&store),
            Err(error) => failed("open", &error),
        });
    }
    findings.extend(doctor::disk(KEY, root));
    findings.extend(room(config, root));
    findings
}

/// One object, from its begin to its removal.
fn trial(store: &DiskStore) -> Finding {
    let key = ObjectKey {
        video: VideoId::random(),
        object: Id::now(),
    };
    let tried = go_through(store, &key);
    // Also when a step failed: nothing may be left.
    let removed = store.remove(&key);
    match (tried, removed) {
        (Ok(took), Ok(true)) if took > SLOW_SYNC => Finding::warn(
            KEY,
            "put, get, range, delete",
            format!("work, and a sync takes {} ms", took.as_millis()),
            "every upload waits for the disk: use a faster one",
        ),
        (Ok(took), Ok(true)) => Finding::ok(
            KEY,
            "put, get, range, delete",
            format!("work; write and sync took {} ms", took.as_millis()),
        ),
        (Ok(_), Ok(false)) => Finding::fail(
            KEY,
            "delete",
            "the object was gone before it was removed",
            "nothing but sluice may change this folder",
        ),
        (Err(finding), _) => *finding,
        (_, Err(error)) => failed("delete", &error),
    }
}

/// How long write and sync took.
fn go_through(store: &DiskStore, key: &ObjectKey) -> Result<Duration, Box<Finding>> {
    let step = |name: &'static str| move |error: StoreError| Box::new(failed(name, &error));
    let content: Vec<u8> = (0..TRIAL).map(|at| (at % 251) as u8).collect();
    let began = Instant::now();
    let mut incoming = store.create(key).map_err(step("put"))?;
    incoming.write(&content).map_err(step("put"))?;
    incoming.sync().map_err(step("put"))?;
    incoming.publish().map_err(step("put"))?;
    let took = began.elapsed();
    let (file, size) = store.open(key).map_err(step("get"))?;
    let mut piece = vec![0; 1000];
    let at = TRIAL - 1500;
    file.read_exact_at(&mut piece, at as u64)
        .map_err(StoreError::from)
        .map_err(step("range"))?;
    if size != TRIAL as u64 || piece != content[at..at + 1000] {
        return Err(Box::new(Finding::fail(
            KEY,
            "range",
            "what is read is not what was written",
            "this disk or file system is broken: don't store anything there",
        )));
    }
    Ok(took)
}

fn failed(check: &'static str, error: &StoreError) -> Finding {
    let instead = match error {
        StoreError::Full(_) => "make room",
        StoreError::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            "give the folder to the user that runs sluice"
        }
        StoreError::Io(io) if io.kind() == std::io::ErrorKind::ReadOnlyFilesystem => "mount it writable",
        _ => "use a local file system",
    };
    Finding::fail(KEY, check, error, instead)
}

/// What uploads may fill before they are refused.
fn room(config: &Config, root: &Path) -> Option<Finding> {
    let there = root.ancestors().find(|ancestor| ancestor.exists())?;
    let free = DiskStore::open_there(there).ok()?.free().ok()?;
    let (least, largest) = (config.stream.min_free.0, config.stream.max_upload.0);
    let left = ByteSize(free.saturating_sub(least) >> 20 << 20);
    Some(if free <= least {
        Finding::fail(
            "stream.min_free",
            "room",
            "less is free: every upload is refused with 507",
            "make room, or write less than what is free",
        )
    } else if free - least < largest {
        Finding::warn(
            "stream.max_upload",
            "room",
            format!(
                "{left} can be stored, and one upload may have {}",
                config.stream.max_upload
            ),
            "make room, or write less",
        )
    } else {
        Finding::ok("stream.min_free", "room", format!("{left} can be stored"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(root: &Path) -> Config {
        let mut config = Config::default();
        config.store.url = format!("file:{}", root.display());
        config
    }

    fn worst(findings: &[Finding]) -> &Finding {
        findings.iter().max_by_key(|finding| finding.level).unwrap()
    }

    #[test]
    fn a_good_folder_is_found_good_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("media");
        std::fs::create_dir(&root).unwrap();
        let mut config = config(&root);
        config.stream.min_free = ByteSize(0);
        config.stream.max_upload = ByteSize(1 << 20);
        let findings = examine(&config);
        assert!(
            findings.iter().all(|finding| finding.level != Level::Fail),
            "{findings:?}"
        );
        let done = |finding: &Finding| finding.check == "put, get, range, delete" && finding.level == Level::Ok;
        assert!(findings.iter().any(done), "{findings:?}");
        let left: Vec<_> = walk(&root);
        assert!(left.iter().all(|path| path.is_dir()), "{left:?}");
    }

    fn walk(root: &Path) -> Vec<std::path::PathBuf> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(walk(&path));
            }
            all.push(path);
        }
        all
    }

    #[test]
    fn what_is_broken_is_named_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let found = examine(&config(&file));
        assert_eq!(
            (worst(&found).level, worst(&found).key.as_str()),
            (Level::Fail, "store.url")
        );
        // The groups can't be made: files stand where folders should be.
        let full = dir.path().join("full");
        std::fs::create_dir(&full).unwrap();
        for a in "0123456789abcdefghjkmnpqrstvwxyz".chars() {
            for b in "0123456789abcdefghjkmnpqrstvwxyz".chars() {
                std::fs::write(full.join(format!("{a}{b}")), "").unwrap();
            }
        }
        let found = examine(&config(&full));
        assert_eq!(
            (worst(&found).level, worst(&found).check),
            (Level::Fail, "put"),
            "{found:?}"
        );
        let mut crowded = config(&dir.path().join("media"));
        crowded.stream.min_free = ByteSize(1 << 60);
        let found = examine(&crowded);
        assert_eq!(
            (worst(&found).level, worst(&found).key.as_str()),
            (Level::Fail, "stream.min_free")
        );
        let mut large = config(&dir.path().join("media"));
        large.stream.max_upload = ByteSize(1 << 60);
        assert!(
            examine(&large)
                .iter()
                .any(|found| found.key == "stream.max_upload" && found.level == Level::Warn)
        );
    }
}
