//! A timeline, as the messages that Perfetto's own Python package declares read it (`timeline.py`). Perfetto's `trace_processor` is
//! not to be had from a package registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::skipped;

use crate::{Place, ends_right, traced};

/// Python with Perfetto's messages; `None`, and a word why, if they can't be had.
fn python() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/fetch-perfetto");
    let output = Command::new(&script).output().expect("a script of ours");
    if output.status.success() {
        return Some(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    skipped(&format!("fetch-perfetto: {}", complaint.lines().last().unwrap_or("no word why")));
    None
}

/// What the checker has found in a timeline, which it has held to be sound.
fn checked(python: &Path, file: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("trace/timeline.py");
    let output = Command::new(python).arg(script).arg(file).output().expect("Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn timeline_has_calls_kernels_and_copies_and_what_queued_them() {
    let Some(python) = python() else { return };
    for tier in ["interpreter", "compiled"] {
        let place = Place::new();
        let file = place.file("timeline");
        let options = ["--perfetto", file.to_str().expect("a path")];
        ends_right(&traced("work", &options).variable("VGPU_RUN_TIER", tier).run());
        check_work(&checked(&python, &file), tier);
    }
}

fn check_work(found: &Value, tier: &str) {
    let slices = found["slices"].as_array().expect("a list");
    let of = |category: &str| -> Vec<&Value> {
        slices.iter().filter(|slice| slice["category"] == category).collect()
    };
    let kernels = of("kernel");
    let shapes: Vec<String> = kernels
        .iter()
        .map(|kernel| format!("{} {} {}", kernel["name"], kernel["args"]["grid"], kernel["args"]["block"]))
        .collect();
    let mut expected =
        [[4, 256], [8, 128], [2, 512]].map(|[grid, block]| format!("\"twice\" [{grid},1,1] [{block},1,1]"));
    expected.sort();
    let mut sorted = shapes;
    sorted.sort();
    assert_eq!(sorted, expected);
    let word = if tier == "compiled" { "compiled" } else { "interpreted" };
    for kernel in &kernels {
        assert_eq!(kernel["args"]["tier"], word, "{kernel}");
        assert_eq!(kernel["queued_by"], "cuLaunchKernel", "{kernel}");
        assert!(kernel["finished"] == true && kernel["duration"].as_u64() > Some(0), "{kernel}");
        assert!(kernel["track"].as_str().is_some_and(|track| track.starts_with("Stream ")), "{kernel}");
    }
    let tracks: std::collections::BTreeSet<_> =
        kernels.iter().map(|kernel| kernel["track"].as_str()).collect();
    assert_eq!(tracks.len(), 2, "each stream has its own track");
    let fills: Vec<_> = of("work").into_iter().filter(|work| work["name"] == "fill").collect();
    assert_eq!(fills.len(), 2);
    assert!(
        fills.iter().all(|fill| fill["args"]["bytes"] == 4096 && fill["queued_by"] == "cuMemsetD32Async")
    );
    let copies: Vec<_> = of("work").into_iter().filter(|work| work["name"] == "copy").collect();
    assert!(
        copies
            .iter()
            .any(|copy| { copy["args"]["bytes"] == 4096 && copy["queued_by"] == "cuMemcpyDtoDAsync_v2" })
    );
    let by_the_thread = of("step").into_iter().find(|step| step["name"] == "copy");
    assert!(
        by_the_thread
            .is_some_and(|step| step["inside"] == "cuMemcpyDtoH_v2" && step["args"]["bytes"] == 4096)
    );
    let compiled = of("compile");
    assert_eq!(compiled.is_empty(), tier == "interpreter", "{compiled:?}");
    let init = of("cuda").into_iter().find(|call| call["name"] == "cuInit").expect("cuInit");
    assert_eq!(init["args"]["result"], "CUDA_SUCCESS");
    assert!(init["track"].as_str().is_some_and(|track| track.starts_with("traced ")), "{init}");
    assert_eq!(found["processes"].as_array().map(Vec::len), Some(1), "{}", found["processes"]);
}

#[test]
fn timeline_of_a_killed_program_is_sound_and_has_its_unfinished_kernel() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let file = place.file("timeline");
    let options = ["--perfetto", file.to_str().expect("a path")];
    traced("killed", &options).run().assert_signal(libc::SIGKILL);
    let found = checked(&python, &file);
    let slices = found["slices"].as_array().expect("a list");
    let unfinished: Vec<_> =
        slices.iter().filter(|slice| slice["finished"] == false).map(|slice| &slice["name"]).collect();
    assert!(unfinished.iter().any(|name| **name == "endless"), "{unfinished:?}");
    assert!(unfinished.iter().any(|name| **name == "cuCtxSynchronize"), "{unfinished:?}");
}
