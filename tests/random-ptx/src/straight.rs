//! Programs that do the same to each element, as many kernels do: a bound, a few addresses, loads, arithmetic, stores; a loop
//! over elements that are as far apart as the grid is wide; or a sum over rows of a tile.
//!
//! What the compiler tests of these once for many warps or rounds depends on where bounds and places lie: so bounds lie anywhere
//! about the last thread, numbers wrap now and then, and rows have lengths of their own. Each thread writes a place of its own.

use std::fmt::Write;

use executors::interpreter::{Loaded, Tier};
use executors::{Buffer, Parameter, Shape};
use interpreter::Pool;

use crate::random::{Random, checksum, mix};

/// Words that are read: the farthest is a thread's after 60 of the longest steps, the nearest one that has stepped back as often.
const WORDS: usize = 1 << 17;
/// Words that a thread writes.
const WRITTEN: usize = 2;

/// One program.
pub struct Straight {
    text: String,
    grid: [u32; 3],
    /// The block's shape.
    pub block: [u32; 3],
}

impl Straight {
    /// The program of a seed.
    pub fn of(seed: u64) -> Straight {
        let mut random = Random(mix(seed ^ 0x57a1));
        let block = random.choose(&[
            [64, 1, 1],
            [96, 1, 1],
            [256, 1, 1],
            [32, 4, 1],
            [8, 8, 1],
            [16, 8, 2],
            [64, 2, 1],
            [100, 1, 1],
            [33, 2, 1],
        ]);
        let grid = random.choose(&[[1, 1, 1], [3, 1, 1], [7, 1, 1], [2, 3, 1]]);
        let body = match random.below(5) {
            0..=1 => elements(&mut random, grid, block),
            2..=3 => rounds(&mut random),
            _ => tile(&mut random),
        };
        let text = format!(
            ".version 8.3\n.target sm_90\n.address_size 64\n\
             .visible .entry straight(.param .u64 data, .param .u64 out, .param .u32 bound, .param .u32 step)\n{{\n\
             .reg .b32 %r<40>; .reg .b64 %d<42>; .reg .pred %p<8>; .reg .f32 %f<4>;\n\
             ld.param.u64 %d1, [data]; add.s64 %d1, %d1, 256; ld.param.u64 %d2, [out]; ld.param.u32 %r1, [bound]; ld.param.u32 %r2, [step];\n\
             mov.u32 %r3, %tid.x; mov.u32 %r4, %ntid.x; mov.u32 %r5, %ctaid.x; mad.lo.u32 %r6, %r5, %r4, %r3;\n\
             mov.u32 %r7, %tid.y; mov.u32 %r8, %ntid.y; mov.u32 %r9, %ctaid.y; mad.lo.u32 %r10, %r9, %r8, %r7;\n\
             mov.u32 %r11, %nctaid.x; mul.lo.u32 %r12, %r11, %r4; mad.lo.u32 %r13, %r10, %r12, %r6;\n\
             {body}END: ret;\n}}\n"
        );
        Straight { text, grid, block }
    }

    /// As PTX; its kernel is `straight`.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn threads(&self) -> usize {
        self.grid.iter().chain(&self.block).map(|size| *size as usize).product()
    }

    /// Runs it for several bounds and steps: a checksum of what it wrote. It is an error if a tier has no code for it.
    pub fn run(&self, tier: Tier, threads: usize) -> Result<u64, String> {
        let loaded = Loaded::on(tier, &self.text)?;
        if tier != Tier::Interpreter {
            loaded.code("straight", self.block)?;
        }
        let (pool, threads) = (Pool::new(threads), self.threads() as u32);
        let across = self.grid[0] * self.block[0];
        let words: Vec<u64> = (0..WORDS as u64 / 2).map(mix).collect();
        let mut data = Buffer::of_words(&words);
        let shape = Shape { grid: self.grid, block: self.block, shared: 0, cooperative: false };
        let mut sums = Vec::new();
        for bound in [0, 1, across - 1, across, across + 40, threads - 33, threads, 4 * threads + 17, 9000] {
            for step in [threads, 96, u32::MAX] {
                let mut out = Buffer::zeroed(4 * WRITTEN * self.threads());
                let value = |number: u32| Parameter::Value(number.to_le_bytes().to_vec());
                let mut parameters =
                    [Parameter::Memory(&mut data), Parameter::Memory(&mut out), value(bound), value(step)];
                loaded.run(&pool, "straight", shape, &mut parameters)?;
                sums.push(checksum(out.bytes().into_iter().map(u64::from)));
            }
        }
        Ok(checksum(sums))
    }
}

