//! Statements of a few instructions, as templates.
//!
//! | in a template | becomes |
//! | --- | --- |
//! | `{r}`, `{w}`, `{h}`, `{f}`, `{d}`, `{e}`, `{x}`, `{y}`, `{p}` | a register of the class |
//! | `{r1}` | the same one wherever the template says so; registers with different digits are different ones |
//! | `{r#}`, `{w#}`, `{h#}`, `{f#}`, `{d#}` | a register or a constant |
//! | `{int32}`, `{compare}`, `{rounding}`, `{ftz}` … | a word, see [`WORDS`] |
//! | `{own}`, `{own4}` …, `{at}` | an offset in a thread's memory for an access of so many bytes; a number up to 4095 |

use crate::idioms;
use crate::matrices;
use crate::program::REGISTERS;
use crate::random::Random;
use crate::text::{plain_double, plain_half, plain_pair, plain_pair_of_brains, plain_single};

/// Choices of words.
const WORDS: &[(&str, &[&str])] = &[
    ("int16", &["u16", "s16"]),
    ("int32", &["u32", "s32"]),
    ("int64", &["u64", "s64"]),
    ("compare", &["eq", "ne", "lt", "le", "gt", "ge"]),
    (
        "ordered",
        &["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"],
    ),
    ("boolean", &["and", "or", "xor"]),
    ("rounding", &["rn", "rz", "rm", "rp"]),
    ("integral", &["rni", "rzi", "rmi", "rpi"]),
    ("half", &["lo", "hi"]),
    ("side", &["l", "r"]),
    ("bound", &["clamp", "wrap"]),
    ("sat", &["", ".sat"]),
    ("shuffle", &["up", "down", "bfly", "idx"]),
    ("class", &["finite", "infinite", "number", "notanumber", "normal", "subnormal"]),
    ("extreme", &["min", "max"]),
    ("arithmetic", &["add", "sub", "mul"]),
    ("permutation", &["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]),
    ("not", &["", "!"]),
];

/// Integers of all widths.
const INTEGER: &[&str] = &[
    "{arithmetic32}.{int32} {r}, {r#}, {r#};",
    "add.{int32} {r}, {r}, {r#};",
    "sub.{int32} {r}, {r#}, {r};",
    "mul.{half}.{int32} {r}, {r}, {r#};",
    "mad.{half}.{int32} {r}, {r}, {r#}, {r};",
    "mul.wide.{int32} {w}, {r}, {r#};",
    "mad.wide.{int32} {w}, {r}, {r}, {w};",
    "mul24.lo.{int32} {r}, {r}, {r#};",
    "mad24.hi.{int32} {r}, {r}, {r}, {r};",
    "sad.{int32} {r}, {r}, {r}, {r};",
    "{extreme}.{int32} {r}, {r}, {r#};",
    "abs.s32 {r}, {r};",
    "neg.s32 {r}, {r};",
    "add.sat.s32 {r}, {r}, {r};",
    "or.b32 %t0, {r}, 1; div.{int32} {r}, {r}, %t0;",
    "or.b32 %t0, {r}, 1; rem.{int32} {r}, {r}, %t0;",
    "{boolean}.b32 {r}, {r}, {r#};",
    "not.b32 {r}, {r};",
    "cnot.b32 {r}, {r};",
    "shl.b32 {r}, {r}, {r#};",
    "shr.{int32} {r}, {r}, {r#};",
    "shf.{side}.{bound}.b32 {r}, {r}, {r}, {r#};",
    "lop3.b32 {r}, {r}, {r}, {r}, {byte};",
    "prmt.b32 {r}, {r}, {r}, {r#};",
    "prmt.b32.{permutation} {r}, {r}, {r}, {r#};",
    "lop3.b32 {r}, {r}, {r#}, {r}, {byte};",
    "prmt.b32 {r}, {r}, {r}, {selector};",
    "shf.{side}.{bound}.b32 {r}, {r}, {r}, {five};",
    "bfi.b32 {r}, {r}, {r}, 7, 19;",
    "and.b32 %t0, {r}, 0x0f0f0f0f; dp4a.s32.s32 {r}, %t0, {r}, {r};",
    "and.b32 %t0, {r}, 0x7f7f7f7f; dp4a.s32.s32 {r}, {r}, %t0, {r};",
    "add.cc.u64 {w}, {w}, {w}; addc.u64 {w}, {w}, 0;",
    "szext.{bound}.{int32} {r}, {r}, {r#};",
    "bmsk.{bound}.b32 {r}, {r}, {r#};",
    "fns.b32 {r}, {r}, {five}, {five};",
    "bfe.{int32} {r}, {r}, {five}, {five};",
    "bfi.b32 {r}, {r}, {r}, {five}, {five};",
    "brev.b32 {r}, {r};",
    "popc.b32 {r}, {r};",
    "clz.b32 {r}, {r};",
    "bfind.{int32} {r}, {r};",
    "dp4a.{int32}.{int32} {r}, {r}, {r}, {r};",
    "dp2a.lo.{int32}.{int32} {r}, {r}, {r}, {r};",
    "add.cc.u32 {r}, {r}, {r}; addc.cc.u32 {r}, {r}, {r}; addc.u32 {r}, {r}, 0;",
    "sub.cc.u32 {r}, {r}, {r}; subc.u32 {r}, {r}, {r};",
    "mad.lo.cc.u32 {r}, {r}, {r}, {r}; madc.hi.u32 {r}, {r}, {r}, {r};",
    "add.{int64} {w}, {w}, {w#};",
    "sub.{int64} {w}, {w#}, {w};",
    "mul.{half}.{int64} {w}, {w}, {w#};",
    "mad.lo.{int64} {w}, {w}, {w}, {w};",
    "{extreme}.{int64} {w}, {w}, {w#};",
    "or.b64 %u0, {w}, 1; div.{int64} {w}, {w}, %u0;",
    "or.b64 %u0, {w}, 1; rem.{int64} {w}, {w}, %u0;",
    "{boolean}.b64 {w}, {w}, {w#};",
    "not.b64 {w}, {w};",
    "shl.b64 {w}, {w}, {r#};",
    "shr.{int64} {w}, {w}, {r#};",
    "popc.b64 {r}, {w};",
    "clz.b64 {r}, {w};",
    "brev.b64 {w}, {w};",
    "bfe.{int64} {w}, {w}, {five}, {five};",
    "bfi.b64 {w}, {w}, {w}, {five}, {five};",
    "add.{int16} {h}, {h}, {h#};",
    "sub.{int16} {h}, {h}, {h#};",
    "mul.lo.{int16} {h}, {h}, {h#};",
    "mad.lo.{int16} {h}, {h}, {h}, {h};",
    "{extreme}.{int16} {h}, {h}, {h#};",
    "{boolean}.b16 {h}, {h}, {h#};",
    "shl.b16 {h}, {h}, {count};",
    "shr.{int16} {h}, {h}, {count};",
    "mul.wide.{int16} {r}, {h}, {h};",
    "selp.b32 {r}, {r}, {r#}, {p};",
    "selp.b64 {w}, {w}, {w#}, {p};",
    "selp.b16 {h}, {h}, {h}, {p};",
    "slct.b32.s32 {r}, {r}, {r}, {r};",
    "set.{compare}.u32.{int32} {r}, {r}, {r#};",
    "mov.b64 {w}, {{r}, {r}};",
    "mov.b64 {{r1}, {r2}}, {w};",
    "mov.b32 {r}, {{h}, {h}};",
    "mov.b32 {{h1}, {h2}}, {r};",
    "mov.u32 {r}, %tid.x;",
    "mov.u32 {r}, %ctaid.y;",
    "mov.u32 {r}, %laneid;",
    "mov.u32 {r}, %ntid.z;",
    "mov.b32 {r}, {r#};",
    "mad.lo.u32 {r}, %me, {five}, {at};",
];

/// Predicates and comparisons.
const PREDICATE: &[&str] = &[
    "setp.{compare}.{int32} {p}, {r}, {r#};",
    "setp.{compare}.{int32} {p1}|{p2}, {r}, {r#};",
    "setp.{compare}.{boolean}.{int32} {p1}|{p2}, {r}, {r#}, {not}{p};",
    "setp.{compare}.{int64} {p}, {w}, {w#};",
    "setp.{compare}.{int16} {p}, {h}, {h#};",
    "setp.{ordered}{ftz}.f32 {p}, {f}, {f#};",
    "setp.{ordered}.{boolean}{ftz}.f32 {p1}|{p2}, {f}, {f}, {p};",
    "setp.{ordered}.f64 {p}, {d}, {d#};",
    "setp.{ordered}.f16 {p}, {e}, {e};",
    "setp.{ordered}.f16x2 {p1}|{p2}, {x}, {x};",
    "testp.{class}.f32 {p}, {f};",
    "testp.{class}.f64 {p}, {d};",
    "{boolean}.pred {p}, {p}, {p};",
    "not.pred {p}, {p};",
    "and.b32 %t0, {r}, 1; setp.eq.u32 {p}, %t0, 0;",
    "and.b32 %t0, %lane, {five}; setp.eq.u32 {p}, %t0, 0;",
    "setp.lt.u32 {p}, %lane, {five};",
];

/// Floating point that IEEE 754 defines.
const FLOAT: &[&str] = &[
    "{arithmetic}.{rounding}{ftz}{sat}.f32 {f}, {f}, {f#};",
    "{arithmetic}{ftz}.f32 {f}, {f}, {f#};",
    "fma.{rounding}{ftz}{sat}.f32 {f}, {f}, {f}, {f#};",
    "fma.rn{ftz}.f32 {f}, {f}, {f#}, {f};",
    "div.{rounding}{ftz}.f32 {f}, {f}, {f};",
    "sqrt.{rounding}{ftz}.f32 {f}, {f};",
    "rcp.{rounding}{ftz}.f32 {f}, {f};",
    "{extreme}{ftz}.f32 {f}, {f}, {f#};",
    "abs{ftz}.f32 {f}, {f};",
    "neg{ftz}.f32 {f}, {f};",
    "selp.f32 {f}, {f}, {f#}, {p};",
    "slct{ftz}.f32.f32 {f}, {f}, {f}, {f};",
    "set.{ordered}{ftz}.u32.f32 {r}, {f}, {f};",
    "set.{ordered}{ftz}.f32.f32 {f}, {f}, {f};",
    "cvt.rn.f32.{int32} {f}, {r};",
    "cvt.{rounding}.f32.{int64} {f}, {w};",
    "cvt.{integral}{ftz}.s32.f32 {r}, {f};",
    "cvt.{integral}{ftz}.u32.f32 {r}, {f};",
    "cvt.{integral}{ftz}.s64.f32 {w}, {f};",
    "cvt.{integral}{ftz}.f32.f32 {f}, {f};",
    "{arithmetic}.{rounding}.f64 {d}, {d}, {d#};",
    "fma.{rounding}.f64 {d}, {d}, {d}, {d#};",
    "div.{rounding}.f64 {d}, {d}, {d};",
    "sqrt.{rounding}.f64 {d}, {d};",
    "rcp.{rounding}.f64 {d}, {d};",
    "{extreme}.f64 {d}, {d}, {d#};",
    "abs.f64 {d}, {d};",
    "neg.f64 {d}, {d};",
    "selp.f64 {d}, {d}, {d#}, {p};",
    "cvt{ftz}.f64.f32 {d}, {f};",
    "cvt.{rounding}{ftz}.f32.f64 {f}, {d};",
    "cvt.rn.f64.{int32} {d}, {r};",
    "cvt.{rounding}.f64.{int64} {d}, {w};",
    "cvt.{integral}.s32.f64 {r}, {d};",
    "cvt.{integral}.u64.f64 {w}, {d};",
    "{arithmetic}.f16 {e}, {e}, {e};",
    "fma.rn.f16 {e}, {e}, {e}, {e};",
    "{extreme}.f16 {e}, {e}, {e};",
    "cvt.f32.f16 {f}, {e};",
    "cvt.{rounding}.f16.f32 {e}, {f};",
    "cvt.{integral}.s32.f16 {r}, {e};",
    "cvt.rn.f16.{int32} {e}, {r};",
    "{arithmetic}.f16x2 {x}, {x}, {x};",
    "fma.rn.f16x2 {x}, {x}, {x}, {x};",
    "{extreme}.f16x2 {x}, {x}, {x};",
    "neg.f16x2 {x}, {x};",
    "cvt.rn.f16x2.f32 {x}, {f}, {f};",
    "cvt.rn.bf16.f32 %ht, {f}; mov.b16 %hu, 0; mov.b32 {f}, {%hu, %ht};",
    "set.{ordered}.f16.f16 {e}, {e}, {e};",
    "setp.{ordered}.{boolean}.f64 {p1}|{p2}, {d}, {d}, {not}{p};",
    "mov.b32 {x}, {{e}, {e}};",
    "{arithmetic}.bf16x2 {y}, {y}, {y};",
    "fma.rn.bf16x2 {y}, {y}, {y}, {y};",
    "{extreme}.bf16x2 {y}, {y}, {y};",
    "neg.bf16x2 {y}, {y};",
    "abs.bf16x2 {y}, {y};",
    "cvt.rn.bf16x2.f32 {y}, {f}, {f};",
    "setp.{ordered}.bf16x2 {p1}|{p2}, {y}, {y};",
    "mov.b32 {%ht, %hu}, {y}; cvt.f32.bf16 {f}, %hu;",
    "mov.b32 {{e1}, {e2}}, {x};",
];

/// Conversions between integers, and bits of one class as a number of another.
const CONVERT: &[&str] = &[
    "cvt.u64.u32 {w}, {r};",
    "cvt.s64.s32 {w}, {r};",
    "cvt.u32.u64 {r}, {w};",
    "cvt.u32.u16 {r}, {h};",
    "cvt.s32.s16 {r}, {h};",
    "cvt.u16.u32 {h}, {r};",
    "cvt.s32.s8 {r}, {r};",
    "cvt.u32.u8 {r}, {r};",
    "cvt.s8.s32 {r}, {r};",
    "cvt.sat.u8.s32 {r}, {r};",
    "cvt.sat.s16.s32 {h}, {r};",
    "cvt.sat.s32.s64 {r}, {w};",
    "cvt.u64.u16 {w}, {h};",
    "mov.b32 {f}, {r};",
    "mov.b64 {d}, {w};",
    "mov.b16 {e}, {h};",
    "mov.b32 {x}, {r};",
    "mov.b32 {y}, {r};",
    "[f] mov.b32 {r}, %ft;",
    "[d] mov.b64 {w}, %dt;",
    "[e] mov.b16 {h}, %ht;",
    "[x] mov.b32 {r}, %t0;",
    "[y] mov.b32 {r}, %t0;",
];

/// Memory of the thread's own, the read-only data and constants.
const MEMORY: &[&str] = &[
    "and.b32 %t0, {r}, 0xfff; mul.wide.u32 %u0, %t0, 4; add.u64 %u0, %data, %u0; ld.global.u32 {r}, [%u0];",
    "and.b32 %t0, {r}, 0x7ff; mul.wide.u32 %u0, %t0, 8; add.u64 %u0, %data, %u0; ld.global.nc.b64 {w}, [%u0];",
    "and.b32 %t0, {r}, 0x3fff; cvt.u64.u32 %u0, %t0; add.u64 %u0, %data, %u0; ld.global.s8 {r}, [%u0];",
    "and.b32 %t0, {r}, 0x1fff; mad.wide.u32 %u0, %t0, 2, %data; ld.global.u16 {h}, [%u0];",
    "and.b32 %t0, {r}, 0xfff; mad.wide.u32 %u0, %t0, 4, %data; ld.global.f32 {f}, [%u0];",
    "and.b32 %t0, {r}, 0xffe; mad.wide.u32 %u0, %t0, 4, %data; ld.global.v2.b32 {{r1}, {r2}}, [%u0];",
    "and.b32 %t0, {r}, 0xffc; mad.wide.u32 %u0, %t0, 4, %data; ld.global.v4.f32 {{f1}, {f2}, {f3}, {f4}}, [%u0];",
    "and.b32 %t0, {r}, 0x7fe; mad.wide.u32 %u0, %t0, 8, %data; ld.global.v2.f64 {{d1}, {d2}}, [%u0];",
    // By the thread's number, as kernels do; the second ones wrap at 32 bits.
    "mad.wide.u32 %u0, %me, 4, %data; ld.global.b32 {r}, [%u0+{at4}];",
    "mad.wide.u32 %u0, %me, 8, %data; ld.global.v2.b32 {{r1}, {r2}}, [%u0+{at8}];",
    "mul.wide.u32 %u0, %me, 12; add.u64 %u0, %u0, %data; ld.global.b32 {r}, [%u0+{at4}];",
    "mad.lo.u32 %t0, %me, 4, 0xffffffc0; setp.lt.u32 %pt, %t0, 16320; cvt.u64.u32 %u0, %t0; add.u64 %u0, %u0, %data; @%pt ld.global.u32 {r}, [%u0];",
    "mad.lo.u32 %t0, %me, 4, 0xffffffc0; add.u32 %t0, %t0, 64; cvt.u64.u32 %u0, %t0; add.u64 %u0, %u0, %data; ld.global.u32 {r}, [%u0];",
    "sub.s32 %t0, %me, 32; mad.wide.s32 %u0, %t0, 4, %data; ld.global.u32 {r}, [%u0+128];",
    "mul.lo.u32 %t0, %me, 0x40000004; and.b32 %t0, %t0, 0x3ffc; cvt.u64.u32 %u0, %t0; add.u64 %u0, %u0, %data; ld.global.u32 {r}, [%u0];",
    "mul.lo.s32 %t0, %me, -4; mul.wide.s32 %u0, %t0, 1; add.s64 %u0, %u0, %data; ld.global.b32 {r}, [%u0+8192];",
    "st.global.b32 [%own+{own4}], {r};",
    "st.global.b64 [%own+{own8}], {w};",
    "st.global.u8 [%own+{own1}], {r};",
    "st.global.b16 [%own+{own2}], {h};",
    "st.global.v2.b32 [%own+{own8}], {{r}, {r}};",
    "st.global.v4.b32 [%own+{own16}], {{r}, {r}, {r}, {r}};",
    "[f] st.global.f32 [%own+{own4}], %ft;",
    "[d] st.global.f64 [%own+{own8}], %dt;",
    "ld.global.b32 {r}, [%own+{own4}];",
    "ld.global.b64 {w}, [%own+{own8}];",
    "ld.global.s16 {r}, [%own+{own2}];",
    "ld.global.u8 {h}, [%own+{own1}];",
    "ld.global.v4.u32 {{r1}, {r2}, {r3}, {r4}}, [%own+{own16}];",
    "ld.b32 {r}, [%own+{own4}];",
    "and.b32 %t0, {r}, 0x3c; cvt.u64.u32 %u0, %t0; add.u64 %u0, %own, %u0; st.global.b32 [%u0], {r};",
    "and.b32 %t0, {r}, 0x3c; cvt.u64.u32 %u0, %t0; add.u64 %u0, %own, %u0; ld.global.b32 {r}, [%u0];",
    "st.global.b32 [%apart+{apart}], {r};",
    "[f] st.global.f32 [%apart+{apart}], %ft;",
    "ld.global.b32 {r}, [%apart+{apart}];",
    "st.global.v4.b32 [%out16+ROW{bit}], {{r}, {r}, {r}, {r}};",
    "st.global.v2.b64 [%out16+ROW{bit}], {{w}, {w}};",
    "ld.global.v4.b32 {{r1}, {r2}, {r3}, {r4}}, [%out16+ROW{bit}];",
    "ld.global.v2.b32 {{r1}, {r2}}, [%out16+ROW{bit}];",
    "st.local.v2.b32 [stack+{own8}], {{r}, {r}};",
    "ld.local.v4.b32 {{r1}, {r2}, {r3}, {r4}}, [stack+{own16}];",
    "ld.local.s16 {r}, [stack+{own2}];",
    "st.local.b32 [%stack+{own4}], {r};",
    "ld.local.b32 {r}, [%stack+{own4}];",
    "and.b32 %t0, {r}, 0x3c; cvt.u64.u32 %u0, %t0; add.u64 %u0, %stack, %u0; st.local.b32 [%u0], {r};",
    "and.b32 %t0, {r}, 0x3f; cvt.u64.u32 %u0, %t0; add.u64 %u0, %stack, %u0; ld.local.u8 {r}, [%u0];",
    "cvta.local.u64 %u0, %stack; ld.b32 {r}, [%u0+{own4}];",
    "st.shared.b32 [%mine], {r};",
    "st.shared.b64 [%mine], {w};",
    "ld.shared.b32 {r}, [%mine+4];",
    "ld.shared.u8 {r}, [%mine+3];",
    "cvt.u64.u32 %u0, %mine; cvta.shared.u64 %u0, %u0; ld.b32 {r}, [%u0];",
    "mov.u64 %u0, table; and.b32 %t0, {r}, 63; mad.wide.u32 %u0, %t0, 4, %u0; ld.const.b32 {r}, [%u0];",
    "ld.const.b32 {r}, [table+{own4}];",
    "atom.global.add.u32 {r}, [%own+{own4}], {r};",
    "atom.global.cas.b32 {r}, [%own+{own4}], {r}, {r};",
    "atom.global.exch.b64 {w}, [%own+{own8}], {w};",
    "atom.global.{extreme}.s32 {r}, [%own+{own4}], {r};",
    "atom.global.inc.u32 {r}, [%own+{own4}], {r};",
    "atom.shared.add.u32 {r}, [%mine], {r};",
    "atom.add.u32 {r}, [%own+{own4}], {r};",
    "st.b32 [%own+{own4}], {r};",
    "st.v2.b32 [%own+{own8}], {{r}, {r}};",
    "mad.wide.u32 %u0, %me, 4, %data; ld.global.v4.u8 {{r1}, {r2}, {r3}, {r4}}, [%u0+{at4}];",
    "mad.wide.u32 %u0, %me, 4, %data; ld.global.v2.s16 {{r1}, {r2}}, [%u0+{at4}];",
    "mad.wide.u32 %u0, %me, 8, %data; ld.global.v4.u16 {{h1}, {h2}, {h3}, {h4}}, [%u0+{at8}];",
    "mad.wide.u32 %u0, %lane, 8, %data; ld.global.v2.s8 {{h1}, {h2}}, [%u0+{at8}];",
    "st.global.v4.u8 [%own+{own4}], {{r}, {r}, {r}, {r}};",
    "st.global.v2.u16 [%own+{own4}], {{h}, {h}};",
    "st.global.v2.b32 [%out16+ROW{bit}], {{r}, {r}};",
    "ld.global.b32 {r}, [%out16+ROW{bit}];",
    "cvt.u64.u32 %u0, %mine; cvta.shared.u64 %u0, %u0; selp.b64 %u0, %u0, %own, {p}; ld.b32 {r}, [%u0+4];",
    "cvta.local.u64 %u0, %stack; selp.b64 %u0, %u0, %own, {p}; ld.v2.b32 {{r1}, {r2}}, [%u0+{own8}];",
    "cvta.local.u64 %u0, %stack; st.b32 [%u0+{own4}], {r};",
    "cvta.to.global.u64 %u0, %own; red.add.u32 [%u0+{own4}], {r};",
    "red.global.add.u64 [%own+{own8}], {w};",
];

/// Sums that threads share: each kind has eight words of its own.
const SUMS: &[&str] = &[
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.add.u32 [%u0], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.min.s32 [%u0+32], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.max.u32 [%u0+64], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.or.b32 [%u0+96], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.xor.b32 [%u0+128], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; atom.global.and.b32 %t0, [%u0+160], {r};",
    "and.b32 %t0, {r}, 7; mad.wide.u32 %u0, %t0, 4, %sums; red.global.inc.u32 [%u0+192], 1000;",
    "and.b32 %t0, {r}, 3; mad.wide.u32 %u0, %t0, 8, %sums; red.global.add.u64 [%u0+224], {w};",
    "mov.u32 %t1, counts; and.b32 %t0, {r}, 7; mad.lo.u32 %t1, %t0, 4, %t1; red.shared.add.u32 [%t1], {r};",
    "mov.u32 %t1, counts; and.b32 %t0, {r}, 7; mad.lo.u32 %t1, %t0, 4, %t1; red.shared.max.s32 [%t1+32], {r};",
    "mov.u32 %t1, counts; and.b32 %t0, {r}, 7; mad.lo.u32 %t1, %t0, 4, %t1; red.shared.xor.b32 [%t1+64], {r};",
    "mov.u32 %t1, counts; and.b32 %t0, {r}, 7; mad.lo.u32 %t1, %t0, 4, %t1; red.shared.add.u32 [%t1+96], 1;",
];

/// One place for all lanes. Sums of what they found there are the same in any order, as all of them add the same.
const ONE_PLACE: &[&str] = &[
    "atom.shared.add.u32 %t0, [counts+128], 1; red.global.add.u32 [%sums], %t0;",
    "atom.shared.add.u32 %t0, [counts+132], 3; red.global.add.u32 [%sums+4], %t0;",
    "mov.u32 %t0, 0; @{not}{p} atom.shared.add.u32 %t0, [counts+128], 1; red.global.add.u32 [%sums+8], %t0;",
    "red.global.add.u32 [%sums+12], {r};",
    "red.global.add.u32 [%sums+16], 5;",
    "red.global.add.u64 [%sums+224], {w};",
    "red.global.min.s32 [%sums+36], {r};",
    "red.global.max.u32 [%sums+68], {r};",
    "red.shared.xor.b32 [counts+64], {r};",
    "red.global.xor.b32 [%sums+132], 0x1235;",
    "red.global.or.b32 [%sums+100], {r};",
    "red.global.inc.u32 [%sums+196], 1000;",
];

/// A sum by compare and exchange: lanes that lose try again.
const RETRY: &[&str] = &[
    "{ .reg .b32 %a, %b, %c; .reg .pred %q; and.b32 %a, {r}, 7; mad.wide.u32 %u0, %a, 4, %sums; ld.volatile.global.b32 %a, [%u0]; \
     again: add.u32 %b, %a, {r}; atom.global.cas.b32 %c, [%u0], %a, %b; setp.ne.u32 %q, %c, %a; mov.b32 %a, %c; @%q bra again; }",
    "{ .reg .b32 %a, %b, %c, %d; .reg .pred %q; mov.u32 %d, counts; and.b32 %a, {r}, 7; mad.lo.u32 %d, %a, 4, %d; ld.volatile.shared.b32 %a, [%d]; \
     again: add.u32 %b, %a, {r}; atom.shared.cas.b32 %c, [%d], %a, %b; setp.ne.u32 %q, %c, %a; mov.b32 %a, %c; @%q bra again; }",
];

/// What lanes do together; a lane that a shuffle would read counts only if it takes part.
const WARP: &[&str] = &[
    "vote.sync.ballot.b32 {r}, {not}{p}, %mask;",
    "vote.sync.any.pred {p}, {p}, %mask;",
    "vote.sync.all.pred {p}, {not}{p}, %mask;",
    "match.any.sync.b32 {r}, {r}, %mask;",
    "and.b32 %t0, {r}, 3; match.any.sync.b32 {r}, %t0, %mask;",
    "match.all.sync.b32 {r1}|{p}, {r}, %mask;",
    "redux.sync.add.{int32} {r}, {r}, %mask;",
    "redux.sync.{extreme}.{int32} {r}, {r}, %mask;",
    "redux.sync.{boolean}.b32 {r}, {r}, %mask;",
    "xor.b32 %t0, %lane, {five}; shfl.sync.bfly.b32 %t1, {r}, {same}, 31, %mask; shr.u32 %t2, %mask, %t0; and.b32 %t2, %t2, 1; setp.ne.u32 %pt, %t2, 0; @%pt mov.b32 {r}, %t1;",
    "and.b32 %t0, {r}, 31; shfl.sync.idx.b32 %t1, {r}, %t0, 31, %mask; shr.u32 %t2, %mask, %t0; and.b32 %t2, %t2, 1; setp.ne.u32 %pt, %t2, 0; @%pt xor.b32 {r}, {r}, %t1;",
    "add.u32 %t0, %lane, {five}; and.b32 %t0, %t0, 31; shr.u32 %t2, %mask, %t0; and.b32 %t2, %t2, 1; setp.ne.u32 %pt, %t2, 0; \
     shfl.sync.down.b32 %t1|%pu, {r}, {same}, 31, %mask; and.pred %pt, %pt, %pu; @%pt mov.b32 {r}, %t1;",
    "sub.u32 %t0, %lane, {five}; and.b32 %t0, %t0, 31; shr.u32 %t2, %mask, %t0; and.b32 %t2, %t2, 1; setp.ne.u32 %pt, %t2, 0; \
     shfl.sync.up.b32 %t1|%pu, {r}, {same}, 0, %mask; and.pred %pt, %pt, %pu; @%pt add.u32 {r}, {r}, %t1;",
    "bar.warp.sync %mask;",
];

/// What the whole block does together; where threads read what others wrote.
const BLOCK: &[&str] = &[
    "bar.sync 0;",
    "bar.sync 0; mad.lo.u32 %t0, %me, {odd}, {at}; rem.u32 %t0, %t0, {threads}; mov.u32 %t1, tile; mad.lo.u32 %t1, %t0, 8, %t1; ld.shared.b32 {r}, [%t1]; bar.sync 0;",
    "st.shared.v2.b32 [%mine], {{r}, {r}}; barrier.sync 1; and.b32 %t0, {r}, 0xffff; rem.u32 %t0, %t0, {threads}; mov.u32 %t1, tile; mad.lo.u32 %t1, %t0, 8, %t1; ld.shared.v2.b32 {{r1}, {r2}}, [%t1]; bar.sync 0;",
    "bar.sync 0; mov.u32 %t1, counts; and.b32 %t0, {r}, 31; mad.lo.u32 %t1, %t0, 4, %t1; ld.shared.b32 {r}, [%t1]; bar.sync 0;",
    "bar.red.popc.u32 {r}, 0, {not}{p};",
    "bar.red.or.pred {p}, 0, {p};",
    "bar.red.and.pred {p}, 0, {p};",
];

/// Functions.
const CALL: &[&str] = &[
    "{ .param .b32 a; .param .b32 b; .param .b32 res; st.param.b32 [a], {r}; st.param.b32 [b], {r}; call (res), collatz, (a, b); ld.param.b32 {r}, [res]; }",
    "{ .param .b32 a; .param .b32 b; .param .b32 res; st.param.b32 [a], {r}; st.param.b32 [b], {r}; call (res), power, (a, b); ld.param.b32 {r}, [res]; }",
];

/// What a statement may be where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The lanes that come by are known.
    pub warp: bool,
    /// The whole block comes by.
    pub block: bool,
    /// And all its warps have all their lanes.
    pub whole: bool,
    /// Calls are allowed.
    pub calls: bool,
}

/// How a program writes its statements.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Of four single-precision instructions so many flush.
    pub flushes: usize,
    /// Threads of a block.
    pub threads: u32,
    /// Of eight statements so many have a guard.
    pub guards: usize,
}

