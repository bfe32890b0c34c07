//! Codecs: the RFC 6381 string for a player, a name for people, and whether browsers can decode it.

/// One codec of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// RFC 6381 section 3.3 where the file says enough, else the plain name of the format.
    pub text: String,
    /// For people: "H.264".
    pub name: String,
    /// Whether at least one current browser decodes it without help.
    pub playable: bool,
    /// Bytes before each NAL unit, for the formats that have them.
    pub nal_length: Option<usize>,
}

impl Codec {
    pub fn new(text: impl Into<String>, name: impl Into<String>, playable: bool) -> Self {
        Self {
            text: text.into(),
            name: name.into(),
            playable,
            nal_length: None,
        }
    }

    /// "H.264 (avc1.64001f)".
    pub fn describe(&self) -> String {
        if self.name == self.text {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.text)
        }
    }
}

/// H.264 with an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3). `None` when the record is damaged.
pub fn avc(fourcc: &str, config: &[u8]) -> Option<Codec> {
    let &[1, profile, compatibility, level, lengths, sets, ..] = config else {
        return None;
    };
    let nal_length = usize::from(lengths & 3) + 1;
    let mut rest = &config[6..];
    for _ in 0..sets & 0x1f {
        rest = skip_sized(rest)?;
    }
    let (&pictures, mut rest) = rest.split_first()?;
    for _ in 0..pictures {
        rest = skip_sized(rest)?;
    }
    // avc1 keeps its parameter sets here; only avc3 may keep them in the samples.
    if nal_length == 3 || (sets & 0x1f == 0 && fourcc == "avc1") {
        return None;
    }
    let text = format!("{fourcc}.{profile:02x}{compatibility:02x}{level:02x}");
    let codec = match profile {
        122 => Codec::new(text, "H.264 High 4:2:2", false),
        44 => Codec::new(text, "H.264 CAVLC 4:4:4", false),
        _ => Codec::new(text, "H.264", true),
    };
    Some(Codec {
        nal_length: Some(nal_length),
        ..codec
    })
}

