//! The probe against the whole media folder: what each file must do is decided by its manifest, not by the file's name.

use serde::Deserialize;
use std::{fs::File, os::unix::fs::FileExt, path::PathBuf};
use stream_service::probe::{Probe, ProbeError, Stats, probe_counted};

/// MD5 of nothing: the manifest's mark of a stream that ffmpeg could not read a packet of.
const NO_PAYLOAD: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Pictures with pixels that are not square (ffprobe: sample_aspect_ratio), which the manifest does not tell, as displayed.
const PIXEL_SHAPES: &[(&str, (u32, u32))] = &[
    ("ordinary/bbb_prog_10s.mp4", (427, 240)),
    (
        "edit-lists-bframes/bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
        (1137, 640),
    ),
    (
        "edit-lists-bframes/bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
        (1138, 640),
    ),
    ("rotation/anamorphic-sar-16-15.mp4", (768, 576)),
    ("rotation/bear-640x360-non_square_pixel-with_pasp.mp4", (640, 360)),
    ("av1-vp9/bear-320x240-vp9-opus.webm", (427, 240)),
    ("av1-vp9/bbb_800x640_768kbps_30fps_vp9.mp4", (1138, 640)),
    ("fragmented/BigBuckBunny_10s.ismv", (427, 240)),
    ("tiny/h264_white_frame_sar_16_9.mp4", (1138, 480)),
    ("tiny/hello.mov", (29, 24)),
    // Its header says 12x10, its picture 10x12; decoding is not the probe's business.
    ("must-transcode/sample_with_fake_auxiliary_tracks.mp4", (12, 10)),
];

/// Where ffprobe's duration is not what a player shows: a negative start wrapped around 2^32 ticks.
const ODD_DURATIONS: &[(&str, i64)] = &[("fragmented/sample_fragmented.mp4", 1068)];

/// Durations are to agree within this many milliseconds, or one percent: headers round, and count the last frame or not.
const TOLERANCE_MS: i64 = 120;

/// What one look may cost, whatever the file is. The largest honest file of the folder (ten hours) needs 9 MB.
const MAX: Stats = Stats {
    reads: 100_001,
    bytes: (96 << 20) + (64 << 10),
    headers: 150_001,
};

#[derive(Deserialize)]
struct Entry {
    file: String,
    bytes: u64,
    expect: Option<String>,
    container: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    r#type: String,
    codec: String,
    profile: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    rotation: Option<f64>,
    packets: Option<u64>,
    payload_md5: Option<String>,
}

impl Entry {
    fn folder(&self) -> &str {
        self.file.split('/').next().unwrap()
    }

    fn of_type(&self, kind: &'static str) -> impl Iterator<Item = &Stream> {
        self.streams
            .iter()
            .filter(move |stream| stream.r#type == kind && stream.packets != Some(0))
    }

    /// Whether browsers can play this undamaged file as it is.
    fn playable(&self, encrypted: bool) -> bool {
        let container = self.container.as_deref().unwrap_or_default();
        let known = container.starts_with("mov,mp4") || container.starts_with("matroska");
        let sound = |stream: &Stream| matches!(stream.codec.as_str(), "aac" | "mp3" | "opus" | "vorbis" | "flac");
        known
            && !encrypted
            && self.of_type("video").any(Stream::is_playable_picture)
            && (self.of_type("audio").next().is_none() || self.of_type("audio").any(sound))
    }
}

impl Stream {
    fn is_playable_picture(&self) -> bool {
        let profile = self.profile.as_deref().unwrap_or_default();
        matches!(self.codec.as_str(), "h264" | "hevc" | "av1" | "vp8" | "vp9")
            && profile != "High 4:2:2"
            && self.payload_md5.as_deref() != Some(NO_PAYLOAD)
    }

