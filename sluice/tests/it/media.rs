//! The real files of ../shared/media, beside the checkout. Where they are absent a test says so and makes its own clip.

use std::path::{Path, PathBuf};
use std::process::Command;

use common::testing::random::noise;
use sha2::{Digest, Sha256};

/// A video to upload.
#[derive(Clone)]
pub struct Clip {
    pub bytes: Vec<u8>,
}

impl Clip {
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.bytes))
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of shared media, if it is there.
pub fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    path.is_dir().then_some(path)
}

/// `path` in the shared folder, or a clip that ffmpeg makes where the folder is absent.
pub fn clip(path: &str) -> Clip {
    match folder() {
        Some(folder) => Clip {
            bytes: std::fs::read(folder.join(path)).unwrap(),
        },
        None => {
            eprintln!("../shared/media is absent: {path} is replaced by a clip made with ffmpeg");
            Clip { bytes: generated() }
        }
    }
}

/// [`clip`], filled up to `size` bytes by a box that players skip (ISO 14496-12 `free`).
pub fn filled(path: &str, size: usize) -> Clip {
    let mut bytes = clip(path).bytes;
    let room = size.checked_sub(bytes.len() + 8).expect("the clip is smaller");
    bytes.extend(u32::try_from(room + 8).unwrap().to_be_bytes());
    bytes.extend(b"free");
    bytes.extend(noise(room, 0));
    Clip { bytes }
}

/// Small clips of different sizes, one of them so long that an edge does not copy it.
pub fn small_clips() -> Vec<Clip> {
    let mut clips = [
        "ordinary/testvid_1022ms.mp4",
        "ordinary/video-h264-001.mp4",
        "ordinary/midroll-5s.mp4",
        "ordinary/prog_8s.mp4",
        "webm-mkv/small.webm",
    ]
    .map(clip)
    .to_vec();
    clips.push(filled("ordinary/testvid_1022ms.mp4", 1_300_000));
    clips
}

fn generated() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x240:rate=15:duration=3",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success(), "ffmpeg makes a clip");
    std::fs::read(path).unwrap()
}
