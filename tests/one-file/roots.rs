//! One file in empty roots.

use std::process::Output;

use tests::{is_root, kernel_is_at_least, skipped, workshop};

use crate::root::{Root, Surroundings};

/// The richest surroundings; tests take something away.
const ALL: Surroundings = Surroundings { proc: true, writable: true, home: true, ordinary: false };

/// All that can be had or not.
fn every_kind() -> impl Iterator<Item = Surroundings> {
    (0..16).map(|bits| Surroundings {
        proc: bits & 1 != 0,
        writable: bits & 2 != 0,
        home: bits & 4 != 0,
        ordinary: bits & 8 != 0,
    })
}

/// Without the kernel's process files, an ordinary user's vgpu-run gives its libraries from a cache directory or not at all,
/// and has to ask newer kernels which process a thread belongs to.
fn must_work(Surroundings { proc, writable, home, ordinary }: Surroundings) -> bool {
    proc || !ordinary || writable && home && kernel_is_at_least(6, 13)
}

fn can_make_roots() -> bool {
    if !is_root() {
        skipped("not root");
    }
    is_root()
}

fn dynamic() -> Root {
    let program = workshop::target("device").expect("a C compiler");
    Root::new(&[program]).with_what_the_driver_needs()
}

fn text(output: &Output) -> String {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, lossy(&output.stdout), lossy(&output.stderr))
}

fn assert_ran(surroundings: Surroundings, output: &Output, is_right: impl Fn(&str) -> bool) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && is_right(&printed), "{surroundings:?}: {}", text(output));
}

/// A UUID as `device identity` prints it.
fn is_uuid(printed: &str) -> bool {
    let digits = printed.trim_end();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn dynamic_program_computes_in_every_kind_of_empty_root_or_is_told_what_is_missing() {
    if !can_make_roots() {
        return;
    }
    for surroundings in every_kind() {
        let root = dynamic();
        let output = root.run(surroundings, &["--report", "/bin/device", "identity"]);
        let said = text(&output);
        if must_work(surroundings) {
            assert_ran(surroundings, &output, is_uuid);
        } else {
            assert!(!output.status.success(), "{surroundings:?}: {said}");
            assert!(said.contains("hint: mount it: `mount -t proc proc /proc`"), "{surroundings:?}: {said}");
        }
        let Surroundings { writable, home, ordinary, .. } = surroundings;
        let from_memory = said.contains("our libcuda.so.1, from memory");
        assert_eq!(from_memory, must_work(surroundings) && !(writable && home), "{surroundings:?}: {said}");
        let (own, others) = if ordinary { ("home", "root") } else { ("root", "home") };
        let left = root.files(own);
        assert_eq!(left.is_empty(), !(writable && home), "{surroundings:?}: {left:?}");
        assert!(root.files(others).is_empty() && root.files("proc").is_empty(), "{surroundings:?}");
    }
}

#[test]
fn kernels_run_where_the_engine_has_no_file() {
    if !can_make_roots() {
        return;
    }
    for ordinary in [false, true] {
        let surroundings = Surroundings { home: false, writable: false, ordinary, ..ALL };
        let output = dynamic().run(surroundings, &["/bin/device", "cooperating"]);
        assert_ran(surroundings, &output, |printed| printed == "ok\n");
    }
}

#[test]
fn static_program_sees_the_device_in_every_kind_of_empty_root() {
    if !can_make_roots() {
        return;
    }
    let root = Root::new(&[workshop::target("static_sees").expect("a C compiler")]);
    assert_eq!(root.files(""), ["bin/static_sees", "bin/vgpu-run"].map(str::to_owned).into());
    for surroundings in every_kind().filter(|&surroundings| must_work(surroundings)) {
        let output = root.run(surroundings, &["/bin/static_sees"]);
        assert_ran(surroundings, &output, |printed| printed == "device\n");
    }
}

#[test]
fn library_that_ours_needs_and_the_root_lacks_is_named() {
    if !can_make_roots() {
        return;
    }
    let root = Root::new(&[workshop::target("device").expect("a C compiler")]);
    let said = text(&root.run(ALL, &["/bin/device", "identity"]));
    assert!(said.contains("libcuda.so.1` does not load") && said.contains("libpthread.so.0"), "{said}");
}

#[test]
fn doctor_says_what_it_finds_in_an_empty_root() {
    if !can_make_roots() {
        return;
    }
    let said = text(&dynamic().run(Surroundings { proc: false, ..ALL }, &["doctor"]));
    for expected in [
        "payload libraries: payload and engine inside this file",
        "/proc: not mounted; vgpu-run has a mount of its own",
        "cache directory: /root/.cache/vgpu-run/",
        "C library: glibc 2.",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in:\n{said}");
    }
}
