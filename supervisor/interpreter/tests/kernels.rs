//! Small kernels, launched and checked against their definition.

mod machine;

use std::sync::Arc;

use interpreter::{FaultKind, Image};
use machine::{HEAD, kernel, run};

#[test]
fn each_thread_of_many_blocks_writes_its_own_word() {
    for threads in [1, 2, 4] {
        let mut memory = vec![0; 1000];
        let text = kernel(
            "setp.ge.u32 %p1, %r4, 1000; @%p1 bra END;
             mul.lo.s32 %r5, %r4, 3; st.global.u32 [%rd2], %r5; END:",
        );
        run(&text, 16, 70, &mut memory, threads).0.expect("no fault");
        assert!(
            memory.iter().enumerate().all(|(index, value)| *value == 3 * index as u32),
            "{threads} threads"
        );
    }
}

#[test]
fn diverged_lanes_meet_again() {
    let mut memory = vec![0; 64];
    // Steps of the Collatz sequence: every lane leaves its loop at another time.
    let text = kernel(
        "add.s32 %r5, %r4, 1; mov.u32 %r6, 0;
         LOOP: setp.eq.s32 %p1, %r5, 1; @%p1 bra DONE;
         and.b32 %r7, %r5, 1; setp.eq.s32 %p2, %r7, 0; @%p2 bra EVEN;
         mad.lo.s32 %r5, %r5, 3, 1; bra.uni NEXT;
         EVEN: shr.u32 %r5, %r5, 1;
         NEXT: add.s32 %r6, %r6, 1; bra.uni LOOP;
         DONE: vote.sync.ballot.b32 %r8, 1, 0xffffffff;
         st.global.u32 [%rd2], %r6;",
    )
    .replace("vote.sync.ballot.b32 %r8, 1, 0xffffffff;", "");
    run(&text, 1, 64, &mut memory, 1).0.expect("no fault");
    let steps = |mut number: u32| {
        let mut count = 0;
        while number != 1 {
            number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
            count += 1;
        }
        count
    };
    let expected: Vec<u32> = (1..=64).map(steps).collect();
    assert_eq!(memory, expected);
}

#[test]
fn barrier_makes_shared_memory_of_other_warps_visible() {
    let mut memory = vec![0; 128];
    let text = kernel(
        ".shared .align 4 .b8 tile[512];
         mov.u32 %r5, tile; shl.b32 %r6, %r3, 2; add.s32 %r7, %r5, %r6;
         st.shared.u32 [%r7], %r3;
         bar.sync 0;
         sub.s32 %r8, 127, %r3; shl.b32 %r9, %r8, 2; add.s32 %r10, %r5, %r9;
         ld.shared.u32 %r11, [%r10];
         st.global.u32 [%rd2], %r11;",
    );
    run(&text, 1, 128, &mut memory, 1).0.expect("no fault");
    assert!(memory.iter().enumerate().all(|(index, value)| *value == 127 - index as u32));
}

#[test]
fn butterfly_shuffles_sum_a_warp() {
    let mut memory = vec![0; 32];
    let steps: String = [16, 8, 4, 2, 1]
        .map(|distance| {
            format!("shfl.sync.bfly.b32 %r6|%p1, %r5, {distance}, 31, -1; add.s32 %r5, %r5, %r6;")
        })
        .concat();
    let text = kernel(&format!("mov.u32 %r5, %r3; {steps} st.global.u32 [%rd2], %r5;"));
    run(&text, 1, 32, &mut memory, 1).0.expect("no fault");
    assert_eq!(memory, [496; 32]);
}

#[test]
fn atomics_of_all_workers_add_up() {
    let mut memory = vec![0; 1];
    let text = kernel("atom.global.add.u32 %r5, [%rd1], 1;");
    run(&text, 200, 96, &mut memory, 4).0.expect("no fault");
    assert_eq!(memory, [200 * 96]);
}

#[test]
fn elements_of_an_atomic_vector_may_trade_places() {
    let mut memory = vec![10f32.to_bits(), 20f32.to_bits()];
    let body = "mov.f32 %f1, 0f3f800000; mov.f32 %f2, 0f40000000;
        atom.global.v2.f32.add {%f1, %f2}, [%rd1], {%f2, %f1};
        add.f32 %f1, %f1, %f2; ld.global.f32 %f3, [%rd1]; ld.global.f32 %f4, [%rd1+4];
        sub.f32 %f3, %f3, %f1; st.global.f32 [%rd1], %f3;";
    run(&kernel(body), 1, 1, &mut memory, 1).0.expect("no fault");
    // 10 + 2, less the 10 and the 20 that were there; 20 + 1.
    assert_eq!(memory.iter().map(|word| f32::from_bits(*word)).collect::<Vec<_>>(), [-18.0, 21.0]);
}

#[test]
fn dot_product_of_bytes_is_signed_and_exact() {
    let mut memory = vec![0; 1];
    let text = kernel("dp4a.s32.s32 %r5, 0x80ff7f01, 0x807f80ff, 100; st.global.u32 [%rd1], %r5;");
    run(&text, 1, 1, &mut memory, 1).0.expect("no fault");
    let pairs = [(1, -1), (127, -128), (-1, 127), (-128, -128)];
    let expected = 100 + pairs.iter().map(|(x, y)| x * y).sum::<i32>();
    assert_eq!(memory[0] as i32, expected);
}

#[test]
fn access_outside_the_window_names_kernel_thread_and_address() {
    let mut memory = vec![0; 4];
    let text = kernel("mov.u64 %rd4, 4096; setp.eq.u32 %p1, %r4, 37; @%p1 st.global.u32 [%rd4], %r4;");
    let fault = run(&text, 1, 64, &mut memory, 1).0.expect_err("4096 is nobody's memory");
    assert_eq!((fault.kind, fault.address, fault.thread), (FaultKind::IllegalAddress, 4096, [37, 0, 0]));
    assert!(fault.instruction.contains("st.global.u32"), "{}", fault.instruction);
}

#[test]
fn instruction_that_is_missing_is_refused_by_its_text() {
    let text = format!("{HEAD}{}", kernel("barrier.cluster.arrive;"));
    let module = Arc::new(ptx::Module::parse(text).expect("PTX of this test"));
    let image = Image::load(module, &mut |_, _| None).expect("no variables");
    let refusal = image.kernel("k").err().expect("not implemented").to_string();
    assert!(refusal.contains("barrier.cluster.arrive") && refusal.contains("`k`"), "{refusal}");
}
