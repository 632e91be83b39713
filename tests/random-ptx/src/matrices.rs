//! Pieces of kernels in which a warp works on matrices, and copies that need not wait: registers of their own, and sums that are
//! exact, whatever their order.

use std::fmt::Write;

use crate::random::Random;

/// A piece that a whole warp does.
pub fn matrices(random: &mut Random) -> String {
    match random.below(8) {
        0..=1 => moved(random),
        2..=4 => products(random, INTEGERS),
        5..=6 => products(random, FLOATS),
        _ => through_memory(random),
    }
}

/// How products of a kind are written: the shape, the types of sum, factors and addend, and how many registers each has.
struct Product {
    name: &'static str,
    sums: usize,
    left: usize,
    right: usize,
    /// What makes a factor's register of any word, so that sums are exact.
    factor: &'static str,
    /// The class of sums, and what makes one of a word, and a word of one.
    class: &'static str,
    into: &'static str,
    out: &'static str,
}

const fn of_integers(name: &'static str, sums: usize, left: usize, right: usize) -> Product {
    Product {
        name,
        sums,
        left,
        right,
        factor: "mov.b32 TO, FROM;",
        class: "b32",
        into: "mov.b32 TO, FROM;",
        out: "mov.b32 TO, FROM;",
    }
}

const INTEGERS: &[Product] = &[
    of_integers("m16n8k32.row.col.s32.s8.s8.s32", 4, 4, 2),
    of_integers("m16n8k32.row.col.s32.u8.s8.s32", 4, 4, 2),
    of_integers("m16n8k16.row.col.s32.s8.u8.s32", 4, 2, 1),
    of_integers("m16n8k16.row.col.s32.u8.u8.s32", 4, 2, 1),
    of_integers("m8n8k16.row.col.s32.s8.s8.s32", 2, 1, 1),
    of_integers("m16n8k64.row.col.s32.s4.s4.s32", 4, 4, 2),
    of_integers("m16n8k32.row.col.s32.u4.s4.s32", 4, 2, 1),
];

const fn of_floats(
    name: &'static str,
    sums: usize,
    left: usize,
    right: usize,
    factor: &'static str,
) -> Product {
    Product {
        name,
        sums,
        left,
        right,
        factor,
        class: "f32",
        into: "and.b32 %x, FROM, 15; cvt.rn.f32.u32 TO, %x;",
        out: "cvt.rzi.s32.f32 TO, FROM;",
    }
}

/// Small integers: 1024 and more as `f16`, less 1024; 128 and more as `bf16`.
const HALVES: &str =
    "and.b32 %x, FROM, 0x00070007; or.b32 %x, %x, 0x64006400; mov.b32 %y, 0x64006400; sub.f16x2 TO, %x, %y;";
const BRAINS: &str = "and.b32 %x, FROM, 0x00070007; or.b32 TO, %x, 0x43004300;";
const SINGLES: &str = "and.b32 %x, FROM, 15; cvt.rn.f32.u32 %q, %x; mov.b32 TO, %q;";

const fn of_halves(name: &'static str, sums: usize, left: usize, right: usize) -> Product {
    let into = "and.b32 %x, FROM, 0x00070007; or.b32 %x, %x, 0x64006400; mov.b32 %y, 0x64006400; sub.f16x2 TO, %x, %y;";
    Product { class: "b32", into, out: "mov.b32 TO, FROM;", ..of_floats(name, sums, left, right, HALVES) }
}

const FLOATS: &[Product] = &[
    of_floats("m16n8k16.row.col.f32.f16.f16.f32", 4, 4, 2, HALVES),
    of_floats("m16n8k8.row.col.f32.f16.f16.f32", 4, 2, 1, HALVES),
    of_halves("m16n8k16.row.col.f16.f16.f16.f16", 2, 4, 2),
    of_halves("m16n8k8.row.col.f16.f16.f16.f16", 2, 2, 1),
    of_floats("m16n8k16.row.col.f32.bf16.bf16.f32", 4, 4, 2, BRAINS),
    of_floats("m16n8k8.row.col.f32.bf16.bf16.f32", 4, 2, 1, BRAINS),
    of_floats("m16n8k8.row.col.f32.tf32.tf32.f32", 4, 4, 2, SINGLES),
    of_floats("m16n8k4.row.col.f32.tf32.tf32.f32", 4, 2, 1, SINGLES),
];

