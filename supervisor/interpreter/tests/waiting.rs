//! Threads that wait for each other: barriers of parts of a block, of the grid, flags, locks.

mod machine;

use interpreter::FaultKind;
use machine::{Shape, kernel, launch, run};

#[test]
fn half_of_a_block_meets_at_a_barrier_of_its_own() {
    let mut memory = vec![0; 128];
    // Warps 0 and 1 exchange words through shared memory at barrier 1, and never meet warps 2 and 3.
    let text = kernel(
        ".shared .align 4 .b32 words[64]; setp.ge.u32 %p1, %r3, 64; @%p1 bra END;
         mov.u32 %r5, words; shl.b32 %r6, %r3, 2; add.s32 %r7, %r5, %r6; st.shared.u32 [%r7], %r3;
         bar.sync 1, 64;
         xor.b32 %r8, %r6, 252; add.s32 %r9, %r5, %r8; ld.shared.u32 %r10, [%r9]; st.global.u32 [%rd2], %r10;
         END:",
    );
    run(&text, 1, 128, &mut memory, 1).0.expect("no fault");
    let expected = |n: u32| if n < 64 { 63 - n } else { 0 };
    assert!(memory.iter().enumerate().all(|(n, value)| *value == expected(n as u32)), "{memory:?}");
}

#[test]
fn producer_arrives_and_consumer_waits() {
    let mut memory = vec![0; 64];
    let text = kernel(
        ".shared .align 4 .b32 words[32]; mov.u32 %r5, words; and.b32 %r6, %r3, 31; shl.b32 %r6, %r6, 2;
         add.s32 %r7, %r5, %r6; setp.lt.u32 %p1, %r3, 32; @%p1 bra CONSUMER;
         mul.lo.s32 %r8, %r3, 5; st.shared.u32 [%r7], %r8; bar.arrive 3, 64; bra END;
         CONSUMER: bar.sync 3, 64; ld.shared.u32 %r9, [%r7]; st.global.u32 [%rd2], %r9;
         END:",
    );
    run(&text, 1, 64, &mut memory, 1).0.expect("no fault");
    assert!((0..32).all(|n| memory[n] == 5 * (n as u32 + 32)), "{memory:?}");
}

#[test]
fn barrier_counts_and_combines() {
    let mut memory = vec![0; 96];
    let text = kernel(
        "setp.lt.u32 %p1, %r3, 40; bar.red.popc.u32 %r5, 0, %p1; bar.red.and.pred %p2, 0, %p1;
         bar.red.or.pred %p3, 0, %p1; selp.u32 %r6, 1000, 0, %p2; selp.u32 %r7, 2000, 0, %p3;
         add.s32 %r8, %r5, %r6; add.s32 %r8, %r8, %r7; st.global.u32 [%rd2], %r8;",
    );
    run(&text, 1, 96, &mut memory, 1).0.expect("no fault");
    assert!(memory.iter().all(|value| *value == 2040), "{memory:?}");
}

#[test]
fn block_that_can_never_go_on_is_a_deadlock() {
    let mut memory = vec![0; 64];
    let text = kernel("setp.lt.u32 %p1, %r3, 32; @%p1 bra END; bar.sync 2, 64; END:");
    let fault = run(&text, 1, 64, &mut memory, 1).0.expect_err("32 threads are not 64");
    assert_eq!((fault.kind, fault.thread), (FaultKind::Deadlock, [32, 0, 0]));
}

