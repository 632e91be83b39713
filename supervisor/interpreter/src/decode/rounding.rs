//! `.rz`, `.rm`, `.rp`: the processor computes in the rounding mode of its control word.
//!
//! The compiler believes that this word never changes and may move arithmetic around, so each operation sits between the two
//! writes of the control word in one piece of assembly.

use std::arch::asm;
use std::arch::x86_64::{__m256, __m256d};

use ptx::{Mnemonic, Modifier, Op, Operand};

use super::operands::{Decoded, Decoder};
use crate::control_word::{ROUNDING, control_word, rounding_bits};
use crate::registers::{Reg, flush};
use crate::warp::Warp;

/// What is computed; the rest are these with a one.
#[derive(Clone, Copy, PartialEq)]
enum Exact {
    Add,
    Sub,
    Mul,
    Div,
    Sqrt,
    Fma,
}

impl Exact {
    /// The operation, and whether its first operand is one.
    fn of(op: Op) -> Decoded<(Exact, bool)> {
        Ok(match op {
            Op::Add => (Exact::Add, false),
            Op::Sub => (Exact::Sub, false),
            Op::Mul => (Exact::Mul, false),
            Op::Div => (Exact::Div, false),
            Op::Rcp => (Exact::Div, true),
            Op::Sqrt => (Exact::Sqrt, false),
            Op::Fma | Op::Mad => (Exact::Fma, false),
            _ => return Err("this rounding is not implemented".into()),
        })
    }
}

/// One instruction on vectors, between two loads of the control word.
macro_rules! between {
    ($single:literal, $x:ident, $y:ident, $z:ident, $word:ident) => {{
        let old = control_word();
        let new = old & !ROUNDING | $word;
        // SAFETY: computes on three vector registers; the control word is back before the next statement, and no exception
        // is unmasked.
        unsafe {
            asm!(
                "vldmxcsr [{new}]", $single, "vldmxcsr [{old}]",
                x = inout(ymm_reg) $x, y = in(ymm_reg) $y, z = in(ymm_reg) $z,
                new = in(reg) &new, old = in(reg) &old,
                options(nostack, readonly)
            );
        }
        $x
    }};
}

#[target_feature(enable = "avx2,fma,f16c")]
fn compute32(what: Exact, mut x: __m256, y: __m256, z: __m256, word: u32) -> __m256 {
    match what {
        Exact::Add => between!("vaddps {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Sub => between!("vsubps {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Mul => between!("vmulps {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Div => between!("vdivps {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Sqrt => between!("vsqrtps {x}, {x} /* {y} {z} */", x, y, z, word),
        Exact::Fma => between!("vfmadd213ps {x}, {y}, {z}", x, y, z, word),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn compute64(what: Exact, mut x: __m256d, y: __m256d, z: __m256d, word: u32) -> __m256d {
    match what {
        Exact::Add => between!("vaddpd {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Sub => between!("vsubpd {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Mul => between!("vmulpd {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Div => between!("vdivpd {x}, {x}, {y} /* {z} */", x, y, z, word),
        Exact::Sqrt => between!("vsqrtpd {x}, {x} /* {y} {z} */", x, y, z, word),
        Exact::Fma => between!("vfmadd213pd {x}, {y}, {z}", x, y, z, word),
    }
}

impl Decoder<'_> {
    /// Whether an instruction asks for another rounding than to nearest.
    pub(super) fn rounds_directed(&self, mnemonic: &Mnemonic) -> bool {
        rounding_bits(mnemonic).is_some()
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn directed_single(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let word = rounding_bits(mnemonic).ok_or("a rounding without a direction")?;
        let (what, inverts) = Exact::of(mnemonic.op)?;
        let mut sources = Vec::new();
        if inverts {
            sources.push(self.constant(1f32.to_bits()));
        }
        for operand in &operands[1..] {
            sources.push(self.source::<f32>(operand)?);
        }
        let sources: [Reg<u32>; 3] = std::array::from_fn(|index| sources[index.min(sources.len() - 1)]);
        let d = self.target::<u32>(&operands[0])?;
        let flushes = mnemonic.has(Modifier::Ftz);
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                let [x, y, z] = sources.map(|register| {
                    let values = chunk32(w, register, first, flushes);
                    // SAFETY: eight floats are a vector.
                    unsafe { std::mem::transmute::<[u32; 8], __m256>(values) }
                });
                // SAFETY: as above.
                let result =
                    unsafe { std::mem::transmute::<__m256, [u32; 8]>(compute32(what, x, y, z, word)) };
                if flushes { result.map(|bits| flush(bits, 0x7f80_0000, 0x8000_0000)) } else { result }
            });
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn directed_double(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let word = rounding_bits(mnemonic).ok_or("a rounding without a direction")?;
        let (what, inverts) = Exact::of(mnemonic.op)?;
        let mut sources = Vec::new();
        if inverts {
            sources.push(self.constant(1f64.to_bits()));
        }
        for operand in &operands[1..] {
            sources.push(self.source::<f64>(operand)?);
        }
        let sources: [Reg<u64>; 3] = std::array::from_fn(|index| sources[index.min(sources.len() - 1)]);
        let d = self.target::<u64>(&operands[0])?;
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                let [x, y, z] = sources.map(|register| {
                    let values: [u64; 8] = std::array::from_fn(|lane| w.value(register, first + lane));
                    // SAFETY: eight doubles are two vectors.
                    unsafe { std::mem::transmute::<[u64; 8], [__m256d; 2]>(values) }
                });
                let halves = [0, 1].map(|half| compute64(what, x[half], y[half], z[half], word));
                // SAFETY: as above.
                unsafe { std::mem::transmute::<[__m256d; 2], [u64; 8]>(halves) }
            });
        });
        Ok(())
    }
}

#[inline(always)]
fn chunk32(w: &Warp, register: Reg<u32>, first: usize, flushes: bool) -> [u32; 8] {
    let values: [u32; 8] = std::array::from_fn(|lane| w.value(register, first + lane));
    if flushes { values.map(|bits| flush(bits, 0x7f80_0000, 0x8000_0000)) } else { values }
}