/// A number of 32 bits near which others wrap, signed or not; 0 most of the time.
fn far(random: &mut Random) -> u32 {
    let near = random.below(300) as u32;
    match random.below(6) {
        0 => 0x8000_0000u32.wrapping_sub(near),
        1 => near.wrapping_neg(),
        2 => near,
        _ => 0,
    }
}

/// Leaves where a place is beyond the bound. The place is `%r14`, and as much more is in the comparison.
fn bound(random: &mut Random, place: &str) -> String {
    let more = far(random);
    let mut out = format!("add.u32 %r20, {place}, {more}; add.u32 %r21, %r1, {more};\n");
    let test = random.choose(&[
        "setp.ge.s32 %p1, %r20, %r21; @%p1 bra END;",
        "setp.ge.u32 %p1, %r20, %r21; @%p1 bra END;",
        "setp.lt.s32 %p1, %r20, %r21; @!%p1 bra END;",
        "setp.le.u32 %p1, %r21, %r20; @%p1 bra END;",
        "setp.gt.s32 %p1, %r21, %r20; not.pred %p2, %p1; @%p2 bra END;",
        "setp.gt.u32 %p1, %r21, %r20; setp.lt.u32 %p2, %r6, 77; and.pred %p3, %p1, %p2; @!%p3 bra END;",
        "setp.ge.u32 %p1, %r6, 77; setp.ge.or.s32 %p2, %r20, %r21, %p1; @%p2 bra END;",
        "",
    ]);
    let _ = writeln!(out, "{test}");
    out
}

/// An element for each thread.
fn elements(random: &mut Random, grid: [u32; 3], block: [u32; 3]) -> String {
    let mut out = String::from("mov.u32 %r14, %r13;\n");
    let place = random.choose(&["%r13", "%r6", "%r10"]);
    out += &bound(random, place);
    // What is read: one row for all, the thread's, or one that goes down.
    let threads: u32 = grid.iter().chain(&block).product();
    let _ = match random.below(4) {
        0 => writeln!(out, "mov.u32 %r15, %r14;"),
        1 => writeln!(out, "mul.lo.u32 %r15, %r14, 2;"),
        2 => writeln!(out, "sub.u32 %r15, {}, %r14;", threads + 3),
        _ => writeln!(out, "mad.lo.u32 %r15, %r10, 16, %r6;"),
    };
    let wide = random.choose(&["u32", "s32"]);
    let more = if random.one_in(3) { random.below(40) as u32 } else { 0 };
    let _ = writeln!(out, "add.u32 %r15, %r15, {more}; mul.wide.{wide} %d3, %r15, 4; add.s64 %d4, %d1, %d3;");
    let load = random.choose(&[
        "ld.global.u32 %r30, [%d4+8];",
        "ld.global.nc.u32 %r30, [%d4];",
        "ld.u32 %r30, [%d4+4]; ld.global.u32 %r31, [%d4]; xor.b32 %r30, %r30, %r31;",
        "mul.wide.u32 %d5, %r15, 8; add.s64 %d5, %d1, %d5; ld.global.v2.u32 {%r30, %r31}, [%d5]; add.u32 %r30, %r30, %r31;",
        "ld.global.u8 %r30, [%d4+3];",
        "ld.global.u32 %r30, [%d1+64];",
    ]);
    let _ = writeln!(out, "{load}");
    let compute = random.choose(&[
        "mad.lo.u32 %r30, %r30, 7, %r14;",
        "cvt.rn.f32.s32 %f1, %r30; add.rn.f32 %f1, %f1, 0f3f800000; mov.b32 %r30, %f1;",
        "cvt.u64.u32 %d6, %r20; mov.b64 {%r31, %r32}, %d6; xor.b32 %r30, %r30, %r32;",
        "shr.u32 %r31, %r30, 7; xor.b32 %r30, %r30, %r31; min.u32 %r30, %r30, %r14;",
    ]);
    let _ = writeln!(out, "{compute}");
    let store = random.choose(&[
        "mul.wide.u32 %d7, %r14, 4; add.s64 %d8, %d2, %d7; st.global.u32 [%d8], %r30;",
        "mul.wide.u32 %d7, %r14, 8; add.s64 %d8, %d2, %d7; st.global.v2.u32 [%d8], {%r30, %r14};",
        "shl.b32 %r33, %r14, 3; cvt.u64.u32 %d7, %r33; add.s64 %d8, %d2, %d7; st.u32 [%d8+4], %r30;",
    ]);
    let _ = writeln!(out, "{store}");
    out
}

