//! Small kernels in compiled code beside the interpreter.

mod tiers;

use tiers::{both, both_whole, both_with_stops, uses};

#[test]
fn lanes_that_wait_for_each_other_get_their_turn() {
    let memory = both(
        ".shared .align 4 .b8 passed[256];
         mul.wide.s32 %rd5, %r3, 4; mov.u64 %rd6, passed; add.s64 %rd4, %rd6, %rd5;
         mov.u32 %r5, 0; st.volatile.shared.u32 [%rd4], %r5; bar.sync 0;
         setp.lt.s32 %p1, %r3, 1; mov.u32 %r13, 1; @%p1 bra PASS;
         add.s32 %r6, %r3, -1; mul.wide.u32 %rd7, %r6, 4; add.s64 %rd8, %rd6, %rd7;
         WAIT: ld.volatile.shared.u32 %r7, [%rd8]; setp.eq.s32 %p2, %r7, 0; @%p2 bra WAIT;
         ld.volatile.shared.u32 %r8, [%rd8]; add.s32 %r13, %r8, 1;
         PASS: st.volatile.shared.u32 [%rd4], %r13; bar.sync 0;
         ld.volatile.shared.u32 %r9, [%rd4]; st.global.u32 [%rd2], %r9;",
        1,
        64,
    );
    assert!((0..64).all(|thread| memory[thread] == thread as u32 + 1));
}

/// Of several blocks that code runs in a row, each has its own place, also for the interpreter.
#[test]
fn stopped_blocks_of_a_row_know_their_place() {
    let memory =
        both("st.volatile.global.u32 [%rd2], %r4; mov.u32 %r5, %ctaid.x; st.global.u32 [%rd2], %r5;", 64, 32);
    assert!((0..64 * 32).all(|thread| memory[thread] == thread as u32 / 32));
}

/// What has no code of its own is done by the interpreter, instruction by instruction.
#[test]
fn instructions_without_code_are_done_one_by_one() {
    let memory = both(
        "add.cc.u32 %r5, %r4, 0xffffffff; addc.u32 %r6, 0, 0;
         and.b32 %r7, %r4, 7; mul.wide.u32 %rd5, %r7, 4; add.s64 %rd6, %rd1, %rd5;
         red.global.add.u32 [%rd6+8192], %r6; st.global.u32 [%rd2], %r6;",
        4,
        64,
    );
    assert_eq!((memory[0], memory[1], memory[255]), (0, 1, 1));
    assert_eq!((memory[2048], memory[2049]), (2048 + 31, 2049 + 32));
}

#[test]
fn a_pointer_of_the_turn_before_is_not_one_of_this_turn() {
    // %rd7 is 8 behind %rd5 wherever it is computed, but where it is read %rd5 has moved on.
    let memory = both(
        "mov.u32 %r5, 0; mov.u32 %r9, 0; add.s64 %rd9, %rd1, 8192;
         TURN: ld.global.u32 %r6, [%rd9]; and.b32 %r6, %r6, 7; mul.wide.u32 %rd4, %r6, 4; add.s64 %rd5, %rd2, %rd4;
         add.s64 %rd6, %rd5, 4;
         setp.eq.s32 %p1, %r5, 0; @%p1 bra FIRST;
         ld.global.u32 %r7, [%rd6]; ld.global.u32 %r8, [%rd7]; mad.lo.s32 %r9, %r7, 3, %r9; mad.lo.s32 %r9, %r8, 5, %r9;
         FIRST: add.s64 %rd7, %rd5, 8; add.s64 %rd9, %rd9, 12; add.s32 %r5, %r5, 1;
         setp.lt.s32 %p2, %r5, 4; @%p2 bra TURN;
         st.global.u32 [%rd2], %r9;",
        1,
        32,
    );
    assert_ne!(memory[0], memory[1]);
}

/// What is known of a number's low bits is not known of those of a number that is made of it.
#[test]
fn a_converted_number_has_low_bits_of_its_own() {
    // 1.0 has 23 zeros below its exponent; 1 has none.
    let memory = both(
        "mov.f32 %f1, 0f3F800000; cvt.rzi.s32.f32 %r5, %f1; add.s32 %r6, %r5, %r3; and.b32 %r7, %r6, 3;
         add.f32 %f2, %f1, 0f34000000; mov.b32 %r8, %f2; add.s32 %r9, %r8, %r3; and.b32 %r10, %r9, 7;
         cvt.sat.u8.s32 %r11, %r1; mov.u32 %r12, 256; mul.lo.s32 %r13, %r2, 256; cvt.sat.u8.s32 %r14, %r13;
         add.s32 %r15, %r14, %r3; and.b32 %r16, %r15, 15;
         mad.lo.s32 %r7, %r7, 8, %r10; mad.lo.s32 %r7, %r7, 16, %r16; st.global.u32 [%rd2], %r7;",
        1,
        32,
    );
    assert_eq!(memory[3], 4 * 16 + 2);
}

