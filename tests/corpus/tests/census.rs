//! One kernel in a hundred of the carriers that other tests fetch anyway. The whole census is `make clients`.

use corpus::carriers::carrier;
use corpus::census::{Census, Plan, take};

/// Decides which kernels are taken; another seed takes others.
const SEED: u64 = 20_261_125;

#[test]
fn one_kernel_in_a_hundred_parses_verifies_and_survives_printing() {
    let plan = Plan {
        images_one_in: 10,
        one_in: 10,
        seed: SEED,
        round_trip: true,
        decode: false,
        compile_one_in: 0,
    };
    let mut total = Census::default();
    for name in ["llama-cuda", "llama-cuda-ext", "gpt4all"] {
        let sources = carrier(name).expect("a row of the table").sources().expect("the package is fetched");
        let census = take(&sources, plan);
        println!(
            "seed {SEED}: {name}: {} of {} kernels of {} images, scanned at {:.0} and parsed at {:.0} MB/s",
            census.parsed,
            census.kernels,
            census.images,
            census.scan_speed(),
            census.parse_speed()
        );
        total.add(census);
    }
    assert!(total.refused.is_empty(), "refused: {:#?}", total.refused);
    assert!(total.invalid.is_empty(), "against the verifier's rules: {:#?}", total.invalid);
    assert!(total.changed.is_empty(), "changed by printing: {:#?}", total.changed);
    assert_eq!(total.parsed, total.kernels);
    // 64,658 kernels are in these carriers.
    assert!((300..1300).contains(&total.kernels), "{} kernels are no hundredth", total.kernels);
}
