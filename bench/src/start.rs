//! Start to ready, and memory when nobody is there.

use std::time::Duration;

use crate::server::Server;
use crate::table::{self, median, mib};

const ROUNDS: usize = 7;

pub async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = Server::on(&data, &[]);
    let first_start = first.started_in;
    drop(first);
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let server = Server::on(&data, &[]);
        starts.push(server.started_in.as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        idle.push(server.memory("VmRSS"));
    }
    idle.sort_unstable();
    let rows = vec![
        vec![
            "first start, databases made".into(),
            format!("{} ms", first_start.as_millis()),
            String::new(),
        ],
        vec![
            format!("start to ready, median of {ROUNDS}"),
            format!("{:.0} ms", median(starts)),
            "< 1,000 ms".into(),
        ],
        vec!["resident memory idle".into(), mib(idle[ROUNDS / 2]), "≤ 60 MB".into()],
    ];
    table::print("Start (embedded)", &["what", "measured", "goal"], &rows);
}