fn list(name: &str, range: std::ops::Range<usize>) -> String {
    let registers: Vec<String> = range.map(|index| format!("%{name}{index}")).collect();
    format!("{{{}}}", registers.join(", "))
}

/// Words of the warp's bench of shared memory as 8 × 8 matrices: a lane's own row or another's, as they lie or transposed.
fn load(random: &mut Random, targets: &str, count: usize) -> String {
    let seat = seat(random);
    let trans = random.choose(&["", ".trans"]);
    format!("{seat} ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {targets}, [%at]; ")
}

/// A row's address in `%at`: each lane another one.
fn seat(random: &mut Random) -> String {
    match random.below(3) {
        0 => "mov.u32 %at, %seat;".into(),
        1 => format!("xor.b32 %k, %lane, {}; mad.lo.u32 %at, %k, 16, %bench;", random.below(32)),
        _ => format!(
            "mad.lo.u32 %k, %lane, {}, {}; and.b32 %k, %k, 31; shl.b32 %k, %k, 4; add.u32 %at, %bench, %k;",
            2 * random.below(16) + 1,
            random.below(32)
        ),
    }
}

/// The lanes' words on the bench.
const FILL: &str =
    "bar.warp.sync 0xffffffff; st.shared.v4.b32 [%seat], {{r}, {r}, {r}, {r}}; bar.warp.sync 0xffffffff; ";

/// Matrices from registers to memory, back, and transposed.
fn moved(random: &mut Random) -> String {
    let count: usize = random.choose(&[1, 2, 4]);
    let mut out = format!("{{ .reg .b32 %a<4>, %k, %at; {FILL}");
    match random.below(3) {
        0 => {
            out += &load(random, &list("a", 0..count), count);
            (0..count).for_each(|index| out += &format!("xor.b32 {{r}}, {{r}}, %a{index}; "));
        }
        1 => {
            let (seat, trans) = (seat(random), random.choose(&["", ".trans"]));
            let sources: Vec<&str> = (0..count).map(|_| "{r}").collect();
            let sources = sources.join(", ");
            let _ = write!(
                out,
                "{seat} stmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 [%at], {{{sources}}}; bar.warp.sync 0xffffffff; \
                 ld.shared.v4.b32 {{{{r1}}, {{r2}}, {{r3}}, {{r4}}}}, [%seat]; "
            );
        }
        _ => out += "movmatrix.sync.aligned.m8n8.trans.b16 {r}, {r}; ",
    }
    out + "bar.warp.sync 0xffffffff; }"
}

/// Sums of products in a loop, two of them with one factor in common.
fn products(random: &mut Random, kinds: &[Product]) -> String {
    let Product { name, sums, left, right, factor, class, into, out: back } =
        &kinds[random.below(kinds.len())];
    let (sums, left, right) = (*sums, *left, *right);
    let mut out = format!(
        "{{ .reg .b32 %a<4>, %b<4>, %v<4>, %w, %n, %x, %y, %k, %at; .reg .f32 %q; .reg .{class} %c<8>; .reg .pred %g; {FILL}"
    );
    // Factors come from registers, or from shared memory by matrices.
    if left == 4 && random.one_in(2) {
        out += &load(random, "{%v0, %v1, %v2, %v3}", 4);
    } else {
        (0..left).for_each(|index| out += &format!("mov.b32 %v{index}, {{r}}; "));
    }
    let made = |how: &str, to: String, from: String| how.replace("TO", &to).replace("FROM", &from) + " ";
    (0..left).for_each(|index| out += &made(factor, format!("%a{index}"), format!("%v{index}")));
    (0..2 * right).for_each(|index| out += &made(factor, format!("%b{index}"), "{r}".into()));
    (0..2 * sums).for_each(|index| out += &made(into, format!("%c{index}"), "{r}".into()));
    let turns = 1 + random.below(3);
    let both = random.one_in(2);
    out += "mov.u32 %n, 0; turn: ";
    let product = |place: usize| {
        let (sum, right) =
            (list("c", place * sums..(place + 1) * sums), list("b", place * right..(place + 1) * right));
        format!("mma.sync.aligned.{name} {sum}, {}, {right}, {sum}; ", list("a", 0..left))
    };
    out += &product(0);
    if random.one_in(3) {
        // A factor that changes between the products that it is part of.
        out += &made(factor, "%a0".into(), "{r}".into());
    }
    if both {
        out += &product(1);
    }
    if random.one_in(3) {
        out += &made(factor, "%b0".into(), "{r}".into());
    }
    let _ = write!(out, "add.u32 %n, %n, 1; setp.lt.u32 %g, %n, {turns}; @%g bra turn; ");
    let shown = if both { 2 * sums } else { sums };
    for index in 0..shown {
        out += &made(back, "%w".into(), format!("%c{index}"));
        out += "mad.lo.u32 {r}, {r}, 5, %w; ";
    }
    out + "bar.warp.sync 0xffffffff; }"
}

