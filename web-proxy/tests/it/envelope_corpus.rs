//! The corpus of the fuzz target `envelope` on stable Rust, with mutations of it.

use crate::frames::corpus::over_corpus;

#[path = "../../fuzz/bodies/envelope.rs"]
mod envelope;

#[test]
fn envelope_target() {
    over_corpus("envelope", envelope::envelope);
}
