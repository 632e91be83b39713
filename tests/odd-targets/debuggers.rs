//! Targets that look at others, or are looked at: tracers, debuggers, sanitizers and valgrind.
//!
//! Who wants to trace is refused where vgpu-run is the tracer itself, as a process can have one; and is told so.

use std::process::Command;

use tests::{Launch, has_program, is_traced, launch, launch_path, skipped, workshop};

/// What vgpu-run says then, without being asked.
pub const ONE_TRACER: &str = "uses ptrace, but what it wants to trace is traced by vgpu-run already";

/// It ends with this status after the kernel's refusal, and the reason is told.
fn check_refused(launch: Launch, code: i32, said: &str) {
    let run = launch.run_in_time();
    run.assert_exit(code).assert_stderr_has(ONE_TRACER).assert_stderr_has("`--mechanism notify`");
    assert!(run.text().contains(said), "no {said:?} in {}", run.text());
}

#[test]
fn a_tracer_sees_the_same_calls_and_steps() {
    for way in ["calls", "steps", "swap"] {
        let command = if way == "swap" { ["cat", "/before"] } else { ["cat", "/etc/hostname"] };
        let tracer = launch("tracer").arguments([way]).arguments(command);
        match is_traced() {
            true => check_refused(tracer, 3, "may not trace: EPERM"),
            false => drop(tracer.both().assert_works().assert_same()),
        }
    }
}

#[test]
fn strace_sees_what_the_program_is_given() {
    if !has_program("strace") {
        return;
    }
    let sees = workshop::target("sees").unwrap();
    let strace = launch_path("strace").arguments(["-f", "-e", "trace=openat,execve"]).arguments([sees]);
    if is_traced() {
        return check_refused(strace, 1, "PTRACE_TRACEME, ...): Operation not permitted");
    }
    let run = strace.run_in_time();
    run.assert_exit(0).assert_stdout("payload device\n");
    run.assert_stderr_has(r#"openat(AT_FDCWD, "/dev/nvidiactl", O_RDWR|O_CLOEXEC) = "#);
}

/// strace's filter hands calls to it, and those that come to us go past it. The program is as ever, and the report explains.
#[test]
fn strace_with_a_filter_of_its_own_is_told_what_it_misses() {
    if !has_program("strace") {
        return;
    }
    let sees = workshop::target("sees").unwrap();
    let words = ["--seccomp-bpf", "-f", "-e", "trace=openat,close"];
    let strace = launch_path("strace").options(["--report"]).arguments(words).arguments([sees]);
    if is_traced() {
        return check_refused(strace, 1, "PTRACE_TRACEME, ...): Operation not permitted");
    }
    let run = strace.run_in_time();
    run.assert_exit(0)
        .assert_stdout("payload device\n")
        .assert_stderr_has("leave out strace's `--seccomp-bpf`");
}

#[test]
fn gdb_stops_in_our_library_and_knows_its_file() {
    if !has_program("gdb") {
        return;
    }
    let commands = [
        "set debuginfod enabled off",
        "set breakpoint pending on",
        "break cuInit",
        "run",
        "bt",
        "info sharedlibrary",
        "continue",
    ];
    let sees = workshop::target("sees").unwrap();
    let words = commands.iter().flat_map(|command| ["-ex", command]);
    let gdb = launch_path("gdb").arguments(["-nx", "-q", "-batch"]).arguments(words).arguments([sees]);
    if is_traced() {
        return check_refused(gdb, 1, "ptrace: Operation not permitted");
    }
    let run = gdb.run_in_time();
    run.assert_exit(0);
    for expected in ["#0 ", "in cuInit ()", "libcuda.so.1\n", "payload device\n", "exited normally"] {
        assert!(run.stdout().contains(expected), "no {expected:?} in {}", run.text());
    }
}

/// A program with kernels, built with this option, finds the device and computes.
fn check_computes(option: &str) {
    let program = workshop::target_with("computes", &["-g", option]).unwrap();
    // Without a driver it says so, if the sanitizer can run here at all.
    let native = Command::new(&program).env_remove("LD_LIBRARY_PATH").output().expect("a run");
    if native.status.code() != Some(4) {
        return skipped(&format!("{option}: {}", String::from_utf8_lossy(&native.stderr)));
    }
    let launch = || launch_path(&program).real_payload();
    let run = match is_traced() {
        // It looks for leaks by tracing its own threads.
        true if option == "-fsanitize=address" => {
            check_refused(launch(), 1, "LeakSanitizer does not work under ptrace");
            launch().variable("ASAN_OPTIONS", "detect_leaks=0")
        }
        _ => launch(),
    };
    let run = run.run_in_time();
    run.assert_exit(0).assert_stdout("computed\n");
    assert_eq!(run.stderr(), "");
}

#[test]
fn a_program_under_address_sanitizer_computes() {
    check_computes("-fsanitize=address");
}

#[test]
fn a_program_under_thread_sanitizer_computes() {
    check_computes("-fsanitize=thread");
}

#[test]
fn a_program_under_undefined_behaviour_sanitizer_computes() {
    check_computes("-fsanitize=undefined");
}

#[test]
fn valgrind_finds_nothing_in_our_library() {
    if !has_program("valgrind") {
        return;
    }
    let program = workshop::target("computes").unwrap();
    let valgrind =
        launch_path("valgrind").real_payload().arguments(["--error-exitcode=9"]).arguments([program]);
    let run = valgrind.run_in_time();
    run.assert_exit(0).assert_stdout("computed\n").assert_stderr_has("ERROR SUMMARY: 0 errors");
}
