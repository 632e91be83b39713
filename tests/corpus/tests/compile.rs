//! A seeded sample of a client's kernels compiles, each within its budget.

use corpus::carriers::carrier;
use corpus::census::{Plan, take};

/// Of the 29,000 kernels that node-llama-cpp's package has for all its capabilities; `census --compile-one-in N` takes of all
/// packages one in so many.
#[test]
fn a_sample_of_kernels_compiles_within_its_budget() {
    let plan =
        Plan { images_one_in: 40, one_in: 36, seed: 2, round_trip: false, decode: true, compile_one_in: 1 };
    let sources = carrier("llama-cuda-ext").expect("a carrier").sources().expect("the package is fetched");
    let census = take(&sources, plan);
    let compiled = census.compiled;
    println!("{compiled}");
    assert!(census.undecoded.is_empty(), "{:?}", census.undecoded);
    assert_eq!(compiled.broken, Vec::<String>::new());
    assert!(compiled.compiled >= 20, "{} kernels are no sample", compiled.compiled);
    // Of the processor's time; still a machine that does much else may take longer for one or two.
    assert!(compiled.late.len() * 10 < compiled.compiled, "over their budget: {:?}", compiled.late);
}
