//! If-Range, the other preconditions beside a range, and HEAD.

use super::Expected::{Failed, Head, NotModified, Part, PartOfHead, Parts, Refused, Unsatisfiable, Whole};
use super::{DATE_FIRST, HEAD_RANGE, SIZE, TWICE, Vector, get, head};

const FIRST: &str = "Range: bytes=0-1";
const BEYOND: &str = "Range: bytes=900000-";

pub const TABLE: &[Vector] = &[
    // If-Range: the strong tag or the exact date.
    get(&[FIRST, "If-Range: {etag}"], Part(0, 2)),
    get(&["If-Range: {etag}", FIRST], Part(0, 2)),
    get(&["Range: bytes=0-1,5-6", "If-Range: {etag}"], Parts(&[(0, 2), (5, 7)])),
    get(&["Range: bytes=-5", "If-Range: {date}"], Part(299_995, SIZE)),
    get(&[FIRST, "If-Range: {date}"], Part(0, 2)),
    get(&[FIRST, "If-Range: {date850}"], Part(0, 2)),
    get(&[FIRST, "If-Range: {asctime}"], Part(0, 2)),
    get(&[FIRST, "If-Range: W/{etag}"], Whole),
    get(&[FIRST, "If-Range: \"x\""], Whole),
    get(&[FIRST, "If-Range: \"\""], Whole),
    get(&[FIRST, "If-Range: \"é\""], Whole),
    get(&[FIRST, "If-Range: {earlier}"], Whole),
    get(&[FIRST, "If-Range: {later}"], Whole),
    get(&[FIRST, "If-Range: yesterday"], Whole),
    get(&[FIRST, "If-Range: *"], Whole),
    get(&[FIRST, "If-Range:"], Whole),
    get(&[FIRST, "If-Range: {etag}, \"x\""], Whole),
    get(&[FIRST, "If-Range: \"x\", {etag}"], Whole),
    get(&[FIRST, "If-Range: {etag}", "If-Range: {etag}"], Whole).nginx(Refused, TWICE),
    get(&["If-Range: {etag}"], Whole),
    get(&["If-Range: \"x\""], Whole),
    get(&[BEYOND, "If-Range: {etag}"], Unsatisfiable),
    get(&[BEYOND, "If-Range: \"x\""], Whole),
    get(&["Range: items=0-1", "If-Range: {etag}"], Whole),
    // If-None-Match and If-Modified-Since.
    get(&[FIRST, "If-None-Match: {etag}"], NotModified),
    get(&["If-None-Match: {etag}"], NotModified),
    get(&[FIRST, "If-None-Match: W/{etag}"], NotModified),
    get(&[FIRST, "If-None-Match: \"x\", {etag}"], NotModified),
    get(&[FIRST, "If-None-Match: \"x\", \"y\",W/{etag}"], NotModified),
    get(&[FIRST, "If-None-Match: *"], NotModified),
    get(&[FIRST, "If-None-Match: \"x\"", "If-None-Match: {etag}"], NotModified).nginx(Refused, TWICE),
    get(&[FIRST, "If-None-Match: \"x\""], Part(0, 2)),
    get(&[FIRST, "If-None-Match: \"é\""], Part(0, 2)),
    get(&[FIRST, "If-None-Match: \"é\", {etag}"], NotModified),
    get(&[FIRST, "If-None-Match:"], Part(0, 2)),
    get(&[FIRST, "If-Modified-Since: {date}"], NotModified),
    get(&[FIRST, "If-Modified-Since: {date850}"], NotModified),
    get(&[FIRST, "If-Modified-Since: {later}"], NotModified),
    get(&[FIRST, "If-Modified-Since: {earlier}"], Part(0, 2)),
    get(&[FIRST, "If-Modified-Since: yesterday"], Part(0, 2)),
    get(&["If-Modified-Since: {earlier}"], Whole),
    get(
        &[FIRST, "If-None-Match: \"x\"", "If-Modified-Since: {date}"],
        Part(0, 2),
    ),
    get(
        &[FIRST, "If-None-Match: {etag}", "If-Modified-Since: {earlier}"],
        NotModified,
    )
    .nginx(Part(0, 2), DATE_FIRST),
    get(&[BEYOND, "If-None-Match: {etag}"], NotModified),
    get(&[BEYOND, "If-None-Match: \"x\""], Unsatisfiable),
    get(&[BEYOND, "If-Modified-Since: {date}"], NotModified),
    // If-Match and If-Unmodified-Since.
    get(&[FIRST, "If-Match: {etag}"], Part(0, 2)),
    get(&[FIRST, "If-Match: \"x\", {etag}"], Part(0, 2)),
    get(&[FIRST, "If-Match: *"], Part(0, 2)),
    get(&["If-Match: {etag}"], Whole),
    get(&[FIRST, "If-Match: \"x\""], Failed),
    get(&[FIRST, "If-Match: \"é\""], Failed),
    get(&[FIRST, "If-Match: W/{etag}"], Failed),
    get(&[FIRST, "If-Match:"], Failed),
    get(&[BEYOND, "If-Match: \"x\""], Failed),
    get(&[BEYOND, "If-Match: {etag}"], Unsatisfiable),
    get(&[FIRST, "If-Unmodified-Since: {date}"], Part(0, 2)),
    get(&[FIRST, "If-Unmodified-Since: {later}"], Part(0, 2)),
    get(&[FIRST, "If-Unmodified-Since: {earlier}"], Failed),
    get(&[FIRST, "If-Unmodified-Since: yesterday"], Part(0, 2)).nginx(
        Failed,
        "nginx fails a date that is none; it has to be ignored (section 13.1.4)",
    ),
    get(&[BEYOND, "If-Unmodified-Since: {earlier}"], Failed),
    get(
        &[FIRST, "If-Match: {etag}", "If-Unmodified-Since: {earlier}"],
        Part(0, 2),
    )
    .nginx(Failed, DATE_FIRST),
    get(&[FIRST, "If-Match: \"x\"", "If-Unmodified-Since: {date}"], Failed),
    // All of them, in the order of section 13.2.2.
    get(&[FIRST, "If-Match: \"x\"", "If-None-Match: {etag}"], Failed),
    get(&[FIRST, "If-Match: {etag}", "If-None-Match: {etag}"], NotModified),
    get(&[FIRST, "If-Match: {etag}", "If-Range: \"x\""], Whole),
    get(&[FIRST, "If-Match: {etag}", "If-Range: {etag}"], Part(0, 2)),
    get(&[FIRST, "If-Match: \"x\"", "If-Range: {etag}"], Failed),
    get(&[FIRST, "If-None-Match: \"x\"", "If-Range: {etag}"], Part(0, 2)),
    get(&[FIRST, "If-None-Match: {etag}", "If-Range: \"x\""], NotModified),
    get(&[FIRST, "If-Modified-Since: {date}", "If-Range: {etag}"], NotModified),
    get(
        &[
            FIRST,
            "If-Unmodified-Since: {date}",
            "If-Modified-Since: {earlier}",
            "If-Range: {date}",
        ],
        Part(0, 2),
    ),
    // HEAD.
    head(&[], Head),
    head(&["Range: bytes=0-5"], Head).nginx(PartOfHead(0, 6), HEAD_RANGE),
    head(&[BEYOND], Head).nginx(Unsatisfiable, HEAD_RANGE),
    head(&["Range: bytes=0-5", "If-Range: \"x\""], Head),
    head(&["If-None-Match: {etag}"], NotModified),
    head(&["If-None-Match: \"x\""], Head),
    head(&["If-Modified-Since: {date}"], NotModified),
    head(&["If-Match: \"x\""], Failed),
    head(&["If-Unmodified-Since: {earlier}"], Failed),
    head(&["If-Match: {etag}"], Head),
];