fn skip_sized(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

/// HEVC with an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3; the string is its annex E).
pub fn hevc(fourcc: &str, config: &[u8]) -> Option<Codec> {
    let record: &[u8; 23] = config.first_chunk()?;
    let nal_length = usize::from(record[21] & 3) + 1;
    if record[0] != 1 || nal_length == 3 {
        return None;
    }
    let space = ["", "A", "B", "C"][usize::from(record[1] >> 6)];
    let tier = if record[1] & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = u32::from_be_bytes([record[2], record[3], record[4], record[5]]).reverse_bits();
    let constraints = &record[6..12];
    let used = constraints
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    let text = format!(
        "{fourcc}.{space}{}.{compatibility:X}.{tier}{}{constraints}",
        record[1] & 0x1f,
        record[12]
    );
    Some(Codec {
        nal_length: Some(nal_length),
        ..Codec::new(text, "HEVC", true)
    })
}

/// AV1 with an AV1CodecConfigurationRecord (AV1 in ISOBMFF section 2.3).
pub fn av1(config: &[u8]) -> Codec {
    let text = match config {
        [0x81, second, third, ..] => {
            let (profile, level) = (second >> 5, second & 0x1f);
            let tier = if third & 0x80 == 0 { 'M' } else { 'H' };
            let depth = match (third & 0x40 != 0, third & 0x20 != 0) {
                (true, true) => 12,
                (true, false) => 10,
                (false, _) => 8,
            };
            format!("av01.{profile}.{level:02}{tier}.{depth:02}")
        }
        _ => "av01".to_owned(),
    };
    Codec::new(text, "AV1", true)
}

/// VP8 or VP9 with a VPCodecConfigurationRecord (VP in ISOBMFF), its four bytes of version and flags included.
pub fn vp(fourcc: &str, config: &[u8]) -> Codec {
    let name = if fourcc == "vp08" { "VP8" } else { "VP9" };
    let text = match config {
        [_, _, _, _, profile, level, depth, ..] => format!("{fourcc}.{profile:02}.{level:02}.{:02}", depth >> 4),
        _ => name.to_ascii_lowercase(),
    };
    Codec::new(text, name, true)
}

/// `mp4a` with an ES_Descriptor (ISO/IEC 14496-1 section 7.2.6.5), the four bytes of version and flags of `esds` included.
pub fn mpeg4_audio(esds: Option<&[u8]>) -> Codec {
    let Some((object_type, config)) = esds.and_then(decoder_config) else {
        return Codec::new("mp4a.40.2", "AAC", true);
    };
    match object_type {
        0x40 => {
            let kind = match config {
                [first, second, ..] if first >> 3 == 31 => 32 + ((first & 7) << 3 | second >> 5),
                [first, ..] => first >> 3,
                [] => 2,
            };
            Codec::new(
                format!("mp4a.40.{kind}"),
                if kind == 42 { "xHE-AAC" } else { "AAC" },
                true,
            )
        }
        0x66..=0x68 => Codec::new(format!("mp4a.{object_type:x}"), "AAC", true),
        0x69 | 0x6b => Codec::new(format!("mp4a.{object_type:x}"), "MP3", true),
        0xa5 => Codec::new("ac-3", "AC-3", false),
        0xa6 => Codec::new("ec-3", "E-AC-3", false),
        0xa9..=0xac => Codec::new(format!("mp4a.{object_type:x}"), "DTS", false),
        other => Codec::new(format!("mp4a.{other:x}"), "MPEG-4 audio", false),
    }
}

/// The objectTypeIndication and the DecoderSpecificInfo within an ES_Descriptor.
fn decoder_config(esds: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, es) = descriptor(esds.get(4..)?)?;
    let flags = *es.get(2)?;
    if tag != 3 {
        return None;
    }
    let mut skip = 3;
    skip += if flags & 0x80 != 0 { 2 } else { 0 };
    skip += if flags & 0x40 != 0 {
        1 + usize::from(*es.get(skip)?)
    } else {
        0
    };
    skip += if flags & 0x20 != 0 { 2 } else { 0 };
    let (tag, config) = descriptor(es.get(skip..)?)?;
    if tag != 4 {
        return None;
    }
    let specific = config
        .get(13..)
        .and_then(descriptor)
        .filter(|(tag, _)| *tag == 5)
        .map_or(&[][..], |(_, info)| info);
    Some((*config.first()?, specific))
}

/// A descriptor's tag and body; sizes are base 128, most significant group first, four groups at most. A body that is longer
/// than what is there is cut: broken muxers are common here and nothing depends on its end.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&tag, mut rest) = bytes.split_first()?;
    let mut size = 0usize;
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        (size, rest) = (size << 7 | usize::from(byte & 0x7f), after);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((tag, &rest[..size.min(rest.len())]))
}

/// Formats that need no configuration to be named: their four characters, name, and whether browsers decode them.
const PLAIN: &[(&str, &str, &str, bool)] = &[
    ("Opus", "opus", "Opus", true),
    ("fLaC", "flac", "FLAC", true),
    (".mp3", "mp3", "MP3", true),
    ("ms\0U", "mp3", "MP3", true),
    ("ac-3", "ac-3", "AC-3", false),
    ("ec-3", "ec-3", "E-AC-3", false),
    ("ac-4", "ac-4", "AC-4", false),
    ("alac", "alac", "ALAC", false),
    ("samr", "samr", "AMR", false),
    ("sawb", "sawb", "AMR-WB", false),
    ("twos", "twos", "PCM", false),
    ("sowt", "sowt", "PCM", false),
    ("lpcm", "lpcm", "PCM", false),
    ("ipcm", "ipcm", "PCM", false),
    ("in24", "in24", "PCM", false),
    ("raw ", "raw", "PCM", false),
    ("mp4v", "mp4v", "MPEG-4 Part 2", false),
    ("s263", "s263", "H.263", false),
    ("h263", "h263", "H.263", false),
    ("H263", "h263", "H.263", false),
    ("vvc1", "vvc1", "VVC", false),
    ("vvi1", "vvi1", "VVC", false),
    ("jpeg", "jpeg", "Motion JPEG", false),
    ("mjpa", "mjpa", "Motion JPEG", false),
    ("mjpb", "mjpb", "Motion JPEG", false),
    ("png ", "png", "PNG pictures", false),
    ("apch", "apch", "ProRes", false),
    ("apcn", "apcn", "ProRes", false),
    ("apcs", "apcs", "ProRes", false),
    ("apco", "apco", "ProRes", false),
    ("ap4h", "ap4h", "ProRes", false),
    ("ap4x", "ap4x", "ProRes", false),
];