/// A byte whose highest bit is set is negative as `s8`; what has 8 bits before has any sign behind.
#[test]
fn a_signed_byte_of_many_bits_is_negative() {
    let memory = both(
        "and.b32 %r5, %r1, 7; or.b32 %r5, %r5, 248; cvt.s32.s8 %r6, %r5; add.s32 %r7, %r6, %r3;
         setp.lt.u32 %p1, %r7, 5; selp.u32 %r8, 7, 9, %p1; st.global.u32 [%rd2], %r8;",
        1,
        32,
    );
    assert_eq!([0, 7, 8, 12, 13].map(|thread| memory[thread]), [9, 9, 7, 7, 9]);
}

/// Halves of a word do not carry: a pattern of words is none of halves.
#[test]
fn halves_of_a_word_wrap_alone() {
    let memory = both(
        "mov.u32 %r5, 0xfff0; add.u16x2 %r6, %r3, %r5; shr.u32 %r7, %r6, 16; st.global.u32 [%rd2], %r7;",
        1,
        32,
    );
    assert_eq!((memory[0], memory[20]), (0, 0));
}

/// Lanes of a warp may come to barriers of their own: the block's barrier counts all of them.
#[test]
fn lanes_that_have_parted_meet_at_two_barriers() {
    let memory = both(
        ".shared .align 4 .b8 tile[256];
         mul.wide.s32 %rd5, %r3, 4; mov.u64 %rd6, tile; add.s64 %rd4, %rd6, %rd5; st.shared.u32 [%rd4], %r3;
         and.b32 %r5, %r3, 1; setp.eq.u32 %p1, %r5, 0; @%p1 bra EVEN;
         bar.sync 0; mov.u32 %r6, 100; bra BOTH;
         EVEN: bar.sync 0; mov.u32 %r6, 200;
         BOTH: xor.b32 %r7, %r3, 63; mul.wide.u32 %rd7, %r7, 4; add.s64 %rd8, %rd6, %rd7;
         ld.shared.u32 %r8, [%rd8]; add.u32 %r9, %r8, %r6; st.global.u32 [%rd2], %r9;",
        2,
        64,
    );
    assert_eq!([0, 1, 62, 63].map(|thread| memory[thread]), [263, 162, 201, 100]);
}

/// A row of words for each lane is transposed.
#[test]
fn lanes_read_rows_of_their_own() {
    let memory = both(
        "mul.wide.u32 %rd5, %r3, 72; add.s64 %rd6, %rd1, %rd5; mov.u32 %r30, 0;
         ld.global.v2.u32 {%r5, %r6}, [%rd6]; ld.global.v2.u32 {%r7, %r8}, [%rd6+8];
         ld.global.u32 %r9, [%rd6+16]; ld.global.u32 %r10, [%rd6+20]; ld.global.v2.u32 {%r11, %r12}, [%rd6+24];
         ld.global.v2.u32 {%r13, %r14}, [%rd6+32]; ld.global.v2.u32 {%r15, %r16}, [%rd6+40];
         ld.global.v2.u32 {%r17, %r18}, [%rd6+48]; ld.global.v2.u32 {%r19, %r20}, [%rd6+56];
         mad.lo.u32 %r30, %r5, 3, %r6; mad.lo.u32 %r30, %r30, 3, %r7; mad.lo.u32 %r30, %r30, 3, %r8;
         mad.lo.u32 %r30, %r30, 3, %r9; mad.lo.u32 %r30, %r30, 3, %r10; mad.lo.u32 %r30, %r30, 3, %r11;
         mad.lo.u32 %r30, %r30, 3, %r12; mad.lo.u32 %r30, %r30, 3, %r13; mad.lo.u32 %r30, %r30, 3, %r14;
         mad.lo.u32 %r30, %r30, 3, %r15; mad.lo.u32 %r30, %r30, 3, %r16; mad.lo.u32 %r30, %r30, 3, %r17;
         mad.lo.u32 %r30, %r30, 3, %r18; mad.lo.u32 %r30, %r30, 3, %r19; mad.lo.u32 %r30, %r30, 3, %r20;
         bar.sync 0; st.global.u32 [%rd2+12288], %r30;",
        1,
        64,
    );
    let row =
        |thread: u32| (0..16).fold(0u32, |sum, word| sum.wrapping_mul(3).wrapping_add(18 * thread + word));
    assert!((0..64).all(|thread| memory[3072 + thread as usize] == row(thread)));
}

