//! Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-11, interop version 8).

use super::{C, Field, On::*, T, Vector, v};

const D: Field = ("upload-draft-interop-version", "8");
const LAST: Field = ("upload-complete", "?1");
const MORE: Field = ("upload-complete", "?0");
const P: Field = ("content-type", "application/partial-upload");
const LENGTH: Field = ("upload-length", "5000");
/// With an age, as of what waits for more.
const LIMIT: Field = ("upload-limit", "max-size=10000, max-age=*");
const MISMATCH: Field = (
    "problem.type",
    "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
);
const COMPLETED: Field = (
    "problem.type",
    "https://iana.org/assignments/http-problem-types#completed-upload",
);
const INCONSISTENT: Field = (
    "problem.type",
    "https://iana.org/assignments/http-problem-types#inconsistent-upload-length",
);

const fn at(offset: &'static str) -> Field {
    ("upload-offset", offset)
}

const fn long(length: &'static str) -> Field {
    ("upload-length", length)
}

const fn said(value: &'static str) -> Field {
    ("upload-complete", value)
}

const fn version(value: &'static str) -> Field {
    ("upload-draft-interop-version", value)
}

#[rustfmt::skip]
pub const VECTORS: &[Vector] = &[
    // Which protocol it is (appendix B).
    v("draft: HEAD", "HEAD", Half, &[D], 0, 204, &[MORE, at("2000"), LENGTH, LIMIT, ("cache-control", "no-store"), ("tus-resumable", "-"), ("upload-expires", "-")]),
    v("draft: HEAD in version 7", "HEAD", Half, &[version("7")], 0, 204, &[at("2000")]),
    v("draft: HEAD in version 6", "HEAD", Half, &[version("6")], 0, 204, &[at("2000")]),
    v("draft: HEAD in a version with parameters", "HEAD", Half, &[version("8;a=b")], 0, 204, &[at("2000")]),
    v("draft: HEAD in version 5, whose appends are of another type", "HEAD", Half, &[version("5")], 0, 412, &[version("8"), at("-")]),
    v("draft: HEAD in version 9", "HEAD", Half, &[version("9")], 0, 412, &[version("8")]),
    v("draft: HEAD in version 0", "HEAD", Half, &[version("0")], 0, 412, &[version("8")]),
    v("draft: HEAD in version -8", "HEAD", Half, &[version("-8")], 0, 412, &[version("8")]),
    v("draft: HEAD in version 8.0", "HEAD", Half, &[version("8.0")], 0, 412, &[version("8")]),
    v("draft: HEAD in version \"8\"", "HEAD", Half, &[version("\"8\"")], 0, 412, &[version("8")]),
    v("draft: HEAD in two versions", "HEAD", Half, &[version("7"), D], 0, 412, &[version("8")]),
    v("draft: HEAD in both protocols", "HEAD", Half, &[D, T], 0, 400, &[]),
    v("draft: what a draft request has, without its version", "POST", Collection, &[LAST, LENGTH], 0, 412, &[("tus-version", "1.0.0")]),
    v("draft: OPTIONS tells types and limits", "OPTIONS", Collection, &[D], 0, 204, &[("accept-patch", "application/offset+octet-stream, application/partial-upload"), ("upload-limit", "max-size=*")]),
    v("draft: OPTIONS without a version too", "OPTIONS", Collection, &[], 0, 204, &[("accept-patch", "*"), ("upload-limit", "max-size=*")]),
    v("draft: PUT of the collection", "PUT", Collection, &[D, LAST], 0, 405, &[("allow", "OPTIONS, POST")]),
    v("draft: GET of an upload", "GET", Half, &[D], 0, 405, &[("allow", "OPTIONS, HEAD, PATCH, DELETE")]),
    v("draft: PATCH by override", "POST", Half, &[D, P, MORE, at("2000"), ("x-http-method-override", "PATCH")], 10, 204, &[at("2010")]),

    // Creation (section 4.2).
    v("draft: creation without bytes", "POST", Collection, &[D, MORE], 0, 201, &[MORE, at("0"), LIMIT, ("location", "*"), ("tus-resumable", "-")]),
    v("draft: creation without bytes, of known length", "POST", Collection, &[D, MORE, LENGTH], 0, 201, &[MORE, at("0"), LIMIT, ("location", "*")]),
    v("draft: creation with the first bytes", "POST", Collection, &[D, MORE, LENGTH], 700, 201, &[MORE, at("700"), LIMIT, ("location", "*")]),
    v("draft: creation with the first bytes of who knows how many", "POST", Collection, &[D, MORE], 700, 201, &[MORE, at("700"), LIMIT, ("location", "*")]),
    v("draft: creation with bytes of any type", "POST", Collection, &[D, MORE, ("content-type", "video/mp4")], 700, 201, &[at("700")]),
    v("draft: creation with the type of an append", "POST", Collection, &[D, MORE, P], 700, 201, &[at("700")]),
    v("draft: creation with everything", "POST", Collection, &[D, LAST], 5000, 201, &[LAST, at("5000"), ("location", "*"), ("upload-limit", "max-size=10000"), ("repr-digest", "sha-256=:*")]),
    v("draft: creation with everything and its length", "POST", Collection, &[D, LAST, LENGTH], 5000, 201, &[LAST, at("5000")]),
    v("draft: creation with all bytes, and the end comes later", "POST", Collection, &[D, MORE, LENGTH], 5000, 201, &[MORE, at("5000"), LIMIT]),
    v("draft: creation with another length than its bytes", "POST", Collection, &[D, LAST, long("4999")], 5000, 400, &[INCONSISTENT]),
    v("draft: creation with a length that none of its bytes reach", "POST", Collection, &[D, LAST, LENGTH], 0, 400, &[INCONSISTENT]),
    v("draft: creation with bytes beyond its length", "POST", Collection, &[D, MORE, long("699")], 700, 400, &[INCONSISTENT]),
    v("draft: creation at the limit", "POST", Collection, &[D, MORE, long("10000")], 0, 201, &[LIMIT]),
    v("draft: creation over the limit", "POST", Collection, &[D, MORE, long("10001")], 0, 413, &[("upload-limit", "max-size=10000"), ("location", "-")]),
    v("draft: creation with bytes over the limit", "POST", Collection, &[D, MORE], 10001, 413, &[("upload-limit", "max-size=10000")]),
    v("draft: creation with everything, over the limit", "POST", Collection, &[D, LAST], 10001, 413, &[("upload-limit", "max-size=10000")]),
    v("draft: creation with the largest Integer", "POST", Collection, &[D, MORE, long("999999999999999")], 0, 413, &[("upload-limit", "max-size=10000")]),
    v("draft: a length with 16 digits is none", "POST", Collection, &[D, MORE, long("1000000000000000")], 0, 201, &[at("0")]),
    v("draft: a negative length is none", "POST", Collection, &[D, MORE, long("-1")], 700, 201, &[at("700")]),
    v("draft: a length with a point is none", "POST", Collection, &[D, MORE, long("1.0")], 700, 201, &[at("700")]),
    v("draft: a length in quotes is none", "POST", Collection, &[D, MORE, long("\"1\"")], 700, 201, &[at("700")]),
    v("draft: two lengths are none", "POST", Collection, &[D, MORE, long("1"), long("2")], 700, 201, &[at("700")]),
    v("draft: a length with a parameter is one", "POST", Collection, &[D, MORE, long("699;a")], 700, 400, &[INCONSISTENT]),
    v("draft: a length with leading zeros is one", "POST", Collection, &[D, MORE, long("000699")], 700, 400, &[INCONSISTENT]),
    v("draft: creation that does not say whether it is all", "POST", Collection, &[D, LENGTH], 0, 400, &[]),
    v("draft: creation with complete `1`", "POST", Collection, &[D, LENGTH, said("1")], 0, 400, &[]),
    v("draft: creation with complete `true`", "POST", Collection, &[D, LENGTH, said("true")], 0, 400, &[]),
    v("draft: creation with complete `?2`", "POST", Collection, &[D, LENGTH, said("?2")], 0, 400, &[]),
    v("draft: creation with complete ``", "POST", Collection, &[D, LENGTH, said("")], 0, 400, &[]),
    v("draft: creation with complete twice", "POST", Collection, &[D, LENGTH, MORE, LAST], 0, 400, &[]),
    v("draft: creation with complete and a parameter", "POST", Collection, &[D, LENGTH, said("?0;why=later")], 0, 201, &[MORE]),
    v("draft: creation ignores an offset", "POST", Collection, &[D, MORE, LENGTH, at("7")], 0, 201, &[at("0")]),
    v("draft: creation ignores what belongs to tus", "POST", Collection, &[D, MORE, ("upload-metadata", "a"), ("upload-concat", "x"), ("upload-defer-length", "7")], 0, 201, &[at("0")]),

    // Where it is (section 4.3).
    v("draft: HEAD of a fresh upload", "HEAD", Fresh, &[D], 0, 204, &[MORE, at("0"), LENGTH, LIMIT, ("upload-metadata", "-")]),
    v("draft: HEAD of an upload without a length", "HEAD", Deferred, &[D], 0, 204, &[MORE, at("100"), long("-"), LIMIT, ("upload-defer-length", "-")]),
    v("draft: HEAD of all bytes that nobody called all", "HEAD", AllButSaid, &[D], 0, 204, &[MORE, at("5000"), LENGTH, LIMIT]),
    v("draft: HEAD of a finished upload", "HEAD", Done, &[D], 0, 204, &[LAST, at("5000"), LENGTH, ("upload-limit", "max-size=10000")]),
    v("draft: HEAD of a whole part", "HEAD", Part, &[D], 0, 204, &[LAST, at("300")]),
    v("draft: HEAD of nothing", "HEAD", Nothing, &[D], 0, 404, &[at("-"), said("-")]),
    v("draft: HEAD of what is gone", "HEAD", Gone, &[D], 0, 410, &[at("-"), said("-")]),

    // Append (section 4.4).
    v("draft: PATCH", "PATCH", Half, &[D, P, MORE, at("2000")], 1000, 204, &[MORE, at("3000"), LIMIT, ("tus-resumable", "-")]),
    v("draft: PATCH of the first bytes", "PATCH", Fresh, &[D, P, MORE, at("0")], 1, 204, &[MORE, at("1")]),
    v("draft: PATCH without a length", "PATCH", Deferred, &[D, P, MORE, at("100")], 50, 204, &[MORE, at("150")]),
    v("draft: PATCH of no bytes", "PATCH", Half, &[D, P, MORE, at("2000")], 0, 204, &[MORE, at("2000")]),
    v("draft: PATCH of the rest", "PATCH", Half, &[D, P, LAST, at("2000")], 3000, 200, &[LAST, at("5000"), ("upload-limit", "max-size=10000"), ("repr-digest", "sha-256=:*")]),
    v("draft: PATCH of the rest, whose length was not known", "PATCH", Deferred, &[D, P, LAST, at("100")], 4900, 200, &[LAST, at("5000")]),
    v("draft: PATCH of the rest, and the end comes later", "PATCH", Half, &[D, P, MORE, at("2000")], 3000, 204, &[MORE, at("5000"), LIMIT]),
    v("draft: PATCH of nothing that says that it was all", "PATCH", AllButSaid, &[D, P, LAST, at("5000")], 0, 200, &[LAST, at("5000")]),
    v("draft: PATCH that says its length", "PATCH", Deferred, &[D, P, MORE, at("100"), LENGTH], 50, 204, &[MORE, at("150")]),
    v("draft: PATCH with a type that has parameters", "PATCH", Half, &[D, ("content-type", "Application/Partial-Upload ; a=b"), MORE, at("2000")], 10, 204, &[at("2010")]),
    v("draft: PATCH with the type of tus", "PATCH", Half, &[D, C, MORE, at("2000")], 10, 415, &[]),
    v("draft: PATCH without a type", "PATCH", Half, &[D, MORE, at("2000")], 0, 415, &[]),
    v("tus: PATCH with the type of the draft", "PATCH", Half, &[T, P, at("2000")], 10, 415, &[]),
    v("draft: PATCH without an offset", "PATCH", Half, &[D, P, MORE], 10, 400, &[]),
    v("draft: PATCH with the offset `-1`", "PATCH", Half, &[D, P, MORE, at("-1")], 10, 400, &[]),
    v("draft: PATCH with the offset `2000.0`", "PATCH", Half, &[D, P, MORE, at("2000.0")], 10, 400, &[]),
    v("draft: PATCH with the offset `2000 `", "PATCH", Half, &[D, P, MORE, at("2000 ")], 10, 204, &[at("2010")]),
    v("draft: PATCH with the offset twice", "PATCH", Half, &[D, P, MORE, at("2000"), at("2000")], 10, 400, &[]),
    v("draft: PATCH that does not say whether it is all", "PATCH", Half, &[D, P, at("2000")], 10, 400, &[]),
    v("draft: PATCH before the offset", "PATCH", Half, &[D, P, MORE, at("1999")], 10, 409, &[at("2000"), MISMATCH, ("problem.expected-offset", "2000"), ("problem.provided-offset", "1999"), ("problem.code", "offset_mismatch")]),
    v("draft: PATCH after the offset", "PATCH", Half, &[D, P, LAST, at("2001")], 2999, 409, &[at("2000"), MISMATCH, ("problem.expected-offset", "2000"), ("problem.provided-offset", "2001")]),
    v("draft: PATCH that contradicts the length by its end", "PATCH", Half, &[D, P, LAST, at("2000")], 2999, 400, &[INCONSISTENT]),
    v("draft: PATCH beyond the length", "PATCH", Half, &[D, P, MORE, at("2000")], 3001, 400, &[INCONSISTENT]),
    v("draft: PATCH with another length", "PATCH", Half, &[D, P, MORE, at("2000"), long("5001")], 10, 400, &[INCONSISTENT]),
    v("draft: PATCH with two lengths that differ", "PATCH", Deferred, &[D, P, LAST, at("100"), LENGTH], 10, 400, &[INCONSISTENT]),
    v("draft: PATCH with a length below the offset", "PATCH", Deferred, &[D, P, MORE, at("100"), long("99")], 0, 400, &[INCONSISTENT]),
    v("draft: PATCH with a length over the limit", "PATCH", Deferred, &[D, P, MORE, at("100"), long("10001")], 10, 413, &[("upload-limit", "max-size=10000")]),
    v("draft: PATCH over the limit", "PATCH", Deferred, &[D, P, MORE, at("100")], 9901, 413, &[("upload-limit", "max-size=10000")]),
    v("draft: PATCH of a finished upload", "PATCH", Done, &[D, P, LAST, at("5000")], 1, 400, &[INCONSISTENT]),
    v("draft: PATCH of a finished upload with nothing", "PATCH", Done, &[D, P, LAST, at("5000")], 0, 400, &[COMPLETED]),
    v("draft: PATCH of a finished upload somewhere else", "PATCH", Done, &[D, P, LAST, at("2000")], 3000, 409, &[at("5000"), MISMATCH]),
    v("draft: PATCH of a whole part", "PATCH", Part, &[D, P, LAST, at("300")], 0, 400, &[COMPLETED]),
    v("draft: PATCH of a part's rest", "PATCH", OpenPart, &[D, P, LAST, at("100")], 200, 204, &[LAST, at("300")]),
    v("draft: PATCH of a final upload", "PATCH", Final, &[D, P, LAST, at("5000")], 0, 403, &[]),
    v("draft: PATCH of nothing", "PATCH", Nothing, &[D, P, MORE, at("0")], 10, 404, &[]),
    v("draft: PATCH of what is gone", "PATCH", Gone, &[D, P, MORE, at("0")], 10, 410, &[]),
    v("tus: PATCH of no bytes to what only nobody called all", "PATCH", AllButSaid, &[T, C, at("5000")], 0, 204, &[at("5000"), ("upload-expires", "-")]),
    v("tus: HEAD of what only nobody called all", "HEAD", AllButSaid, &[T], 0, 200, &[at("5000"), ("upload-expires", "-")]),

    // Digests (section 10.2). The hash is that of no bytes.
    v("draft: a digest that holds", "PATCH", Half, &[D, P, MORE, at("2000"), ("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")], 0, 204, &[at("2000")]),
    v("draft: a digest of a kind nobody knows", "PATCH", Half, &[D, P, MORE, at("2000"), ("content-digest", "md9=:AA==:")], 10, 204, &[at("2010")]),
    v("draft: a digest that can't be read", "PATCH", Half, &[D, P, MORE, at("2000"), ("content-digest", "sha-256")], 10, 204, &[at("2010")]),

    // The end (section 4.5).
    v("draft: DELETE", "DELETE", Half, &[D], 0, 204, &[("tus-resumable", "-")]),
    v("draft: DELETE of a finished upload", "DELETE", Done, &[D], 0, 409, &[]),
    v("draft: DELETE of nothing", "DELETE", Nothing, &[D], 0, 404, &[]),
    v("draft: DELETE of what is gone", "DELETE", Gone, &[D], 0, 410, &[]),
];
