//! Loops in which warps take turns, and whose rounds are proven: in compiled code beside the interpreter.

mod tiers;

use tiers::{both_whole, uses};

/// Threads of the block, and how far apart a thread's elements are.
const THREADS: u32 = 96;

/// How the step from element to element is written: a constant, and a number that the compiler does not know.
const STEPS: [&str; 2] = ["96", "%r9"];

/// A thread's sum over its elements until a test of the next one's place, `%r5`, says no in `%p1`.
fn sum(step: &str, test: &str) -> String {
    format!(
        "mov.u32 %r5, %r3; mov.u32 %r6, 0; ld.global.u32 %r9, [%rd1+384];
         AGAIN: mul.wide.s32 %rd4, %r5, 4; add.s64 %rd5, %rd1, %rd4; ld.global.u32 %r7, [%rd5]; add.u32 %r6, %r6, %r7;
         add.s32 %r5, %r5, {step}; {test} @%p1 bra AGAIN;
         st.global.u32 [%rd2], %r6;"
    )
}

/// A loop ends with the last round of a turn (of eight), before or behind it, or for some of a warp's lanes.
#[test]
fn loops_end_anywhere_in_a_turn() {
    for rounds in [1, 8, 9, 31] {
        // For all lanes alike, and within the first and the second warp.
        for more in [0, 40] {
            let bound = THREADS * rounds + more;
            for (step, ty) in STEPS.into_iter().zip(["s32", "u32"]) {
                let body = sum(step, &format!("setp.lt.{ty} %p1, %r5, {bound};"));
                assert!(uses(&body, THREADS).contains(&"rounds proven"), "{body}");
                let memory = both_whole(&body, 1, THREADS);
                for thread in 0..THREADS {
                    let expected: u32 = (thread..bound).step_by(THREADS as usize).sum();
                    assert_eq!(memory[thread as usize], expected, "of {thread}, below {bound}");
                }
            }
        }
    }
}

/// A number in the comparison wraps in some round: there the loop ends.
#[test]
fn numbers_of_a_comparison_wrap_in_a_turn() {
    for (rounds, step) in [(3, STEPS[0]), (7, STEPS[1]), (8, STEPS[0]), (8, STEPS[1])] {
        for more in [0, 40] {
            // Where a thread's place is at least this the number is beyond the largest one, and the least of all.
            let wraps = THREADS * rounds + more;
            let far = 0x8000_0000 - wraps;
            let body = sum(step, &format!("add.s32 %r8, %r5, {far}; setp.ge.s32 %p1, %r8, 0;"));
            assert!(uses(&body, THREADS).contains(&"rounds proven"), "{body}");
            let memory = both_whole(&body, 1, THREADS);
            for thread in 0..THREADS {
                let expected: u32 = (thread..wraps).step_by(THREADS as usize).sum();
                assert_eq!(memory[thread as usize], expected, "of {thread}, which wraps at {wraps}");
            }
        }
    }
}
