//! Every way to name a file and to get at a descriptor of it. What is ours is given by the ways that the table lists, and by all
//! others the kernel answers as if we were not there.

use std::fs;
use std::path::PathBuf;

use tests::{has_program, is_root, launch, launch_path, skipped, workshop};

/// Ways of `tests/targets/opens.c` that lead to the device node. The others: flags that no client passes, names below magic
/// links of /proc, roots that only the kernel knows, and descriptors for directories, which only `--overlay=full` looks at.
const TO_THE_NODE: &[&str] = &[
    "open: node nonblock",
    "open cloexec: node nonblock cloexec",
    "open read-write nonblock: node nonblock cloexec",
    "openat cwd: node nonblock",
    "at the end of memory: node nonblock",
    "long: node nonblock",
    "roundabout: node nonblock",
    "from its directory: node nonblock",
    "openat2: node nonblock cloexec",
    "openat2 write: node nonblock",
    "openat2 from directory: node nonblock",
    "openat2 no magic links: node nonblock",
    "openat2 no links: node nonblock",
    "below a symbolic link: node nonblock",
    // A socket, which the kernel opens no second time.
    "/proc/self/fd: ENXIO",
    "/proc/self/fd path: node path",
    "passed by another process: node nonblock",
];

/// The same for a library: its name is ours in any directory.
const TO_THE_LIBRARY: &[&str] = &[
    "open: file read",
    "open cloexec: file cloexec read",
    "openat cwd: file read",
    "at the end of memory: file read",
    "long: file read",
    "roundabout: file read",
    "from its directory: file read",
    "openat2: file cloexec read",
    "openat2 from directory: file read",
    "openat2 no magic links: file read",
    "openat2 no links: file read",
    "below a symbolic link: file read",
    "below /proc/self/root: file read",
    "below /proc/self/fd: file read",
    "below /dev/fd: file read",
    "below /proc/self/cwd: file read",
    "/proc/self/fd: file read",
    "/proc/self/fd path: file path",
    "passed by another process: file read",
];

/// Opens a file in all ways; those that vgpu-run answered.
fn answered(path: &str) -> Vec<String> {
    let both = launch("opens").arguments([path]).both();
    both.assert_works();
    both.different_lines()
}

#[test]
fn an_ordinary_file_is_opened_as_ever() {
    for path in ["/etc/hostname", "/no/such/directory/file", "/etc/ld.so.conf"] {
        launch("opens").arguments([path]).both().assert_works().assert_same();
        launch("opens").options(["--overlay", "full"]).arguments([path]).both().assert_works().assert_same();
    }
}

#[test]
fn the_device_node_is_given_to_clients_and_to_nobody_else() {
    assert_eq!(answered("/dev/nvidiactl"), TO_THE_NODE);
}

#[test]
fn a_driver_library_is_given_by_its_name() {
    assert_eq!(answered("/usr/lib/x86_64-linux-gnu/libcuda.so.1"), TO_THE_LIBRARY);
}

#[test]
fn a_node_that_is_refused_is_refused_in_the_same_ways() {
    let way = |line: &str| line[..line.find(": ").unwrap()].to_owned();
    let expected: Vec<_> = TO_THE_NODE.iter().map(|line| format!("{}: ENXIO", way(line))).collect();
    assert_eq!(answered("/dev/nvidia0"), expected);
}

#[test]
fn the_node_is_found_where_dev_is_mounted_a_second_time() {
    if !is_root() || !has_program("unshare") {
        return skipped("not root");
    }
    let place = workshop::directory().join(format!("second-dev-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let script = format!(
        "mount --bind /dev {0} && exec {1} {0}/nvidiactl",
        place.display(),
        workshop::target("opens").unwrap().display()
    );
    let shell = launch_path("unshare").arguments(["--mount", "sh", "-c", &script]);
    let both = shell.both();
    fs::remove_dir(&place).unwrap();
    assert_eq!(both.assert_works().different_lines(), TO_THE_NODE);
}

/// No filter sees what happens in a ring, so a program that opens the device there has none, as without vgpu-run; the report
/// names it.
#[test]
fn opens_through_a_ring_are_the_kernels_and_the_report_says_so() {
    for path in ["/etc/hostname", "/dev/nvidiactl", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"] {
        let ring = || launch("ring_opens").arguments([path]);
        let both = ring().both();
        if both.native.status().code() == Some(77) {
            return skipped(both.native.stdout().trim());
        }
        both.assert_works().assert_same();
        ring().options(["--report"]).run_in_time().assert_stderr_has("uses io_uring");
    }
}

/// A descriptor of the node serves whoever has it, also who has lost all names to it.
#[test]
fn a_passed_node_answers_control_calls_in_another_root() {
    if !is_root() {
        return skipped("not root");
    }
    let root = workshop::directory().join(format!("empty-root-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    let root: PathBuf = root;
    let run = launch("passed_node").arguments([&root]).run_in_time();
    fs::remove_dir(root).unwrap();
    run.assert_exit(0).assert_stdout("answered\n");
}
