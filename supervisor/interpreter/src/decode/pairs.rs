//! Pairs of 16-bit integers in a word: `u16x2`, `s16x2`.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::operands::{Decoded, Decoder};

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn pair_of_integers(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let signed = mnemonic.ty() == Some(Type::S16x2);
        match (mnemonic.op, signed) {
            (Op::Add, _) => self.binary(operands, |x: u32, y: u32| both(x, y, u16::wrapping_add)),
            (Op::Sub, _) => self.binary(operands, |x: u32, y: u32| both(x, y, u16::wrapping_sub)),
            (Op::Min, false) => self.binary(operands, |x: u32, y: u32| both(x, y, u16::min)),
            (Op::Max, false) => self.binary(operands, |x: u32, y: u32| both(x, y, u16::max)),
            (Op::Min, true) => self.binary(operands, |x: u32, y: u32| both_signed(x, y, i16::min)),
            (Op::Max, true) => self.binary(operands, |x: u32, y: u32| both_signed(x, y, i16::max)),
            _ => return Err("not implemented".into()),
        }?;
        if mnemonic.has(Modifier::Relu) {
            self.adjust(&operands[0], |x: u32| both_signed(x, 0, i16::max))?;
        }
        Ok(())
    }
}

#[inline(always)]
fn both(x: u32, y: u32, f: impl Fn(u16, u16) -> u16) -> u32 {
    u32::from(f(x as u16, y as u16)) | u32::from(f((x >> 16) as u16, (y >> 16) as u16)) << 16
}

#[inline(always)]
fn both_signed(x: u32, y: u32, f: impl Fn(i16, i16) -> i16) -> u32 {
    both(x, y, |x, y| f(x as i16, y as i16) as u16)
}
