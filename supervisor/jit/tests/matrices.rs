//! Matrix instructions in compiled code beside the interpreter, which does products by the same functions of crate `tensor`, but
//! one at a time: what can differ is which registers they find, and when.

mod tiers;

use tiers::{both, both_whole};

/// Each lane's word of a hash of its number and `seed`, in `%r<to>`.
fn noise(to: u32, seed: u32) -> String {
    format!(
        "mad.lo.u32 %r{to}, %r4, 0x9E3779B1, {seed}; shr.u32 %r39, %r{to}, 15; xor.b32 %r{to}, %r{to}, %r39;
         mul.lo.u32 %r{to}, %r{to}, 0x85EBCA77; shr.u32 %r39, %r{to}, 13; xor.b32 %r{to}, %r{to}, %r39;\n"
    )
}

/// Noise in registers from the tenth on, as many as there are seeds.
fn noises(count: u32) -> String {
    (0..count).map(|place| noise(10 + place, 77 * place + 5)).collect()
}

/// Stores registers, 1024 bytes for each.
fn stores(registers: std::ops::Range<u32>) -> String {
    stores_from(0, registers)
}

/// The same, behind so many registers.
fn stores_from(first: usize, registers: std::ops::Range<u32>) -> String {
    let place =
        |(place, register)| format!("st.global.u32 [%rd2+{}], %r{register};\n", 1024 * (first + place));
    registers.enumerate().map(place).collect()
}

/// A product of fragments from the tenth register on, its sums in place of those that follow.
fn product(name: &str, [a, b, c]: [u32; 3]) -> String {
    let list = |first: u32, count: u32| {
        let names: Vec<String> = (first..first + count).map(|register| format!("%r{register}")).collect();
        format!("{{{}}}", names.join(", "))
    };
    let sums = list(10 + a + b, c);
    format!("{name} {sums}, {}, {}, {sums};\n", list(10, a), list(10 + a, b))
}

#[test]
fn products_of_all_kinds_have_code() {
    let mma = |shape: &str, types: &str| format!("mma.sync.aligned.{shape}.row.col.{types}");
    let kinds = [
        (mma("m16n8k8", "f32.f16.f16.f32"), [2, 1, 4]),
        (mma("m16n8k16", "f32.f16.f16.f32"), [4, 2, 4]),
        (mma("m16n8k16", "f16.f16.f16.f16"), [4, 2, 2]),
        (mma("m16n8k16", "f32.bf16.bf16.f32"), [4, 2, 4]),
        (mma("m16n8k4", "f32.tf32.tf32.f32"), [2, 1, 4]),
        (mma("m16n8k8", "f32.tf32.tf32.f32"), [4, 2, 4]),
        (mma("m16n8k32", "f32.e4m3.e5m2.f32"), [4, 2, 4]),
        (mma("m8n8k16", "s32.s8.s8.s32"), [1, 1, 2]),
        (mma("m16n8k32", "s32.u8.s8.s32"), [4, 2, 4]),
        (mma("m16n8k32", "satfinite.s32.s8.s8.s32"), [4, 2, 4]),
        (mma("m16n8k64", "s32.s4.u4.s32"), [4, 2, 4]),
        ("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc".into(), [4, 2, 4]),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32".into(), [8, 8, 8]),
    ];
    for (name, counts) in kinds {
        let [a, b, c] = counts;
        let body = noises(a + b + c) + &product(&name, counts) + &stores(10 + a + b..10 + a + b + c);
        both_whole(&body, 1, 32);
    }
}

/// A factor serves several products; one that is written between them is another.
#[test]
fn factors_are_packed_anew_when_they_change() {
    let kind = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32";
    let body = noises(14)
        + &format!(
            "{kind} {{%r24, %r25, %r26, %r27}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%r16, %r17, %r18, %r19}};
             {kind} {{%r28, %r29, %r30, %r31}}, {{%r10, %r11, %r12, %r13}}, {{%r15, %r14}}, {{%r24, %r25, %r26, %r27}};
             add.u32 %r12, %r12, 1;
             {kind} {{%r28, %r29, %r30, %r31}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%r28, %r29, %r30, %r31}};
             mov.b32 %r10, %r28;
             {kind} {{%r32, %r33, %r34, %r35}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%r20, %r21, %r22, %r23}};"
        )
        + &stores(24..28)
        + &stores_from(4, 32..36);
    both_whole(&body, 1, 32);
}

