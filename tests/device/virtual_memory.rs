//! Addresses and memory apart from each other: `tests/targets/virtual_memory.c` is the client.

use tests::{Run, launch};

use crate::alone;

fn run(arguments: &[&str]) -> Run {
    let _alone = alone();
    let options = ["--gpu", "gtx1080", "--memory", "512M"];
    launch("virtual_memory").arguments(arguments).options(options).real_payload().run()
}

fn check(arguments: &[&str]) {
    run(arguments).assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn memories_side_by_side_are_one_and_cost_until_nothing_holds_them() {
    check(&["side-by-side"]);
}

#[test]
fn one_memory_has_several_places_one_after_the_other_and_at_once() {
    check(&["elsewhere"]);
}

#[test]
fn what_the_card_or_the_interface_lacks_is_refused() {
    check(&["limits"]);
}

#[test]
fn kernel_where_no_access_was_given_is_an_illegal_address() {
    for way in ["reserved", "read-only", "closed", "unmapped"] {
        run(&["wild", way])
            .assert_exit(0)
            .assert_stdout("ok\n")
            .assert_stderr_has("access to unmapped memory")
            .assert_stderr_has(if way == "read-only" { "in kernel copy" } else { "in kernel read" });
    }
}

#[test]
fn memory_outlives_its_maker_in_a_descriptor_on_its_way() {
    check(&["shared"]);
}

#[test]
fn memory_of_a_killed_process_is_back() {
    check(&["killed"]);
}
