//! Videos of any size: a real clip followed by a `free` box (ISO/IEC 14496-12 section 8.1.2), which players skip.

use bytes::Bytes;
use futures_util::stream;

const PIECE: usize = 256 * 1024;

/// A small real clip made by ffmpeg.
pub fn clip() -> Bytes {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clip.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=160x120:rate=10:duration=1",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&path)
        .status()
        .expect("ffmpeg is installed (make test installs it)");
    assert!(made.success(), "ffmpeg makes a clip");
    std::fs::read(path).expect("the clip is there").into()
}

/// `clip` padded to `size` bytes, as a body that is made while it is sent.
pub fn padded(clip: &Bytes, size: u64) -> reqwest::Body {
    let free = size - clip.len() as u64;
    // size 1: the real size follows in 64 bits.
    let header = [&1u32.to_be_bytes()[..], b"free", &free.to_be_bytes()].concat();
    let zeros = Bytes::from(vec![0; PIECE]);
    let head = Bytes::from([clip, &header[..]].concat());
    let pieces = stream::unfold((Some(head), free - 16, zeros), |(head, left, zeros)| async move {
        if let Some(head) = head {
            return Some((Ok::<_, std::io::Error>(head), (None, left, zeros)));
        }
        let take = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        (take > 0).then(|| (Ok(zeros.slice(..take)), (None, left - take as u64, zeros)))
    });
    reqwest::Body::wrap_stream(pieces)
}
