//! Limits of resources, core files, clocks that lie, and how much of /proc can be seen.

use std::fs;
use std::path::PathBuf;

use tests::{
    AS_NOBODY, Launch, can_be_nobody, has_program, is_root, is_traced, launch, launch_path, skipped, workshop,
};

fn computes(mebibytes: &str) -> Launch {
    launch("computes").real_payload().arguments([mebibytes])
}

/// Under this limit of the program's.
fn limited(option: &str) -> Launch {
    computes("16").through(["prlimit", option])
}

/// The limits are the program's: neither the supervisor nor the engine, which inherit them, may fail by them.
#[test]
fn a_limited_program_has_the_gpu() {
    if !has_program("prlimit") {
        return;
    }
    for option in [
        "--as=2000000000",
        "--data=50000000",
        "--nofile=64:64",
        "--fsize=0:1000000000",
        "--stack=262144",
        "--memlock=0",
        "--sigpending=0",
        "--msgqueue=0",
        "--rss=0",
        "--cpu=20",
    ] {
        limited(option).run_in_time().assert_exit(0).assert_stdout("computed\n");
    }
}

#[test]
fn who_may_lift_limits_lifts_those_of_supervisor_and_engine() {
    let lifts = ["--fsize=0", "prlimit", "--fsize=unlimited", "true"];
    let possible = std::process::Command::new("prlimit").args(lifts).status();
    if !possible.is_ok_and(|status| status.success()) {
        return skipped("no CAP_SYS_RESOURCE");
    }
    for option in ["--fsize=0", "--as=100000000", "--nofile=16"] {
        limited(option).run_in_time().assert_exit(0).assert_stdout("computed\n");
    }
}

/// An ordinary user with no other processes, which a limit on their number would count.
const USER: [&str; 4] = ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups"];

/// Who may not lift a limit is told which one stands in the way.
#[test]
fn a_limit_that_leaves_no_room_is_named() {
    if !can_be_nobody() || !has_program("prlimit") {
        return;
    }
    // Which step finds no room for one more: passing a descriptor to a traced thread takes some of our own.
    let few_files = if is_traced() { 4 } else { 3 };
    for (option, code, told) in [
        ("--fsize=0", 4, "File too large"),
        ("--as=30000000", 3, "Out of memory"),
        ("--nofile=16", few_files, "Too many open files"),
        ("--nofile=4", 125, "Too many open files"),
        ("--nproc=1", 125, "cannot fork"),
    ] {
        let launch = limited(option).through(USER);
        let run = launch.variable("XDG_CACHE_HOME", "/proc/no-such-directory").run_in_time();
        run.assert_exit(code).assert_stderr_has(told);
    }
}

/// The limit is the program's own: its loader finds room for a library, and then there is none for memory of the card.
#[test]
fn a_program_without_room_for_descriptors_is_told() {
    if !has_program("prlimit") {
        return;
    }
    let program = workshop::target("computes").unwrap();
    let limited = launch_path("prlimit").real_payload().arguments(["--nofile=4"]).arguments([program]);
    limited.run_in_time().assert_exit(3).assert_stderr_has("descriptor");
}

/// How the program's own limits look to it.
#[test]
fn limits_of_the_program_stay_as_they_were() {
    if !has_program("prlimit") {
        return;
    }
    for option in ["--nofile=64:128", "--fsize=4096:8192", "--as=1000000000", "--cpu=50:60", "--core=0"] {
        launch_path("prlimit").through(["prlimit", option]).both().assert_works().assert_same();
    }
}

