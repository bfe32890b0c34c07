//! The frame codec against others: tungstenite, a naive decoder, and the corpus of the fuzz targets with mutations of it.
//! What it does with single frames stands in tests/vectors/frames.txt and is tested beside the codec.

pub mod corpus;
mod streams;
mod tungstenite;
mod ws;

/// Randomness that can be repeated: a failing test prints its seed, `FRAMES_SEED=<seed>` runs it again.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        let named = std::env::var("FRAMES_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = named.unwrap_or_else(|| {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_nanos() as u64
        });
        println!("FRAMES_SEED={seed}");
        Random(seed)
    }

    /// The same in every run.
    pub fn fixed(seed: u64) -> Random {
        Random(seed)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Text of characters of all lengths.
    pub fn text(&mut self, characters: usize) -> String {
        (0..characters)
            .map(|_| *self.pick(&['a', 'Z', ' ', '"', '\0', 'é', 'ß', '€', '漢', '🎉', '\u{10FFFF}']))
            .collect()
    }
}
