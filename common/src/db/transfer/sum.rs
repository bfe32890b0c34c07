//! The rows of a table as one number that does not depend on their order: the databases sort differently.

use sha2::{Digest, Sha256};
use std::fmt;

/// Rows, and the sum of their SHA-256 (four numbers of 64 bits, each modulo 2^64).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    lanes: [u64; 4],
}

impl Sum {
    pub(super) fn add(&mut self, row: &str) {
        self.rows += 1;
        let digest = Sha256::digest(row.as_bytes());
        for (lane, bytes) in self.lanes.iter_mut().zip(digest.chunks_exact(8)) {
            let number = bytes.try_into().map(u64::from_be_bytes).expect("chunks have 8 bytes");
            *lane = lane.wrapping_add(number);
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows (sum ", self.rows)?;
        for lane in &self.lanes[..2] {
            write!(f, "{lane:016x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&str]) -> Sum {
        let mut sum = Sum::default();
        rows.iter().for_each(|row| sum.add(row));
        sum
    }

    #[test]
    fn order_does_not_matter_and_every_bit_does() {
        assert_eq!(sum(&["a", "b", "c"]), sum(&["c", "a", "b"]));
        assert_ne!(sum(&["a", "b"]), sum(&["a", "c"]));
        assert_ne!(sum(&["a", "a"]), sum(&["a"]));
        assert_ne!(sum(&["ab", "c"]), sum(&["a", "bc"]));
        assert_eq!(sum(&[]).to_string(), "0 rows (sum 00000000000000000000000000000000)");
    }
}
