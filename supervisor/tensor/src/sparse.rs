//! Factors of which half the elements are zero and left out (`mma.sp`).
/// Where the elements that are there belong.
#[derive(Clone, Copy, Debug)]
pub struct Sparsity;