/// Sums and products next to zero: what both tiers give is compared by `both`; some of it is rounded otherwise to nearest.
#[test]
fn results_are_rounded_to_zero() {
    let memory = both(
        "shl.b32 %r5, %r4, 24; or.b32 %r5, %r5, 0x00800001; xor.b32 %r5, %r5, %r4; mov.b32 %f1, %r5;
         mul.lo.u32 %r6, %r4, 0x9e3779b1; mov.b32 %f2, %r6;
         add.rz.f32 %f3, %f1, %f2; mul.rz.f32 %f4, %f1, %f2; fma.rz.f32 %f5, %f1, %f2, %f3; sub.rz.f32 %f6, %f5, %f4;
         add.rz.ftz.f32 %f7, %f1, %f6; mov.b32 %r7, %f3; mov.b32 %r8, %f4; mov.b32 %r9, %f5; mov.b32 %r10, %f7;
         mul.lo.u32 %r7, %r7, 31; xor.b32 %r7, %r7, %r8; mul.lo.u32 %r7, %r7, 31; xor.b32 %r7, %r7, %r9;
         mul.lo.u32 %r7, %r7, 31; xor.b32 %r7, %r7, %r10; st.global.u32 [%rd2], %r7;
         mov.f32 %f1, 0f3f800001; mov.f32 %f2, 0f33ffffff; add.rz.f32 %f3, %f1, %f2; st.global.f32 [%rd2+8192], %f3;",
        16,
        128,
    );
    assert_eq!(
        (memory[2048], f32::from_bits(0x3f80_0001) + f32::from_bits(0x33ff_ffff)),
        (0x3f80_0001, f32::from_bits(0x3f80_0002))
    );
}

/// A register that the second world keeps as a vector is a word again behind the place where all lanes meet.
#[test]
fn code_goes_on_at_a_barrier_behind_lanes_that_had_parted() {
    let (memory, stops) = both_with_stops(
        "mov.u32 %r5, 0; mov.u32 %r6, 7; setp.gt.u32 %p1, %r3, 40; @%p1 bra FEW;
         LOOP: add.u32 %r5, %r5, 1; setp.lt.u32 %p2, %r5, 5; @%p2 bra LOOP; bra MEET;
         FEW: mov.u32 %r5, 5;
         MEET: bar.sync 0; add.u32 %r7, %r5, %r6; st.global.u32 [%rd2], %r7;",
        2,
        96,
    );
    assert!(memory[..192].iter().all(|word| *word == 12));
    assert_eq!(stops, 0);
}

/// Lanes that do not execute may lie beyond the end.
#[test]
fn only_places_of_lanes_that_execute_are_tested() {
    let (memory, stops) = both_with_stops(
        ".shared .align 4 .b8 few[40]; mov.u64 %rd6, few; mul.wide.u32 %rd5, %r3, 4; add.s64 %rd4, %rd6, %rd5;
         setp.ge.u32 %p1, %r3, 10; @%p1 bra MEET; st.shared.u32 [%rd4], %r4;
         MEET: bar.sync 0; ld.shared.u32 %r5, [few+36]; st.global.u32 [%rd2], %r5;",
        2,
        64,
    );
    assert!((0..128).all(|thread| memory[thread] == thread as u32 / 64 * 64 + 9));
    assert_eq!(stops, 0);
}

/// Processors do not have the conversion, and LLVM would call a function for it that is not here.
#[test]
fn doubles_become_halves() {
    let memory = both(
        ".reg .f64 %d<3>; cvt.rn.f64.u32 %d1, %r3; mul.f64 %d2, %d1, 0d3FF0010000000000; cvt.rn.f16.f64 %rs1, %d2; cvt.u32.u16 %r5, %rs1;
         st.global.u32 [%rd2], %r5;",
        1,
        32,
    );
    assert_eq!((memory[0], memory[1]), (0, 0x3c00));
}

/// Its kind can't be told from the values that it is made of: it is one of them.
#[test]
fn a_register_that_only_a_loop_writes_differs_between_lanes() {
    let memory = both(
        "mov.u32 %r5, 0; mul.lo.u32 %r8, %r4, 3;
         TURN: setp.eq.s32 %p1, %r5, 0; selp.b32 %r9, %r8, %r9, %p1; xor.b32 %r10, %r9, 5;
         add.s32 %r8, %r8, 1; add.s32 %r5, %r5, 1; setp.lt.s32 %p2, %r5, 3; @%p2 bra TURN;
         st.global.u32 [%rd2], %r10;",
        2,
        64,
    );
    assert!((0..128).all(|thread| memory[thread] == (3 * thread as u32) ^ 5));
}

