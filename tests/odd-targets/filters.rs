//! Targets with seccomp filters of their own. The strictest verdict wins in the kernel, so what a program forbids itself stays
//! forbidden; three things can't be had beside a listener that is there already, and the report names them.

use tests::{Both, launch};

fn both(way: &str) -> Both {
    launch("own_filter").arguments([way]).both()
}

#[test]
fn a_programs_own_verdicts_hold_before_ours() {
    for way in ["trap", "errno", "allow", "kill_thread", "all_threads", "traced_other"] {
        both(way).assert_works().assert_same();
    }
    let killed = both("kill_process");
    killed.assert_same().native.assert_signal(libc::SIGSYS);
}

/// What a program sees of it under vgpu-run, and what the report says.
fn check_refused(way: &str, line: &str, told: &str) {
    let seen = both(way).assert_works().different_lines();
    assert_eq!(seen, [line], "{way}");
    let run = launch("own_filter").arguments([way]).options(["--report"]).run_in_time();
    run.assert_exit(0).assert_stderr_has(told);
}

#[test]
fn a_second_listener_is_refused_and_told() {
    check_refused("listener", "listener: EBUSY", "is refused a seccomp listener of its own");
}

#[test]
fn strict_mode_is_refused_and_told() {
    check_refused("strict", "strict: EINVAL", "is refused seccomp's strict mode");
}

#[test]
fn calls_that_come_to_us_pass_a_filtering_tracer_and_that_is_told() {
    let line = "the tracer saw 0, exit 5";
    check_refused("traced_open", line, "installs a seccomp filter that hands calls to a tracer");
}