    fn displayed(&self) -> (u32, u32) {
        let (width, height) = (self.width.unwrap(), self.height.unwrap());
        let turned = self.rotation.is_some_and(|degrees| degrees.abs() == 90.0);
        if turned { (height, width) } else { (width, height) }
    }
}

/// The shared test media; `None`, said to whoever runs the tests, when this machine has none.
pub fn media(test: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    if !folder.join("manifest.json").exists() {
        // Past the capture of the test harness: a test that did nothing must be seen to.
        let line = format!("skipped: {test}: no test media at {}\n", folder.display());
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        return None;
    }
    Some(folder)
}

#[test]
fn every_file_of_the_media_folder() {
    let Some(folder) = media("every_file_of_the_media_folder") else {
        return;
    };
    let manifest: Vec<Entry> = serde_json::from_reader(File::open(folder.join("manifest.json")).unwrap()).unwrap();
    let (mut failures, mut accepted, mut rejected) = (Vec::new(), 0, 0);
    for entry in &manifest {
        let file = File::open(folder.join(&entry.file)).unwrap();
        let (result, cost) = probe_counted(&file);
        if cost.reads > MAX.reads
            || cost.bytes > MAX.bytes
            || cost.headers > MAX.headers
            || cost.bytes > 4 * entry.bytes + (1 << 20)
        {
            failures.push(format!("{}: not bounded: {cost:?}", entry.file));
        }
        match &result {
            Ok(_) => accepted += 1,
            Err(_) => rejected += 1,
        }
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{} {result:?}", entry.file);
        }
        failures.extend(check(entry, is_encrypted(&file), &result).map(|failure| format!("{}: {failure}", entry.file)));
    }
    println!("{accepted} accepted, {rejected} rejected");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        accepted > 100 && rejected > 100,
        "the folder is not what this test was written for"
    );
}

/// The manifest doesn't say what is encrypted; the sample entry does, and lies in the first 64 KiB of all these files.
fn is_encrypted(file: &File) -> bool {
    let mut head = vec![0; 64 << 10];
    let read = file.read_at(&mut head, 0).unwrap();
    head[..read]
        .windows(8)
        .any(|window| &window[4..] == b"encv" && window[0] == 0)
}

fn check(entry: &Entry, encrypted: bool, result: &Result<Probe, ProbeError>) -> Option<String> {
    let must_play = match entry.expect.as_deref() {
        Some("play") => true,
        Some("reject") => false,
        // "any", "no-crash", "partial" and alternatives: returning within bounds is all that is asked.
        Some(_) => return text_is_fit(result),
        None if entry.folder() == "malformed-real" => return text_is_fit(result),
        None => entry.playable(encrypted),
    };
    match (must_play, result) {
        (true, Ok(probe)) => check_facts(entry, probe),
        (false, Err(ProbeError::Rejected(_))) => text_is_fit(result),
        (true, Err(error)) => Some(format!("refused: {error}")),
        (false, other) => Some(format!("not refused: {other:?}")),
    }
}

/// A rejection is for people: short, printable, not empty.
fn text_is_fit(result: &Result<Probe, ProbeError>) -> Option<String> {
    match result {
        Ok(probe) if probe.width == 0 || probe.height == 0 || probe.codecs.is_empty() => {
            Some(format!("accepted as {probe:?}"))
        }
        Ok(_) => None,
        Err(ProbeError::Rejected(text)) => {
            let fit = (5..=200).contains(&text.len()) && text.chars().all(|c| !c.is_control());
            (!fit).then(|| format!("odd text {text:?}"))
        }
        Err(error) => Some(format!("{error}")),
    }
}

fn check_facts(entry: &Entry, probe: &Probe) -> Option<String> {
    let found = (probe.width, probe.height);
    let shape = PIXEL_SHAPES
        .iter()
        .find(|(file, _)| *file == entry.file)
        .map(|(_, size)| *size);
    let sizes: Vec<_> = match shape {
        Some(size) => vec![size],
        None => entry
            .of_type("video")
            .filter(|stream| stream.is_playable_picture())
            .map(Stream::displayed)
            .collect(),
    };
    if !sizes.contains(&found) {
        return Some(format!("size {found:?}, should be one of {sizes:?}"));
    }
    let seconds = entry
        .duration
        .as_ref()
        .map(|seconds| (seconds.parse::<f64>().unwrap() * 1000.0) as i64);
    let odd = ODD_DURATIONS
        .iter()
        .find(|(file, _)| *file == entry.file)
        .map(|(_, ms)| *ms);
    match (
        odd.or(seconds).filter(|&ms| ms > 0),
        probe.duration_ms.map(|ms| ms as i64),
    ) {
        (Some(expected), Some(found)) if (found - expected).abs() > TOLERANCE_MS.max(expected / 100) => {
            Some(format!("{found} ms, should be {expected} ms"))
        }
        (Some(expected), None) => Some(format!("no duration, should be {expected} ms")),
        // Live recordings: ffprobe stops at the header, we look at the last block. All of them here are some seconds long.
        (None, Some(found)) if !(500..=60_000).contains(&found) => Some(format!("{found} ms is not plausible")),
        _ => None,
    }
}
