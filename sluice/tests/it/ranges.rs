//! The table of ranges (`common::testing::ranges`) through the real binary: embedded, and through the edge before a
//! stream-service of its own.

use common::testing::ranges::{SIZE, Subject, Who, conforms};

use crate::media;
use crate::person::Person;
use crate::site::{Home, Site};

async fn conforms_on(site: &Site) {
    let ann = Person::register(&site.base, "ann").await;
    // A real clip with every byte of the table.
    let clip = media::filled("ordinary/testvid_1022ms.mp4", SIZE);
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
