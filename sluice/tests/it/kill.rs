//! 200 random kill -9 during uploads, edits, comments, deletes and restores, with a history checker: nothing that was
//! acknowledged is lost, nothing is orphaned after one reconcile. `SLUICE_TEST_SEED` replays a run, `SLUICE_TEST_KILLS`
//! changes the number.

pub mod lives;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::history::{History, Life, Upload, Video};
use crate::media::small_clips;
use crate::person::Person;

use crate::site::{ADMIN_PASSWORD, Home, files};

const KILLS: u64 = 200;
/// Kills of one of four processes.
const SINGLE_KILLS: u64 = 40;
const PEOPLE: usize = 4;
/// Videos of one person that are looked at in each round; all are looked at in the end.
const LOOKED_AT: usize = 3;
pub const SETTINGS: [&str; 8] = [
    "stream.rate=100000",
    "stream.burst=100000",
    "stream.orphan_grace=0",
    "scheduler.orphan_grace=0",
    "api.sign_in_attempts=1000",
    "api.sign_in_attempts_per_address=10000",
    "scheduler.lease=1s",
    "log.level=warn",
];

pub type Shared = Arc<Mutex<History>>;

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[tokio::test]
async fn promise_1_and_2_hold_through_200_kills() {
    let seed = number("SLUICE_TEST_SEED", rand::random::<u32>().into());
    let kills = number("SLUICE_TEST_KILLS", KILLS);
    eprintln!("SLUICE_TEST_SEED={seed} replays this run");
    let mut dice = StdRng::seed_from_u64(seed);
    let clips = Arc::new(small_clips());
    let home = Home::new();
    let history: Shared = Arc::default();
    let mut site = home.serve(&SETTINGS);
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::register(&site.base, &format!("person{n}")).await);
    }
    for _ in 0..kills {
        let lives = people.iter().enumerate().map(|(n, person)| {
            let rng = StdRng::seed_from_u64(dice.random());
            lives::live(n, person.clone(), history.clone(), clips.clone(), rng, None)
        });
        let lives: Vec<_> = lives.map(|life| tokio::spawn(life)).collect();
        tokio::time::sleep(Duration::from_millis(dice.random_range(5..250))).await;
        site.kill();
        for life in join_all(lives).await {
            life.unwrap();
        }
        site = home.serve(&SETTINGS);
        people.iter_mut().for_each(|person| person.base.clone_from(&site.base));
        look(&people, &history, Some(&mut dice)).await;
    }
    let history = settle(&people, &history).await;
    reconciled(|| on_disk(&home), &site.base, &history).await;
    eprintln!(
        "{kills} kills: {} acknowledged, {} cut, {} refused, {} videos",
        history.acknowledged,
        history.cut,
        history.refused,
        history.videos.len()
    );
    assert!(
        history.acknowledged as u64 > kills && history.cut as u64 > kills / 4,
        "the kills met work"
    );
    site.stop();
}

/// The four processes, one of them killed at a time while people go on.
#[tokio::test]
async fn promise_1_and_2_hold_when_single_services_are_killed() {
    let seed = number("SLUICE_TEST_SEED", rand::random::<u32>().into());
    let kills = number("SLUICE_TEST_KILLS", SINGLE_KILLS);
    eprintln!("SLUICE_TEST_SEED={seed} replays this run");
    let mut dice = StdRng::seed_from_u64(seed);
    let clips = Arc::new(small_clips());
    let home = Home::new();
    let history: Shared = Arc::default();
    let mut site = home.roles(&SETTINGS);
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::register(&site.base, &format!("person{n}")).await);
    }
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(dice.random_range(200..700));
        let lives = people.iter().enumerate().map(|(n, person)| {
            let rng = StdRng::seed_from_u64(dice.random());
            lives::live(n, person.clone(), history.clone(), clips.clone(), rng, Some(until))
        });
        let lives: Vec<_> = lives.map(|life| tokio::spawn(life)).collect();
        tokio::time::sleep(Duration::from_millis(dice.random_range(5..200))).await;
        let victim = dice.random_range(0..site.processes.len());
        home.kill_and_restart(&mut site.processes[victim]);
        for life in join_all(lives).await {
            life.unwrap();
        }
        look(&people, &history, Some(&mut dice)).await;
    }
    let history = settle(&people, &history).await;
    reconciled(|| on_disk(&home), &site.base, &history).await;
    eprintln!(
        "{kills} kills of single services: {} acknowledged, {} cut, {} refused",
        history.acknowledged, history.cut, history.refused
    );
    assert!(
        history.acknowledged as u64 > kills && history.cut > 0,
        "the kills met work"
    );
    site.stop();
}

/// Compares what is there with what was acknowledged: some videos of each person, or all when there are no dice.
pub async fn look(people: &[Person], history: &Shared, mut dice: Option<&mut StdRng>) {
    for (n, person) in people.iter().enumerate() {
        person.get("/api/v1/users/me").await.expect(200);
        let mut mine: Vec<String> = {
            let history = history.lock().unwrap();
            history
                .videos
                .iter()
                .filter(|(_, video)| video.owner == n)
                .map(|(id, _)| id.clone())
                .collect()
        };
        if let Some(dice) = &mut dice {
            while mine.len() > LOOKED_AT {
                mine.swap_remove(dice.random_range(0..mine.len()));
            }
        }
        for id in mine {
            look_at(person, history, &id).await;
        }
    }
}

