//! Where the H100 and the manual part, and what is done then.
//!
//! One more is not asked for at all: video instructions with a part of a word as destination. The driver's compiler puts the same
//! part of the result there (`.h1` has the result's high half), where the manual puts its low bits.

use ptx::isa::{Modifier, Op};

use crate::case::Case;

/// Why an executor may answer otherwise than the H100 did: the manual says something else, or nothing.
pub fn disputed(case: &Case) -> Option<&'static str> {
    use Op::*;
    let has = |modifier| case.mnemonic.has(modifier);
    match case.mnemonic.op {
        // No video unit is left in the hardware; the driver's compiler writes other instructions for these, and
        // `vadd.u32.u32.u32.sat` of 0xffffffff and 1 gives 0 there. The manual's pseudocode says 0xffffffff.
        Vadd | Vsub | Vabsdiff | Vmin | Vmax | Vshl | Vshr | Vmad if has(Modifier::Sat) => {
            Some("saturation of video instructions is emulated, and wrong where the sum has 33 bits")
        }
        // Where the sum has more than 32 bits, its 32 low ones are shifted, as a number with a sign.
        Vmad if has(Modifier::Shr7) || has(Modifier::Shr15) => {
            Some("the scale of `vmad` is emulated, and wrong where the sum has more than 32 bits")
        }
        // `vadd.u32.u32.s32.min` of 0, -6 and 0xffffffff gives 0xffffffff there, and `.max` gives 0xfffffffa.
        Vadd | Vsub | Vabsdiff | Vmin | Vmax | Vshl | Vshr if has(Modifier::Min) || has(Modifier::Max) => {
            Some(
                "the second operation of video instructions is emulated, and compares 33 bits in changing ways",
            )
        }
        _ => None,
    }
}

/// What the interpreter refuses, by name, though the H100 takes it.
pub fn lacking(case: &Case) -> Option<&'static str> {
    use Op::*;
    match case.mnemonic.op {
        Vadd2 | Vsub2 | Vavrg2 | Vabsdiff2 | Vmin2 | Vmax2 | Vset2 | Vadd4 | Vsub4 | Vavrg4 | Vabsdiff4
        | Vmin4 | Vmax4 | Vset4
            if case.text.contains("0.") || case.text.contains("1.") =>
        {
            Some("packed video instructions on selected parts")
        }
        Fma if case.mnemonic.has(Modifier::Oob) => Some("`fma.oob`"),
        Cvt if case.mnemonic.has(Modifier::Pack) => Some("`cvt.pack`"),
        _ => None,
    }
}
