//! What each mechanism must get right, and which one `auto` takes. The mechanisms are named here; all other tests run with
//! the one that VGPU_RUN_MECHANISM names.

use std::process::Command;

use tests::{Launch, Mark, Run, has_program, launch, launch_path, vgpu_run, workshop};

const MECHANISMS: [&str; 3] = ["notify", "ptrace", "ptrace-syscalls"];

fn target(name: &str) -> String {
    workshop::target(name).unwrap_or_else(|| panic!("no compiler for `{name}`")).display().to_string()
}

/// A run of `tracing WAY ARGUMENTS`, after which nobody is left.
fn tracing(mechanism: &str, words: &[&str]) -> Run {
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let launch = launch("tracing").arguments(words).options(["--mechanism", mechanism]);
    let run = launch.variable(name, value).run();
    mark.assert_nobody_left();
    run
}

/// With each mechanism, it is as it should be.
fn check(words: &[&str], code: i32, stdout: &str) {
    for mechanism in MECHANISMS {
        println!("{mechanism}");
        tracing(mechanism, words).assert_exit(code).assert_stdout(stdout);
    }
}

#[test]
fn thread_that_is_not_the_first_becomes_another_program() {
    check(&["exec_from_thread", &target("sees")], 0, "payload device\n");
}

#[test]
fn process_whose_first_thread_has_ended_goes_on() {
    check(&["first_thread_ends"], 5, "0 failed\n");
}

#[test]
fn child_that_wants_no_tracer_sees_the_gpu() {
    check(&["untraced", &target("sees")], 0, "payload device\npayload device\n");
}

#[test]
fn storm_of_threads_is_answered_and_leaves_nothing() {
    check(&["storm"], 0, "0 failed, 1 threads left\n");
}

#[test]
fn process_stopped_in_mid_call_stays_stopped_until_it_is_continued() {
    check(&["stops"], 0, "0 moved while stopped, 0 stayed, end 137\n");
}

#[test]
fn process_killed_in_mid_call_has_the_status_of_that_signal() {
    check(&["kills"], 0, "20 killed, none left\n");
}

#[test]
fn signals_that_meet_answered_calls_come_once_each_with_their_values() {
    check(&["signals"], 0, "500 signals, sum 125250, 0 wrong, end 0\n");
}

#[test]
fn every_deadly_signal_ends_the_program_as_it_would_without_us() {
    for mechanism in MECHANISMS {
        for signal in [libc::SIGHUP, libc::SIGABRT, libc::SIGKILL, libc::SIGSEGV, libc::SIGTRAP, libc::SIGSYS]
        {
            tracing(mechanism, &["ends_by", &signal.to_string()]).assert_exit(128 + signal);
        }
    }
}

#[test]
fn all_ways_to_start_a_program_are_followed_when_every_call_is_traced() {
    for way in ["fork", "vfork", "posix_spawn", "clone3", "thread", "double_fork"] {
        let launch = launch("spawn").arguments([way, &target("sees")]);
        let run = launch.options(["--mechanism", "ptrace-syscalls"]).run();
        run.assert_exit(0).assert_stdout("payload device\n");
    }
}

#[test]
fn debugger_works_beside_a_listener_and_is_told_why_not_beside_a_tracer() {
    tracing("notify", &["debugger"]).assert_exit(0).assert_stdout("traced\n");
    let launch = launch("tracing").arguments(["debugger"]).options(["--mechanism", "ptrace", "--report"]);
    let run = launch.run();
    run.assert_stdout("refused\n").assert_stderr_has("is traced by vgpu-run already");
}

/// The kernel ends traced processes with their tracer.
#[test]
fn killed_supervisor_ends_what_it_traced() {
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let script = "(sleep 100) >/dev/null 2>&1 </dev/null & exit 0";
    let shell = launch_path("/bin/sh").arguments(["-c", script]).options(["--mechanism", "ptrace"]);
    shell.variable(name, value).run().assert_exit(0);
    let mut bearers = mark.bearers().into_iter();
    let supervisor = bearers.find(|&pid| tests::name_of(pid) == "vgpu-supervisor");
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(supervisor.expect("it stays for the sleeper"), libc::SIGKILL) };
    mark.assert_nobody_left();
}

