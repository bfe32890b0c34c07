//! Breaks at random points: connections that are cut, processes that are killed. Whatever was acknowledged is there, and the
//! upload goes on to a video with every byte in its place.
//!
//! `SLUICE_TEST_BREAKS` sets how many connections are cut (300 unless told), `SLUICE_TEST_SEED` repeats a run.

use super::client::{Client, offset_of, patch_head};
use crate::{
    app::{App, on_each_app},
    clip::clip,
    crash::{Process, on_each_place},
};
use common::{ids::VideoId, testing::raw::Raw};
use std::time::Duration;

/// A small generator (splitmix64): a seed is all that repeats a run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = env("SLUICE_TEST_SEED").unwrap_or_else(|| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            now.as_nanos() as u64
        });
        println!("SLUICE_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn promise_1_connections_cut_at_random_bytes_lose_nothing_acknowledged() {
    let breaks = env("SLUICE_TEST_BREAKS").unwrap_or(300) as usize;
    on_each_app(|app| async move {
        let mut random = Random::new();
        let (mut broken, mut uploads) = (0, 0u8);
        // Half of them on each backend.
        while broken < breaks.div_ceil(2) {
            broken += broken_upload(&app, &mut random, uploads).await;
            uploads = uploads.wrapping_add(1);
        }
        println!("{broken} breaks of {uploads} uploads");
        assert_eq!(app.state.limits.uploads.held(), 0);
    });
}

/// One upload with breaks until it is whole; how many there were.
async fn broken_upload(app: &App, random: &mut Random, seed: u8) -> usize {
    let bytes = clip(2_000 + random.below(1_500_000), seed);
    let client = Client::new(app);
    let upload = client.create(&[("upload-length", &bytes.len().to_string())]).await;
    let (mut acknowledged, mut breaks) = (0, 0);
    for _ in 0..12 {
        let at = client.offset(&upload).await;
        assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
        acknowledged = at;
        if at == bytes.len() {
            break;
        }
        let declared = 1 + random.below(bytes.len() - at);
        let sent = random.below(declared + 1);
        let mut raw = Raw::connect(&app.running.public).await;
        raw.send(&patch_head(app, &client, &upload, at, declared, "")).await;
        raw.send_bytes(&bytes[at..at + sent]).await;
        if random.below(4) == 0 {
            // A reset instead of an end.
            raw.io.set_zero_linger().unwrap();
        }
        drop(raw);
        breaks += 1;
    }
    // A request whose connection is cut already may only now reach the service, and take over: then it is asked again.
    for _ in 0..20 {
        let at = client.offset(&upload).await;
        assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
        acknowledged = at;
        if at == bytes.len() {
            break;
        }
        let answer = client.patch(&upload, at, bytes[at..].to_vec()).await;
        assert!([204, 409].contains(&answer.status().as_u16()), "{}", answer.status());
    }
    assert!(
        app.get(&client.video).await.bytes().await.unwrap() == bytes,
        "the bytes of {upload} differ"
    );
    app.client().delete_media(&client.video).await.unwrap();
    breaks
}

#[test]
fn promise_1_kills_at_random_moments_lose_no_acknowledged_offset() {
    on_each_place(async |dir, database, key| {
        let mut random = Random::new();
        let bytes = clip(40_000_000, 3);
        let mut process = Process::start(dir, database, key);
        let video = VideoId::random();
        let (mut client, mut acknowledged) = (process.tus(&video), 0);
        let upload = client.create(&[("upload-length", &bytes.len().to_string())]).await;
        for round in 0..8 {
            let at = client.offset(&upload).await;
            assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
            acknowledged = at;
            if at == bytes.len() {
                break;
            }
            // Sometimes in small pieces, each acknowledged; sometimes all at once, so that the kill is inside of a request.
            let piece = if round % 2 == 0 { 1_000_000 } else { bytes.len() };
            let moment = Duration::from_millis(random.below(250) as u64);
            tokio::select! {
                () = send_pieces(&client, &upload, &bytes, piece, &mut acknowledged) => {}
                () = tokio::time::sleep(moment) => {}
            }
            process.kill();
            process = Process::start(dir, database, key);
            client = process.tus(&video);
        }
        let at = client.offset(&upload).await;
        assert!(at >= acknowledged, "{at} of {acknowledged} acknowledged bytes are left");
        if at < bytes.len() {
            client.send(&upload, at, &bytes[at..]).await;
        }
        assert!(process.get(&video).await.bytes().await.unwrap() == bytes);
        drop(process);
    });
}

async fn send_pieces(client: &Client, upload: &str, bytes: &[u8], piece: usize, acknowledged: &mut usize) {
    let mut at = *acknowledged;
    while at < bytes.len() {
        let to = bytes.len().min(at + piece);
        match client.try_patch(upload, at, bytes[at..to].to_vec()).await {
            Ok(answer) if answer.status() == 204 => at = offset_of(&answer).unwrap(),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => return,
        }
        *acknowledged = at;
    }
}

#[test]
fn promise_2_a_kill_between_the_last_byte_and_the_video_is_mended_by_head() {
    on_each_app(|app| async move {
        let (client, bytes) = (Client::new(&app), clip(300_000, 3));
        let upload = client
            .create(&[("upload-length", "300000"), ("upload-concat", "partial")])
            .await;
        client.send(&upload, 0, &bytes).await;
        // What such a crash leaves: all bytes acknowledged and no video. Once before the naming of the file, once after it.
        app.sql("UPDATE tus_uploads SET concat = ''").await;
        let part = app.files().remove(0);
        std::fs::rename(&part, part.with_extension("")).unwrap();
        assert_eq!(app.get(&client.video).await.status(), 404);
        assert_eq!(client.offset(&upload).await, bytes.len());
        assert!(app.get(&client.video).await.bytes().await.unwrap() == bytes);
        assert_eq!(app.told.lock().unwrap().ready.len(), 1);
        assert_eq!((app.files().len(), app.rows().await.len()), (1, 1));
    });
}