/// A loop of one block over elements.
fn rounds(random: &mut Random) -> String {
    // Either a bound alone ends it, of numbers that do not wrap, or a counter does wherever the bound lies.
    let alone = random.one_in(3);
    let (more, step) = if alone { (0, "%r28") } else { (far(random), "%r2") };
    let (ty, length) = (random.choose(&["s32", "u32"]), 1 + random.below(60));
    let mut out = format!(
        "mov.u32 %r16, 0; mov.u32 %r17, 0; add.u32 %r18, %r13, {more}; add.u32 %r19, %r1, {more}; mov.u32 %r26, 0;\n\
         and.b32 %r22, %r13, 1023; mul.wide.u32 %d9, %r22, 4; add.s64 %d10, %d1, %d9; and.b32 %r28, %r2, 127;\n\
         add.u32 %r28, %r28, 1; setp.ge.{ty} %p4, %r18, %r19; @%p4 bra STORE;\n"
    );
    let end = match (alone, random.below(3)) {
        (true, _) => format!("setp.lt.{ty} %p5, %r18, %r19;"),
        (false, 0) => format!("setp.lt.u32 %p5, %r17, {length};"),
        (false, 1) => format!("setp.lt.u32 %p6, %r17, {length}; setp.lt.and.{ty} %p5, %r18, %r19, %p6;"),
        _ => {
            format!("setp.lt.u32 %p6, %r17, {length}; setp.lt.{ty} %p7, %r18, %r19; and.pred %p5, %p6, %p7;")
        }
    };
    let read = match if alone { 0 } else { random.below(4) } {
        0 => format!(
            "sub.u32 %r23, %r18, {more}; mul.wide.s32 %d11, %r23, 4; add.s64 %d12, %d1, %d11; ld.global.u32 %r24, [%d12];"
        ),
        1 => "ld.global.u32 %r24, [%d10]; add.s64 %d10, %d10, 256;".into(),
        2 => "ld.global.u32 %r24, [%d10+4]; sub.s64 %d10, %d10, 4;".into(),
        _ => "mul.wide.s32 %d11, %r26, 4; add.s64 %d12, %d10, %d11; ld.global.u32 %r24, [%d12]; add.s32 %r26, %r26, 33;".into(),
    };
    let compute = random
        .choose(&["mad.lo.u32 %r16, %r16, 3, %r24;", "xor.b32 %r16, %r16, %r24; add.u32 %r16, %r16, %r18;"]);
    let _ = writeln!(
        out,
        "AGAIN: {read} {compute} add.u32 %r18, %r18, {step}; add.u32 %r17, %r17, 1; {end} @%p5 bra AGAIN;"
    );
    out += "STORE: mul.wide.u32 %d7, %r13, 4; add.s64 %d8, %d2, %d7; st.global.u32 [%d8], %r16;\n";
    out
}

/// A long sum over rows of a tile that lies elsewhere for each block; what is done to each word waits for the word before.
fn tile(random: &mut Random) -> String {
    let mut out = bound(random, "%r13");
    let (width, rows) = (random.choose(&[4, 8, 8, 12]), 4 + random.below(16));
    let apart = random.choose(&[64, 512, 4096]);
    let _ = writeln!(
        out,
        "shl.b32 %r16, %r9, 4; mad.lo.u32 %r14, %r5, {apart}, %r16; mul.wide.u32 %d3, %r14, 4; add.s64 %d3, %d1, %d3; mul.wide.u32 %d4, %r3, {width};\n\
         add.s64 %d20, %d3, %d4; and.b32 %r15, %r2, 0xfc; mul.wide.u32 %d6, %r15, 4; mov.f32 %f0, 0f3f800000;"
    );
    let (kind, factor) = (random.choose(&["", ".nc"]), random.choose(&["0f3f000000", "%f3", "0fbf400000"]));
    let _ = writeln!(out, "cvt.rn.f32.u32 %f3, %r9; mul.f32 %f3, %f3, 0f3e800000;");
    let in_place = random.one_in(2);
    for row in 0..rows {
        let (here, next) = if in_place { (20, 20) } else { (20 + row, 21 + row) };
        let wide = width == 8 && row % 4 < 3;
        let load = if wide { "v2.u32 {%r20, %r21}" } else { "u32 %r20" };
        let _ = write!(out, "ld.global{kind}.{load}, [%d{here}]; add.s64 %d{next}, %d{here}, %d6; ");
        for register in if wide { 20..22 } else { 20..21 } {
            let _ = write!(out, "cvt.rn.f32.s32 %f1, %r{register}; fma.rn.f32 %f0, %f0, {factor}, %f1; ");
        }
        out += "\n";
    }
    out += "mul.wide.u32 %d7, %r13, 4; add.s64 %d8, %d2, %d7; st.global.f32 [%d8], %f0;\n";
    out
}
