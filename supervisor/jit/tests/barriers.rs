//! Blocks between their barriers: regions with one way out and with several, and what is computed anew behind a barrier.

mod tiers;

use tiers::{both, both_whole, both_with_stops};

/// A step of a tree: threads below `%r5` add the word that lies so many threads behind theirs.
fn step(half: u32) -> String {
    format!(
        "setp.ge.s32 %p1, %r3, {half}; @%p1 bra BEHIND{half};
         ld.shared.u32 %r6, [%rd5]; ld.shared.u32 %r7, [%rd5+{}]; add.s32 %r6, %r6, %r7; st.shared.u32 [%rd5], %r6;
         BEHIND{half}: bar.sync 0;",
        4 * half
    )
}

#[test]
fn a_tree_of_barriers_needs_no_help() {
    let steps: String = [128, 64, 32, 16, 8, 4, 2, 1].map(step).concat();
    let body = format!(
        ".shared .align 4 .b8 s[1024]; mul.wide.u32 %rd4, %r3, 4; mov.u64 %rd6, s; add.s64 %rd5, %rd6, %rd4;
         st.shared.u32 [%rd5], %r4; bar.sync 0; {steps}
         ld.shared.u32 %r8, [s]; st.global.u32 [%rd2], %r8;"
    );
    let memory = both_whole(&body, 3, 256);
    assert!(
        (0..768).all(|thread| memory[thread] == (0..256).map(|more| (thread as u32 & !255) + more).sum())
    );
    assert_eq!(both_with_stops(&body, 3, 256).1, 0);
}

/// Of each block of the row two warps end before the first barrier, or go on, by turns.
#[test]
fn warps_that_have_ended_are_not_waited_for() {
    let memory = both(
        ".shared .align 4 .b8 s[512]; mul.wide.u32 %rd4, %r3, 4; mov.u64 %rd6, s; add.s64 %rd5, %rd6, %rd4;
         st.shared.u32 [%rd5], %r4; bar.sync 0;
         shr.u32 %r5, %r3, 5; add.s32 %r6, %r5, %r1; and.b32 %r6, %r6, 1; setp.eq.s32 %p1, %r6, 0;
         @%p1 st.global.u32 [%rd2], %r5; @%p1 ret;
         bar.sync 0; ld.shared.u32 %r7, [%rd5]; add.s32 %r7, %r7, 1; st.shared.u32 [%rd5], %r7;
         bar.sync 0; xor.b32 %r8, %r3, 64; mul.wide.u32 %rd7, %r8, 4; add.s64 %rd8, %rd6, %rd7;
         ld.shared.u32 %r9, [%rd8]; st.global.u32 [%rd2], %r9;",
        6,
        128,
    );
    for thread in 0..6 * 128u32 {
        let (block, warp) = (thread / 128, thread % 128 / 32);
        let expected = if (warp + block) % 2 == 0 { warp } else { (thread ^ 64) + 1 };
        assert_eq!(memory[thread as usize], expected, "thread {thread}");
    }
}

/// The second warp waits for the last one between two barriers: the interpreter gets the block there, with what code would have computed anew.
#[test]
fn a_block_is_given_away_between_two_barriers() {
    let (memory, stops) = both_with_stops(
        ".shared .align 4 .b8 s[512]; .shared .align 4 .b8 flag[4];
         mul.wide.u32 %rd4, %r3, 4; mov.u64 %rd6, s; add.s64 %rd5, %rd6, %rd4; mul.lo.s32 %r10, %r4, 3; setp.lt.s32 %p3, %r3, 70;
         mov.u32 %r5, 0; st.shared.u32 [flag], %r5; bar.sync 0;
         shr.u32 %r6, %r3, 5; setp.ne.s32 %p1, %r6, 1; @%p1 bra ON;
         WAIT: ld.volatile.shared.u32 %r7, [flag]; setp.eq.s32 %p2, %r7, 0; @%p2 bra WAIT;
         ON: setp.ne.s32 %p2, %r3, 127; @%p2 bra SET; mov.u32 %r8, 1; st.volatile.shared.u32 [flag], %r8;
         SET: st.shared.u32 [%rd5], %r10; bar.sync 0;
         ld.shared.u32 %r9, [%rd5]; selp.b32 %r11, 1, 2, %p3; add.s32 %r9, %r9, %r11; st.global.u32 [%rd2], %r9;",
        4,
        128,
    );
    assert!(stops > 0);
    let expected = |thread: u32| 3 * thread + if thread % 128 < 70 { 1 } else { 2 };
    assert!((0..512).all(|thread| memory[thread as usize] == expected(thread)));
}

