//! Calls on the driver's nodes, which no library makes.

use tests::launch;

use crate::Place;

fn lines(options: &[&str]) -> Vec<String> {
    let place = Place::new();
    let file = place.file("lines");
    let options = [&["trace", "--gpu", "h100"], options, &["-o", file.to_str().expect("a path")]].concat();
    launch("asks").real_payload().options(options).arguments(["8"]).run_in_time().assert_exit(0);
    std::fs::read_to_string(&file).expect("the trace").lines().map(str::to_owned).collect()
}

/// What stands behind the time and the process, without how long it took.
fn call(line: &str) -> &str {
    let words = line.trim_start().splitn(3, ' ').nth(2).unwrap_or_else(|| panic!("`{line}`"));
    words.rsplit_once(" <").unwrap_or_else(|| panic!("`{line}`")).0
}

#[test]
fn calls_on_nodes_are_decoded() {
    let lines = lines(&[]);
    let calls: Vec<&str> = lines.iter().map(|line| call(line)).collect();
    assert_eq!(calls.len(), 5, "{calls:#?}");
    assert_eq!(calls[0], "NV_ESC_RM_ALLOC NV01_ROOT_CLIENT → hObjectNew=0xc1d00001 status=NV_OK");
    let name = "gpuNameString.ascii=\"NVIDIA H100 80GB HBM3\" status=NV_OK";
    assert!(calls[3].starts_with("NV_ESC_RM_CONTROL NV2080_CTRL_CMD_GPU_GET_NAME_STRING hClient=0xc1d00001"));
    assert!(calls[3].ends_with(name), "{calls:#?}");
}

#[test]
fn names_of_escapes_controls_and_classes_choose() {
    for (filter, expected) in [
        ("NV_ESC_RM_CONTROL", 2),
        ("*_DEVICE_0", 1),
        ("NV_ESC_*,!*_ROOT_CLIENT", 4),
        ("!NV_ESC_*", 0),
        ("cuda", 0),
    ] {
        let lines = lines(&["--filter", filter]);
        assert_eq!(lines.len(), expected, "{filter}: {lines:#?}");
    }
}
