//! What a client meets without anybody being killed from outside.

use tests::{Run, launch};

use crate::alone;

fn run(part: &str, options: &[&str]) -> Run {
    let _alone = alone();
    launch("device").arguments([part]).options(["--gpu", "gtx1080"]).options(options).real_payload().run()
}

#[test]
fn memory_beyond_the_card_is_refused_and_what_is_freed_can_be_had_again() {
    run("exhausted", &["--memory", "1G"]).assert_exit(0).assert_stdout("ok\n");
}

/// As on a real card. Ollama, having unloaded a model, waits for memory that the model alone did not hold.
#[test]
fn context_costs_memory_of_its_own_device_once_and_little_of_a_small_card() {
    run("entered", &["--gpus", "2", "--memory", "4G"])
        .assert_exit(0)
        .assert_stdout("115343360 115343360 115343360\n");
    run("entered", &["--gpus", "2", "--memory", "320M"])
        .assert_exit(0)
        .assert_stdout("10485760 10485760 10485760\n");
}

#[test]
fn wild_kernel_is_an_illegal_address_in_its_own_process_only() {
    let run = run("neighbours", &[]);
    run.assert_exit(0)
        .assert_stdout("ok\n")
        .assert_stderr_has("access to unmapped memory")
        .assert_stderr_has("in kernel wild");
    // What the engine can't answer any more is no fault of the code's.
    assert!(!run.stderr().contains("code refused"), "{}", run.stderr());
}

#[test]
fn forked_child_is_told_that_it_has_no_device_and_the_parent_goes_on() {
    run("forked", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn exit_handlers_still_have_the_context() {
    run("exits", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn launches_whose_block_and_parameters_were_set_call_by_call_compute() {
    run("staged", &[]).assert_exit(0).assert_stdout("ok\n");
}

/// Interpreted and compiled.
#[test]
fn pointer_to_local_memory_is_to_ones_own() {
    run("lent", &[]).assert_exit(0).assert_stdout("ok\n");
    let _alone = alone();
    launch("device")
        .arguments(["lent"])
        .options(["--gpu", "gtx1080"])
        .variable("VGPU_RUN_TIER", "compiled")
        .real_payload()
        .run()
        .assert_exit(0)
        .assert_stdout("ok\n");
}

#[test]
fn heap_of_kernels_has_the_size_that_was_set_before_its_first_use() {
    run("heap", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn limit_of_address_space_leaves_the_window_out_and_memory_usable() {
    run("narrow", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn memory_lies_elsewhere_where_the_window_is_taken() {
    run("elsewhere", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn mapping_in_the_way_of_memory_without_a_window_costs_a_place_only() {
    run("narrow-elsewhere", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn memory_that_the_machine_can_not_back_is_refused_also_if_none_was_touched() {
    run("overcommitted", &["--memory", "400G", "--report"])
        .assert_exit(0)
        .assert_stdout("ok\n")
        .assert_stderr_has("can't back that much more");
}

#[test]
fn blocks_of_a_cooperative_launch_run_at_a_time() {
    run("cooperating", &[]).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn exported_memory_is_the_same_memory_in_another_process() {
    run("shared", &[]).assert_exit(0).assert_stdout("ok\n");
}
