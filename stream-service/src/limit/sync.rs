//! Tells the database what was sent and who holds what, and asks what other copies of the service and operators say: nearly
//! every second, for as long as the process serves, and once at its very end.

use super::{
    egress::{Day, Due},
    rows::{self, instances::Instance},
    settings::{Change, Overrides},
};
use crate::{limit::refusals::Reason, state::State};
use common::{
    db::{AnyConn, Backend, DbError, now_ms},
    time::Timestamp,
};
use log::{info, warn};
use std::time::{Duration, Instant};

/// From one turn to the next. A change of an operator is in force everywhere within two of them, and what a client used is known
/// to all copies within two.
pub const EVERY: Duration = Duration::from_millis(900);

/// How often a process says that it lives.
const BEAT: Duration = Duration::from_secs(5);

/// Rows of one turn at most, so that no turn takes long; more wait for the next.
const AT_MOST: usize = 5_000;

/// What was changed so long before the last turn is asked for again: a transaction takes a moment from its clock to its commit.
const OVERLAP_MS: i64 = 10_000;

/// The state of the loop.
pub struct Sync {
    state: State,
    /// The database's clock at the last turn.
    asked_at: Option<i64>,
    beaten: Option<Instant>,
    forgotten: Option<Day>,
    /// Said once, not every second.
    failing: bool,
}

/// What one turn asks and tells.
struct Turn {
    due: Due,
    /// The clock of the turn before.
    asked_at: Option<i64>,
    beat: Option<Instance>,
    leave: Option<String>,
    forget: bool,
}

/// What the database answers.
struct Answer {
    now: i64,
    overrides: Overrides,
    sums: Vec<(super::client::ClientKey, u64)>,
}

/// Turns until the last request is answered.
pub async fn run(state: State) {
    let mut sync = Sync::new(&state);
    let platform = state.platform.clone();
    loop {
        sync.turn().await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = platform.served() => break,
        }
    }
    sync.last().await;
}

/// Takes the limits over whenever the configuration was read again.
pub async fn configuration(state: State) {
    let mut live = state.platform.live.watch();
    loop {
        let changes = state.limits.configure(&live.borrow_and_update().stream);
        tell(&changes, "the configuration");
        tokio::select! {
            changed = live.changed() => if changed.is_err() { return },
            () = state.platform.drain.begun() => return,
        }
    }
}

impl Sync {
    pub fn new(state: &State) -> Self {
        Self {
            state: state.clone(),
            asked_at: None,
            beaten: None,
            forgotten: None,
            failing: false,
        }
    }

    pub async fn turn(&mut self) {
        let beat = self.beat_is_due().then(|| here(&self.state));
        let beats = beat.is_some();
        if self.run(beat, None).await && beats {
            self.beaten = Some(Instant::now());
        }
    }

    /// Everything that was counted is written, and the process says that it ends.
    async fn last(&mut self) {
        let own = self.state.instance.to_string();
        let shared = self.state.db.backend() == Backend::Postgres;
        while self.run(None, shared.then(|| own.clone())).await && !self.state.limits.egress.due(1).rows.is_empty() {}
    }

    /// A SQLite file has one process: nobody asks for its heartbeat.
    fn beat_is_due(&self) -> bool {
        self.state.db.backend() == Backend::Postgres && self.beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT)
    }

    async fn run(&mut self, beat: Option<Instance>, leave: Option<String>) -> bool {
        let egress = &self.state.limits.egress;
        let due = egress.due(AT_MOST);
        if due.lost > 0 {
            warn!(
                "The egress of {} clients is forgotten: the database has been away for too long",
                due.lost
            );
        }
        let (day, rows) = (due.day, due.rows.clone());
        let turn = Turn {
            forget: self.forgotten != Some(day),
            asked_at: self.asked_at,
            due,
            beat,
            leave,
        };
        let (watches, writes) = (!egress.is_empty(), turn.writes());
        let asked = move |conn: &mut AnyConn| take(conn, &turn, watches);
        let (db, changed) = (&self.state.db, self.state.limits.changed());
        let answer = if writes {
            db.write(asked).await
        } else {
            db.read(asked).await
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!("Limits can't be compared with the database; they stay as they are: {error}");
                }
                return false;
            }
        };
        self.failing = false;
        egress.written(&rows);
        egress.set_clock(Timestamp(answer.now));
        for (client, sum) in answer.sums {
            egress.told(day, client, sum);
        }
        self.asked_at = Some(answer.now);
        self.forgotten = Some(day);
        tell(
            &self.state.limits.heard(changed, answer.overrides),
            "what operators have set",
        );
        true
    }
}

impl Turn {
    fn writes(&self) -> bool {
        self.forget || !self.due.rows.is_empty() || self.beat.is_some() || self.leave.is_some()
    }
}

fn take(conn: &mut AnyConn, turn: &Turn, watches: bool) -> Result<Answer, DbError> {
    let now = now_ms(conn)?;
    let Due { day, rows, unknown, .. } = &turn.due;
    rows::egress::write(conn, now, rows)?;
    if turn.forget {
        rows::egress::forget(conn, *day)?;
    }
    if let Some(own) = &turn.beat {
        rows::instances::beat(conn, now, own)?;
    }
    if let Some(own) = &turn.leave {
        rows::instances::leave(conn, own)?;
    }
    let mut sums = rows::egress::sums(conn, *day, unknown)?;
    if watches {
        // A clock that goes back hides nothing.
        let since = turn.asked_at.map_or(now, |asked| asked.min(now)) - OVERLAP_MS;
        sums.extend(rows::egress::changed(conn, *day, since)?);
    }
    Ok(Answer {
        now,
        overrides: rows::settings::all(conn)?,
        sums,
    })
}

/// This process, as the others see it.
pub fn here(state: &State) -> Instance {
    let limits = &state.limits;
    Instance {
        id: state.instance.to_string(),
        host: format!("{}:{}", host_name(), std::process::id()),
        started_at: state.started,
        seen_at: limits.egress.now(),
        streams: limits.streams.held() as u64,
        uploads: limits.uploads.held() as u64,
        refused: Reason::ALL
            .into_iter()
            .map(|reason| limits.refusals.count(reason))
            .sum(),
        here: true,
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whoever reads the log finds every change of a limit, whatever brought it about.
pub fn tell(changes: &[Change], because: &str) {
    for Change { setting, before, now } in changes {
        info!(
            setting = setting.key();
            "{} is {} now, by {because}; it was {}", setting.key(), setting.text(*now), setting.text(*before)
        );
    }
}
