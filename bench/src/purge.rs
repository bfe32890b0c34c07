//! A backlog of deletions: how fast it goes away, and whether reads stay served meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use crate::http::{PASSWORD, Person};
use crate::load;
use crate::server::Server;
use crate::table;
use crate::video;

const VIDEOS: usize = 10_000;
const READERS: usize = 8;
/// Twice what one deletion a millisecond would need.
const DEADLINE: Duration = Duration::from_secs(1200);

pub async fn measure() {
    let server = Server::fresh(&[
        "stream.rate=100000".into(),
        "stream.burst=100000".into(),
        "stream.max_uploads_per_user=64".into(),
    ]);
    let reader = Person::register(&server.base, "reader").await;
    let clip = video::clip();
    let id = reader.upload("Read", clip.clone().into(), clip.len() as u64).await;
    let read = load::get(&format!("/api/v1/videos/{id}"), &reader.token);
    let before = load::run(server.address(), &read, READERS, Duration::from_secs(5)).await;
    let mut rows = Vec::new();
    let (uploaded, alone) = purged(&server, "alone", &clip, None).await;
    let (_, beside) = purged(&server, "beside", &clip, Some(&read)).await;
    rows.push(vec!["uploads of a small clip".into(), per_second(uploaded)]);
    for (name, purge) in [("purges, nobody reads", &alone), ("purges, 8 readers beside", &beside)] {
        let seconds = purge.elapsed.as_secs_f64();
        rows.push(vec![name.into(), per_second(purge.elapsed)]);
        rows.push(vec![
            "sluice CPU meanwhile".into(),
            format!("{:.1} s in {seconds:.1} s", purge.cpu),
        ]);
    }
    let p = |latencies: &[f64]| {
        let of = |share| table::percentile(latencies, share);
        format!("{:.2} / {:.2} ms", of(0.5), of(0.99))
    };
    rows.push(vec!["reads alone, p50 / p99".into(), p(&before.latencies)]);
    rows.push(vec!["reads during the purge, p50 / p99".into(), p(&beside.latencies)]);
    table::print(&format!("Purge of {VIDEOS} small videos"), &["what", "measured"], &rows);
}

struct Purge {
    elapsed: Duration,
    cpu: f64,
    /// Of those who read meanwhile, milliseconds in their order.
    latencies: Vec<f64>,
}

/// Uploads the videos of an account and deletes it; how long the uploads took, and what the purge cost.
async fn purged(server: &Server, name: &str, clip: &Bytes, read: Option<&[u8]>) -> (Duration, Purge) {
    let owner = Person::register(&server.base, name).await;
    let media = server.data.join("media");
    let others = count_files(&media);
    let began = Instant::now();
    stream::iter(0..VIDEOS)
        .for_each_concurrent(32, |n| {
            let owner = &owner;
            async move {
                owner
                    .upload(&format!("Video {n}"), clip.clone().into(), clip.len() as u64)
                    .await;
            }
        })
        .await;
    let uploaded = began.elapsed();
    assert_eq!(count_files(&media), VIDEOS + others, "every video lies on the disk");
    let (began, cpu) = (Instant::now(), server.cpu_seconds());
    // The whole account: every video is due at once.
    owner
        .call(Method::DELETE, "/api/v1/users/me", &json!({ "password": PASSWORD }))
        .await;
    let mut latencies = Vec::new();
    while count_files(&media) > others {
        assert!(began.elapsed() < DEADLINE, "{} files are left", count_files(&media));
        match read {
            Some(read) => {
                let run = load::run(server.address(), read, READERS, Duration::from_secs(1)).await;
                latencies.extend(run.latencies);
            }
            None => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
    let (elapsed, cpu) = (began.elapsed(), server.cpu_seconds() - cpu);
    latencies.sort_by(f64::total_cmp);
    let purge = Purge {
        elapsed,
        cpu,
        latencies,
    };
    (uploaded, purge)
}

fn per_second(elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench run")]
    let videos = VIDEOS as f64;
    format!("{:.0}/s", videos / elapsed.as_secs_f64())
}

/// Files below `folder`; the folders of deleted videos may go while we look.
fn count_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count_files(&entry.path()),
            Ok(_) => 1,
            Err(_) => 0,
        })
        .sum()
}
