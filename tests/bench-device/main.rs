//! What asking the virtual GPU costs: context, launch, synchronisation, memory, each beside a byte through a pair of pipes
//! and back, the machine's own price of asking another process. No kernel does any work.
//!
//! Prints a table and puts rows into `bench.json` in the build directory.

use serde_json::{Value, json};
use tests::{bench_json, launch};

/// What `tests/targets/device.c timed` prints, in its order; the last number is the native one.
const NAMES: [&str; 6] = [
    "dlopen of libcuda, first in session",
    "cuInit and first context",
    "module, first launch and its end",
    "empty launch, client side",
    "launch and synchronise",
    "allocate and free 4 MiB",
];
const ROUNDS: usize = 9;

fn main() {
    let mut columns: [Vec<f64>; NAMES.len() + 1] = Default::default();
    for _ in 0..ROUNDS {
        let run = launch("device").arguments(["timed"]).options(["--gpu", "gtx1080"]).real_payload().run();
        let text = run.assert_exit(0).stdout();
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers.len(), columns.len(), "{text}");
        columns.iter_mut().zip(numbers).for_each(|(column, nanoseconds)| column.push(nanoseconds / 1e3));
    }
    columns.iter_mut().for_each(|column| column.sort_by(f64::total_cmp));
    let native = columns[NAMES.len()][ROUNDS / 2];
    println!("{:<36} {:>8} {:>10} {:>10}", "what", "ratio", "ours", "pipes");
    let rows: Vec<Value> = NAMES.iter().zip(&columns).map(|(name, ours)| row(name, ours, native)).collect();
    bench_json::append(&rows);
}

/// Median and its ratio; the spread is the middle half relative to the median.
fn row(name: &str, ours: &[f64], native: f64) -> Value {
    let median = ours[ROUNDS / 2];
    let spread = (ours[ROUNDS * 3 / 4] - ours[ROUNDS / 4]) / median;
    println!("{name:<36} {:>8.3} {median:>10.2} {native:>10.2} us", median / native);
    json!({"name": name, "ratio": median / native, "ours": median, "native": native, "unit": "us", "spread": spread})
}
