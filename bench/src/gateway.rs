//! The gateway beside nchan and `ws` on Node, in one run, their rounds interleaved. The load client is one thread of this
//! process; what it costs itself is shown with every figure that could be its doing.
//!
//! CPU is the servers' own, from the scheduler. A message reaches Sluice the way it does in life, as a comment over the
//! HTTP API with its database; the peers only pass it on. "net" subtracts what the same posts cost in the same round when
//! nobody listens, for all sides alike.

mod busy;
mod connection;
mod cut;
mod fanout;
mod fleet;
mod frame;
mod giant;
mod handshakes;
mod idle;
mod latency;
mod payload;
mod peers;
mod plan;
mod post;
mod proof;
mod side;
mod site;
mod stalled;

use tokio::runtime::Runtime;

use crate::goals::Goals;
use crate::{descriptors, meter};

use fleet::Fleet;
use side::{Kind, Side};
use site::Site;

const PARTS: &[&str] = &[
    "client",
    "idle",
    "fanout",
    "busy",
    "handshakes",
    "stalled",
    "giant",
    "cut",
];

/// What a run measures, and what it found.
pub struct Bench {
    kinds: Vec<Kind>,
    site: Option<Site>,
    /// How many connections stand for "10,000".
    many: usize,
    rounds: usize,
    goals: Goals,
}

/// A server with its clients.
pub struct Subject {
    pub side: Side,
    pub fleet: Fleet,
}

/// `arguments`: parts (all of them when there is none), and the options of [`usage`].
pub fn run(runtime: &Runtime, arguments: &[String]) -> Result<(), String> {
    let (options, parts): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("{unknown} is not a part; {}", usage()));
    }
    let mut bench = Bench {
        kinds: vec![Kind::Sluice, Kind::Nchan, Kind::Ws],
        site: None,
        many: 10_000.min(descriptors::raise()),
        rounds: 7,
        goals: Goals::default(),
    };
    for option in options {
        bench.option(option)?;
    }
    let asked = |name: &str| parts.is_empty() || parts.iter().any(|part| *part == name);
    if bench.kinds.contains(&Kind::Sluice) && (parts.is_empty() || parts.iter().any(|part| *part != "client")) {
        bench.site = Some(Site::new(runtime));
    }
    println!(
        "\nnchan {}; ws {}; {} connections",
        peers::nchan_version(),
        peers::ws_version(),
        bench.many
    );
    for part in PARTS.iter().filter(|part| asked(part)) {
        match *part {
            "client" => proof::measure(),
            "idle" => idle::measure(&mut bench),
            "fanout" => fanout::measure(&mut bench),
            "busy" => busy::measure(&mut bench),
            "handshakes" => handshakes::measure(&mut bench),
            "stalled" => stalled::measure(&mut bench),
            "giant" => giant::measure(&mut bench),
            _ => cut::measure(&mut bench),
        }
    }
    bench.goals.print("The gateway: goals");
    Ok(())
}

pub fn usage() -> String {
    format!(
        "gateway [{}] [--peers (without sluice)] [--alone (without peers)] [--many=N] [--rounds=N]",
        PARTS.join(" | ")
    )
}

impl Bench {
    fn option(&mut self, option: &str) -> Result<(), String> {
        let number = |text: &str| text.parse().map_err(|_| usage());
        match option.split_once('=') {
            None if option == "--peers" => self.kinds.retain(|kind| *kind != Kind::Sluice),
            None if option == "--alone" => self.kinds.retain(|kind| *kind == Kind::Sluice),
            Some(("--many", count)) => self.many = number(count)?,
            Some(("--rounds", count)) => self.rounds = number(count)?,
            _ => return Err(usage()),
        }
        Ok(())
    }

    /// Starts a server of `kind`, without clients.
    fn subject(&self, kind: Kind) -> Subject {
        Subject {
            side: Side::start(kind, self.site.as_ref()),
            fleet: Fleet::new(),
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        self.kinds.iter().map(|kind| self.subject(*kind)).collect()
    }
}

/// One value per round and kind, by name of what was measured.
fn micro(seconds: f64) -> String {
    format!("{:.2} µs", seconds * 1e6)
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