/// More factors than are kept packed: the one that all products share stays.
#[test]
fn a_factor_of_many_products_is_not_among_those_that_make_room() {
    let kind = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32";
    let sums = "{%r36, %r37, %r38, %r39}";
    let zeros: String = (36..40).map(|sum| format!("mov.b32 %r{sum}, 0;\n")).collect();
    let products: String =
        (12..36).map(|right| format!("{kind} {sums}, {{%r10, %r11}}, {{%r{right}}}, {sums};\n")).collect();
    both_whole(&(noises(26) + &zeros + &products + &stores(36..40)), 1, 32);
}

/// Sums stay in the register file across a loop's turns and its barriers, and also where lanes part for a while.
#[test]
fn sums_live_across_turns_barriers_and_parted_lanes() {
    let body = noises(10)
        + "mov.u32 %r5, 0;
           TURN:
           mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r16, %r17, %r18, %r19}, {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%r16, %r17, %r18, %r19};
           and.b32 %r6, %r3, 1; setp.eq.u32 %p1, %r6, 0; @%p1 bra EVEN;
           add.u32 %r17, %r17, 3; mul.lo.u32 %r10, %r10, 5;
           EVEN: add.u32 %r16, %r16, %r5; bar.sync 0;
           add.u32 %r5, %r5, 1; setp.lt.u32 %p2, %r5, 5; @%p2 bra TURN;"
        + &stores(16..20);
    both(&body, 2, 64);
}

/// Shared memory of four words for each thread, filled, and its rows' addresses in `%rd10` (64 bits) and `%r9`.
const ROWS: &str = ".shared .align 16 .b8 rows[4096];
    mov.u64 %rd6, rows; mul.wide.u32 %rd7, %r3, 16; add.s64 %rd8, %rd6, %rd7;
    mul.lo.u32 %r5, %r3, 0x01234567; add.u32 %r6, %r5, 0x1111; xor.b32 %r7, %r5, 0x7777; not.b32 %r8, %r5;
    st.shared.v4.u32 [%rd8], {%r5, %r6, %r7, %r8}; bar.sync 0;
    cvt.u32.u64 %r9, %rd8;\n";

#[test]
fn matrices_come_from_rows_wherever_they_are() {
    // A pattern; addresses that only memory knows; the same row for all.
    let anyhow =
        "and.b32 %r36, %r3, 31; mul.lo.u32 %r37, %r36, 7; and.b32 %r37, %r37, 31; mul.wide.u32 %rd9, %r36, 4;
        add.s64 %rd9, %rd9, %rd1; st.global.u32 [%rd9+12288], %r37; ld.global.u32 %r37, [%rd9+12288];
        shl.b32 %r37, %r37, 4; cvt.u32.u64 %r38, %rd6; add.u32 %r9, %r38, %r37;\n";
    for address in ["", anyhow, "cvt.u32.u64 %r9, %rd6;\n"] {
        let body = format!(
            "{ROWS}{address}
             ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r10}}, [%r9];
             ldmatrix.sync.aligned.m8n8.x2.shared.b16 {{%r11, %r12}}, [%r9];
             ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{%r13, %r14, %r15, %r16}}, [%r9];
             ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{%r17, %r18, %r19, %r20}}, [%r9];
             movmatrix.sync.aligned.m8n8.trans.b16 %r21, %r16;
             bar.sync 0;
             stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r9], {{%r21, %r19}};
             stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r9], {{%r14}};
             bar.sync 0;
             ld.shared.v4.u32 {{%r22, %r23, %r24, %r25}}, [%rd8];\n{}",
            stores(10..18) + &stores_from(8, 18..26)
        );
        both_whole(&body, 1, 32);
    }
}

#[test]
fn copies_are_done_at_once_and_fill_up_with_zeros() {
    let body = format!(
        "{ROWS}
         and.b32 %r10, %r3, 3; setp.eq.u32 %p1, %r10, 1; selp.u32 %r11, 0, 16, %p1;
         mul.wide.u32 %rd9, %r3, 16; add.s64 %rd9, %rd9, %rd1; xor.b32 %r12, %r3, 5; mul.wide.u32 %rd11, %r12, 16;
         add.s64 %rd11, %rd11, %rd1;
         cp.async.cg.shared.global [%r9], [%rd9], 16;
         cp.async.commit_group; cp.async.wait_group 0;
         ld.shared.v4.u32 {{%r13, %r14, %r15, %r16}}, [%rd8];
         cp.async.cg.shared.global [%r9], [%rd11], 16, %r11;
         cp.async.ca.shared.global [%r9+4], [%rd11+64], 4;
         cp.async.ca.shared.global [%r9+8], [%rd9+64], 8;
         cp.async.wait_all;
         ld.shared.v4.u32 {{%r17, %r18, %r19, %r20}}, [%rd8];\n{}",
        stores(13..21)
    );
    both_whole(&body, 1, 64);
}

