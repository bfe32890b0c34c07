//! MP4 and QuickTime (ISO/IEC 14496-12): from the top-level boxes to the verdict.

mod boxes;
mod fragments;
mod movie;
mod sample_entry;
mod tables;

use super::{Container, Probe, Result, codec::Codec, reader::Reader, reject};
use boxes::Boxes;
use fragments::Timeline;
use movie::{Movie, Track};

/// A duration beyond this is a broken number, not a video: 31 days.
const MAX_DURATION_MS: u64 = 31 * 24 * 3600 * 1000;

/// What the walk over the top-level boxes has found.
#[derive(Default)]
struct TopLevel {
    quicktime: bool,
    brand: Option<[u8; 4]>,
    has_media_data: bool,
    fragments: u64,
    timeline: Timeline,
    /// Whether every fragment was looked at.
    complete: bool,
}

pub fn probe(reader: &mut Reader<'_>) -> Result<Probe> {
    let mut top = TopLevel {
        complete: true,
        quicktime: true,
        ..TopLevel::default()
    };
    let mut movie = None;
    let mut boxes = Boxes::new(0, reader.size());
    loop {
        let header = match boxes.next(reader) {
            Ok(Some(header)) => header,
            Ok(None) => break,
            // Cameras and editors append things that are no boxes. Harmless when the movie has been seen; what the movie
            // points at is compared with the size of the file below.
            Err(super::ProbeError::Rejected(_))
                if movie.is_some() && top.fragments == 0 && !boxes.at_known_box(reader) =>
            {
                break;
            }
            Err(error) => return Err(error),
        };
        match &header.kind {
            b"ftyp" if top.brand.is_none() => {
                let brand = reader.array(header.body).unwrap_or_default();
                (top.brand, top.quicktime) = (Some(brand), &brand == b"qt  ");
            }
            b"moov" if movie.is_none() => {
                let mut found = Movie::read(reader, &header)?;
                if found.compressed {
                    return reject("a QuickTime file with a compressed header");
                }
                for track in &mut found.tracks {
                    track.check(reader)?;
                }
                movie = Some(found);
            }
            b"mdat" => top.has_media_data = true,
            b"moof" => {
                top.fragments += 1;
                if let Some(movie) = &movie {
                    top.timeline.add(reader, &header, movie)?;
                }
                if !reader.may_go_on() {
                    top.complete = false;
                    break;
                }
            }
            _ => {}
        }
    }
    verdict(&top, movie)
}

fn verdict(top: &TopLevel, movie: Option<Movie>) -> Result<Probe> {
    let Some(movie) = movie else {
        return reject(without_movie(top));
    };
    if movie.tracks.is_empty() {
        return reject("an MP4 without tracks");
    }
    let fragmented = top.fragments > 0;
    let has_pictures = |track: &Track| track.samples.count > 0 || (fragmented && top.timeline.has(track.id));
    let video: Vec<&Track> = movie
        .tracks
        .iter()
        .filter(|track| track.is_video() && has_pictures(track))
        .collect();
    let audio: Vec<&Track> = movie
        .tracks
        .iter()
        .filter(|track| track.is_audio() && has_pictures(track))
        .collect();
    let Some(picture) = video.iter().copied().find(|track| track.codec.playable) else {
        return reject(without_picture(&movie, &video, &audio));
    };
    if let Some(silent) = audio.first()
        && !audio.iter().any(|track| track.codec.playable)
    {
        return reject(format!(
            "{} video with {} sound, which browsers cannot play",
            picture.codec.name,
            silent.codec.describe()
        ));
    }
    let (width, height) = picture.display_size();
    if width == 0 || height == 0 {
        return reject("a video without a picture size");
    }
    let codecs = |tracks: &[&Track]| tracks.iter().map(|track| track.codec.clone()).collect::<Vec<Codec>>();
    Ok(Probe {
        container: if top.quicktime {
            Container::QuickTime
        } else {
            Container::Mp4
        },
        // Browsers play QuickTime files as MP4 and refuse the name video/quicktime.
        mime: "video/mp4".to_owned(),
        codecs: super::codec_list(&codecs(&[&[picture], &video[..]].concat()), &codecs(&audio)),
        duration_ms: duration(&movie, top),
        width,
        height,
        fragmented,
    })
}

/// Milliseconds: as the header for fragments says, else the longer of the movie header and what the fragments add up to, else
/// as the longest track says.
fn duration(movie: &Movie, top: &TopLevel) -> Option<u64> {
    let plausible = |ms: &u64| (1..=MAX_DURATION_MS).contains(ms);
    let tracks = || movie.tracks.iter().filter(|track| track.is_video() || track.is_audio());
    let from_fragments = || {
        (top.complete && top.fragments > 0)
            .then(|| top.timeline.span_ms(movie))
            .flatten()
    };
    // A header may have been written before the fragments were: then it knows only what came before them.
    let from_header = || {
        movie
            .duration_ms()
            .filter(plausible)
            .max(from_fragments().filter(plausible))
    };
    movie
        .fragment_duration_ms()
        .filter(plausible)
        .or_else(from_header)
        .or_else(|| tracks().filter_map(Track::duration_ms).max().filter(plausible))
}

fn without_movie(top: &TopLevel) -> &'static str {
    match top.brand.as_ref().map(|brand| &brand[..]) {
        Some(b"heic" | b"heix" | b"mif1" | b"msf1") => "a HEIF image",
        Some(b"avif" | b"avis") => "an AVIF image",
        _ if top.fragments > 0 => "a media segment without its header (moov)",
        _ if top.has_media_data => "an MP4 without its movie header (moov): the upload or the recording was cut off",
        _ => "an MP4 without its movie header (moov)",
    }
}

fn without_picture(movie: &Movie, video: &[&Track], audio: &[&Track]) -> String {
    if let Some(track) = video.first() {
        return format!("{} video, which browsers cannot play", track.codec.describe());
    }
    if let Some(track) = audio.first() {
        return format!("audio only: {}", track.codec.describe());
    }
    if movie.tracks.iter().any(|track| track.is_video()) {
        return "an MP4 whose video track has no pictures".to_owned();
    }
    "an MP4 without a video track".to_owned()
}
