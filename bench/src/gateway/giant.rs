//! A frame header that declares 8 GiB, and nothing after it: what the server sets aside for it, and when it closes.

use std::time::Duration;

use super::side::Kind;
use super::{Bench, Subject, frame};
use crate::table;

const DECLARED: u64 = 8 << 30;
/// Enough that what each costs stands out from the server's own breathing.
const CONNECTIONS: usize = 100;

pub fn measure(bench: &mut Bench) {
    let mut rows = Vec::new();
    for kind in bench.kinds.clone() {
        let (mut subject, header) = (bench.subject(kind), frame::header(DECLARED));
        let Subject { side, fleet } = &mut subject;
        let plans = side.one_room(fleet, CONNECTIONS, &side.rooms[0], false);
        // A first crowd that goes the same way, so that the second costs only itself.
        fleet.gather(plans.clone());
        fleet.send_all(&header);
        fleet.rest(Duration::from_secs(2));
        fleet.cut();
        fleet.take();
        fleet.gather(plans);
        fleet.rest(Duration::from_secs(1));
        side.meter.reset_peak();
        let before = side.meter.resident();
        fleet.send_all(&header);
        fleet.rest(Duration::from_secs(2));
        let each = side.meter.peak().saturating_sub(before) / CONNECTIONS as u64;
        let ends = format!("{:?}", fleet.seen.ends);
        let closed = fleet.seen.ends.values().sum::<u64>() == CONNECTIONS as u64;
        rows.push(vec![kind.name().into(), format!("{each} B"), ends]);
        if kind == Kind::Sluice {
            let measured = format!("{each} B, {}", if closed { "all closed" } else { "NOT all closed" });
            let reached = closed && each < 128 * 1024;
            bench.goals.add(
                "a frame header that declares 8 GiB",
                measured,
                "< 128 KiB, closed at the header",
                reached,
            );
        }
    }
    let title = format!("A frame header that declares 8 GiB, on {CONNECTIONS} connections");
    table::print(&title, &["server", "memory each", "how they ended"], &rows);
}
