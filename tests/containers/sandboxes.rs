//! Sandboxes around vgpu-run, and in its tree.

use std::process::Command;

use tests::{AS_NOBODY, can_be_nobody, has_program, is_root, launch_path, skipped, workshop};

/// A view of this machine that can't be written, with namespaces of its own.
const SANDBOX: [&str; 11] = [
    "bwrap",
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    "--unshare-all",
    "--die-with-parent",
    "--",
];

const SEES_ALL: &str = "payload device\n";

fn can_sandbox(through: &[&str]) -> bool {
    if !has_program("bwrap") {
        return false;
    }
    let words: Vec<&str> = through.iter().chain(&SANDBOX).copied().collect();
    let possible = Command::new(words[0]).args(&words[1..]).arg("true").output();
    let possible = possible.is_ok_and(|output| output.status.success());
    if !possible {
        skipped("no namespaces for a sandbox");
    }
    possible
}

fn sees() -> std::path::PathBuf {
    workshop::target("sees").expect("a C compiler")
}

#[test]
fn program_in_a_sandbox_of_the_tree_sees_the_gpu() {
    if can_sandbox(&[]) {
        let run = launch_path(SANDBOX[0]).arguments(&SANDBOX[1..]).arguments([sees()]).run();
        run.assert_exit(0).assert_stdout(SEES_ALL);
    }
}

#[test]
fn vgpu_run_in_a_sandbox_gives_the_gpu() {
    if can_sandbox(&[]) {
        let run = launch_path(sees()).through(SANDBOX).run();
        run.assert_exit(0).assert_stdout(SEES_ALL);
    }
}

#[test]
fn an_ordinary_users_sandbox_is_no_different() {
    if can_be_nobody() && can_sandbox(&AS_NOBODY) {
        let around = AS_NOBODY.iter().chain(&SANDBOX).copied();
        launch_path(sees()).through(around).run().assert_exit(0).assert_stdout(SEES_ALL);
        let inside = launch_path(SANDBOX[0]).arguments(&SANDBOX[1..]).arguments([sees()]);
        inside.through(AS_NOBODY).run().assert_exit(0).assert_stdout(SEES_ALL);
    }
}

/// The new root has nothing but the program: no cache directory of ours, no /proc.
#[test]
fn program_behind_pivot_root_sees_the_device() {
    if !is_root() || !has_program("pivot_root") || !has_program("unshare") {
        return skipped("not root");
    }
    let root = tempfile::tempdir_in(workshop::directory()).expect("a directory");
    let program = workshop::target("static_sees").expect("a C compiler");
    let script = "set -e; mount -t tmpfs none \"$1\"; cp \"$2\" \"$1/program\"; mkdir \"$1/old\"; cd \"$1\"
        pivot_root . old; exec ./program";
    let run = launch_path("unshare")
        .arguments(["--mount", "sh", "-c", script, "sh"])
        .arguments([root.path(), &program])
        .run();
    run.assert_exit(0).assert_stdout("device\n");
}

#[test]
fn su_to_another_user_keeps_the_gpu_and_sudo_needs_leave() {
    if !can_be_nobody() || !has_program("su") {
        return;
    }
    let shell = format!("exec {}", sees().display());
    let run = launch_path("su").arguments(["-s", "/bin/sh", "nobody", "-c", &shell]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
    // An ordinary user's `su` would have to become root: without new privileges it stays who it is, as below any no_new_privs.
    let native = Command::new(AS_NOBODY[0])
        .args(&AS_NOBODY[1..])
        .args(["setpriv", "--no-new-privs", "su", "-c", "true"])
        .output()
        .expect("su starts");
    let ours = launch_path("su").arguments(["-c", "true"]).through(AS_NOBODY).run();
    ours.assert_exit(native.status.code().expect("it exits"));
}
