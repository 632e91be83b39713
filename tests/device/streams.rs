//! Streams that run at the same time: `tests/targets/streams.c` is the client. Each part in both tiers; and with one core, where what
//! waits and what is waited for share a worker.

use tests::{Launch, Run, launch};

use crate::alone;

fn run(part: &[&str], how: impl FnOnce(Launch) -> Launch) -> Run {
    how(launch("streams").arguments(part).options(["--gpu", "gtx1080"]).real_payload()).run()
}

fn check(part: &[&str]) {
    let _alone = alone();
    let right = |run: Run| {
        run.assert_exit(0).assert_stdout("right\n");
    };
    right(run(part, |launch| launch.variable("VGPU_RUN_TIER", "interpreter")));
    right(run(part, |launch| launch.variable("VGPU_RUN_TIER", "compiled")));
    right(run(part, |launch| launch.through(["taskset", "-c", &any_core()])));
}

/// A core that this process may use.
fn any_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process's status");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("its cores");
    list.trim().split(['-', ',']).next().unwrap_or_default().to_owned()
}

#[test]
fn kernels_of_two_streams_answer_each_other() {
    check(&["rally"]);
}

#[test]
fn blocks_of_many_streams_wait_until_all_are_there() {
    check(&["meetings"]);
}

#[test]
fn kernel_goes_on_when_another_stream_or_the_client_opens_its_gate() {
    check(&["gates"]);
}

#[test]
fn host_function_is_called_when_its_stream_has_come_to_it() {
    check(&["host-functions"]);
}

#[test]
fn legacy_stream_waits_and_is_waited_for() {
    check(&["legacy"]);
}

#[test]
fn small_kernels_do_not_wait_for_the_end_of_a_large_one() {
    check(&["small-beside-large"]);
}

#[test]
fn streams_hand_work_on_by_events() {
    check(&["chain"]);
}

#[test]
fn each_of_many_streams_keeps_its_order() {
    check(&["many"]);
}

#[test]
fn branches_of_a_graph_come_together() {
    check(&["branches"]);
}

#[test]
fn blocks_of_several_streams_print_and_take_memory() {
    let _alone = alone();
    for tier in ["interpreter", "compiled"] {
        let run = run(&["speaking"], |launch| launch.variable("VGPU_RUN_TIER", tier));
        run.assert_exit(0);
        let text = run.stdout();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some("right"));
        lines.sort_unstable();
        let mut expected: Vec<String> =
            (0..4).flat_map(|who| (0..50).map(move |block| format!("block {who} {block}"))).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}

/// The kernel at fault is named, and not the one that waits beside it.
fn check_fault(how: &str, kernel: &str) {
    let _alone = alone();
    for tier in ["interpreter", "compiled"] {
        let run = run(&["wrong", how], |launch| launch.variable("VGPU_RUN_TIER", tier));
        run.assert_exit(0).assert_stdout("right\n").assert_stderr_has(kernel);
    }
}

#[test]
fn trap_in_one_stream_ends_all_and_is_named() {
    check_fault("trap", "trap in kernel `stop`");
}

#[test]
fn address_outside_of_device_memory_in_one_stream_ends_all_and_is_named() {
    check_fault("nowhere", "illegal address in kernel `wild`");
}

#[test]
fn address_of_freed_memory_in_one_stream_ends_all_and_is_named() {
    check_fault("freed", "in kernel wild, block (0, 0, 0)");
}