/// `x - 0` and `x * 1` flush a subnormal `x`, and so do operands that become such in the middle.
#[test]
fn operands_that_change_nothing_flush_all_the_same() {
    let memory = both_whole(
        "mov.b32 %f1, %r4; mov.f32 %f5, 0f3F800000; mov.b32 %f6, 0x80000000;
         sub.ftz.f32 %f2, %f1, 0f00000000; mul.ftz.f32 %f3, %f1, 0fBF800000; mov.u32 %r6, 0;
         TURN: mul.ftz.f32 %f4, %f1, %f5; add.ftz.f32 %f7, %f1, %f6; add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 3; @%p1 bra TURN;
         cvt.rn.f32.u32 %f8, %r4; setp.geu.ftz.f32 %p2, %f8, 0f00400000; selp.b32 %r7, 1, 0, %p2;
         st.global.u32 [%rd2+4096], %r7; st.global.f32 [%rd2], %f2; st.global.f32 [%rd2+1024], %f3; st.global.f32 [%rd2+2048], %f4; st.global.f32 [%rd2+3072], %f7;",
        1,
        64,
    );
    for place in 1..64 {
        let all = [0, 256, 512, 768].map(|part| memory[place + part]);
        assert_eq!(all, [0, 0x8000_0000, 0, 0], "of {place}");
    }
    for place in 0..64 {
        assert_eq!(memory[1024 + place], 1, "a subnormal constant is zero, of {place}");
    }
}

/// Other instructions let the processor flush; a negative subnormal is less than zero all the same, except to a selection that flushes.
#[test]
fn selections_by_sign_see_subnormals() {
    let memory = both_whole(
        "add.ftz.f32 %f1, %f1, %f2; bfe.u32 %r5, %r4, 1, 1; mul.lo.u32 %r5, %r5, 0x7f800000;
         bfe.u32 %r6, %r4, 3, 1; shl.b32 %r6, %r6, 23; xor.b32 %r5, %r5, %r6; bfe.u32 %r6, %r4, 2, 1; or.b32 %r5, %r5, %r6;
         shl.b32 %r6, %r4, 31; or.b32 %r5, %r5, %r6; mov.b32 %f3, %r5;
         slct.u32.f32 %r7, 1, 0, %f3; slct.ftz.u32.f32 %r8, 1, 0, %f3;
         mul.ftz.f32 %f4, %f3, 0f40000000; st.global.f32 [%rd2+1024], %f4;
         st.global.u32 [%rd2], %r7; st.global.u32 [%rd2+512], %r8;",
        1,
        32,
    );
    for lane in 0..32 {
        let exponent = ((lane >> 1 & 1) * 0xff) ^ (lane >> 3 & 1);
        let number = f32::from_bits((lane & 1) << 31 | exponent << 23 | lane >> 2 & 1);
        let flushed = if number.is_subnormal() { 0.0 } else { number };
        let chosen = [0, 128].map(|part| memory[lane as usize + part]);
        assert_eq!(
            chosen,
            [number, flushed].map(|number| u32::from(number >= 0.0)),
            "by {number:e}, of {lane}"
        );
    }
}

/// A factor whose high bits are clear is no factor without a sign where the other one is that.
#[test]
fn products_of_bytes_of_either_sign_know_a_small_factor() {
    let memory = both_whole(
        "and.b32 %r5, %r4, 0x7f7f7f7f; mov.u32 %r6, 0xfffffffe; mov.b32 %r9, 0xff80ff81;
         dp4a.u32.s32 %r7, %r6, %r5, %r4; dp4a.s32.u32 %r8, %r5, %r6, %r4; dp4a.s32.s32 %r10, %r5, %r9, %r4;
         st.global.u32 [%rd2], %r7; st.global.u32 [%rd2+1024], %r8; st.global.u32 [%rd2+2048], %r10;",
        1,
        64,
    );
    for place in 0..64u32 {
        let expected = [place + 254 * place, place + 254 * place, place.wrapping_sub(127 * place)];
        assert_eq!([0, 256, 512].map(|part| memory[place as usize + part]), expected, "of {place}");
    }
}

/// Lanes that are farther apart than 64 bits can say: in registers of 64 bits, and of 32 by a detour.
#[test]
fn lanes_that_are_too_far_apart_are_no_pattern() {
    let memory = both(
        "mul.wide.u32 %rd5, %r4, 0x2fab38ad; mov.b64 %rd6, 0xd6c435e4a497e66f; mul.lo.u64 %rd7, %rd5, %rd6;
         mul.lo.u32 %r5, %r4, 0x7ffffffd; mul.lo.u32 %r6, %r5, 0x7ffffffb; mul.lo.u32 %r7, %r6, 0x7ffffff3; shl.b32 %r7, %r7, 3;
         mul.wide.u32 %rd8, %r4, 8; add.s64 %rd9, %rd1, %rd8; st.global.b64 [%rd9], %rd7; st.global.u32 [%rd2+1024], %r7;",
        1,
        64,
    );
    for place in 0..64u64 {
        let wide = (place * 0x2fab_38ad).wrapping_mul(0xd6c4_35e4_a497_e66f);
        let found = u64::from(memory[2 * place as usize]) | u64::from(memory[2 * place as usize + 1]) << 32;
        assert_eq!(found, wide, "of {place}");
        let narrow = [0x7fff_fffd_u32, 0x7fff_fffb, 0x7fff_fff3, 8];
        let narrow = narrow.into_iter().fold(place as u32, u32::wrapping_mul);
        assert_eq!(memory[256 + place as usize], narrow, "of {place}");
    }
}

