//! What a file is by its first bytes: the two container families we look into, and names for what people upload by mistake.

/// What the first bytes say.
pub enum Kind {
    /// MP4, QuickTime and their relatives.
    IsoMedia,
    /// WebM and Matroska.
    Ebml,
    /// Something else, named for the uploader.
    Other(String),
}

/// Box types a file may begin with.
const FIRST_BOXES: [&[u8; 4]; 12] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx", b"moof", b"junk",
];

/// Offset, bytes, name. The first that matches wins.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "JPEG pictures"),
    (0, b"GIF8", "a GIF image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"BM", "a bitmap image"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"MZ", "a program (Windows)"),
    (0, b"#!", "a script"),
    (8, b"AVI ", "an AVI file, which browsers cannot play"),
    (8, b"WAVE", "audio only: WAV"),
    (0, b"FLV", "a Flash video (FLV), which browsers cannot play"),
    (0, b"FWS", "a Flash program (SWF)"),
    (0, b"CWS", "a Flash program (SWF)"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "a Windows Media file (ASF), which browsers cannot play",
    ),
    (
        0,
        b"\x00\x00\x01\xba",
        "an MPEG program stream, which browsers cannot play",
    ),
    (
        0,
        b"\x00\x00\x01\xb3",
        "an MPEG video stream, which browsers cannot play",
    ),
    (0, b"OggS", "an Ogg file, which not every browser can play"),
    (0, b".RMF", "a RealMedia file, which browsers cannot play"),
    (0, b"ID3", "audio only: MP3"),
    (0, b"fLaC", "audio only: FLAC"),
    (0, b"#!AMR", "audio only: AMR"),
    (0, b"MThd", "music notes (MIDI)"),
    (0, b"DKIF", "an IVF stream, which browsers cannot play"),
    (0, b"XBIN", "a text-art picture (XBIN)"),
];

/// Names what `head`, the first bytes of a file, begins.
pub fn sniff(head: &[u8]) -> Kind {
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Kind::Ebml;
    }
    if let Some(name) = head.get(4..8)
        && FIRST_BOXES.iter().any(|first| name == *first)
    {
        return Kind::IsoMedia;
    }
    for (offset, bytes, name) in SIGNATURES {
        if head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes)) {
            return Kind::Other((*name).to_owned());
        }
    }
    Kind::Other(unsigned(head).to_owned())
}

/// Files without a signature.
fn unsigned(head: &[u8]) -> &'static str {
    match head {
        [0xff, second, ..] if second & 0xf6 == 0xf0 => return "audio only: AAC",
        [0xff, second, ..] if second & 0xe0 == 0xe0 => return "audio only: MPEG audio",
        _ if head.iter().all(|&byte| byte == 0) => return "only zero bytes",
        _ => {}
    }
    // Sync bytes at the distance of a packet, with or without a time code before each.
    for (first, distance) in [(0, 188), (4, 192)] {
        if (0..3).all(|packet| head.get(first + packet * distance) == Some(&0x47)) {
            return "an MPEG transport stream, which browsers cannot play";
        }
    }
    match text_of(head) {
        Some(text) => text_kind(text),
        None => "data of an unknown kind",
    }
}

/// `head` as text if it is text: UTF-8 (perhaps cut within a character) without control characters.
fn text_of(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let plain = text
        .chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'));
    (plain && !text.is_empty()).then_some(text)
}

fn text_kind(text: &str) -> &'static str {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let lower: String = start.chars().take(1024).collect::<String>().to_ascii_lowercase();
    let starts: [(&str, &str); 10] = [
        ("#extm3u", "an HLS playlist, not the video itself"),
        ("ffconcat", "a list of files (ffconcat), not a video"),
        ("webvtt", "subtitles (WebVTT)"),
        ("[script info]", "subtitles (ASS)"),
        ("v=0", "a session description (SDP), not a video"),
        ("<!doctype html", "an HTML page"),
        ("<html", "an HTML page"),
        ("<script", "an HTML page"),
        ("<svg", "an SVG image"),
        ("{", "JSON text"),
    ];
    for (prefix, name) in starts {
        if lower.starts_with(prefix) {
            return name;
        }
    }
    if lower.starts_with('<') {
        return match () {
            () if lower.contains("<mpd") => "a DASH manifest, not the video itself",
            () if lower.contains("<svg") => "an SVG image",
            () if lower.contains("<html") => "an HTML page",
            () => "XML text",
        };
    }
    if lower.lines().take(3).any(|line| line.contains(" --> ")) {
        return "subtitles (SRT)";
    }
    "plain text"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], expected: &str) {
        let Kind::Other(found) = sniff(head) else {
            panic!("taken for a video")
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn things_people_upload_by_mistake() {
        check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image");
        check(b"<!DOCTYPE html><title>x", "an HTML page");
        check(b"\xef\xbb\xbf \n<HTML>", "an HTML page");
        check(b"<?xml version=\"1.0\"?><svg onload=x>", "an SVG image");
        check(b"<?xml version=\"1.0\"?><MPD>", "a DASH manifest, not the video itself");
        check(b"#EXTM3U\n#EXTINF", "an HLS playlist, not the video itself");
        check(b"1\n00:00:01,000 --> 00:00:02,000\nHi", "subtitles (SRT)");
        check(b"dear diary", "plain text");
        check("schön gesch\u{f6}".as_bytes().split_last().unwrap().1, "plain text");
        check(&[0; 64], "only zero bytes");
        check(&[1, 2, 3, 200, 0, 7], "data of an unknown kind");
        check(b"\xff\xf1\x50\x80", "audio only: AAC");
        check(b"x", "plain text");
        let mut packets = [0; 600];
        packets[0] = 0x47;
        packets[188] = 0x47;
        packets[376] = 0x47;
        check(&packets, "an MPEG transport stream, which browsers cannot play");
    }

    #[test]
    fn containers() {
        assert!(matches!(sniff(b"\0\0\0\x20ftypisom"), Kind::IsoMedia));
        assert!(matches!(sniff(b"\0\0\0\x08wide"), Kind::IsoMedia));
        assert!(matches!(sniff(b"\x1a\x45\xdf\xa3"), Kind::Ebml));
    }
}