/// A directory for one test's core files, if the kernel writes them into a program's own.
fn core_directory(name: &str) -> Option<PathBuf> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if !pattern.starts_with("core") {
        skipped(&format!("core files go to `{}`", pattern.trim()));
        return None;
    }
    let directory = workshop::directory().join(format!("core-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    Some(directory)
}

/// Device memory is not the program's: a gigabyte of it is in no core file, and nobody but the program writes one.
#[test]
fn a_core_file_holds_the_program_and_not_the_card() {
    let Some(directory) = core_directory("computes") else { return };
    let mut command = computes("600").arguments(["abort"]).through(["prlimit", "--core=unlimited"]).command();
    let output = command.current_dir(&directory).output().expect("a run");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "computed\n");
    let cores: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(cores.len(), 1, "{cores:?}");
    let length = fs::metadata(&cores[0]).unwrap().len();
    assert!((1 << 14..64 << 20).contains(&length), "{length} bytes");
    if has_program("gdb") {
        let program = workshop::target("computes").unwrap();
        let mut gdb = std::process::Command::new("gdb");
        gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off", "-ex", "bt"])
            .arg(program)
            .arg(&cores[0]);
        let text = String::from_utf8_lossy(&gdb.output().expect("gdb").stdout).into_owned();
        assert!(text.contains("in main ()"), "{text}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_crash_is_the_same_crash() {
    let Some(directory) = core_directory("sh") else { return };
    for signal in ["ABRT", "SEGV", "QUIT", "TRAP"] {
        let script = format!("cd {} && ulimit -c 0 && kill -{signal} $$", directory.display());
        launch_path("/bin/sh").arguments(["-c", &script]).both().assert_same();
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_clock_that_jumps_or_stands_still_hangs_nothing() {
    let shim = workshop::target("clock_shim").unwrap();
    for way in ["jumps", "stands"] {
        let preload = format!("LD_PRELOAD={}", shim.display());
        let program = workshop::target("computes").unwrap();
        let launch = launch_path("env").real_payload().arguments([format!("CLOCK={way}"), preload]);
        launch.arguments([program]).run_in_time().assert_exit(0).assert_stdout("computed\n");
    }
}

/// The engine is outside of the program's time namespace, so no deadline can be told by the clock.
#[test]
fn a_program_in_another_time_has_the_gpu() {
    if !is_root() || !has_program("unshare") {
        return skipped("not root");
    }
    let program = workshop::target("computes").unwrap();
    for offset in ["1000000", "-1000"] {
        let time = ["--time", "--fork", "--monotonic", offset, "--boottime", offset];
        let possible = std::process::Command::new("unshare").args(time).arg("true").output();
        if !possible.is_ok_and(|output| output.status.success()) {
            return skipped("no time namespaces");
        }
        let launch = launch_path("unshare").real_payload().arguments(time).arguments([&program]);
        launch.run_in_time().assert_exit(0).assert_stdout("computed\n");
    }
}

/// Other users' processes are hidden, and with `hidepid=4` also those that one may not trace.
#[test]
fn a_user_who_sees_few_processes_has_the_gpu() {
    if !can_be_nobody() || !has_program("unshare") {
        return;
    }
    for hidden in ["0", "1", "2", "4"] {
        let mount = format!("mount -t proc -o hidepid={hidden} proc /proc && exec \"$@\"");
        let around = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
        let launch = computes("1").through(around).through(AS_NOBODY);
        let run = launch.variable("XDG_CACHE_HOME", "/proc/no-such-directory").run_in_time();
        run.assert_exit(0).assert_stdout("computed\n");
    }
}

/// Yama's setting as it is, and those that can be left again: from 3 no way leads back.
#[test]
fn a_user_has_the_gpu_whatever_may_be_traced() {
    const SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";
    let Ok(found) = fs::read_to_string(SCOPE) else { return skipped("no Yama in this kernel") };
    if !can_be_nobody() {
        return;
    }
    let mut scopes = vec![found.trim().to_owned()];
    if found.trim() != "3" && fs::write(SCOPE, &found).is_ok() {
        scopes.extend(["0", "1", "2"].map(str::to_owned));
    }
    for scope in scopes {
        let _ = fs::write(SCOPE, &scope);
        let run = computes("1")
            .through(AS_NOBODY)
            .variable("XDG_CACHE_HOME", "/proc/no-such-directory")
            .run_in_time();
        let _ = fs::write(SCOPE, &found);
        // An ordinary user's supervisor may not read memory from 2 on, nor trace, and says so.
        match scope.as_str() {
            "0" | "1" => drop(run.assert_exit(0).assert_stdout("computed\n")),
            _ if is_traced() => drop(run.assert_exit(125).assert_stderr_has("kernel.yama.ptrace_scope is")),
            _ => drop(
                run.assert_stderr_has("cannot be read: the files that it opens are not answered by vgpu-run"),
            ),
        }
    }
}