/// Copies of `f16` tiles: both halves of a word, converted, side by side.
#[test]
fn halves_are_converted_where_they_lie() {
    for order in ["%f1, %f2", "%f2, %f1"] {
        let memory = both_whole(
            &format!(
                "ld.global.u32 %r5, [%rd2]; mad.lo.u32 %r5, %r5, 0x10003, 0x3c004000; mov.b32 {{%rs1, %rs2}}, %r5;
                 cvt.f32.f16 %f1, %rs1; cvt.f32.f16 %f2, %rs2;
                 mul.wide.u32 %rd5, %r4, 8; add.s64 %rd6, %rd1, %rd5; st.global.v2.f32 [%rd6+8192], {{{order}}};"
            ),
            2,
            64,
        );
        let first = [2.0f32, 1.0].map(f32::to_bits);
        let expected = if order == "%f1, %f2" { first } else { [first[1], first[0]] };
        assert_eq!(memory[2048..2050], expected);
    }
}

/// Rows of 36 words, of which a block's second warp has four lanes left: loads of theirs must not touch what lies behind.
#[test]
fn few_lanes_of_a_warp_go_round_a_loop_alone() {
    let memory = both_whole(
        "mov.u32 %r5, %r3; mov.u32 %r9, 0; mul.wide.u32 %rd4, %r3, 8; add.s64 %rd5, %rd1, %rd4;
         setp.ge.u32 %p1, %r5, 36; @%p1 bra DONE;
         TURN: ld.global.v2.u32 {%r6, %r7}, [%rd5]; ld.global.u16 %rs1, [%rd5+2]; cvt.u32.u16 %r8, %rs1;
         mad.lo.u32 %r9, %r6, 3, %r9; mad.lo.u32 %r9, %r7, 5, %r9; xor.b32 %r9, %r9, %r8;
         and.b32 %r10, %r3, 1; setp.eq.u32 %p2, %r10, 0; @%p2 bra EVEN; add.u32 %r9, %r9, %r5;
         EVEN: add.u32 %r5, %r5, 18; add.s64 %rd5, %rd5, 144; setp.lt.u32 %p3, %r5, 36; @%p3 bra TURN;
         DONE: st.global.u32 [%rd2+8192], %r9;",
        2,
        64,
    );
    let term =
        |thread: u32, index: u32| (6 * index + 10 * index + 5) + if thread % 2 == 1 { index } else { 0 };
    let sum = |thread: u32| (thread..36).step_by(18).map(|index| term(thread, index)).sum::<u32>();
    assert!((0..128u32).all(|thread| memory[2048 + thread as usize] == sum(thread % 64)));
}

/// More values at once than the processor has registers, of loads that lie in a pattern and of some that do not.
#[test]
fn runs_are_done_in_passes() {
    let mut body = String::from(
        "mul.wide.u32 %rd5, %r3, 16; add.s64 %rd6, %rd1, %rd5; ld.global.u32 %r30, [%rd1+64]; xor.b32 %r31, %r3, 21;
         mul.lo.u32 %r31, %r31, 28; cvt.u64.u32 %rd7, %r31; add.s64 %rd8, %rd1, %rd7;",
    );
    for word in 0..8 {
        body += &format!(
            "ld.global.u32 %r{}, [%rd6+{}]; ld.global.u16 %rs1, [%rd8+{}];",
            5 + word,
            4 * word,
            4 * word
        );
        body += &format!("cvt.u32.u16 %r20, %rs1; add.u32 %r{0}, %r{0}, %r20;", 5 + word);
    }
    for round in 0..4 {
        for word in 0..8 {
            let other = 5 + (word + 1 + round) % 8;
            body += &format!("shl.b32 %r21, %r{other}, {round}; xor.b32 %r{0}, %r{0}, %r21;", 5 + word);
        }
    }
    body += "setp.gt.u32 %p1, %r5, %r6; selp.b32 %r13, %r7, %r8, %p1; add.u32 %r13, %r13, %r30; xor.b32 %r13, %r13, %r9;
             xor.b32 %r13, %r13, %r10; xor.b32 %r13, %r13, %r11; xor.b32 %r13, %r13, %r12; @%p1 bra YES; add.u32 %r13, %r13, 1;
             YES: st.global.u32 [%rd2+8192], %r13;";
    let memory = both_whole(&body, 2, 96);
    assert!((0..96).any(|thread| memory[2048 + thread] != memory[2048]));
}

