//! Passes that are loops over the lanes of a warp, beside the interpreter.

mod tiers;

use std::fmt::Write;

use tiers::{both_whole, uses};

/// More sums than a processor has registers for.
const SUMS: usize = 16;

/// Sums that begin differently for each thread, and a place in memory for each.
fn head() -> String {
    let mut body = String::from(
        "mul.wide.u32 %rd5, %r3, 16; add.s64 %rd6, %rd1, %rd5; add.s64 %rd7, %rd1, 4096; mov.u32 %r9, 0;",
    );
    for sum in 0..SUMS {
        let _ = write!(body, "mad.lo.u32 %r{}, %r3, {}, {sum};", 10 + sum, 2 * sum + 1);
    }
    body
}

/// Products of what a thread reads for itself and what all read.
fn products() -> String {
    let mut body = String::new();
    for word in 0..3 {
        let _ = write!(body, "ld.global.u32 %r5, [%rd6+{}];", 4 * word);
        for sum in 0..SUMS {
            let _ = write!(
                body,
                "ld.global.u32 %r6, [%rd7+{}]; mad.lo.u32 %r{1}, %r5, %r6, %r{1};",
                4 * (sum + 16 * word),
                10 + sum
            );
        }
    }
    body
}

/// Stores what has become of the sums.
fn tail() -> String {
    let mut body = String::new();
    for sum in 1..SUMS {
        let _ = write!(body, "mad.lo.u32 %r10, %r10, 31, %r{};", 10 + sum);
    }
    body + "st.global.u32 [%rd2+8192], %r10;"
}

const STEP: &str = "add.s64 %rd6, %rd6, 64; add.s64 %rd7, %rd7, 4; add.u32 %r9, %r9, 1;";

fn runs_alike(body: &str) {
    let memory = both_whole(body, 3, 96);
    assert!((1..96).all(|thread| memory[2048 + thread] != memory[2048]));
}

#[test]
fn a_loop_goes_round_for_some_lanes_after_the_other() {
    let body = format!(
        "{} TURN: {} {STEP} setp.lt.u32 %p1, %r9, 4; @%p1 bra TURN; {} st.global.u32 [%rd2+12288], %r9;",
        head(),
        products(),
        tail()
    );
    assert!(uses(&body, 96).contains(&"loop in passes"));
    runs_alike(&body);
}

/// Between barriers, so that sums stay in the register file.
#[test]
fn a_run_is_a_loop_over_lanes() {
    let body = format!(
        "{} TURN: bar.sync 0; {} {STEP} bar.sync 0; setp.lt.u32 %p1, %r9, 4; @%p1 bra TURN; {}",
        head(),
        products(),
        tail()
    );
    assert!(uses(&body, 96).contains(&"passes in a loop"));
    runs_alike(&body);
}

/// Lanes that are taken from a register which the same block has written, and a guard.
#[test]
fn what_a_block_has_written_before_its_passes_is_theirs() {
    let body = format!(
        "{} xor.b32 %r30, %r3, 5; st.global.u32 [%rd2+8192], %r30; {} setp.gt.u32 %p2, %r10, %r11; @%p2 add.u32 %r12, %r12, %r30; {}",
        head(),
        products(),
        tail()
    );
    assert!(uses(&body, 96).contains(&"passes in a loop"));
    runs_alike(&body);
}

/// A load of two registers, of which one has each lane's own elsewhere.
#[test]
fn what_lanes_share_may_be_loaded_with_what_each_has() {
    let body = format!(
        "{} mov.u32 %r31, 1000; {1} ld.global.v2.u32 {{%r10, %r31}}, [%rd7+512]; and.b32 %r32, %r31, 255; add.u32 %r11, %r11, %r32; \
         {1} {2}",
        head(),
        products(),
        tail()
    );
    assert!(uses(&body, 96).contains(&"passes in a loop"));
    runs_alike(&body);
}

#[test]
fn loops_that_others_could_see_are_done_for_all_lanes_at_once() {
    for what in
        ["st.global.u32 [%rd2+8192], %r10;", "ld.global.u32 %r31, [%rd7+512]; add.u32 %r9, %r9, %r31;"]
    {
        let body = format!(
            "{} TURN: {} {what} {STEP} setp.lt.u32 %p1, %r9, 4; @%p1 bra TURN; {}",
            head(),
            products(),
            tail()
        );
        assert!(!uses(&body, 96).contains(&"loop in passes"), "{what}");
        runs_alike(&body);
    }
}
