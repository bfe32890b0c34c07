//! The file that is moved: a real clip and then a `free` box of random bytes, so that a server which sends the wrong place,
//! or compresses, is found out. All servers have the same bytes, and they lie in the page cache.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Numbers that look random, and are the same for the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// Others in each run.
    pub fn from_clock() -> Random {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Random::new(since.as_nanos() as u64)
    }

    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[derive(Clone)]
pub struct Content {
    pub size: u64,
    pub file: Arc<File>,
}

impl Content {
    /// Writes the file, and reads it once.
    pub fn make(path: &Path, clip: &Bytes, size: u64) -> Content {
        let file = File::create(path).expect("a file");
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let free = size - clip.len() as u64;
        // size 1: the real size follows in 64 bits.
        let header = [&1u32.to_be_bytes()[..], b"free", &free.to_be_bytes()].concat();
        out.write_all(clip)
            .and_then(|()| out.write_all(&header))
            .expect("room on the disk");
        let mut random = Random::new(size);
        let mut left = free - header.len() as u64;
        while left > 0 {
            let word = random.next().to_le_bytes();
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(word.len());
            out.write_all(&word[..count]).expect("room on the disk");
            left -= count as u64;
        }
        out.into_inner()
            .expect("room on the disk")
            .sync_all()
            .expect("the disk works");
        warm(path);
        Content::open(path)
    }

    /// A file that is there.
    pub fn open(path: &Path) -> Content {
        let file = File::open(path).expect("the file is there");
        Content {
            size: file.metadata().expect("it has a size").len(),
            file: Arc::new(file),
        }
    }

    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
        loop {
            let count = self.file.read_at(&mut buffer, at).expect("the file is readable");
            if count == 0 {
                return hash.finalize().into();
            }
            hash.update(&buffer[..count]);
            at += count as u64;
        }
    }

    pub fn read(&self, from: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, from)
            .expect("the range is in the file");
        bytes
    }
}

/// Brings a file into the page cache.
pub fn warm(path: &Path) {
    let mut file = File::open(path).expect("the file is there");
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).expect("the file is readable") > 0 {}
}

/// Takes a file out of the page cache, as far as nobody uses it just now.
pub fn evict(path: &Path) {
    let file = File::open(path).expect("the file is there");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("the page cache takes advice");
}
