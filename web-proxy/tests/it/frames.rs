//! The frame codec against others: tungstenite, a naive decoder, and the corpus of the fuzz targets with mutations of it.
//! What it does with single frames stands in tests/vectors/frames.txt and is tested beside the codec.

pub mod corpus;
mod streams;
mod tungstenite;
mod ws;

use common::testing::random::Random;

/// Text of characters of all lengths.
pub fn words(random: &mut Random, characters: usize) -> String {
    const SOME: [char; 11] = ['a', 'Z', ' ', '"', '\0', 'é', 'ß', '€', '漢', '🎉', '\u{10FFFF}'];
    (0..characters).map(|_| random.pick(&SOME)).collect()
}
