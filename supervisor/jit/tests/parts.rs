//! Blocks whose last warp is a part of one, in compiled code beside the interpreter.

mod tiers;

use tiers::both_with_stops;

/// Runs a body in blocks of many sizes; of those that end in a part of a warp nothing is handed to the interpreter.
fn in_code(body: &str, expect: impl Fn(u32, u32, &[u32])) {
    for block in [1, 31, 33, 64, 100, 255] {
        let (memory, stops) = both_with_stops(body, 3, block);
        assert!(stops == 0 || block % 32 == 0, "{block} threads: {stops} stops");
        expect(3 * block, block, &memory);
    }
}

#[test]
fn threads_that_do_not_exist_write_nothing() {
    in_code(
        "mad.lo.u32 %r5, %r4, 3, 7; st.global.u32 [%rd2+4096], %r5; red.global.add.u32 [%rd1+16000], 1;",
        |threads, _, memory| {
            assert!((0..threads).all(|thread| memory[1024 + thread as usize] == 3 * thread + 7));
            assert_eq!(memory[1024 + threads as usize], 1024 + threads);
            assert_eq!(memory[4000], 4000 + threads);
        },
    );
}

/// What all threads have in common is behind the barrier what it was before.
#[test]
fn parts_of_warps_come_to_barriers() {
    in_code(
        ".shared .align 4 .b8 tile[1024]; mov.u32 %r5, tile; mad.lo.u32 %r6, %r3, 4, %r5; mad.lo.u32 %r7, %r4, 5, 1;
         st.shared.u32 [%r6], %r7; mul.lo.u32 %r8, %r1, 11; setp.gt.u32 %p1, %r1, 0; mul.lo.u32 %r9, %r3, 2; mov.u32 %r10, 0; mov.u32 %r15, 0;
         AGAIN: bar.sync 0;
         sub.u32 %r11, %r2, %r3; sub.u32 %r11, %r11, 1; mad.lo.u32 %r12, %r11, 4, %r5; ld.shared.u32 %r13, [%r12]; add.u32 %r13, %r13, %r8;
         @%p1 add.u32 %r13, %r13, 1000; add.u32 %r13, %r13, %r9; add.u32 %r15, %r15, %r13;
         bar.sync 0; add.u32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 3; @%p2 bra AGAIN;
         st.global.u32 [%rd2], %r15;",
        |threads, block, memory| {
            for thread in 0..threads {
                let (index, place) = (thread / block, thread % block);
                let other = index * block + block - 1 - place;
                let turn = 5 * other + 1 + 11 * index + if index > 0 { 1000 } else { 0 } + 2 * place;
                assert_eq!(memory[thread as usize], 3 * turn, "{thread}");
            }
        },
    );
}

/// Lanes that part and come together again, and some that end before a barrier.
#[test]
fn lanes_of_a_part_may_end_before_a_barrier() {
    in_code(
        ".shared .align 4 .b8 sum[4]; mov.u32 %r5, sum; setp.eq.u32 %p1, %r3, 0; mov.u32 %r6, 0; @%p1 st.shared.u32 [%r5], %r6; bar.sync 0;
         rem.u32 %r7, %r3, 3; setp.eq.u32 %p2, %r7, 1; mov.u32 %r8, 9; st.global.u32 [%rd2], %r8; @%p2 ret;
         setp.eq.u32 %p3, %r7, 2; mov.u32 %r9, 1; @%p3 bra TWO; mov.u32 %r9, 100; TWO: red.shared.add.u32 [%r5], %r9;
         bar.sync 0; ld.shared.u32 %r10, [%r5]; st.global.u32 [%rd2], %r10;",
        |threads, block, memory| {
            let sum: u32 = (0..block).map(|place| [100, 0, 1][place as usize % 3]).sum();
            for thread in 0..threads {
                let expected = if thread % block % 3 == 1 { 9 } else { sum };
                assert_eq!(memory[thread as usize], expected, "{thread} of {block}");
            }
        },
    );
}

/// Who is not there votes for nothing, and nobody waits for it.
#[test]
fn parts_of_warps_vote_and_shuffle() {
    in_code(
        "setp.ge.u32 %p1, %r3, 0; vote.sync.ballot.b32 %r5, %p1, -1; vote.sync.all.pred %p2, %p1, -1; selp.u32 %r6, 1, 0, %p2;
         shfl.sync.idx.b32 %r7, %r4, 0, 31, -1; popc.b32 %r8, %r5; mad.lo.u32 %r9, %r7, 64, %r8; mad.lo.u32 %r9, %r6, 0x100000, %r9;
         st.global.u32 [%rd2], %r9;",
        |threads, block, memory| {
            for thread in 0..threads {
                let place = thread % block;
                let first = thread - place % 32;
                let lanes = (block - place / 32 * 32).min(32);
                assert_eq!(memory[thread as usize], 0x10_0000 + 64 * first + lanes);
            }
        },
    );
}

/// Instructions that the interpreter does, and stops, where lanes are missing.
#[test]
fn the_interpreter_takes_parts_of_warps_over() {
    for block in [7, 40, 64, 90] {
        let (memory, stops) = both_with_stops(
            ".shared .align 4 .b8 tile[1024]; mov.u32 %r5, tile; mad.lo.u32 %r6, %r3, 4, %r5; add.cc.u32 %r7, %r4, 0xffffffff; addc.u32 %r8, 0, 5;
             st.volatile.shared.u32 [%r6], %r8; ld.volatile.shared.u32 %r9, [%r6]; bar.sync 0;
             sub.u32 %r11, %r2, %r3; sub.u32 %r11, %r11, 1; mad.lo.u32 %r12, %r11, 4, %r5; ld.shared.u32 %r13, [%r12];
             mad.lo.u32 %r13, %r9, 10, %r13; st.global.u32 [%rd2], %r13;",
            2,
            block,
        );
        assert!(stops > 0);
        assert!((1..2 * block - 1).all(|thread| [66, 65, 56].contains(&memory[thread as usize])), "{block}");
    }
}
