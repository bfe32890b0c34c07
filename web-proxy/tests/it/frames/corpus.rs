//! The corpus of the fuzz targets, on stable Rust: every file as it is, and mutations of it that are the same in every run.

use std::path::Path;

use super::Random;

#[path = "../../../fuzz/bodies/frame.rs"]
pub mod frame;

/// Of each file. Enough to reach every rule from some file, and a second or two in all.
const MUTATIONS: u64 = 200;

#[test]
fn frame_target() {
    over_corpus("frame", frame::frame);
}

/// Runs `body` over the corpus of `target`.
pub fn over_corpus(target: &str, body: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} has {} files", folder.display(), files.len());
    for file in files {
        println!("{}", file.display());
        let seed = std::fs::read(&file).unwrap();
        body(&seed);
        for number in 0..MUTATIONS {
            body(&mutate(seed.clone(), &mut Random::fixed(number)));
        }
    }
}

/// Changes what a fuzzer would change: bits, bytes, edges of numbers, pieces left out, doubled or moved.
fn mutate(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            return random.bytes(8);
        }
        let at = random.below(bytes.len());
        let to = at + 1 + random.below((bytes.len() - at).min(16));
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.number() as u8,
            2 => bytes[at] = random.pick(&[0x00, 0x7D, 0x7E, 0x7F, 0x80, 0xFD, 0xFE, 0xFF]),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..to)),
            5 => bytes.extend_from_within(at..to),
            _ => bytes.rotate_left(at),
        }
    }
    bytes
}