/// Any other sample entry, by its four characters.
pub fn plain(fourcc: &str) -> Codec {
    match PLAIN.iter().find(|(code, ..)| *code == fourcc) {
        Some((_, text, name, playable)) => Codec::new(*text, *name, *playable),
        None => Codec::new(fourcc, "unknown", false),
    }
}

/// A Matroska CodecID (RFC 9559 section 27.2 and its registry) with its CodecPrivate. `None` when the configuration is damaged.
pub fn matroska(id: &str, private: &[u8]) -> Option<Codec> {
    Some(match id {
        "V_VP8" => Codec::new("vp8", "VP8", true),
        "V_VP9" => Codec::new("vp9", "VP9", true),
        "V_AV1" => av1(private),
        "V_MPEG4/ISO/AVC" => avc("avc1", private)?,
        "V_MPEGH/ISO/HEVC" => hevc("hvc1", private)?,
        "V_THEORA" => Codec::new("theora", "Theora", false),
        "V_MJPEG" => Codec::new("jpeg", "Motion JPEG", false),
        "A_OPUS" => Codec::new("opus", "Opus", true),
        "A_VORBIS" => Codec::new("vorbis", "Vorbis", true),
        "A_FLAC" => Codec::new("flac", "FLAC", true),
        "A_MPEG/L3" => Codec::new("mp3", "MP3", true),
        "A_AC3" => Codec::new("ac-3", "AC-3", false),
        "A_EAC3" => Codec::new("ec-3", "E-AC-3", false),
        id if id.starts_with("A_AAC") => {
            let kind = private.first().map_or(2, |first| first >> 3);
            Codec::new(format!("mp4a.40.{kind}"), "AAC", true)
        }
        id if id.starts_with("A_PCM") => Codec::new("pcm", "PCM", false),
        id => Codec::new(id, "unknown", false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_rfc_6381() {
        let avc_record = [1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68];
        assert_eq!(avc("avc1", &avc_record).unwrap().text, "avc1.64001f");
        assert_eq!(avc("avc1", &avc_record[..10]), None);
        assert_eq!(avc("avc1", &[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]), None);
        assert!(avc("avc3", &[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]).is_some());
        let hevc_record = [
            1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0,
        ];
        assert_eq!(hevc("hvc1", &hevc_record).unwrap().text, "hvc1.1.6.L93.B0");
        assert_eq!(av1(&[0x81, 0x04, 0x0c, 0]).text, "av01.0.04M.08");
        assert_eq!(av1(&[0x81, 0x08, 0x4c, 0]).text, "av01.0.08M.10");
        assert_eq!(vp("vp09", &[1, 0, 0, 0, 0, 31, 0x82]).text, "vp09.00.31.08");
    }

    #[test]
    fn mpeg4_audio_objects() {
        let esds = |object: u8, config: &[u8]| {
            let mut bytes = vec![
                0,
                0,
                0,
                0,
                3,
                0x80,
                0x80,
                0x80,
                20 + config.len() as u8,
                0,
                1,
                0,
                4,
                15 + config.len() as u8,
                object,
            ];
            bytes.extend([0; 12]);
            bytes.extend([5, config.len() as u8]);
            bytes.extend(config);
            bytes
        };
        assert_eq!(mpeg4_audio(Some(&esds(0x40, &[0x12, 0x10]))).text, "mp4a.40.2");
        assert_eq!(mpeg4_audio(Some(&esds(0x40, &[0x2b, 0x92]))).text, "mp4a.40.5");
        assert_eq!(mpeg4_audio(Some(&esds(0x40, &[0xf9, 0x40]))).text, "mp4a.40.42");
        assert_eq!(mpeg4_audio(Some(&esds(0x6b, &[]))).name, "MP3");
        assert!(!mpeg4_audio(Some(&esds(0xa5, &[]))).playable);
        assert_eq!(mpeg4_audio(Some(&[0, 0, 0])).text, "mp4a.40.2");
    }
}