/// Both sides of a branch that parts the lanes, the second of which reads what the first has for its own lanes only.
#[test]
fn lanes_take_both_sides_of_a_branch() {
    let memory = both(
        "and.b32 %r5, %r3, 5; setp.eq.s32 %p1, %r5, 4; mov.u32 %r6, 7; mul.lo.s32 %r7, %r4, 5; add.s32 %r8, %r7, 1;
         @%p1 bra YES;
         add.s32 %r6, %r6, %r3; xor.b32 %r8, %r7, %r6; bra.uni BEHIND;
         YES: add.s32 %r9, %r6, %r8; ld.global.u32 %r10, [%rd2]; add.s32 %r8, %r9, %r10;
         BEHIND: add.s32 %r8, %r8, %r6; st.global.u32 [%rd2], %r8;",
        2,
        64,
    );
    for thread in 0..128u32 {
        let place = thread % 64;
        let expected = if place & 5 == 4 {
            7 + (5 * thread + 1) + thread + 7
        } else {
            ((5 * thread) ^ (7 + place)) + 7 + place
        };
        assert_eq!(memory[thread as usize], expected, "thread {thread}");
    }
}

/// Of a comparison that is combined with another predicate its outermost lanes do not tell whether any lane takes the branch.
#[test]
fn a_combined_comparison_is_more_than_its_ends() {
    let memory = both(
        "and.b32 %r5, %r3, 1; setp.eq.s32 %p2, %r5, 0; mov.u32 %r6, 1; setp.lt.and.s32 %p1, %r3, 40, %p2;
         @%p1 bra YES; mov.u32 %r6, 2; YES: st.global.u32 [%rd2], %r6;",
        2,
        64,
    );
    let expected = |place: u32| if place < 40 && place.is_multiple_of(2) { 1 } else { 2 };
    assert!((0..128).all(|thread| memory[thread as usize] == expected(thread % 64)));
}

/// Warps that a constant parts in the one way that it can, by each test; and one that it does not part.
#[test]
fn lanes_part_at_a_constant_in_a_known_way() {
    for (test, holds) in [
        ("lt.s32", (|place, number| place < number) as fn(u32, u32) -> bool),
        ("le.u32", |place, number| place <= number),
        ("gt.s32", |place, number| place > number),
        ("ge.u32", |place, number| place >= number),
        ("eq.s32", |place, number| place == number),
        ("ne.u32", |place, number| place != number),
    ] {
        for number in [0, 5, 31, 32, 40, 63, 100] {
            let memory = both(
                &format!(
                    "mov.u32 %r6, 7; setp.{test} %p1, %r3, {number}; @%p1 bra YES; add.s32 %r6, %r6, %r4; YES: st.global.u32 [%rd2], %r6;
                     setp.{test} %p2, {number}, %r3; @%p2 bra BEHIND; ld.global.u32 %r7, [%rd2]; add.s32 %r7, %r7, 100; st.global.u32 [%rd2], %r7;
                     BEHIND: add.s32 %r8, %r3, 1;"
                ),
                1,
                128,
            );
            for place in 0..128 {
                let first = if holds(place, number) { 7 } else { 7 + place };
                let expected = if holds(number, place) { first } else { first + 100 };
                assert_eq!(memory[place as usize], expected, "{test}, {number}, thread {place}");
            }
        }
    }
}
