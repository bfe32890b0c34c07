//! What an upload costs.

use super::Bucket;
use crate::{clip::clip, crash::Process};
use bytes::Bytes;
use common::{db::Backend, ids::VideoId, testing::TestDatabase};
use futures_util::stream;
use std::io;

/// KiB that one upload may have at its height: the part that is being filled, four under way, and a tail's copy.
const MOST: u64 = 64 << 10;

#[test]
fn promise_7_an_upload_to_a_bucket_costs_at_most_64_mib_whatever_its_size() {
    let (bucket, key) = (Bucket::new(), common::grant::GrantKey::generate("k1"));
    let (database, dir) = (TestDatabase::new(Backend::Sqlite), tempfile::tempdir().unwrap());
    actix_web::rt::System::new().block_on(async {
        let process = Process::over(dir.path(), &database.url, &key, Some(&bucket.server.endpoint()));
        let small = process.put(&VideoId::random(), 1 << 30, clip(1_000_000, 1)).await;
        assert_eq!(small.unwrap().status(), 201);
        let before = process.memory("VmRSS:");
        let piece = Bytes::from(vec![7u8; 64 << 10]);
        // A clip, then much that is an unknown box to a player.
        let pieces = std::iter::once(Bytes::from(clip(4096, 1))).chain(std::iter::repeat_n(piece, (160 << 20) >> 16));
        let body = reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<_, io::Error>)));
        let stored = process.put(&VideoId::random(), 1 << 30, body).await.unwrap();
        assert_eq!(stored.status(), 201);
        let grown = process.memory("VmHWM:").saturating_sub(before);
        println!("one upload of 160 MiB to a bucket: +{grown} KiB");
        assert!(grown < MOST, "160 MiB of upload grew the process by {grown} KiB");
        let media = dir.path().join("media");
        assert!(!media.exists(), "no file was written here");
        drop(process);
    });
}
