//! Whatever way a program is started, it sees the GPU.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use tests::{
    AS_NOBODY, can_be_nobody, has_program, is_root, launch, launch_path, skipped, vgpu_run, workshop,
};

const SEES_ALL: &str = "payload device\n";

fn target(name: &str) -> PathBuf {
    workshop::target(name).unwrap_or_else(|| panic!("no compiler for `{name}`"))
}

fn check_spawned(way: &str) {
    let run = launch("spawn").arguments([way.into(), target("sees")]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn program_itself_sees_the_gpu() {
    launch("sees").run().assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn forked_child_sees_the_gpu() {
    check_spawned("fork");
}

#[test]
fn vforked_child_sees_the_gpu() {
    check_spawned("vfork");
}

#[test]
fn posix_spawned_child_sees_the_gpu() {
    check_spawned("posix_spawn");
}

#[test]
fn child_by_clone3_sees_the_gpu() {
    check_spawned("clone3");
}

#[test]
fn child_of_a_thread_sees_the_gpu() {
    check_spawned("thread");
}

#[test]
fn orphan_in_a_session_of_its_own_sees_the_gpu() {
    check_spawned("double_fork");
}

#[test]
fn child_of_a_child_of_a_child_sees_the_gpu() {
    let words = [target("spawn"), "vfork".into(), target("spawn"), "double_fork".into(), target("sees")];
    let run = launch("spawn").arguments(["fork"]).arguments(words).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn program_without_environment_sees_the_gpu() {
    let run = launch_path("/usr/bin/env").arguments(["-i".into(), target("sees")]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn static_program_sees_the_device() {
    launch("static_sees").run().assert_exit(0).assert_stdout("device\n");
}

#[test]
fn static_go_program_sees_the_device_from_all_threads() {
    match workshop::target("go_sees") {
        Some(program) => drop(launch_path(program).run().assert_exit(0).assert_stdout("device\n")),
        None => skipped("no Go compiler"),
    }
}

#[test]
fn thirty_two_threads_see_one_library_and_one_device() {
    launch("threads_load").run().assert_exit(0).assert_stdout("0 failed\n");
}

#[test]
fn an_open_under_a_storm_of_signals_happens_once() {
    launch("interrupted_opens").run().assert_exit(0).assert_stdout("once each\n");
}

#[test]
fn calls_of_another_architecture_do_not_end_the_program() {
    if fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| !symbols.contains("ia32")) {
        return skipped("a kernel without 32-bit calls");
    }
    launch("int80").run().assert_exit(0).assert_stdout("alive\n");
}

#[test]
fn program_of_another_user_sees_the_gpu() {
    if !has_program("su") || !can_be_nobody() {
        return;
    }
    let command = format!("{}", target("sees").display());
    let run = launch_path("su").arguments(["nobody", "-s", "/bin/sh", "-c", &command]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

/// An ordinary user runs all of it, supervisor included.
#[test]
fn ordinary_user_sees_the_gpu() {
    if !can_be_nobody() {
        return;
    }
    let cache = scratch("cache-of-nobody", 0o777);
    let run = launch("sees").through(AS_NOBODY).variable("XDG_CACHE_HOME", &cache).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

/// Where no cache directory can be made, the library comes from memory.
#[test]
fn ordinary_user_without_home_sees_the_gpu() {
    if !can_be_nobody() {
        return;
    }
    let run = launch("sees").through(AS_NOBODY).variable("XDG_CACHE_HOME", "/proc/no-such-directory").run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn program_in_namespaces_of_its_own_sees_the_gpu() {
    if !has_program("unshare") {
        return;
    }
    let unshare =
        ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--pid", "--fork", "--mount-proc"];
    let possible = std::process::Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skipped("no unprivileged namespaces");
    }
    let run = launch_path("unshare").arguments(unshare).arguments([target("sees")]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
}

#[test]
fn program_in_a_chroot_sees_the_device() {
    if !is_root() || !has_program("chroot") {
        return skipped("not root");
    }
    let root = scratch("root", 0o755);
    fs::copy(target("static_sees"), root.join("program")).expect("copies the program");
    let run = launch_path("chroot").arguments([root.clone(), "/program".into()]).run();
    run.assert_exit(0).assert_stdout("device\n");
    fs::remove_dir_all(root).expect("removes the chroot");
}

/// Whatever interface it changes its root by.
#[test]
fn program_in_a_root_of_its_own_meets_the_loader_cache_of_that_root() {
    if !is_root() {
        return skipped("not root");
    }
    let root = scratch("other-root", 0o755);
    for way in ["64", "32"] {
        let run = launch("own_root").arguments([root.as_os_str(), way.as_ref()]).run();
        if run.stdout().ends_with("no chroot\n") && way == "32" {
            skipped("no 32-bit system calls");
            continue;
        }
        let lengths: Vec<u64> = run.stdout().split_whitespace().flat_map(str::parse).collect();
        let [ours, other] = lengths[..] else { panic!("{}", run.stdout()) };
        // Natively the second would not be there; that of the tree has nothing but our libraries.
        assert!(0 < other && other < ours, "{way}: {}", run.stdout());
        run.assert_exit(0);
    }
    fs::remove_dir_all(root).expect("removes the root");
}

#[test]
fn vgpu_run_inside_vgpu_run_is_one_session() {
    let run = launch_path(vgpu_run()).arguments([vgpu_run(), "--".into(), target("sees")]).run();
    run.assert_exit(0).assert_stdout(SEES_ALL);
    let run = launch_path(vgpu_run()).arguments(["--gpus", "2", "sh", "-c", "exit 9"]).run();
    run.assert_exit(9).assert_stderr_has("inside another vgpu-run");
}

#[test]
fn setuid_programs_change_no_user_unless_allowed() {
    if !is_root() {
        return skipped("not root");
    }
    let show = ["-c", "grep NoNewPrivs: /proc/self/status"];
    launch_path("sh").arguments(show).run().assert_stdout("NoNewPrivs:\t1\n");
    launch_path("sh").options(["--allow-setuid"]).arguments(show).run().assert_stdout("NoNewPrivs:\t0\n");
}

#[test]
fn allow_setuid_is_refused_for_ordinary_users_with_a_hint() {
    if !can_be_nobody() {
        return;
    }
    let run = launch_path("true").through(AS_NOBODY).options(["--allow-setuid"]).run();
    run.assert_exit(125).assert_stderr_has("hint: leave out `--allow-setuid`");
}

fn scratch(name: &str, mode: u32) -> PathBuf {
    let path = workshop::directory().join(format!("{name}-{}", std::process::id()));
    fs::DirBuilder::new().recursive(true).mode(mode).create(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its permissions");
    path
}