/// Two words of each lane side by side, masked, shifted and multiplied with others that lie in the same way, and with one that all
/// lanes share: sums that 16 bits hold, and too many for that.
#[test]
fn products_of_bytes_are_summed_where_they_lie() {
    let mut body = String::from(
        "mul.wide.u32 %rd5, %r3, 8; add.s64 %rd6, %rd1, %rd5; mov.u32 %r9, 7; mov.u32 %r20, 0; ld.global.u32 %r12, [%rd1+800];",
    );
    for round in 0..6 {
        for word in 0..2 {
            let place = 1024 * round + 4 * word;
            body += &format!(
                "ld.global.u32 %r5, [%rd6+{place}]; mul.lo.u32 %r5, %r5, 0x9e3779b1; st.global.u32 [%rd6+{place}], %r5;"
            );
        }
    }
    body += "bar.sync 0;";
    for round in 0..6 {
        let mask = if round % 2 == 0 { 0x0f0f_0f0f } else { 0x7f7f_7f7f };
        for word in 0..2 {
            body += &format!(
                "ld.global.u32 %r5, [%rd6+{}]; ld.global.u32 %r6, [%rd6+{}];
                 and.b32 %r7, %r5, {mask}; shr.u32 %r8, %r5, 4; and.b32 %r8, %r8, 0x0f0f0f0f;
                 dp4a.s32.s32 %r9, %r7, %r6, %r9; dp4a.s32.s32 %r9, %r6, %r8, %r9; dp4a.s32.s32 %r20, %r5, %r6, %r20;
                 dp4a.s32.s32 %r20, %r7, %r12, %r20;",
                1024 * round + 4 * word,
                1024 * ((round + 1) % 6) + 4 * word
            );
        }
    }
    body += "mul.wide.u32 %rd7, %r4, 4; add.s64 %rd8, %rd1, %rd7; st.global.u32 [%rd8+12288], %r9; st.global.u32 [%rd8+14336], %r20;";
    let memory = both_whole(&body, 1, 64);
    let dot = |x: u32, y: u32| -> u32 {
        let bytes = x.to_le_bytes().into_iter().zip(y.to_le_bytes());
        bytes.map(|(x, y)| i32::from(x as i8) * i32::from(y as i8)).sum::<i32>() as u32
    };
    for thread in 0..64 {
        let at = |round: usize, word: usize| memory[256 * (round % 6) + 2 * thread + word];
        let (mut small, mut signed) = (7u32, 0u32);
        for round in 0..6 {
            let mask = if round % 2 == 0 { 0x0f0f_0f0f } else { 0x7f7f_7f7f };
            for word in 0..2 {
                let (x, y) = (at(round, word), at(round + 1, word));
                small = small.wrapping_add(dot(x & mask, y)).wrapping_add(dot(x >> 4 & 0x0f0f_0f0f, y));
                signed = signed.wrapping_add(dot(x, y)).wrapping_add(dot(x & mask, 200));
            }
        }
        assert_eq!([memory[3072 + thread], memory[3584 + thread]], [small, signed], "of {thread}");
    }
}

#[test]
fn bytes_are_copies_of_signs() {
    let memory = both_whole(
        "mul.lo.u32 %r5, %r4, 0x01838507; not.b32 %r6, %r5; prmt.b32 %r7, %r5, %r6, 0xba98; prmt.b32 %r8, %r5, %r6, 0x7c19;
         st.global.u32 [%rd2], %r7; st.global.u32 [%rd2+1024], %r8;",
        1,
        64,
    );
    for place in 0..64u32 {
        let number = place.wrapping_mul(0x0183_8507);
        let bytes = [number, !number].map(u32::to_le_bytes).concat();
        let made = |selector: u32| {
            u32::from_le_bytes(std::array::from_fn(|byte| {
                let chosen = selector >> (4 * byte) & 15;
                let value = bytes[chosen as usize & 7];
                if chosen < 8 { value } else { ((value as i8) >> 7) as u8 }
            }))
        };
        assert_eq!(
            [0, 256].map(|part| memory[place as usize + part]),
            [made(0xba98), made(0x7c19)],
            "of {place}"
        );
    }
}

