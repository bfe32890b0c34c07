//! The table of conformance vectors: what is asked, of an upload in which state, and how it is answered. Run against the plan
//! alone and against the real socket on both databases (see `table.rs`).

mod creation;
mod draft;
mod existing;
mod protocol;

/// The state of the upload that is asked for. Of a video whose file has 5,000 bytes, by a grant for 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// `/uploads` itself.
    Collection,
    /// An id that no upload has.
    Nothing,
    /// Ended by its client.
    Gone,
    /// 0 of 5,000 bytes, with metadata.
    Fresh,
    /// 2,000 of 5,000 bytes.
    Half,
    /// 100 bytes of a length that isn't known.
    Deferred,
    /// A part with 100 of 300 bytes.
    OpenPart,
    /// A part with 300 of 300 bytes.
    Part,
    /// 5,000 of 5,000 bytes, sent by a client of the draft that did not say that these are all.
    AllButSaid,
    /// A stored video.
    Done,
    /// A stored video, made of one part.
    Final,
}

pub type Field = (&'static str, &'static str);

pub struct Vector {
    pub name: &'static str,
    pub method: &'static str,
    pub on: On,
    pub head: &'static [Field],
    /// Bytes of the body, declared as they are.
    pub body: usize,
    pub status: u16,
    /// Fields of the answer: a value, `*` for any, `-` for none; `*` at the end of a value for anything more. With `problem.`
    /// before its name a member of the problem document.
    pub told: &'static [Field],
}

pub const T: Field = ("tus-resumable", "1.0.0");
pub const C: Field = ("content-type", "application/offset+octet-stream");

const fn v(
    name: &'static str,
    method: &'static str,
    on: On,
    head: &'static [Field],
    body: usize,
    status: u16,
    told: &'static [Field],
) -> Vector {
    Vector {
        name,
        method,
        on,
        head,
        body,
        status,
        told,
    }
}

pub fn all() -> impl Iterator<Item = &'static Vector> {
    [protocol::VECTORS, creation::VECTORS, existing::VECTORS, draft::VECTORS]
        .into_iter()
        .flatten()
}
