//! Every getter of NVML's export list, asked by `nvml-walk` under `vgpu-run --gpu h100`, beside what an H100's library answered
//! (driver 580.159.04); of its answers only fields' bytes are kept.
//!
//! Compared is the result of each call: which of NVML's errors, or success. What differs stands in `nvml-differs.txt`, a function a line,
//! with the reason; a line that is needless fails like one that is missing, so the list can only get shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::Command;

const RECORDED: &[u8] = include_bytes!("nvml-getters.txt.xz");
const DIFFERS: &str = include_str!("nvml-differs.txt");

/// `name(arguments) = result …`, in order; of calls that come again all results.
fn results(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut results: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("nvml")) {
        if let Some((call, answer)) = line.split_once(" = ") {
            results.entry(call).or_default().push(result(call, answer));
        }
    }
    results
}

/// Of a field the result is inside its structure, behind its number, times and type.
fn result<'a>(call: &str, answer: &'a str) -> &'a str {
    const AT: std::ops::Range<usize> = 56..64;
    let code = answer.split(' ').next().unwrap_or_default();
    let bytes = answer.split(['[', ']']).nth(1);
    match bytes.filter(|_| call.starts_with("nvmlDeviceGetFieldValues")) {
        Some(bytes) => bytes.get(AT).unwrap_or("00000000"),
        None => code,
    }
}

fn function(call: &str) -> &str {
    call.split(['(', ' ']).next().unwrap_or_default()
}

#[test]
fn getters_have_the_recorded_results() {
    let walk = Path::new(env!("CARGO_BIN_EXE_nvml-walk"));
    let vgpu_run = walk.with_file_name("vgpu-run");
    assert!(vgpu_run.exists(), "run `make build` first");
    let output = Command::new(vgpu_run).args(["--gpu", "h100", "--"]).arg(walk).output().expect("a run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    let mut recorded = String::new();
    lzma_rust2::XzReader::new(RECORDED, false).read_to_string(&mut recorded).expect("a recording");
    let (told, recorded) = (results(&told), results(&recorded));
    assert!(recorded.len() > 700, "{} calls", recorded.len());
    let differ: BTreeSet<&str> = recorded
        .iter()
        .filter(|(call, results)| told.get(*call) != Some(results))
        .map(|(call, _)| function(call))
        .collect();
    let allowed: BTreeSet<&str> = DIFFERS
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "#")
        .collect();
    let (new, needless) =
        (differ.difference(&allowed).collect::<Vec<_>>(), allowed.difference(&differ).collect::<Vec<_>>());
    assert!(new.is_empty() && needless.is_empty(), "differ: {new:?}; need not be listed: {needless:?}");
}
