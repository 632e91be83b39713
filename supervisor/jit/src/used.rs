//! What lowering does in some kernels only. Tests of random kernels rest on all of it coming up.

use std::collections::BTreeSet;

/// Every name that [`Used`] may have.
pub const USES: &[&str] = &[
    // Worlds, regions and what has no code.
    "second world",
    "back to the first world",
    "narrow world",
    "part of a warp",
    "passes",
    "passes abreast",
    "passes in a loop",
    "loop in passes",
    "turns",
    "certain region",
    "recomputed",
    "aside",
    "sweep",
    "row swept",
    "rounds proven",
    "ends of a pattern",
    "parted in a known way",
    "step",
    // Loads of lanes that lie in a pattern.
    "group",
    "halves as a word",
    "whole chunk",
    "half a chunk",
    "halves of chunks paired",
    "packed pieces",
    "rows transposed",
    "part of rows",
    "ahead",
    "tile ahead",
    // Other accesses.
    "masked load",
    "gather",
    "scatter",
    "row stored",
    "part of a row stored",
    "interleaved store",
    "a row of each lane",
    "a row of each lane stored",
    "rows stored as loaded",
    "rows stored at a pattern",
    "reach by lanes",
    "stacked",
    "copy",
    "copy of what is taken",
    // Atomics.
    "atomic of all lanes",
    "atomic with ranks",
    "shared atomics of lanes",
    "atomics of lanes",
    "polls counted",
    // Products.
    "dot of words",
    "dot of small bytes",
    "dot of signed bytes",
    "dot of chunks",
    "dot of unsigned bytes",
    "dot of both",
    "product of integers",
    "product of floats",
    "factor packed before",
    "matrices loaded",
    "matrices loaded transposed",
    "matrices stored",
    "matrix transposed",
];

/// Which of [`USES`] a kernel's code has.
#[derive(Clone, Debug, Default)]
pub struct Used(BTreeSet<&'static str>);

impl Used {
    /// Has come up.
    pub(crate) fn note(&mut self, what: &'static str) {
        debug_assert!(USES.contains(&what), "{what}");
        self.0.insert(what);
    }

    /// All that has come up.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}