/// The program under a filter of somebody else, with the mechanism that is then chosen.
fn under(filter: &[&str], launch: Launch) -> Run {
    let launch = launch.options(["--mechanism", "auto", "--report"]);
    launch.through([target("outer_filter")]).through(filter).run()
}

/// `vgpu-run doctor` under the same.
fn doctor_under(filter: &[&str]) -> String {
    let mut command = Command::new(target("outer_filter"));
    command.args(filter).arg(vgpu_run()).arg("doctor").env("VGPU_RUN_LIBEXEC", workshop::stand_ins());
    String::from_utf8_lossy(&command.output().expect("a run").stdout).into_owned()
}

fn check_fallback(filter: &[&str], mechanism: &str, message: &str, why: &str) {
    let run = under(filter, launch("sees"));
    run.assert_exit(0).assert_stdout("payload device\n").assert_stderr_has(why);
    let warning = format!("warning: {message}");
    assert_eq!(run.stderr().matches(&warning).count(), 1, "{}", run.stderr());
    let told = run.stderr().replace(&warning, "");
    assert!(told.contains(message), "the report does not say so: {told}");
    let doctor = doctor_under(filter);
    assert!(doctor.contains(&format!("mechanism: {mechanism}: ")) && doctor.contains(why), "{doctor}");
}

const TRACED: &str = "the program is traced";
const EVERYTHING_TRACED: &str = "every system call of the program is traced";

#[test]
fn another_listener_on_other_calls_makes_us_trace() {
    let mkdir = libc::SYS_mkdir.to_string();
    check_fallback(&["notifier", &mkdir], "ptrace", TRACED, "already listens on this process tree");
}

#[test]
fn another_listener_on_our_calls_makes_us_trace_everything() {
    let openat = libc::SYS_openat.to_string();
    let why = "that program is asked before a tracer is";
    check_fallback(&["notifier", &openat], "ptrace-syscalls", EVERYTHING_TRACED, why);
}

#[test]
fn kernel_without_listeners_makes_us_trace() {
    check_fallback(&["old"], "ptrace", TRACED, "Linux 5.19 or newer is needed");
}

#[test]
fn forbidden_filters_make_us_trace_everything() {
    check_fallback(&["no_seccomp"], "ptrace-syscalls", EVERYTHING_TRACED, "refuses seccomp(2)");
}

#[test]
fn where_nothing_is_permitted_that_is_said_with_what_to_do() {
    let run = under(&["no_ptrace"], launch("sees"));
    run.assert_exit(125).assert_stdout("").assert_stderr_has("cannot trace the program");
    run.assert_stderr_has("must permit ptrace(2)");
    let doctor = doctor_under(&["no_ptrace"]);
    assert!(doctor.contains("bad       mechanism: none"), "{doctor}");
}

#[test]
fn listener_that_was_asked_for_and_is_refused_is_an_error() {
    let mkdir = libc::SYS_mkdir.to_string();
    let launch = launch("sees").options(["--mechanism", "notify"]);
    let run = launch.through([target("outer_filter").as_str(), "notifier", &mkdir]).run();
    run.assert_exit(125).assert_stdout("").assert_stderr_has("hint: the kernel allows one seccomp listener");
}

#[test]
fn tracer_around_us_is_named() {
    if !has_program("strace") {
        return;
    }
    let launch = launch("sees").options(["--mechanism", "ptrace"]);
    let run = launch.through(["strace", "-f", "-o", "/dev/null"]).run();
    run.assert_exit(125).assert_stderr_has("traces it already");
}

/// Where the descriptors of a process cannot be duplicated, it connects to us instead.
#[test]
fn descriptors_reach_a_traced_process_below_dockers_profile() {
    for mechanism in ["ptrace", "ptrace-syscalls"] {
        let launch = launch("threads_load").options(["--mechanism", mechanism]);
        let run = launch.through([target("container_profile")]).run();
        run.assert_exit(0).assert_stdout("0 failed\n");
    }
}