/// What `%` leaves of a thread's place is known behind a branch as well: loads by it are not gathered.
#[test]
fn remainders_are_known_behind_branches() {
    let body = "shr.s32 %r5, %r3, 31; shr.u32 %r5, %r5, 27; add.s32 %r6, %r3, %r5; ld.global.u32 %r7, [%rd1];
                setp.eq.u32 %p1, %r7, 9; @%p1 bra OVER;
                and.b32 %r8, %r6, -32; sub.s32 %r9, %r3, %r8; shr.s32 %r10, %r9, 31; shr.u32 %r10, %r10, 28; add.s32 %r13, %r9, %r10;
                shr.s32 %r11, %r13, 4; mul.wide.s32 %rd5, %r11, 36; add.s64 %rd6, %rd1, %rd5; ld.global.u32 %r12, [%rd6+64];
                st.global.u32 [%rd2+8192], %r12; OVER: st.global.u32 [%rd2+4096], %r6;";
    let memory = both_whole(body, 1, 64);
    assert!((0..64).all(|thread| memory[2048 + thread] as usize == 16 + 9 * (thread % 32 / 16)));
    assert!(!uses(body, 64).contains(&"gather"));
}

/// Code runs many blocks per call where those before were short. One that waits must not keep those behind it from beginning.
#[test]
fn blocks_that_a_block_of_their_row_waits_for_begin_beside_it() {
    let memory = both(
        "st.global.u32 [%rd2], %r1; setp.lt.u32 %p1, %r1, 32; @%p1 bra END;
         setp.ne.u32 %p2, %r3, 0; @%p2 bra END;
         atom.global.add.u32 %r5, [%rd1+16380], 1;
         WAIT: ld.volatile.global.u32 %r6, [%rd1+16380]; setp.lt.u32 %p3, %r6, 4159; @%p3 bra WAIT;
         END:",
        96,
        32,
    );
    assert!((0..96 * 32).all(|thread| memory[thread] == thread as u32 / 32));
    assert_eq!(memory[4095], 4095 + 64);
}

/// Where a block's bound and places are linear its warps go through a sweep, if all of them may.
#[test]
fn blocks_are_swept_where_their_tests_hold_for_all_warps() {
    // A bound within a warp of a block, and one that no block reaches.
    for bound in [1000, 4000] {
        let memory = both_swept(&format!(
            "setp.ge.s32 %p1, %r4, {bound}; @%p1 bra END;
             ld.global.u32 %r5, [%rd2]; mad.lo.s32 %r6, %r5, 3, 7; st.global.u32 [%rd2], %r6; END:"
        ));
        let expected = |n: u32| if n < bound.min(4 * 96) { 3 * n + 7 } else { n };
        assert!((0..4096).all(|n| memory[n] == expected(n as u32)), "{bound}");
    }
    // Several bounds, of which the second holds for two warps of three.
    let memory = both_swept(
        "setp.lt.u32 %p1, %r1, 3; setp.gt.u32 %p2, 64, %r3; and.pred %p3, %p1, %p2; @!%p3 bra END;
         st.global.u32 [%rd2], %r3; END:",
    );
    let expected = |n: u32| if n < 288 && n % 96 < 64 { n % 96 } else { n };
    assert!((0..4096).all(|n| memory[n] == expected(n as u32)));
    // A number that wraps between two warps, in a comparison.
    let memory = both_swept(
        "add.s32 %r5, %r3, 0x7fffffe0; setp.lt.s32 %p1, %r5, 0; @%p1 bra END; st.global.u32 [%rd2], 5; END:",
    );
    assert!((0..384).all(|n| memory[n] == if n % 96 < 32 { 5 } else { n as u32 }));
    // One that wraps within the second warp, and is widened.
    let memory = both_swept(
        "add.s32 %r5, %r3, -48; cvt.u64.u32 %rd4, %r5; mov.b64 {%r6, %r7}, %rd4; st.global.u32 [%rd2], %r7;",
    );
    assert!((0..384).all(|n| memory[n] == 0));
    // A generic address that is not device memory's.
    let memory = both_swept(
        ".shared .align 4 .b8 words[384]; mov.u64 %rd5, words; cvta.shared.u64 %rd6, %rd5;
         mul.wide.u32 %rd7, %r3, 4; add.s64 %rd8, %rd6, %rd7; st.u32 [%rd8], %r4; ld.u32 %r5, [%rd8];
         add.s32 %r5, %r5, 1; st.global.u32 [%rd2], %r5;",
    );
    assert!((0..384).all(|n| memory[n] == n as u32 + 1));
}

/// As [`both_whole`], four blocks of three warps, and there is a sweep.
fn both_swept(body: &str) -> Vec<u32> {
    assert!(uses(body, 96).contains(&"sweep"), "{body}");
    both_whole(body, 4, 96)
}