/// All blocks add to a counter and wait until all have, then read what the others wrote.
const GRID_BARRIER: &str = "
    st.global.u32 [%rd2], %r4; membar.gl; bar.sync 0;
    mov.u32 %r20, %nctaid.x; mul.lo.s32 %r21, %r20, %r2; mul.wide.u32 %rd4, %r21, 4; add.s64 %rd4, %rd1, %rd4;
    setp.ne.u32 %p1, %r3, 0; @%p1 bra MET;
    atom.global.add.u32 %r22, [%rd4], 1;
    WAIT: ld.volatile.global.u32 %r23, [%rd4]; setp.lt.u32 %p2, %r23, %r20; @%p2 bra WAIT;
    MET: bar.sync 0;
    sub.s32 %r24, %r21, 1; sub.s32 %r24, %r24, %r4; mul.wide.u32 %rd5, %r24, 4; add.s64 %rd5, %rd1, %rd5;
    ld.volatile.global.u32 %r25, [%rd5]; bar.sync 0; membar.gl;
    add.s64 %rd6, %rd4, 4;
    @%p1 bra WRITE;
    atom.global.add.u32 %r22, [%rd6], 1;
    AGAIN: ld.volatile.global.u32 %r23, [%rd6]; setp.lt.u32 %p2, %r23, %r20; @%p2 bra AGAIN;
    WRITE: bar.sync 0; st.global.u32 [%rd2], %r25;
";

#[test]
fn blocks_of_a_grid_wait_for_each_other() {
    for cooperative in [true, false] {
        for threads in [1, 2] {
            let mut memory = vec![0; 20 * 48 + 2];
            let shape = Shape { grid: 20, block: 48, threads, cooperative };
            launch(&kernel(GRID_BARRIER), shape, &mut memory).0.expect("no fault");
            let swapped = (0..960).all(|n| memory[n] == 959 - n as u32);
            assert!(swapped, "cooperative: {cooperative}, {threads} threads");
        }
    }
}

#[test]
fn cooperative_blocks_see_one_zeroed_workspace() {
    let mut memory = vec![0; 64];
    let text = kernel(
        "mov.u32 %r5, %envreg1; mov.u32 %r6, %envreg2; mov.b64 %rd4, {%r6, %r5};
         atom.add.u32 %r7, [%rd4+4], 1; st.global.u32 [%rd2], %r7;",
    );
    let shape = Shape { grid: 2, block: 32, threads: 2, cooperative: true };
    launch(&text, shape, &mut memory).0.expect("no fault");
    memory.sort_unstable();
    assert!(memory.iter().enumerate().all(|(n, value)| *value == n as u32), "{memory:?}");
}

#[test]
fn lanes_of_a_warp_take_a_lock_in_turn() {
    let mut memory = vec![0; 66];
    // Each lane spins until it has the lock; who has it must be able to go on although the others spin.
    let text = kernel(
        "add.s64 %rd4, %rd1, 256;
         TRY: atom.global.cas.b32 %r5, [%rd4], 0, 1; setp.ne.s32 %p1, %r5, 0; @%p1 bra TRY;
         ld.volatile.global.u32 %r6, [%rd4+4]; add.s32 %r6, %r6, 1; st.volatile.global.u32 [%rd4+4], %r6;
         membar.gl; atom.global.exch.b32 %r7, [%rd4], 0;",
    );
    run(&text, 1, 64, &mut memory, 1).0.expect("no fault");
    assert_eq!(memory[64..], [0, 64]);
}

#[test]
fn lanes_meet_before_they_shuffle() {
    let mut memory = vec![0; 32];
    // Odd lanes come later, by another way.
    let text = kernel(
        "and.b32 %r5, %r4, 1; setp.eq.u32 %p1, %r5, 0; mov.u32 %r6, 5; @%p1 bra TOGETHER;
         mov.u32 %r6, 9; mov.u32 %r7, 0;
         LOOP: add.s32 %r7, %r7, 1; setp.lt.u32 %p2, %r7, 20; @%p2 bra LOOP;
         bra TOGETHER;
         TOGETHER: shfl.sync.bfly.b32 %r8, %r6, 1, 31, -1; st.global.u32 [%rd2], %r8;",
    );
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert!(
        memory.iter().enumerate().all(|(n, value)| *value == if n % 2 == 0 { 9 } else { 5 }),
        "{memory:?}"
    );
}