/// Four words of each lane at addresses of their own, stored as they were loaded, and otherwise.
#[test]
fn rows_of_words_go_anywhere() {
    let body =
        "and.b32 %r5, %r3, 31; mul.lo.u32 %r6, %r5, %r5; and.b32 %r6, %r6, 31; mul.wide.u32 %rd4, %r6, 16;
        add.s64 %rd5, %rd1, %rd4; mul.wide.u32 %rd6, %r5, 48; add.s64 %rd7, %rd1, %rd6;
        ld.global.v4.u32 {%r10, %r11, %r12, %r13}, [%rd5];
        st.global.v4.u32 [%rd7+4096], {%r10, %r11, %r12, %r13};
        st.global.v4.u32 [%rd7+8192], {%r13, %r11, %r12, %r10};
        add.u32 %r11, %r11, 7;
        st.global.v4.u32 [%rd7+4112], {%r10, %r11, %r12, %r13};
        st.global.v4.u32 [%rd5+12288], {%r10, %r11, %r12, %r13};";
    both_whole(body, 1, 32);
}

/// Those that have no code are done one by one, also between others that have.
#[test]
fn matrix_instructions_without_code_are_stepped() {
    let memory = both(
        "add.s64 %rd4, %rd1, 4096; mov.u32 %r36, 16;
         wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r10, %r11, %r12, %r13, %r14, %r15, %r16, %r17}, [%rd1], %r36;
         wmma.load.b.sync.aligned.col.m16n16k16.global.f16 {%r18, %r19, %r20, %r21, %r22, %r23, %r24, %r25}, [%rd4], %r36;
         wmma.load.c.sync.aligned.row.m16n16k16.global.f32 {%r26, %r27, %r28, %r29, %r30, %r31, %r32, %r33}, [%rd1], %r36;
         wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%r26, %r27, %r28, %r29, %r30, %r31, %r32, %r33},
             {%r10, %r11, %r12, %r13, %r14, %r15, %r16, %r17}, {%r18, %r19, %r20, %r21, %r22, %r23, %r24, %r25},
             {%r26, %r27, %r28, %r29, %r30, %r31, %r32, %r33};
         wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%rd4], {%r26, %r27, %r28, %r29, %r30, %r31, %r32, %r33}, %r36;",
        1,
        32,
    );
    // Words that count up are pairs of a number and 0, as `f16` and as `f32` next to nothing.
    assert_ne!(memory[1024..1280], (1024..1280).collect::<Vec<u32>>());
}

/// What is stored where code stops is not stored where it goes on.
#[test]
fn factors_reach_the_register_file_also_behind_stops() {
    let body = noises(6)
        + "and.b32 %r36, %r10, 63; mul.wide.u32 %rd4, %r36, 4; add.s64 %rd5, %rd1, %rd4;
           ld.global.u32 %r16, [%rd5]; add.u32 %r10, %r10, 0x01010101; cvt.rn.f16.s32 %rs1, %r3; mov.b32 %r11, {%rs1, %rs1};
           ld.global.u32 %r17, [%rd5+4]; mov.u32 %r18, 0; mov.u32 %r19, 0;
           mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r16, %r17, %r18, %r19}, {%r10, %r11, %r12, %r13}, {%r14, %r15}, {%r16, %r17, %r18, %r19};"
        + &stores(16..20);
    both(&body, 1, 32);
}

/// Lanes that copy a part make a stop while others wait for them behind a barrier.
#[test]
fn copies_of_parts_stop_where_lanes_have_parted() {
    let body = format!(
        "{ROWS} mul.wide.u32 %rd9, %r3, 16; add.s64 %rd9, %rd9, %rd1;
         and.b32 %r10, %r3, 3; mul.lo.u32 %r11, %r10, 8; setp.ne.u32 %p1, %r10, 0; @%p1 bra SOME;
         BACK: bar.sync 0; ld.shared.v4.u32 {{%r13, %r14, %r15, %r16}}, [%rd8];\n{} bra.uni END;
         SOME: cp.async.cg.shared.global [%r9], [%rd9], 16, %r11; bra.uni BACK;
         END: mov.u32 %r10, 0;",
        stores(13..17)
    );
    both(&body, 1, 64);
}