/// Blocks of a row of 42 are swept one after the other where what the first and the last but one test holds for all.
#[test]
fn rows_of_blocks_are_swept_where_their_tests_hold_for_all_blocks() {
    let swept = |body: &str| {
        assert!(uses(body, 96).contains(&"row swept"), "{body}");
        both_whole(body, 42, 96)
    };
    // A bound in the last block, in the one before, in the middle and in the first one, and one that no block reaches.
    for bound in [4000, 3900, 3936, 2000, 50, 5000] {
        let memory = swept(&format!(
            "setp.ge.s32 %p1, %r4, {bound}; @%p1 bra END;
             ld.global.u32 %r5, [%rd2]; mad.lo.s32 %r6, %r5, 3, 7; st.global.u32 [%rd2], %r6; END:"
        ));
        let expected = |n: u32| if n < bound.min(42 * 96) { 3 * n + 7 } else { n };
        assert!((0..4096).all(|n| memory[n] == expected(n as u32)), "{bound}");
    }
    // Places that fall from block to block.
    let memory = swept(
        "sub.s32 %r5, 41, %r1; mad.lo.s32 %r6, %r5, %r2, %r3; mul.wide.s32 %rd4, %r6, 4; add.s64 %rd5, %rd1, %rd4;
         st.global.u32 [%rd5], %r4;",
    );
    assert!((0..42 * 96).all(|n| memory[n] == (41 - n as u32 / 96) * 96 + n as u32 % 96));
    // A number that is small in the second block and in the sixteenth, the ends of what the second call has, and wraps between.
    let number = |n: u32| (n / 96).wrapping_mul(306_783_379);
    let memory = swept(
        "mul.lo.u32 %r5, %r1, 306783379; setp.lt.u32 %p1, %r5, 0x80000000; @!%p1 bra END;
         st.global.u32 [%rd2], 5; END:",
    );
    let expected = |n: u32| if n < 42 * 96 && number(n) < 0x8000_0000 { 5 } else { n };
    assert!((0..4096).all(|n| memory[n] == expected(n as u32)));
    // The same, widened.
    let memory = swept(
        "mul.lo.u32 %r5, %r1, 306783379; cvt.u64.u32 %rd4, %r5; add.s64 %rd5, %rd4, 16;
         setp.lt.u64 %p1, %rd5, 0x80000010; @!%p1 bra END; st.global.u32 [%rd2], 5; END:",
    );
    assert!((0..4096).all(|n| memory[n] == expected(n as u32)));
}

/// A row is not proven by its ends where something else than a linear number of the block decides.
#[test]
fn rows_are_not_swept_where_blocks_differ_in_other_ways() {
    for body in [
        "shr.u32 %r5, %r1, 1; setp.lt.u32 %p1, %r3, %r5; @!%p1 bra END; st.global.u32 [%rd2], 5; END:",
        "and.b32 %r5, %r1, 2; setp.eq.u32 %p1, %r5, 0; @%p1 bra END; st.global.u32 [%rd2], 5; END:",
        "mul.lo.u32 %r5, %r1, %r1; setp.lt.u32 %p1, %r5, 100; @%p1 bra END; st.global.u32 [%rd2], 5; END:",
    ] {
        let used = uses(body, 96);
        assert!(used.contains(&"sweep") && !used.contains(&"row swept"), "{body}");
        both_whole(body, 42, 96);
    }
}

/// What would read or write something else if it was not tested each time is not swept.
#[test]
fn blocks_are_not_swept_where_places_are_not_linear() {
    for body in [
        "ld.global.u32 %r5, [%rd2]; mul.wide.u32 %rd4, %r5, 4; add.s64 %rd5, %rd1, %rd4; st.global.u32 [%rd5], 1;",
        "and.b32 %r5, %r3, 48; mul.wide.u32 %rd4, %r5, 4; add.s64 %rd5, %rd1, %rd4; st.global.u32 [%rd5], 1;",
        "setp.lt.u32 %p1, %r3, 5; @%p1 st.global.u32 [%rd2], 1;",
        "mov.u32 %r5, 0; AGAIN: add.s32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 9; @%p1 bra AGAIN; st.global.u32 [%rd2], %r5;",
    ] {
        assert!(!uses(body, 96).contains(&"sweep"), "{body}");
        both(body, 4, 96);
    }
}

/// A branch on a comparison that is combined with another predicate asks for both.
#[test]
fn a_combined_comparison_is_not_its_ends_alone() {
    let memory = both_whole(
        "setp.ge.u32 %p1, %r3, 40; setp.ge.or.u32 %p2, %r4, 4000, %p1; @%p2 bra END;
         st.global.u32 [%rd2], 5000; END:",
        4,
        96,
    );
    assert!((0..384).all(|n| (memory[n] == 5000) == (n % 96 < 40)));
    let memory = both_whole(
        "setp.ge.u32 %p1, %r3, 40; setp.lt.and.u32 %p2, %r4, 4000, %p1; @!%p2 bra END;
         st.global.u32 [%rd2], 5000; END:",
        4,
        96,
    );
    assert!((0..384).all(|n| (memory[n] == 5000) == (n % 96 >= 40)));
}
