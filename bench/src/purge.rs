//! A backlog of deletions: how fast it goes away, and whether reads stay served meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use crate::http::{PASSWORD, Person};
use crate::load;
use crate::server::Server;
use crate::table;
use crate::video;

const VIDEOS: usize = 10_000;
/// Twice what one deletion a millisecond would need.
const DEADLINE: Duration = Duration::from_secs(1200);

pub async fn measure() {
    let server = Server::fresh(&[
        "stream.rate=100000".into(),
        "stream.burst=100000".into(),
        "stream.max_uploads_per_user=64".into(),
    ]);
    let (reader, owner) = (
        Person::register(&server.base, "reader").await,
        Person::register(&server.base, "owner").await,
    );
    let clip = video::clip();
    let id = reader.upload("Read", clip.clone().into(), clip.len() as u64).await;
    let began = Instant::now();
    stream::iter(0..VIDEOS)
        .for_each_concurrent(32, |n| {
            let (owner, clip) = (&owner, &clip);
            async move {
                owner
                    .upload(&format!("Video {n}"), clip.clone().into(), clip.len() as u64)
                    .await;
            }
        })
        .await;
    let uploaded = began.elapsed();
    let media = server.data.join("media");
    assert_eq!(count_files(&media), VIDEOS + 1, "every video lies on the disk");

    let read = load::get(&format!("/api/v1/videos/{id}"), &reader.token);
    let alone = load::run(server.address(), &read, 8, Duration::from_secs(5)).await;
    let began = Instant::now();
    let cpu = server.cpu_seconds();
    // The whole account: every video is due at once.
    owner
        .call(Method::DELETE, "/api/v1/users/me", &json!({ "password": PASSWORD }))
        .await;
    let mut beside = Vec::new();
    while count_files(&media) > 1 {
        assert!(began.elapsed() < DEADLINE, "{} files are left", count_files(&media));
        beside.extend(
            load::run(server.address(), &read, 8, Duration::from_secs(1))
                .await
                .latencies,
        );
    }
    let (elapsed, cpu) = (began.elapsed(), server.cpu_seconds() - cpu);
    beside.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench run")]
    let videos = VIDEOS as f64;
    let rows = vec![
        vec![
            "uploads of a small clip".into(),
            format!("{:.0}/s", videos / uploaded.as_secs_f64()),
        ],
        vec![
            "purges, 8 readers beside".into(),
            format!("{:.0}/s", videos / elapsed.as_secs_f64()),
        ],
        vec![
            "sluice CPU, readers included".into(),
            format!("{cpu:.1} s in {:.1} s", elapsed.as_secs_f64()),
        ],
        vec![
            "reads alone, p50 / p99".into(),
            format!("{:.2} / {:.2} ms", alone.p(0.5), alone.p(0.99)),
        ],
        vec![
            "reads during the purge, p50 / p99".into(),
            format!(
                "{:.2} / {:.2} ms",
                table::percentile(&beside, 0.5),
                table::percentile(&beside, 0.99)
            ),
        ],
    ];
    table::print(&format!("Purge of {VIDEOS} small videos"), &["what", "measured"], &rows);
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
