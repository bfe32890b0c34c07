//! Four processes on one machine that meet at Unix sockets.

use std::path::Path;
use std::time::Duration;

use common::testing::eventually;
use rustix::process::Signal;

use crate::media;
use crate::person::Person;
use crate::site::{Home, Site};

/// api, stream and scheduler; the edge has none.
const SERVICES: usize = 3;

fn sockets(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Uploads that came through a socket.
fn uploaded_near(site: &Site) -> usize {
    let log = site.log();
    log.lines()
        .filter(|line| line.contains("PUT /uploads/") && line.contains("unix"))
        .count()
}

/// Answers that were asked for through a socket.
fn served_near(site: &Site) -> usize {
    let log = site.log();
    log.lines()
        .filter(|line| line.contains("/media/") && line.contains("unix"))
        .count()
}

#[tokio::test]
async fn what_is_watched_comes_through_the_sockets_and_a_kill_costs_none_of_it() {
    let home = Home::new();
    let folder = home.dir.path().join("sockets");
    let setting = format!("server.socket_dir={}", folder.display());
    let mut site = home.roles(&[&setting]);
    assert_eq!(sockets(&folder), SERVICES);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let id = ann.publish("Bear", &clip).await;
    for killed in 0..3 {
        let before = served_near(&site);
        eventually("media comes through the socket", Duration::from_secs(40), || async {
            assert_eq!(ann.download(&id).await, clip.bytes);
            (served_near(&site) > before).then_some(())
        })
        .await;
        let long = media::filled("ordinary/bear-1280x720.mp4", 3_000_000);
        let uploaded = ann.publish("Long", &long).await;
        assert_eq!(ann.download(&uploaded).await, long.bytes);
        assert_eq!(uploaded_near(&site), killed + 1);
        assert_eq!(sockets(&folder), SERVICES, "after {killed} kills");
        home.kill_and_restart(&mut site.processes[1]);
    }
    site.stop();
    assert_eq!(sockets(&folder), 0, "who stops leaves nothing");
}

/// A process that hangs takes connections; what it does not answer is not waited for longer than by TCP.
#[tokio::test]
async fn a_service_that_hangs_is_504_through_its_socket_too_and_goes_on() {
    let home = Home::new();
    let setting = format!("server.socket_dir={}", home.dir.path().join("sockets").display());
    let site = home.roles(&[&setting, "proxy.response_timeout=2s"]);
    let ann = Person::register(&site.base, "ann").await;
    let clip = media::clip("ordinary/bear-1280x720.mp4");
    let id = ann.publish("Bear", &clip).await;
    let source = ann.source(&id).await;
    eventually("media comes through the socket", Duration::from_secs(40), || async {
        assert_eq!(ann.download(&id).await, clip.bytes);
        (served_near(&site) > 0).then_some(())
    })
    .await;
    site.processes[1].signal(Signal::STOP);
    let before = served_near(&site);
    let answer = ann.http.get(&source).send().await.unwrap();
    assert_eq!(answer.status(), 504);
    site.processes[1].signal(Signal::CONT);
    eventually("what was asked came by the socket", Duration::from_secs(20), || async {
        (served_near(&site) > before).then_some(())
    })
    .await;
    assert_eq!(ann.download(&id).await, clip.bytes);
    site.stop();
}
