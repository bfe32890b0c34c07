//! Rounds of several servers, each once in every round and in an order of chance, and what one costs of another in the same round. Neighbours on the
//! machine change from minute to minute: within a round both had the same.

use super::content::Random;
use crate::table::{self, median, percentile};

/// What one server did in one round.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// Server CPU seconds, wall seconds and the load client's CPU seconds per GB (10^9 bytes).
    pub cpu: f64,
    /// Of the server behind it, CPU seconds per GB; 0 where there is none.
    pub behind: f64,
    pub wall: f64,
    pub client: f64,
    /// The 99th percentile of a request's time, milliseconds.
    pub p99: f64,
}

impl Sample {
    /// Sums of a round as shares of its bytes.
    pub fn per(self, bytes: u64, mut latencies: Vec<f64>) -> Sample {
        let gigabytes = bytes as f64 / 1e9;
        latencies.sort_by(f64::total_cmp);
        Sample {
            cpu: self.cpu / gigabytes,
            behind: self.behind / gigabytes,
            wall: self.wall / gigabytes,
            client: self.client / gigabytes,
            p99: percentile(&latencies, 0.99),
        }
    }
}

/// The samples of every server, by name, round by round.
pub struct Rounds {
    pub names: Vec<String>,
    pub samples: Vec<Vec<Sample>>,
}

impl Rounds {
    /// Calls `measure` with the number of a server and of the round. The first round warms up and does not count.
    pub fn run(names: Vec<String>, rounds: usize, mut measure: impl FnMut(usize, usize) -> Sample) -> Rounds {
        let mut samples = vec![Vec::new(); names.len()];
        let mut random = Random::from_clock();
        let mut order: Vec<usize> = (0..samples.len()).collect();
        for round in 0..=rounds {
            for at in order.iter().copied() {
                let sample = measure(at, round);
                if round > 0 {
                    samples[at].push(sample);
                }
            }
            // In a fixed order each would pay for what the same other one leaves: memory that goes back to the machine's own host, files that
            // are written or removed.
            for last in (1..order.len()).rev() {
                order.swap(last, usize::try_from(random.below(last as u64 + 1)).unwrap_or(0));
            }
        }
        Rounds { names, samples }
    }

    fn at(&self, name: &str) -> Option<&Vec<Sample>> {
        let at = self.names.iter().position(|known| known == name)?;
        self.samples.get(at)
    }

    /// The one of `names` with the least CPU, by its median.
    pub fn cheapest<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let middle = |name: &str| Some(median(self.at(name)?.iter().map(|sample| sample.cpu).collect()));
        let known = names.iter().filter_map(|name| Some((*name, middle(name)?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
    }

    /// The median of one server's CPU as a share of another's in the same round.
    pub fn ratio(&self, own: &str, peer: &str) -> Option<f64> {
        let pairs = self.at(own)?.iter().zip(self.at(peer)?);
        Some(median(pairs.map(|(own, peer)| own.cpu / peer.cpu).collect()))
    }

    /// Prints all, with ratios to each of `against`.
    pub fn print(&self, title: &str, against: &[&str]) {
        let known: Vec<&str> = against.iter().copied().filter(|peer| self.at(peer).is_some()).collect();
        let ratios: Vec<String> = known.iter().map(|peer| format!("× {peer}")).collect();
        let mut header = vec!["server", "CPU s/GB, median", "least"];
        header.extend(ratios.iter().map(String::as_str));
        if self.has_behind() {
            header.push("with what is behind");
        }
        header.extend(["wall s/GB", "p99", "client CPU s/GB"]);
        let rows: Vec<_> = self.names.iter().map(|name| self.row(name, &known)).collect();
        table::print(title, &header, &rows);
    }

    /// Whether any of them stands before another server.
    fn has_behind(&self) -> bool {
        self.samples.iter().flatten().any(|sample| sample.behind > 0.0)
    }

    fn row(&self, name: &str, against: &[&str]) -> Vec<String> {
        let samples = self.at(name).map(Vec::as_slice).unwrap_or_default();
        let middle = |of: fn(&Sample) -> f64| median(samples.iter().map(of).collect());
        let least = samples.iter().map(|sample| sample.cpu).fold(f64::INFINITY, f64::min);
        let mut row = vec![
            name.to_owned(),
            format!("{:.3}", middle(|s| s.cpu)),
            format!("{least:.3}"),
        ];
        row.extend(against.iter().map(|peer| {
            let ratio = self.ratio(name, peer).unwrap_or(f64::NAN);
            format!("{ratio:.2}")
        }));
        if self.has_behind() {
            row.push(format!("{:.3}", middle(|s| s.cpu + s.behind)));
        }
        row.push(format!("{:.3}", middle(|s| s.wall)));
        row.push(format!("{:.1} ms", middle(|s| s.p99)));
        row.push(format!("{:.3}", middle(|s| s.client)));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that gets slower by the round costs all servers the same: the ratio does not move.
    #[test]
    fn ratios_are_of_pairs_and_the_first_round_does_not_count() {
        let names = vec!["own".to_owned(), "peer".to_owned()];
        let mut order = Vec::new();
        let rounds = Rounds::run(names, 60, |at, round| {
            order.push((at, round));
            let base = [1.0, 2.0][at] * (1 + round) as f64;
            let cpu = if round == 0 { 100.0 } else { base };
            Sample {
                cpu,
                ..Sample::default()
            }
        });
        let began: Vec<_> = order.chunks(2).map(|round| round[0].0).collect();
        assert!(began.contains(&0) && began.contains(&1), "{began:?}");
        assert!(order.chunks(2).all(|round| round[0].0 != round[1].0), "{order:?}");
        assert_eq!(rounds.ratio("own", "peer"), Some(0.5));
        assert_eq!(rounds.ratio("own", "nobody"), None);
        assert_eq!(rounds.cheapest(&["peer", "own", "nobody"]), Some("own"));
    }
}
