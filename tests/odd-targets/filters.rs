//! Targets with seccomp filters of their own. The strictest verdict wins in the kernel, so what a program forbids itself stays
//! forbidden; three things can't be had beside a listener that is there already, and the report names them. Beside a tracer there is
//! room for a listener, and none for another tracer.

use tests::{Both, is_traced, launch};

use crate::debuggers::ONE_TRACER;

fn both(way: &str) -> Both {
    launch("own_filter").arguments([way]).both()
}

#[test]
fn a_programs_own_verdicts_hold_before_ours() {
    for way in ["trap", "errno", "allow", "kill_thread", "all_threads"] {
        both(way).assert_works().assert_same();
    }
    match is_traced() {
        true => check_refused("traced_other", "may not trace: EPERM", ONE_TRACER),
        false => drop(both("traced_other").assert_works().assert_same()),
    }
    let killed = both("kill_process");
    killed.assert_same().native.assert_signal(libc::SIGSYS);
}

/// A descriptor gets into a traced process by calls of its own, which its own filters may forbid: then it has none, and lives.
#[test]
fn a_program_that_may_use_no_sockets_is_given_nothing_that_takes_one() {
    let library = "library: loaded";
    if is_traced() {
        assert_eq!(both("no_sockets").assert_works().different_lines(), [library]);
        both("no_sockets_listener").assert_works().assert_same();
        return check_report("no_sockets", "cannot receive a descriptor: Operation not permitted");
    }
    let seen = both("no_sockets").assert_works().different_lines();
    assert_eq!(seen, [library, "node: opened", "node again: opened"]);
}

/// What a program sees of it under vgpu-run, and what the report says.
fn check_refused(way: &str, line: &str, told: &str) {
    let seen = both(way).assert_works().different_lines();
    assert_eq!(seen, [line], "{way}");
    check_report(way, told);
}

fn check_report(way: &str, told: &str) {
    let run = launch("own_filter").arguments([way]).options(["--report"]).run_in_time();
    run.assert_exit(0).assert_stderr_has(told);
}

#[test]
fn a_second_listener_is_refused_or_works_and_that_is_told() {
    if is_traced() {
        both("listener").assert_works().assert_same();
        return check_report("listener", "installs a seccomp listener of its own");
    }
    check_refused("listener", "listener: EBUSY", "is refused a seccomp listener of its own");
}

#[test]
fn strict_mode_is_refused_and_told() {
    check_refused("strict", "strict: EINVAL", "seccomp's strict mode");
}

#[test]
fn calls_that_come_to_us_pass_a_filtering_tracer_and_that_is_told() {
    if is_traced() {
        return check_refused("traced_open", "may not trace: EPERM", ONE_TRACER);
    }
    let line = "the tracer saw 0, exit 5";
    check_refused("traced_open", line, "installs a seccomp filter that hands calls to a tracer");
}
