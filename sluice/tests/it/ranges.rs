//! The table of ranges (`common::testing::ranges`) through the real binary: embedded, and through the edge before a
//! stream-service of its own.

use common::testing::random::noise;
use common::testing::ranges::{SIZE, Subject, Who, conforms};

use crate::media::{self, Clip};
use crate::person::Person;
use crate::site::{Home, Site};

/// A real clip, filled up by a box that players skip (ISO 14496-12 `free`), so that every byte of the table is there.
fn clip_of_the_table() -> Clip {
    let mut bytes = media::clip("ordinary/testvid_1022ms.mp4").bytes;
    let room = SIZE.checked_sub(bytes.len() + 8).expect("the clip is smaller");
    bytes.extend(u32::try_from(room + 8).unwrap().to_be_bytes());
    bytes.extend(b"free");
    bytes.extend(noise(room, 0));
    Clip { bytes }
}

async fn conforms_on(site: &Site) {
    let ann = Person::register(&site.base, "ann").await;
    let clip = clip_of_the_table();
    let id = ann.publish("Ranges", &clip).await;
    let source = ann.source(&id).await;
    let subject = Subject {
        who: Who::Sluice,
        base: &site.base,
        path: source.strip_prefix(&site.base).unwrap(),
        bytes: &clip.bytes,
        mime: "video/mp4",
    };
    assert!(conforms(&subject).await >= 120);
}

const OFTEN: [&str; 2] = ["stream.rate=100000", "stream.burst=100000"];

#[tokio::test]
async fn ranges_embedded() {
    let home = Home::new();
    let site = home.serve(&OFTEN);
    conforms_on(&site).await;
    site.stop();
}

#[tokio::test]
async fn ranges_through_the_edge() {
    let home = Home::new();
    let site = home.roles(&OFTEN);
    conforms_on(&site).await;
    site.stop();
}