async fn look_at(person: &Person, history: &Shared, id: &str) {
    let answer = person.video(id).await;
    let state = (answer.status != 404).then(|| answer.body["state"].as_str().unwrap().to_owned());
    let (bytes, comments) = {
        let history = history.lock().unwrap();
        let video = &history.videos[id];
        let possible = video.possible_states();
        assert!(
            possible.contains(&state.as_deref()),
            "{id} ({:?}) is {state:?}, not one of {possible:?}",
            video.life
        );
        if state.is_none() {
            return;
        }
        let title = answer.body["title"].as_str().unwrap();
        assert!(
            video.titles.contains(title),
            "{id} is called {title}, not one of {:?}",
            video.titles
        );
        let clip = match &video.upload {
            Upload::Yes(clip) | Upload::Maybe(clip) => Some(clip.clone()),
            Upload::No => None,
        };
        (clip, video.comments.clone())
    };
    if state.as_deref() == Some("ready") {
        let clip = bytes.expect("nothing was uploaded, and yet it is ready");
        // It may be purged between the two requests only if its deletion was begun.
        assert_eq!(
            person.download(id).await,
            clip.bytes,
            "{id}: a ready video has its whole content"
        );
        assert!(
            all_comments(person, id).await.is_superset(&comments),
            "{id} lost a comment"
        );
    }
}

async fn all_comments(person: &Person, id: &str) -> std::collections::BTreeSet<String> {
    let mut texts = std::collections::BTreeSet::new();
    let mut path = format!("/api/v1/videos/{id}/comments?limit=100");
    loop {
        let page = person.get(&path).await.expect(200);
        texts.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["text"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/videos/{id}/comments?limit=100&cursor={next}"),
            None => return texts,
        }
    }
}

/// Waits until acknowledged uploads are ready and acknowledged deletions have their receipt, then looks at everything.
pub async fn settle(people: &[Person], shared: &Shared) -> History {
    let plan: Vec<(String, usize, Life, Upload)> = {
        let history = shared.lock().unwrap();
        history
            .videos
            .iter()
            .map(|(id, video)| (id.clone(), video.owner, video.life, video.upload.clone()))
            .collect()
    };
    for (id, owner, life, upload) in plan {
        let person = &people[owner];
        match (life, upload) {
            (Life::Alive, Upload::Yes(_)) => drop(person.wait_for(&id, "ready").await),
            (Life::Purged, upload) => {
                let receipt = person.receipt(&id).await;
                let expected: Vec<u64> = match &upload {
                    Upload::Yes(clip) => vec![clip.bytes.len() as u64],
                    // Nothing, the whole, or the part that was there when the process was killed.
                    Upload::Maybe(clip) => (0..=clip.bytes.len() as u64).collect(),
                    Upload::No => vec![0],
                };
                let bytes = receipt["bytes"].as_u64().unwrap();
                assert!(expected.contains(&bytes), "{id}: {receipt}");
                assert!(receipt["objects"].as_u64().unwrap() <= 1, "{id}: {receipt}");
            }
            _ => {}
        }
    }
    look(people, shared, None).await;
    std::mem::take(&mut *shared.lock().unwrap())
}

/// A stored object: where it lies, whose it is, its bytes.
pub type Stored = (String, String, u64);

/// What lies in the media folder, of which nothing is a part of an upload.
pub fn on_disk(home: &Home) -> Vec<Stored> {
    let stored = files(&home.data().join("media"));
    assert!(
        stored.iter().all(|(path, _)| path.extension().is_none()),
        "no part of an upload stays: {stored:?}"
    );
    let whose = |path: &std::path::Path| {
        let folder = path.parent().unwrap().file_name().unwrap();
        folder.to_str().unwrap().to_owned()
    };
    let of = |(path, size): &(std::path::PathBuf, u64)| (path.display().to_string(), whose(path), *size);
    stored.iter().map(of).collect()
}

/// One reconcile leaves ledger, rows and store in agreement; a second one finds nothing to do.
pub async fn reconciled(stored: impl Fn() -> Vec<Stored>, base: &str, history: &History) {
    let admin = Person::sign_in(base, "admin", ADMIN_PASSWORD).await;
    // Jobs of cut deletions may still run; the reconcile comes after them.
    common::testing::eventually("no job is left", Duration::from_secs(60), || async {
        let due = admin.get("/api/v1/jobs?kind=purge&state=ready").await.expect(200);
        let running = admin.get("/api/v1/jobs?kind=purge&state=running").await.expect(200);
        (due["items"] == json!([]) && running["items"] == json!([])).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let first = admin.run_job(json!({ "kind": "reconcile" })).await;
    eprintln!("the reconcile found {}", first["result"]);
    assert_eq!(first["result"]["failed"], 0, "{}", first["result"]);
    let second = admin.run_job(json!({ "kind": "reconcile", "dryRun": true })).await;
    assert_eq!(
        second["result"]["found"], 0,
        "the second reconcile finds nothing: {}",
        second["result"]
    );
    let stored = stored();
    let mut possible = 0;
    for (path, id, size) in &stored {
        // A creation that was cut has no upload, so every stored file belongs to a video of the history.
        let video = history
            .videos
            .get(id)
            .unwrap_or_else(|| panic!("{path} belongs to nothing"));
        assert_ne!(video.life, Life::Purged, "{path} was purged");
        let (Upload::Yes(clip) | Upload::Maybe(clip)) = &video.upload else {
            panic!("{id} has no upload")
        };
        assert_eq!(*size, clip.bytes.len() as u64, "{path}");
        possible += 1;
    }
    let kept = |video: &&Video| {
        matches!(video.upload, Upload::Yes(_))
            && matches!(video.life, Life::Alive | Life::Trashed | Life::AliveOrTrashed)
    };
    let certain = history.videos.values().filter(kept).count();
    assert!(possible >= certain, "{possible} files for {certain} videos");
    let page: Value = admin.get("/api/v1/jobs?state=dead").await.expect(200);
    assert_eq!(page["items"], json!([]), "no job died");
}