/// A product of matrices that are loaded from memory and stored there; who has which element is nobody's business.
fn through_memory(random: &mut Random) -> String {
    let place = |random: &mut Random| 32 * random.below(300);
    let (a, b, c) = (place(random), place(random), place(random));
    let sign = random.choose(&["s8", "u8"]);
    let order = random.choose(&["row", "col"]);
    format!(
        "{{ .reg .b32 %a<2>, %b<2>, %c<8>; .reg .b64 %o0; mul.wide.u32 %o0, %lane, 64; sub.s64 %o0, %own, %o0; bar.warp.sync 0xffffffff; \
         wmma.load.a.sync.aligned.row.m16n16k16.global.{sign} {{%a0, %a1}}, [%data+{a}], 32; \
         wmma.load.b.sync.aligned.col.m16n16k16.global.{sign} {{%b0, %b1}}, [%data+{b}], 16; \
         wmma.load.c.sync.aligned.{order}.m16n16k16.global.s32 {{%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}}, [%data+{c}], 16; \
         wmma.mma.sync.aligned.row.col.m16n16k16.s32.{sign}.{sign}.s32 {{%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}}, {{%a0, %a1}}, \
         {{%b0, %b1}}, {{%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}}; \
         wmma.store.d.sync.aligned.row.m16n16k16.global.s32 [%o0], {{%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}}, 16; \
         bar.warp.sync 0xffffffff; }}"
    )
}

/// Copies from device to shared memory that are waited for: all bytes, or those of some lanes.
pub fn copy(random: &mut Random) -> String {
    let (size, cache) = random.choose(&[(4, "ca"), (8, "ca"), (16, "ca"), (16, "cg")]);
    let source = match random.below(3) {
        0 => format!(
            "mul.wide.u32 %o0, %me, {size}; add.s64 %o0, %data, %o0; add.s64 %o0, %o0, {};",
            16 * random.below(500)
        ),
        1 => format!(
            "and.b32 %k, {{r}}, {:#x}; cvt.u64.u32 %o0, %k; add.s64 %o0, %data, %o0;",
            0x3fff & !(size - 1)
        ),
        _ => format!("add.s64 %o0, %data, {};", 16 * random.below(1000)),
    };
    let taken = match random.below(4) {
        0 => ", {p}".to_owned(),
        1 => format!(", {}", random.choose(&[0, size])),
        2 => ", %z".to_owned(),
        _ => String::new(),
    };
    format!(
        "{{ .reg .b64 %o0; .reg .b32 %k, %z; {source} selp.b32 %z, {size}, 0, {{p}}; \
         st.shared.v4.b32 [%seat], {{{{r}}, {{r}}, {{r}}, {{r}}}}; \
         cp.async.{cache}.shared.global [%seat], [%o0], {size}{taken}; cp.async.commit_group; cp.async.wait_group 0; \
         ld.shared.v4.b32 {{{{r1}}, {{r2}}, {{r3}}, {{r4}}}}, [%seat]; }}"
    )
}