/// A statement.
pub fn statement(random: &mut Random, place: Place, manner: Manner) -> String {
    let template = loop {
        let family = match random.below(44) {
            32..=39 => return idioms::idiom(random, place, manner),
            40..=42 if place.whole => {
                let text = matrices::matrices(random);
                return fill(random, manner, &text);
            }
            43 if random.one_in(2) => {
                let text = matrices::copy(random);
                return fill(random, manner, &text);
            }
            0..=9 => INTEGER,
            10..=13 => PREDICATE,
            14..=19 => FLOAT,
            20..=21 => CONVERT,
            22..=26 => MEMORY,
            27 if random.one_in(6) => RETRY,
            27 => SUMS,
            28..=29 if place.warp => WARP,
            30 if place.block => BLOCK,
            31 if place.calls && random.one_in(3) => CALL,
            _ => continue,
        };
        break random.choose(family);
    };
    guarded(random, manner, template)
}

/// An atomic at one place for all lanes.
pub fn at_one_place(random: &mut Random, manner: Manner) -> String {
    let template = random.choose(ONE_PLACE);
    guarded(random, manner, template)
}

/// A template's text, with a guard now and then.
fn guarded(random: &mut Random, manner: Manner, template: &str) -> String {
    let text = fill(random, manner, template);
    if may_be_guarded(&text) && random.below(8) < manner.guards {
        let predicate = random.below(6);
        let not = random.choose(&["", "!"]);
        return format!("@{not}%p{predicate} {text}");
    }
    text
}

