//! `target/bench.json`: a list of rows with name, ratio, ours, native, unit and spread, from several programs.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// Puts rows into the list; a row of the same name is replaced.
pub fn append(rows: &[Value]) {
    let file = path();
    let known = fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut all: Vec<Value> = known.unwrap_or_default();
    all.retain(|row| rows.iter().all(|new| new["name"] != row["name"]));
    all.extend_from_slice(rows);
    fs::write(&file, serde_json::to_string_pretty(&all).expect("plain data")).expect("writes bench.json");
}

/// Beside the directory that this program was built into: `target/bench.json` for `target/release/bench-device`.
fn path() -> PathBuf {
    let program = std::env::current_exe().expect("the benchmark's own path");
    program.ancestors().nth(2).expect("a build directory").join("bench.json")
}
