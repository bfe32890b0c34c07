//! Breaks at random points: connections that are cut, clients and servers that are killed. Whatever was acknowledged is there,
//! and every upload goes on to a video with every byte in its place, in either protocol.
//!
//! `SLUICE_TEST_BREAKS` sets how many (`make test-breaks`: 10,000); without it there are 400, or as many as fit into 24 seconds.
//! `SLUICE_TEST_SEED` repeats the choices of a run; what the clocks of client and server make of them it can't.

mod killed;
mod life;
mod server;
mod wire;

use super::client::{Client, offset_of};
use crate::{
    app::on_each_app,
    bucket::Bucket,
    clip::clip,
    crash::{Process, on_each_place},
};
use common::{
    db::Backend,
    ids::VideoId,
    testing::{TestDatabase, random::Random},
};
use futures_util::future::join_all;
use life::Life;
use server::Server;
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

/// Uploads that are broken side by side: when the server is killed, each of them is somewhere else.
const SIDE_BY_SIDE: u64 = 4;

/// For each of the two databases, when nobody says how many breaks there are to be.
const BREAKS: u64 = 200;
const AT_MOST: Duration = Duration::from_secs(12);

fn asked_for() -> Option<u64> {
    let breaks = std::env::var("SLUICE_TEST_BREAKS").ok();
    breaks.map(|text| text.parse().expect("a number"))
}

#[test]
fn promise_1_random_breaks_lose_nothing_acknowledged() {
    let (asked, random) = (asked_for(), RefCell::new(Random::from_clock()));
    let breaks = asked.map_or(BREAKS, |all| all.div_ceil(2));
    on_each_place(async |dir, database, key| {
        let mut random = random.borrow_mut().fork();
        let until = asked.is_none().then(|| Instant::now() + AT_MOST);
        let server = Rc::new(Server::start(dir, database, key, breaks, until));
        break_many(server, &mut random, breaks, asked.is_none()).await;
    });
}

/// `in_time`: as many as there is time for.
async fn break_many(server: Rc<Server>, random: &mut Random, breaks: u64, in_time: bool) {
    let began = Instant::now();
    let killer = server.kill_every_so_often(random.fork());
    let workers = (0..SIDE_BY_SIDE).map(|_| {
        let (server, mut random) = (server.clone(), random.fork());
        async move {
            let mut uploads = 0;
            while server.more_breaks() {
                Life::begin(&server, &mut random).await.live(&mut random).await;
                uploads += 1;
            }
            uploads
        }
    });
    let uploads: Vec<u64> = tokio::select! {
        uploads = join_all(workers) => uploads,
        never = killer => match never {},
    };
    let counted = server.counted();
    let count: u64 = counted.values().sum();
    assert!(count > 0 && (in_time || count >= breaks));
    println!(
        "{count} breaks of {} uploads in {:.0?}: {counted:?}",
        uploads.iter().sum::<u64>(),
        began.elapsed()
    );
}

/// Two copies of the service over one PostgreSQL and one bucket take the requests in turns, and are killed in turns.
#[test]
fn promise_1_random_breaks_between_copies_lose_nothing_acknowledged() {
    let (asked, mut random) = (asked_for(), Random::from_clock());
    let breaks = asked.unwrap_or(BREAKS);
    let (database, dir) = (TestDatabase::new(Backend::Postgres), tempfile::tempdir().unwrap());
    let (bucket, key) = (Bucket::new(), common::grant::GrantKey::generate("k1"));
    actix_web::rt::System::new().block_on(async {
        let until = asked.is_none().then(|| Instant::now() + 2 * AT_MOST);
        let place = (dir.path(), bucket.server.endpoint());
        let server = Server::copies((place.0, &place.1), &database.url, &key, breaks, until);
        break_many(Rc::new(server), &mut random, breaks, asked.is_none()).await;
    });
}

#[test]
fn promise_1_kills_at_random_moments_lose_no_acknowledged_offset() {
    on_each_place(async |dir, database, key| {
        let mut random = Random::from_clock();
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
