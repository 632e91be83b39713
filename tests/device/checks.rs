//! `vgpu-run --check`, end to end: `tests/targets/checked.c` is the client. What the checks find in kernels of every kind is
//! tested in `supervisor/checks`.

use tests::{Run, launch};

use crate::alone;

fn run(part: &str, options: &[&str]) -> Run {
    let _alone = alone();
    launch("checked").arguments([part]).options(["--gpu", "gtx1080"]).options(options).real_payload().run()
}

/// With all checks, and a status of its own if they find something.
fn checked(part: &str) -> Run {
    run(part, &["--check", "memory,race,init", "--check-exit-code", "9"])
}

#[test]
fn clean_program_has_no_findings_and_its_own_status() {
    checked("clean").assert_exit(0).assert_stdout("ok\n").assert_stderr_has("checks: no findings\n");
}

#[test]
fn access_behind_an_allocation_is_told_with_all_that_is_known_of_it() {
    let run = checked("outside");
    run.assert_exit(9).assert_stdout("ok\n");
    run.assert_stderr_has(
        "memory: read of 4 bytes at 0x300000000190: just past the end of an allocation (28 times)",
    )
    .assert_stderr_has("kernel `add`, block (1, 0, 0), thread (36, 0, 0)")
    .assert_stderr_has("at `ld.global.u32 %r4, [%rd2];` (PTX line 19; add.cu:8)")
    .assert_stderr_has("allocation: 400 bytes of device memory at 0x300000000000\n")
    .assert_stderr_has(
        "memory: write of 4 bytes at 0x300000000390: just past the end of an allocation (28 times)",
    )
    .assert_stderr_has("at `st.global.u32 [%rd1], %r4;` (PTX line 22; add.cu:9)")
    .assert_stderr_has("checks: 2 findings: memory 2\n");
}

#[test]
fn use_of_freed_memory_is_told_also_where_the_free_is_ordered_by_a_stream() {
    for part in ["freed", "freed-in-order"] {
        let run = checked(part);
        run.assert_exit(9).assert_stdout("ok\n");
        run.assert_stderr_has("in freed memory (32 times)").assert_stderr_has(", freed\n");
        run.assert_stderr_has("checks: 1 finding: memory 1\n");
    }
}

#[test]
fn access_to_no_memory_is_the_fault_that_it_is_without_checks_and_is_told() {
    let run = checked("unmapped");
    run.assert_exit(9).assert_stdout("ok\n");
    run.assert_stderr_has("memory: read of 4 bytes at 0x3fffffff0000: no allocation is near\n");
}

#[test]
fn read_of_what_nothing_wrote_is_told() {
    let run = checked("unwritten");
    run.assert_exit(9).assert_stderr_has("init: read of 4 bytes at ");
    run.assert_stderr_has("whose byte 0 nothing has written (24 times)")
        .assert_stderr_has("thread (40, 0, 0)");
}

#[test]
fn copies_and_fills_that_the_driver_refuses_are_told() {
    let run = checked("beyond");
    run.assert_exit(9)
        .assert_stderr_has("a copy or fill of 800 bytes at 0x300000000000 goes beyond its allocation");
    run.assert_stderr_has("checks: 2 findings: memory 2\n");
}

#[test]
fn memory_that_is_left_at_the_end_is_told_if_asked() {
    let run = run("outside", &["--check", "leak", "--check-exit-code", "9"]);
    run.assert_exit(9)
        .assert_stderr_has("leak: 400 bytes of device memory at 0x300000000000, which was never freed");
    run.assert_stderr_has("checks: 2 findings: leak 2\n");
}

#[test]
fn findings_leave_the_status_alone_unless_asked_and_are_in_the_json_report() {
    let run = run("outside", &["--check=memory", "--report=json"]);
    run.assert_exit(0);
    let report = run.report();
    let [process] = &report.processes[..] else { panic!("{report:?}") };
    let found = process.checks.iter().find(|found| found.times == 28);
    assert_eq!(found.map(|found| found.check.as_str()), Some("memory"), "{report:?}");
}