/// A template's text.
pub fn fill(random: &mut Random, manner: Manner, template: &str) -> String {
    Filler { random, manner, chosen: Vec::new() }.fill(template)
}

/// Whether a guard may stand before a statement: it is one instruction, and not one that lanes do together.
///
/// NVIDIA's compiler (CUDA 13.0, at all levels) drops the guard of `testp` and of `set` with a floating-point result: there lanes
/// that a guard holds back get other values than they had. See `golden/README.md`.
fn may_be_guarded(text: &str) -> bool {
    let to_float = text.contains(".f32.f32") || text.contains(".f16.f16");
    let dropped = text.starts_with("testp") || text.starts_with("set.") && to_float;
    let together = text.contains(".sync") || text.contains("bar.");
    text.matches(';').count() == 1 && !together && !dropped && !text.contains('{')
}

/// Fills a template.
struct Filler<'r> {
    random: &'r mut Random,
    manner: Manner,
    /// Registers with a digit, and the last number of five bits.
    chosen: Vec<(String, String)>,
}

impl Filler<'_> {
    fn fill(&mut self, template: &str) -> String {
        let mut template = template.to_owned();
        for (mark, plain) in [("[f] ", "f"), ("[d] ", "d"), ("[e] ", "e"), ("[x] ", "x"), ("[y] ", "y")] {
            if let Some(rest) = template.strip_prefix(mark) {
                let register = self.register(plain);
                let before = match plain {
                    "f" => plain_single(&register),
                    "d" => plain_double(&register),
                    "e" => plain_half(&register),
                    "y" => plain_pair_of_brains(&register),
                    _ => plain_pair(&register),
                };
                template = format!("{before} {rest}");
                // What has been written has no marks but braces of `mov`.
                break;
            }
        }
        let mut out = String::new();
        let mut rest = template.as_str();
        while let Some(start) = rest.find('{') {
            out += &rest[..start];
            let inside = &rest[start + 1..];
            let end = inside.find('}').unwrap_or(inside.len());
            match self.word(&inside[..end]) {
                Some(word) => {
                    out += &word;
                    rest = &inside[end + 1..];
                }
                None => {
                    out.push('{');
                    rest = inside;
                }
            }
        }
        out + rest
    }

    /// What a mark becomes; `None` if it is a brace of PTX.
    fn word(&mut self, mark: &str) -> Option<String> {
        if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == mark) {
            return Some(self.random.choose(words).to_owned());
        }
        let random = &mut *self.random;
        Some(match mark {
            "arithmetic32" => random.choose(&["add", "sub"]).to_owned(),
            "ftz" => if random.below(4) < self.manner.flushes { ".ftz" } else { "" }.to_owned(),
            // No large constant: NVIDIA's compiler reads its low 16 bits where 16 bits are shifted.
            "count" if random.one_in(3) => random.below(40).to_string(),
            "count" => return self.operand("r"),
            "selector" => {
                // Some copy signs.
                let word = random.word();
                let known = if word >> 16 & 3 == 0 { 0xffff } else { 0x7777 };
                format!("{:#x}", word & known)
            }
            "byte" => format!("{:#x}", random.below(256)),
            "five" => {
                let value = random.below(32).to_string();
                self.chosen.push(("same".into(), value.clone()));
                value
            }
            "same" => self.chosen.iter().rev().find(|(name, _)| name == "same")?.1.clone(),
            "odd" => (2 * random.below(50) + 1).to_string(),
            "threads" => self.manner.threads.to_string(),
            "at" => random.below(4096).to_string(),
            "at4" => (random.below(1000) * 4).to_string(),
            "at8" => (random.below(500) * 8).to_string(),
            "bit" => random.below(2).to_string(),
            "own1" => random.below(64).to_string(),
            "own2" => (random.below(32) * 2).to_string(),
            "own4" => (random.below(16) * 4).to_string(),
            "own8" => (random.below(8) * 8).to_string(),
            "own16" => (random.below(4) * 16).to_string(),
            // The program's number of threads times four, filled in by whoever knows it.
            "apart" => format!("APART{}", random.below(8)),
            _ => return self.operand(mark),
        })
    }

    fn operand(&mut self, mark: &str) -> Option<String> {
        let (class, kind) = mark.split_at(1.min(mark.len()));
        if !REGISTERS.iter().any(|(name, ..)| *name == class) {
            return None;
        }
        match kind {
            "" => Some(self.register(class)),
            "#" if self.random.one_in(3) => Some(constant(self.random, class)),
            "#" => Some(self.register(class)),
            digit if digit.len() == 1 && digit.as_bytes()[0].is_ascii_digit() => Some(self.same(mark, class)),
            _ => None,
        }
    }

    fn register(&mut self, class: &str) -> String {
        let count = REGISTERS.iter().find(|(name, ..)| *name == class).map_or(1, |(.., count)| *count);
        format!("%{class}{}", self.random.below(count))
    }

    /// The register of a mark with a digit, other than those of other digits.
    fn same(&mut self, mark: &str, class: &str) -> String {
        if let Some((_, register)) = self.chosen.iter().find(|(name, _)| name == mark) {
            return register.clone();
        }
        let register = loop {
            let register = self.register(class);
            if !self.chosen.iter().any(|(_, taken)| *taken == register) {
                break register;
            }
        };
        self.chosen.push((mark.into(), register.clone()));
        register
    }
}

/// A constant of a class.
fn constant(random: &mut Random, class: &str) -> String {
    const SINGLE: [u32; 8] =
        [0, 0x3f80_0000, 0xbf80_0000, 0x3f00_0000, 0x4b00_0000, 0x0040_0000, 0x7f7f_ffff, 0x7f80_0000];
    const DOUBLE: [u64; 6] = [0, 1023 << 52, 0xbff << 52, 1022 << 52, 1 << 51, 0x7fef_ffff_ffff_ffff];
    match class {
        "f" => format!("0f{:08X}", random.choose(&SINGLE)),
        "d" => format!("0d{:016X}", random.choose(&DOUBLE)),
        "h" => random.choose(&[0, 1, 7, 15, 16, 255, 0x7fff]).to_string(),
        "w" => random
            .choose(&["0", "1", "2", "31", "64", "255", "-1", "0x7fffffffffffffff", "0x100000000"])
            .to_owned(),
        _ => match random.below(4) {
            0 => format!("{:#x}", random.word() as u32),
            _ => random
                .choose(&["0", "1", "2", "3", "4", "7", "8", "16", "31", "32", "255", "-1", "0x7fffffff"])
                .to_owned(),
        },
    }
}
