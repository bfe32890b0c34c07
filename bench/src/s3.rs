//! Uploads of 1 GB to an S3 store: through stream-service (hash, probe, ledger, multipart with checksums), and by clients of the
//! store beside it, to the same server, in rounds in turn. The load client and the S3 server run on the same cores.

mod api;
pub mod store;

use std::path::Path;
use std::time::{Duration, Instant};

use common::grant::{Grant, GrantKey, GrantKeys, Permission};
use common::ids::{Id, VideoId};
use common::time::Timestamp;
use tokio::runtime::Runtime;

use crate::bytes::content::Content;
use crate::goals::Goals;
use crate::meter::Meter;
use crate::running;
use crate::server::Server;
use crate::table::{self, median, mib};
use crate::video;
use store::Store;

const SIZE: u64 = 1_000_000_000;

/// Longest time of one upload.
const DEADLINE: Duration = Duration::from_secs(600);

const OURS: &str = "stream-service";

/// What uploads, and how long each round took, in seconds.
pub struct Side<'a> {
    name: &'static str,
    upload: Box<dyn FnMut(usize) + 'a>,
    seconds: Vec<f64>,
}

pub fn usage() -> String {
    "s3 [--rounds=N (5)] [--endpoint=URL --region=R --bucket=B, with S3_ACCESS_KEY and S3_SECRET_KEY]".to_owned()
}

pub fn run(runtime: &Runtime, arguments: &[String]) -> Result<(), String> {
    let option = |name: &str| {
        let given = arguments
            .iter()
            .find_map(|word| word.strip_prefix(&format!("--{name}=")));
        given.map(str::to_owned)
    };
    let known = |word: &String| {
        ["--rounds=", "--endpoint=", "--region=", "--bucket="]
            .iter()
            .any(|name| word.starts_with(name))
    };
    if let Some(unknown) = arguments.iter().find(|word| !known(word)) {
        return Err(format!("{unknown} is not an option; {}", usage()));
    }
    let rounds = match option("rounds") {
        Some(text) => text
            .parse()
            .map_err(|_| format!("`{text}` is not a number of rounds"))?,
        None => 5,
    };
    let store = match option("endpoint") {
        Some(endpoint) => Store::given(endpoint, option("region"), option("bucket"))?,
        None => Store::started(),
    };
    measure(runtime, &store, rounds);
    Ok(())
}

fn measure(runtime: &Runtime, store: &Store, rounds: usize) {
    let folder = running::folder("s3");
    let path = folder.path().join("content");
    let content = Content::make(&path, &video::clip(), SIZE);
    let key = GrantKey::generate("bench");
    let server = store.service(folder.path(), &key);
    let (meter, peaks) = (Meter::of(server.pid()), std::rc::Rc::default());
    let mut sides = vec![ours(runtime, &server, &path, &key, (&meter, &peaks))];
    sides.extend(store.peers(&path));
    let mut cpu = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            let at = (turn + round) % sides.len();
            let (before, began) = (meter.cpu(), Instant::now());
            (sides[at].upload)(round);
            let seconds = began.elapsed().as_secs_f64();
            if round > 0 {
                sides[at].seconds.push(seconds);
                if sides[at].name == OURS {
                    cpu.push(meter.since(&before));
                }
            }
            store.emptied();
        }
    }
    print(store, &sides, &cpu, &peaks.borrow());
    drop(content);
}

fn print(store: &Store, sides: &[Side<'_>], cpu: &[f64], peaks: &[f64]) {
    let rate = |seconds: f64| SIZE as f64 / seconds / 1e6;
    let ratio = |side: &Side<'_>| {
        median(
            side.seconds
                .iter()
                .zip(&sides[0].seconds)
                .map(|(peer, own)| peer / own)
                .collect(),
        )
    };
    let rows: Vec<_> = sides
        .iter()
        .map(|side| {
            let least = side.seconds.iter().copied().fold(f64::INFINITY, f64::min);
            vec![
                side.name.to_owned(),
                format!("{:.0} MB/s", rate(median(side.seconds.clone()))),
                format!("{:.0} MB/s", rate(least)),
                format!("{:.2}", ratio(side)),
            ]
        })
        .collect();
    let header = ["who", "rate, median", "highest", "rate of stream-service ÷ its"];
    table::print(&format!("1 GB to {}, {} rounds", store.name, cpu.len()), &header, &rows);
    let highest = peaks.iter().copied().fold(0.0, f64::max);
    let peak = median(peaks.to_vec());
    println!(
        "\nstream-service: {:.2} s of CPU per GB; memory over idle {} (median), {} (highest)",
        median(cpu.to_vec()),
        mib(peak as u64),
        mib(highest as u64)
    );
    let mut goals = Goals::default();
    for side in &sides[1..] {
        let ratio = ratio(side);
        goals.add(
            &format!("rate of 1 GB, of {}'s", side.name),
            format!("{ratio:.2}"),
            "≥ 0.9",
            ratio >= 0.9,
        );
    }
    let reached = highest <= 64.0 * f64::from(1 << 20);
    goals.add("memory of one upload", mib(highest as u64), "≤ 64 MiB", reached);
    goals.print("Goals");
}

/// A PUT to stream-service.
fn ours<'a>(
    runtime: &'a Runtime,
    server: &Server,
    path: &Path,
    key: &str,
    (meter, peaks): (&Meter, &Peaks),
) -> Side<'a> {
    let keys = GrantKeys::parse(&[key.to_owned()]).expect("a key that was just made");
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .expect("a client");
    let (base, path) = (server.base.clone(), path.to_owned());
    let (meter, peaks) = (meter.clone(), peaks.clone());
    let upload = move |round: usize| {
        let video = VideoId::random();
        let grant = keys.sign(&upload_grant(&video));
        meter.reset_peak();
        let idle = meter.resident();
        let status = runtime.block_on(async {
            let file = tokio::fs::File::open(&path).await.expect("the content is there");
            let body = reqwest::Body::wrap_stream(pieces(file));
            let request = http.put(format!("{base}/uploads/by-video/{video}")).bearer_auth(&grant);
            let answer = request.header("content-length", SIZE).body(body).send().await;
            answer.expect("an answer").status()
        });
        assert_eq!(status, 201, "the upload is stored");
        if round > 0 {
            peaks.borrow_mut().push(meter.peak().saturating_sub(idle) as f64);
        }
    };
    Side {
        name: OURS,
        upload: Box::new(upload),
        seconds: Vec::new(),
    }
}

type Peaks = std::rc::Rc<std::cell::RefCell<Vec<f64>>>;

fn upload_grant(video: &VideoId) -> Grant {
    let permission = Permission::Upload {
        max_bytes: 2 * SIZE,
        session: Id::now(),
    };
    Grant::new(permission, video.clone(), Some(Id::now()), Timestamp::now(), DEADLINE)
}

/// A file as the pieces of a body.
fn pieces(file: tokio::fs::File) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> {
    use tokio::io::AsyncReadExt;
    futures_util::stream::try_unfold(file, async |mut file| {
        let mut piece = bytes::BytesMut::with_capacity(1 << 20);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    })
}
