//! A playable MP4 of any size, made here: one H.264 sample whose bytes have no period, so that every byte has a place.

use common::testing::random::noise;
use sha2::{Digest, Sha256};

/// Bytes of a clip beside its payload.
pub const OVERHEAD: usize = 1024;

/// A clip of exactly `size` bytes; different seeds differ in every part of the content.
pub fn clip(size: usize, seed: u8) -> Vec<u8> {
    assert!(size >= OVERHEAD + 64, "too small for a clip");
    let ftyp = make_box(b"ftyp", &[b"isom".as_slice(), &[0, 0, 2, 0], b"isommp41"].concat());
    // The offset of the sample is known once the length of what comes before it is.
    let moov = moov(0, 0);
    let offset = ftyp.len() + moov.len() + 8;
    let sample = size - offset;
    let mut clip = [ftyp, self::moov(offset as u32, sample as u32)].concat();
    clip.extend_from_slice(&((sample + 8) as u32).to_be_bytes());
    clip.extend_from_slice(b"mdat");
    clip.extend_from_slice(&((sample - 4) as u32).to_be_bytes());
    clip.push(0x65);
    let start = clip.len();
    clip.extend(noise(size - start, seed));
    assert_eq!(clip.len(), size);
    clip
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn make_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&((body.len() + 8) as u32).to_be_bytes(), kind.as_slice(), body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn moov(offset: u32, size: u32) -> Vec<u8> {
    let matrix = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
    let mvhd = make_box(
        b"mvhd",
        &[
            words(&[0, 0, 0, 1000, 2000, 0x1_0000, 0x0100_0000, 0, 0]),
            words(&matrix),
            words(&[0; 6]),
            words(&[2]),
        ]
        .concat(),
    );
    let tkhd = make_box(
        b"tkhd",
        &[
            words(&[3, 0, 0, 1, 0, 2000, 0, 0, 0, 0]),
            words(&matrix),
            words(&[320 << 16, 240 << 16]),
        ]
        .concat(),
    );
    let mdhd = make_box(b"mdhd", &words(&[0, 0, 0, 1000, 2000, 0x55c4_0000]));
    let hdlr = make_box(
        b"hdlr",
        &[words(&[0, 0]), b"vide".to_vec(), words(&[0, 0, 0]), vec![0]].concat(),
    );
    let avcc = make_box(
        b"avcC",
        &[
            1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 1, 0, 2, 0x68, 0xee,
        ],
    );
    let mut avc1 = vec![0; 78];
    avc1[7] = 1;
    avc1[24..28].copy_from_slice(&[1, 64, 0, 240]);
    let stsd = make_box(
        b"stsd",
        &[words(&[0, 1]), make_box(b"avc1", &[avc1, avcc].concat())].concat(),
    );
    let tables = [
        stsd,
        make_box(b"stts", &words(&[0, 1, 1, 2000])),
        make_box(b"stsc", &words(&[0, 1, 1, 1, 1])),
        make_box(b"stsz", &words(&[0, 0, 1, size])),
        make_box(b"stco", &words(&[0, 1, offset])),
    ];
    let dref = make_box(b"dref", &[words(&[0, 1]), make_box(b"url ", &words(&[1]))].concat());
    let minf = make_box(
        b"minf",
        &[
            make_box(b"vmhd", &words(&[1, 0, 0])),
            make_box(b"dinf", &dref),
            make_box(b"stbl", &tables.concat()),
        ]
        .concat(),
    );
    let mdia = make_box(b"mdia", &[mdhd, hdlr, minf].concat());
    make_box(b"moov", &[mvhd, make_box(b"trak", &[tkhd, mdia].concat())].concat())
}
