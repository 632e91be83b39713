//! Arithmetic, logic, comparison, selection.

use std::arch::x86_64::*;

use half::{bf16, f16};
use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::{Decoded, Decoder, Slot};
use crate::warp::{V32, V64};

/// Modifiers that say how to compare.
const COMPARISONS: &[Modifier] = {
    use Modifier::*;
    &[Eq, Ne, Lt, Le, Gt, Ge, Ls, Hs, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan]
};

/// One, two or three operands of one kind.
macro_rules! lanes {
    ($self:ident, 32, $d:expr, $a:expr, |$x:ident| $value:expr) => {{
        let (d, a) = ($d, $a);
        $self.push(move |w| {
            let source = &w.narrow[a];
            let values: V32 = std::array::from_fn(|lane| {
                let $x = source[lane];
                $value
            });
            w.set32(d, &values);
        });
    }};
    ($self:ident, 32, $d:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {{
        let (d, a, b) = ($d, $a, $b);
        $self.push(move |w| {
            let (first, second) = (&w.narrow[a], &w.narrow[b]);
            let values: V32 = std::array::from_fn(|lane| {
                let ($x, $y) = (first[lane], second[lane]);
                $value
            });
            w.set32(d, &values);
        });
    }};
    ($self:ident, 32, $d:expr, $a:expr, $b:expr, $c:expr, |$x:ident, $y:ident, $z:ident| $value:expr) => {{
        let (d, a, b, c) = ($d, $a, $b, $c);
        $self.push(move |w| {
            let (first, second, third) = (&w.narrow[a], &w.narrow[b], &w.narrow[c]);
            let values: V32 = std::array::from_fn(|lane| {
                let ($x, $y, $z) = (first[lane], second[lane], third[lane]);
                $value
            });
            w.set32(d, &values);
        });
    }};
    ($self:ident, 64, $d:expr, $a:expr, |$x:ident| $value:expr) => {{
        let (d, a) = ($d, $a);
        $self.push(move |w| {
            let source = &w.wide[a];
            let values: V64 = std::array::from_fn(|lane| {
                let $x = source[lane];
                $value
            });
            w.set64(d, &values);
        });
    }};
    ($self:ident, 64, $d:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {{
        let (d, a, b) = ($d, $a, $b);
        $self.push(move |w| {
            let (first, second) = (&w.wide[a], &w.wide[b]);
            let values: V64 = std::array::from_fn(|lane| {
                let ($x, $y) = (first[lane], second[lane]);
                $value
            });
            w.set64(d, &values);
        });
    }};
    ($self:ident, 64, $d:expr, $a:expr, $b:expr, $c:expr, |$x:ident, $y:ident, $z:ident| $value:expr) => {{
        let (d, a, b, c) = ($d, $a, $b, $c);
        $self.push(move |w| {
            let (first, second, third) = (&w.wide[a], &w.wide[b], &w.wide[c]);
            let values: V64 = std::array::from_fn(|lane| {
                let ($x, $y, $z) = (first[lane], second[lane], third[lane]);
                $value
            });
            w.set64(d, &values);
        });
    }};
}

/// f32 in narrow lanes.
fn f(bits: u32) -> f32 {
    f32::from_bits(bits)
}

fn g(bits: u64) -> f64 {
    f64::from_bits(bits)
}

fn h(bits: u32) -> f32 {
    f16::from_bits(bits as u16).to_f32()
}

fn to_h(value: f32) -> u32 {
    f16::from_f32(value).to_bits().into()
}

fn b(bits: u32) -> f32 {
    bf16::from_bits(bits as u16).to_f32()
}

fn to_b(value: f32) -> u32 {
    bf16::from_f32(value).to_bits().into()
}

/// Minimum by PTX: a number beats NaN, and -0 is less than +0.
fn minimum(x: f32, y: f32) -> f32 {
    let first = y.is_nan() || !x.is_nan() && (x < y || x == y && x.is_sign_negative());
    if first { x } else { y }
}

fn maximum(x: f32, y: f32) -> f32 {
    let first = y.is_nan() || !x.is_nan() && (x > y || x == y && x.is_sign_positive());
    if first { x } else { y }
}

type Sources32 = Vec<usize>;

/// A comparison's outcome, a bit per lane.
type Test = Box<dyn Fn(&crate::warp::Warp) -> u32 + Send + Sync>;

impl Decoder<'_> {
    fn sources32(&mut self, operands: &[Operand], ty: Type) -> Decoded<Sources32> {
        operands.iter().map(|operand| self.source32(operand, ty)).collect()
    }

    fn sources64(&mut self, operands: &[Operand], ty: Type) -> Decoded<Vec<usize>> {
        operands.iter().map(|operand| self.source64(operand, ty)).collect()
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn arithmetic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("an instruction without a type")?;
        match mnemonic.op {
            Op::Setp | Op::Set => return self.compare(mnemonic, operands),
            Op::Selp | Op::Slct => return self.select(mnemonic, operands, ty),
            Op::Dp4a | Op::Dp2a => return self.dot(mnemonic, operands),
            Op::Prmt => return self.permute(mnemonic, operands),
            Op::Lop3 => return self.lop3(operands),
            Op::Shf => return self.funnel(mnemonic, operands),
            Op::Bfe | Op::Bfi => return self.bit_field(mnemonic, operands, ty),
            Op::Popc | Op::Clz | Op::Bfind | Op::Brev => return self.bits(mnemonic, operands, ty),
            Op::Addc | Op::Subc | Op::Madc => return self.carry(mnemonic, operands, ty),
            Op::Add | Op::Sub | Op::Mad if mnemonic.has(Modifier::Cc) => {
                return self.carry(mnemonic, operands, ty);
            }
            _ => {}
        }
        match ty {
            Type::Pred => self.logic_of_predicates(mnemonic, operands),
            Type::F32 => self.single(mnemonic, operands),
            Type::F64 => self.double(mnemonic, operands),
            Type::F16 | Type::Bf16 => self.half(mnemonic, operands, ty),
            Type::F16x2 | Type::Bf16x2 => self.two_halves(mnemonic, operands, ty),
            _ if mnemonic.has(Modifier::Wide) => self.wide_product(mnemonic, operands, ty),
            _ if matches!(
                mnemonic.op,
                Op::Vadd4 | Op::Vsub4 | Op::Vset4 | Op::Vabsdiff4 | Op::Vmax4 | Op::Vmin4
            ) =>
            {
                self.bytes(mnemonic, operands)
            }
            _ => match ty.size() {
                8 => self.integer64(mnemonic, operands, ty),
                4 => self.integer32(mnemonic, operands, ty),
                2 => self.integer16(mnemonic, operands, ty),
                _ => Err("this type is not implemented".into()),
            },
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn integer32(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        use Op::*;
        let d = self.target32(&operands[0])?;
        let shift = matches!(mnemonic.op, Shl | Shr);
        let s = if shift {
            vec![self.source32(&operands[1], ty)?, self.source32(&operands[2], Type::U32)?]
        } else {
            self.sources32(&operands[1..], ty)?
        };
        let (signed, high) = (ty.is_signed(), mnemonic.has(Modifier::Hi));
        match (mnemonic.op, signed, high) {
            (Add, _, _) if mnemonic.has(Modifier::Sat) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x as i32).saturating_add(y as i32) as u32)
            }
            (Sub, _, _) if mnemonic.has(Modifier::Sat) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x as i32).saturating_sub(y as i32) as u32)
            }
            (Add, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_add(y)),
            (Sub, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_sub(y)),
            (Mul, true, true) => lanes!(self, 32, d, s[0], s[1], |x, y| ((i64::from(x as i32)
                * i64::from(y as i32))
                >> 32) as u32),
            (Mul, false, true) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| ((u64::from(x) * u64::from(y)) >> 32) as u32)
            }
            (Mul, _, false) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_mul(y)),
            (Mad, true, true) => {
                lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| (((i64::from(x as i32) * i64::from(y as i32))
                    >> 32) as u32)
                    .wrapping_add(z))
            }
            (Mad, false, true) => {
                lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| (((u64::from(x) * u64::from(y)) >> 32)
                    as u32)
                    .wrapping_add(z))
            }
            (Mad, _, false) => {
                lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| x.wrapping_mul(y).wrapping_add(z))
            }
            (Mul24, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (((x << 8) as i32 >> 8) as u32)
                .wrapping_mul(((y << 8) as i32 >> 8) as u32)),
            (Mul24, false, _) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xff_ffff).wrapping_mul(y & 0xff_ffff))
            }
            (Div, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| if y == 0 {
                u32::MAX
            } else {
                (x as i32).wrapping_div(y as i32) as u32
            }),
            (Div, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.checked_div(y).unwrap_or(u32::MAX)),
            (Rem, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| if y == 0 {
                x
            } else {
                (x as i32).wrapping_rem(y as i32) as u32
            }),
            (Rem, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.checked_rem(y).unwrap_or(x)),
            (Min, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x as i32).min(y as i32) as u32),
            (Max, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x as i32).max(y as i32) as u32),
            (Min, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.min(y)),
            (Max, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.max(y)),
            (Abs, _, _) => lanes!(self, 32, d, s[0], |x| (x as i32).wrapping_abs() as u32),
            (Neg, _, _) => lanes!(self, 32, d, s[0], |x| x.wrapping_neg()),
            (Sad, true, _) => {
                lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| (x as i32).abs_diff(y as i32).wrapping_add(z))
            }
            (Sad, false, _) => lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| x.abs_diff(y).wrapping_add(z)),
            (And, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x & y),
            (Or, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x | y),
            (Xor, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x ^ y),
            (Not, _, _) => lanes!(self, 32, d, s[0], |x| !x),
            (Cnot, _, _) => lanes!(self, 32, d, s[0], |x| u32::from(x == 0)),
            (Shl, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.checked_shl(y).unwrap_or(0)),
            (Shr, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| ((x as i32) >> y.min(31)) as u32),
            (Shr, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.checked_shr(y).unwrap_or(0)),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn integer64(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        use Op::*;
        let d = self.target64(&operands[0])?;
        let (signed, high) = (ty.is_signed(), mnemonic.has(Modifier::Hi));
        if matches!(mnemonic.op, Shl | Shr) {
            let a = self.source64(&operands[1], ty)?;
            let n = self.source32(&operands[2], Type::U32)?;
            let left = mnemonic.op == Shl;
            self.push(move |w| {
                let values: V64 = std::array::from_fn(|lane| {
                    let (x, n) = (w.wide[a][lane], w.narrow[n][lane]);
                    match (left, signed) {
                        (true, _) => x.checked_shl(n).unwrap_or(0),
                        (false, true) => ((x as i64) >> n.min(63)) as u64,
                        (false, false) => x.checked_shr(n).unwrap_or(0),
                    }
                });
                w.set64(d, &values);
            });
            return Ok(());
        }
        let s = self.sources64(&operands[1..], ty)?;
        match (mnemonic.op, signed, high) {
            (Add, _, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.wrapping_add(y)),
            (Sub, _, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.wrapping_sub(y)),
            (Mul, true, true) => lanes!(self, 64, d, s[0], s[1], |x, y| ((i128::from(x as i64)
                * i128::from(y as i64))
                >> 64) as u64),
            (Mul, false, true) => {
                lanes!(self, 64, d, s[0], s[1], |x, y| ((u128::from(x) * u128::from(y)) >> 64) as u64)
            }
            (Mul, _, false) => lanes!(self, 64, d, s[0], s[1], |x, y| x.wrapping_mul(y)),
            (Mad, true, true) => lanes!(self, 64, d, s[0], s[1], s[2], |x, y, z| (((i128::from(x as i64)
                * i128::from(y as i64))
                >> 64)
                as u64)
                .wrapping_add(z)),
            (Mad, false, true) => {
                lanes!(self, 64, d, s[0], s[1], s[2], |x, y, z| (((u128::from(x) * u128::from(y)) >> 64)
                    as u64)
                    .wrapping_add(z))
            }
            (Mad, _, false) => {
                lanes!(self, 64, d, s[0], s[1], s[2], |x, y, z| x.wrapping_mul(y).wrapping_add(z))
            }
            (Div, true, _) => lanes!(self, 64, d, s[0], s[1], |x, y| if y == 0 {
                u64::MAX
            } else {
                (x as i64).wrapping_div(y as i64) as u64
            }),
            (Div, false, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.checked_div(y).unwrap_or(u64::MAX)),
            (Rem, true, _) => lanes!(self, 64, d, s[0], s[1], |x, y| if y == 0 {
                x
            } else {
                (x as i64).wrapping_rem(y as i64) as u64
            }),
            (Rem, false, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.checked_rem(y).unwrap_or(x)),
            (Min, true, _) => lanes!(self, 64, d, s[0], s[1], |x, y| (x as i64).min(y as i64) as u64),
            (Max, true, _) => lanes!(self, 64, d, s[0], s[1], |x, y| (x as i64).max(y as i64) as u64),
            (Min, false, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.min(y)),
            (Max, false, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x.max(y)),
            (Abs, _, _) => lanes!(self, 64, d, s[0], |x| (x as i64).wrapping_abs() as u64),
            (Neg, _, _) => lanes!(self, 64, d, s[0], |x| x.wrapping_neg()),
            (And, _, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x & y),
            (Or, _, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x | y),
            (Xor, _, _) => lanes!(self, 64, d, s[0], s[1], |x, y| x ^ y),
            (Not, _, _) => lanes!(self, 64, d, s[0], |x| !x),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn integer16(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        use Op::*;
        let d = self.target32(&operands[0])?;
        let s =
            self.sources32(&operands[1..], if matches!(mnemonic.op, Shl | Shr) { Type::U32 } else { ty })?;
        let (signed, high) = (ty.is_signed(), mnemonic.has(Modifier::Hi));
        let i = |x: u32| i32::from(x as u16 as i16);
        match (mnemonic.op, signed, high) {
            (Add, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_add(y) & 0xffff),
            (Sub, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_sub(y) & 0xffff),
            (Mul, true, true) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| ((i(x) * i(y)) >> 16) as u32 & 0xffff)
            }
            (Mul, false, true) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (((x & 0xffff) * (y & 0xffff)) >> 16) & 0xffff)
            }
            (Mul, _, false) => lanes!(self, 32, d, s[0], s[1], |x, y| x.wrapping_mul(y) & 0xffff),
            (Mad, _, false) => {
                lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| x.wrapping_mul(y).wrapping_add(z) & 0xffff)
            }
            (Div, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| if y & 0xffff == 0 {
                0xffff
            } else {
                i(x).wrapping_div(i(y)) as u32 & 0xffff
            }),
            (Div, false, _) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xffff).checked_div(y & 0xffff).unwrap_or(0xffff))
            }
            (Rem, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| if y & 0xffff == 0 {
                x
            } else {
                i(x).wrapping_rem(i(y)) as u32 & 0xffff
            }),
            (Rem, false, _) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xffff).checked_rem(y & 0xffff).unwrap_or(x))
            }
            (Min, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| i(x).min(i(y)) as u32 & 0xffff),
            (Max, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| i(x).max(i(y)) as u32 & 0xffff),
            (Min, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xffff).min(y & 0xffff)),
            (Max, false, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xffff).max(y & 0xffff)),
            (Abs, _, _) => lanes!(self, 32, d, s[0], |x| i(x).unsigned_abs() & 0xffff),
            (Neg, _, _) => lanes!(self, 32, d, s[0], |x| x.wrapping_neg() & 0xffff),
            (And, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x & y & 0xffff),
            (Or, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x | y) & 0xffff),
            (Xor, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (x ^ y) & 0xffff),
            (Not, _, _) => lanes!(self, 32, d, s[0], |x| !x & 0xffff),
            (Shl, _, _) => lanes!(self, 32, d, s[0], s[1], |x, y| x.checked_shl(y).unwrap_or(0) & 0xffff),
            (Shr, true, _) => lanes!(self, 32, d, s[0], s[1], |x, y| (i(x) >> y.min(31)) as u32 & 0xffff),
            (Shr, false, _) => {
                lanes!(self, 32, d, s[0], s[1], |x, y| (x & 0xffff).checked_shr(y).unwrap_or(0))
            }
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn wide_product(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let s = self.sources32(&operands[1..3], ty)?;
        if ty.size() == 2 {
            let d = self.target32(&operands[0])?;
            let signed = ty.is_signed();
            let c = if mnemonic.op == Op::Mad {
                self.source32(&operands[3], Type::U32)?
            } else {
                self.narrow_constant(0)
            };
            lanes!(self, 32, d, s[0], s[1], c, |x, y, z| {
                let product = if signed {
                    i32::from(x as i16).wrapping_mul(i32::from(y as i16)) as u32
                } else {
                    (x & 0xffff).wrapping_mul(y & 0xffff)
                };
                product.wrapping_add(z)
            });
            return Ok(());
        }
        let d = self.target64(&operands[0])?;
        let c = if mnemonic.op == Op::Mad {
            self.source64(&operands[3], Type::U64)?
        } else {
            self.wide_constant(0)
        };
        let (a, b, signed) = (s[0], s[1], ty.is_signed());
        self.push(move |w| {
            let (x, y, z) = (&w.narrow[a], &w.narrow[b], &w.wide[c]);
            let values: V64 = if signed {
                std::array::from_fn(|lane| {
                    ((i64::from(x[lane] as i32) * i64::from(y[lane] as i32)) as u64).wrapping_add(z[lane])
                })
            } else {
                std::array::from_fn(|lane| (u64::from(x[lane]) * u64::from(y[lane])).wrapping_add(z[lane]))
            };
            w.set64(d, &values);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn single(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], Type::F32)?;
        match mnemonic.op {
            Add => lanes!(self, 32, d, s[0], s[1], |x, y| (f(x) + f(y)).to_bits()),
            Sub => lanes!(self, 32, d, s[0], s[1], |x, y| (f(x) - f(y)).to_bits()),
            Mul => lanes!(self, 32, d, s[0], s[1], |x, y| (f(x) * f(y)).to_bits()),
            Fma | Mad => lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| f(x).mul_add(f(y), f(z)).to_bits()),
            Div => lanes!(self, 32, d, s[0], s[1], |x, y| (f(x) / f(y)).to_bits()),
            Min => lanes!(self, 32, d, s[0], s[1], |x, y| minimum(f(x), f(y)).to_bits()),
            Max => lanes!(self, 32, d, s[0], s[1], |x, y| maximum(f(x), f(y)).to_bits()),
            Abs => lanes!(self, 32, d, s[0], |x| x & 0x7fff_ffff),
            Neg => lanes!(self, 32, d, s[0], |x| x ^ 0x8000_0000),
            Rcp => lanes!(self, 32, d, s[0], |x| (1.0 / f(x)).to_bits()),
            Sqrt => lanes!(self, 32, d, s[0], |x| f(x).sqrt().to_bits()),
            Rsqrt => lanes!(self, 32, d, s[0], |x| (1.0 / f(x).sqrt()).to_bits()),
            Sin => lanes!(self, 32, d, s[0], |x| f(x).sin().to_bits()),
            Cos => lanes!(self, 32, d, s[0], |x| f(x).cos().to_bits()),
            Lg2 => lanes!(self, 32, d, s[0], |x| f(x).log2().to_bits()),
            Ex2 => lanes!(self, 32, d, s[0], |x| f(x).exp2().to_bits()),
            Tanh => lanes!(self, 32, d, s[0], |x| f(x).tanh().to_bits()),
            Copysign => lanes!(self, 32, d, s[0], s[1], |x, y| y & 0x7fff_ffff | x & 0x8000_0000),
            _ => return Err("not implemented".into()),
        }
        if mnemonic.has(Modifier::Sat) {
            lanes!(self, 32, d, d, |x| (if f(x).is_nan() { 0.0 } else { f(x).clamp(0.0, 1.0) }).to_bits());
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn double(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        let d = self.target64(&operands[0])?;
        let s = self.sources64(&operands[1..], Type::F64)?;
        match mnemonic.op {
            Add => lanes!(self, 64, d, s[0], s[1], |x, y| (g(x) + g(y)).to_bits()),
            Sub => lanes!(self, 64, d, s[0], s[1], |x, y| (g(x) - g(y)).to_bits()),
            Mul => lanes!(self, 64, d, s[0], s[1], |x, y| (g(x) * g(y)).to_bits()),
            Fma | Mad => lanes!(self, 64, d, s[0], s[1], s[2], |x, y, z| g(x).mul_add(g(y), g(z)).to_bits()),
            Div => lanes!(self, 64, d, s[0], s[1], |x, y| (g(x) / g(y)).to_bits()),
            Min => lanes!(self, 64, d, s[0], s[1], |x, y| g(x).min(g(y)).to_bits()),
            Max => lanes!(self, 64, d, s[0], s[1], |x, y| g(x).max(g(y)).to_bits()),
            Abs => lanes!(self, 64, d, s[0], |x| x & !(1 << 63)),
            Neg => lanes!(self, 64, d, s[0], |x| x ^ 1 << 63),
            Rcp => lanes!(self, 64, d, s[0], |x| (1.0 / g(x)).to_bits()),
            Sqrt => lanes!(self, 64, d, s[0], |x| g(x).sqrt().to_bits()),
            Rsqrt => lanes!(self, 64, d, s[0], |x| (1.0 / g(x).sqrt()).to_bits()),
            Copysign => lanes!(self, 64, d, s[0], s[1], |x, y| y & !(1 << 63) | x & 1 << 63),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn half(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        use Op::*;
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], ty)?;
        if ty == Type::F16 {
            match mnemonic.op {
                Add => lanes!(self, 32, d, s[0], s[1], |x, y| to_h(h(x) + h(y))),
                Sub => lanes!(self, 32, d, s[0], s[1], |x, y| to_h(h(x) - h(y))),
                Mul => lanes!(self, 32, d, s[0], s[1], |x, y| to_h(h(x) * h(y))),
                // In f64, which holds product and sum exactly enough to round once.
                Fma => lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| {
                    f16::from_f64(f64::from(h(x)) * f64::from(h(y)) + f64::from(h(z))).to_bits().into()
                }),
                Min => lanes!(self, 32, d, s[0], s[1], |x, y| to_h(minimum(h(x), h(y)))),
                Max => lanes!(self, 32, d, s[0], s[1], |x, y| to_h(maximum(h(x), h(y)))),
                Abs => lanes!(self, 32, d, s[0], |x| x & 0x7fff),
                Neg => lanes!(self, 32, d, s[0], |x| (x ^ 0x8000) & 0xffff),
                Ex2 => lanes!(self, 32, d, s[0], |x| to_h(h(x).exp2())),
                Tanh => lanes!(self, 32, d, s[0], |x| to_h(h(x).tanh())),
                _ => return Err("not implemented".into()),
            }
        } else {
            match mnemonic.op {
                Add => lanes!(self, 32, d, s[0], s[1], |x, y| to_b(b(x) + b(y))),
                Sub => lanes!(self, 32, d, s[0], s[1], |x, y| to_b(b(x) - b(y))),
                Mul => lanes!(self, 32, d, s[0], s[1], |x, y| to_b(b(x) * b(y))),
                Fma => lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| {
                    bf16::from_f64(f64::from(b(x)) * f64::from(b(y)) + f64::from(b(z))).to_bits().into()
                }),
                Min => lanes!(self, 32, d, s[0], s[1], |x, y| to_b(minimum(b(x), b(y)))),
                Max => lanes!(self, 32, d, s[0], s[1], |x, y| to_b(maximum(b(x), b(y)))),
                Abs => lanes!(self, 32, d, s[0], |x| x & 0x7fff),
                Neg => lanes!(self, 32, d, s[0], |x| (x ^ 0x8000) & 0xffff),
                _ => return Err("not implemented".into()),
            }
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn two_halves(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        use Op::*;
        if ty != Type::F16x2 {
            return Err("packed bf16 is not implemented".into());
        }
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], ty)?;
        fn both(x: u32, y: u32, of: impl Fn(u32, u32) -> u32) -> u32 {
            of(x & 0xffff, y & 0xffff) | of(x >> 16, y >> 16) << 16
        }
        match mnemonic.op {
            Add => lanes!(self, 32, d, s[0], s[1], |x, y| both(x, y, |x, y| to_h(h(x) + h(y)))),
            Sub => lanes!(self, 32, d, s[0], s[1], |x, y| both(x, y, |x, y| to_h(h(x) - h(y)))),
            Mul => lanes!(self, 32, d, s[0], s[1], |x, y| both(x, y, |x, y| to_h(h(x) * h(y)))),
            Min => lanes!(self, 32, d, s[0], s[1], |x, y| both(x, y, |x, y| to_h(minimum(h(x), h(y))))),
            Max => lanes!(self, 32, d, s[0], s[1], |x, y| both(x, y, |x, y| to_h(maximum(h(x), h(y))))),
            Fma => lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| {
                let one = |x: u32, y: u32, z: u32| {
                    u32::from(f16::from_f64(f64::from(h(x)) * f64::from(h(y)) + f64::from(h(z))).to_bits())
                };
                one(x & 0xffff, y & 0xffff, z & 0xffff) | one(x >> 16, y >> 16, z >> 16) << 16
            }),
            Abs => lanes!(self, 32, d, s[0], |x| x & 0x7fff_7fff),
            Neg => lanes!(self, 32, d, s[0], |x| x ^ 0x8000_8000),
            _ => return Err("not implemented".into()),
        }
        Ok(())
    }

    fn logic_of_predicates(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target_predicate(&operands[0])?;
        let (a, a_negated) = self.source_predicate(&operands[1])?;
        let (b, b_negated) = match operands.get(2) {
            Some(operand) => self.source_predicate(operand)?,
            None => (a, false),
        };
        let op = mnemonic.op;
        if !matches!(op, Op::And | Op::Or | Op::Xor | Op::Not) {
            return Err("not implemented".into());
        }
        self.push(move |w| {
            let x = w.predicates[a] ^ if a_negated { u32::MAX } else { 0 };
            let y = w.predicates[b] ^ if b_negated { u32::MAX } else { 0 };
            let bits = match op {
                Op::And => x & y,
                Op::Or => x | y,
                Op::Xor => x ^ y,
                _ => !x,
            };
            w.set_predicate(d, bits);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn compare(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a comparison without a type")?;
        let how = mnemonic
            .order
            .iter()
            .copied()
            .find(|modifier| COMPARISONS.contains(modifier))
            .ok_or("a comparison without a test")?;
        let combine = mnemonic
            .order
            .iter()
            .copied()
            .find(|modifier| matches!(modifier, Modifier::And | Modifier::Or | Modifier::Xor));
        let combined = match (combine, operands.get(3)) {
            (Some(how), Some(operand)) => Some((how, self.source_predicate(operand)?)),
            _ => None,
        };
        let bits = self.comparison(how, ty, &operands[1], &operands[2])?;
        if mnemonic.op == Op::Set {
            let d = self.target32(&operands[0])?;
            let float = mnemonic.types.first() == Some(&Type::F32);
            self.push(move |w| {
                let mask = bits(w);
                let yes = if float { 1f32.to_bits() } else { u32::MAX };
                let values: V32 = std::array::from_fn(|lane| if mask >> lane & 1 != 0 { yes } else { 0 });
                w.set32(d, &values);
            });
            return Ok(());
        }
        let (p, q) = match &operands[0] {
            Operand::Pair(p, q) => (*p, *q),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let place =
            |decoder: &Self, register: Option<u32>| match register.map(|register| decoder.slot(register)) {
                Some(Slot::Predicate(predicate)) => Some(predicate),
                _ => None,
            };
        let (p, q) = (place(self, p), place(self, q));
        self.push(move |w| {
            let mask = bits(w);
            let join = |value: u32| match combined {
                None => value,
                Some((how, (c, negated))) => {
                    let other = w.predicates[c] ^ if negated { u32::MAX } else { 0 };
                    match how {
                        Modifier::And => value & other,
                        Modifier::Or => value | other,
                        _ => value ^ other,
                    }
                }
            };
            let (yes, no) = (join(mask), join(!mask));
            if let Some(p) = p {
                w.set_predicate(p, yes);
            }
            if let Some(q) = q {
                w.set_predicate(q, no);
            }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn comparison(&mut self, how: Modifier, ty: Type, first: &Operand, second: &Operand) -> Decoded<Test> {
        let how = match how {
            Modifier::Ls => Modifier::Le,
            Modifier::Hs => Modifier::Ge,
            other => other,
        };
        use Modifier::*;
        macro_rules! mask {
            ($bank:ident, $a:ident, $b:ident, |$x:ident, $y:ident| $test:expr) => {
                Box::new(move |w: &crate::warp::Warp| {
                    let (first, second) = (&w.$bank[$a], &w.$bank[$b]);
                    let mut bits = 0u32;
                    for lane in 0..32 {
                        let ($x, $y) = (first[lane], second[lane]);
                        bits |= u32::from($test) << lane;
                    }
                    bits
                })
            };
        }
        macro_rules! ordered {
            ($bank:ident, $a:ident, $b:ident, |$v:ident| $convert:expr) => {
                match how {
                    Eq => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) == convert(y)
                    }),
                    Ne => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) != convert(y)
                    }),
                    Lt => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) < convert(y)
                    }),
                    Le => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) <= convert(y)
                    }),
                    Gt => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) > convert(y)
                    }),
                    Ge => mask!($bank, $a, $b, |x, y| {
                        let convert = |$v| $convert;
                        convert(x) >= convert(y)
                    }),
                    _ => return Err("this comparison is not implemented for integers".into()),
                }
            };
        }
        macro_rules! floats {
            ($bank:ident, $a:ident, $b:ident, |$v:ident| $convert:expr) => {
                mask!($bank, $a, $b, |x, y| {
                    let convert = |$v| $convert;
                    let (x, y) = (convert(x), convert(y));
                    let unordered = x.is_nan() || y.is_nan();
                    match how {
                        Eq => x == y,
                        Ne => !unordered && x != y,
                        Lt => x < y,
                        Le => x <= y,
                        Gt => x > y,
                        Ge => x >= y,
                        Equ => unordered || x == y,
                        Neu => x != y,
                        Ltu => unordered || x < y,
                        Leu => unordered || x <= y,
                        Gtu => unordered || x > y,
                        Geu => unordered || x >= y,
                        Num => !unordered,
                        _ => unordered,
                    }
                })
            };
        }
        if ty.size() == 8 {
            let (a, b) = (self.source64(first, ty)?, self.source64(second, ty)?);
            return Ok(match ty {
                Type::F64 => floats!(wide, a, b, |v| f64::from_bits(v)),
                Type::S64 => ordered!(wide, a, b, |v| v as i64),
                _ => ordered!(wide, a, b, |v| v),
            });
        }
        let (a, b) = (self.source32(first, ty)?, self.source32(second, ty)?);
        Ok(match ty {
            Type::F32 => floats!(narrow, a, b, |v| f32::from_bits(v)),
            Type::F16 => floats!(narrow, a, b, |v| f16::from_bits(v as u16).to_f32()),
            Type::Bf16 => floats!(narrow, a, b, |v| bf16::from_bits(v as u16).to_f32()),
            Type::S32 => ordered!(narrow, a, b, |v| v as i32),
            Type::S16 => ordered!(narrow, a, b, |v| v as u16 as i16),
            Type::U16 | Type::B16 => ordered!(narrow, a, b, |v| v as u16),
            Type::U32 | Type::B32 => ordered!(narrow, a, b, |v| v),
            _ => return Err("comparisons of this type are not implemented".into()),
        })
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn select(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let ty = if mnemonic.op == Op::Slct { mnemonic.types[0] } else { ty };
        let wide = ty.size() == 8;
        let mask: Test = if mnemonic.op == Op::Selp {
            let (p, negated) = self.source_predicate(&operands[3])?;
            Box::new(move |w| w.predicates[p] ^ if negated { u32::MAX } else { 0 })
        } else {
            let c = self.source32(&operands[3], Type::S32)?;
            let float = mnemonic.ty() == Some(Type::F32);
            Box::new(move |w| {
                let test = |v: u32| if float { f32::from_bits(v) >= 0.0 } else { v as i32 >= 0 };
                (0..32).fold(0, |bits, lane| bits | u32::from(test(w.narrow[c][lane])) << lane)
            })
        };
        if wide {
            let d = self.target64(&operands[0])?;
            let (a, b) = (self.source64(&operands[1], ty)?, self.source64(&operands[2], ty)?);
            self.push(move |w| {
                let bits = mask(w);
                let values: V64 = std::array::from_fn(|lane| {
                    if bits >> lane & 1 != 0 { w.wide[a][lane] } else { w.wide[b][lane] }
                });
                w.set64(d, &values);
            });
        } else {
            let d = self.target32(&operands[0])?;
            let (a, b) = (self.source32(&operands[1], ty)?, self.source32(&operands[2], ty)?);
            self.push(move |w| {
                let bits = mask(w);
                let values: V32 = std::array::from_fn(|lane| {
                    if bits >> lane & 1 != 0 { w.narrow[a][lane] } else { w.narrow[b][lane] }
                });
                w.set32(d, &values);
            });
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn dot(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [first, second] = mnemonic.types[..] else {
            return Err("a dot product without two types".into());
        };
        if mnemonic.op == Op::Dp2a {
            return Err("not implemented".into());
        }
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], Type::B32)?;
        let (a, b, c) = (s[0], s[1], s[2]);
        if first == Type::S32 && second == Type::S32 {
            self.push(move |w| {
                let mut values = [0u32; 32];
                for group in 0..4 {
                    // SAFETY: eight lanes at a multiple of eight, inside arrays of 32; the features were checked.
                    unsafe {
                        let at = |register: usize| {
                            _mm256_loadu_si256(w.narrow[register].as_ptr().add(8 * group).cast())
                        };
                        let (x, y) = (at(a), at(b));
                        let low = |v| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(v));
                        let odd = _mm256_madd_epi16(_mm256_srai_epi16::<8>(x), _mm256_srai_epi16::<8>(y));
                        let even = _mm256_madd_epi16(low(x), low(y));
                        let sum = _mm256_add_epi32(_mm256_add_epi32(odd, even), at(c));
                        _mm256_storeu_si256(values.as_mut_ptr().add(8 * group).cast(), sum);
                    }
                }
                w.set32(d, &values);
            });
            return Ok(());
        }
        let byte = |signed: bool, v: u32, index: u32| {
            let byte = (v >> (8 * index)) as u8;
            if signed { i32::from(byte as i8) } else { i32::from(byte) }
        };
        let (x_signed, y_signed) = (first == Type::S32, second == Type::S32);
        lanes!(self, 32, d, a, b, c, |x, y, z| {
            let sum = (0..4).fold(0i32, |sum, index| {
                sum.wrapping_add(byte(x_signed, x, index) * byte(y_signed, y, index))
            });
            (sum as u32).wrapping_add(z)
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn permute(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if !mnemonic.order.is_empty() {
            return Err("this mode of prmt is not implemented".into());
        }
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], Type::B32)?;
        lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| {
            let bytes = u64::from(x) | u64::from(y) << 32;
            (0..4).fold(0u32, |out, index| {
                let selector = z >> (4 * index) & 15;
                let byte = (bytes >> (8 * (selector & 7))) as u8;
                let byte = if selector & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte };
                out | u32::from(byte) << (8 * index)
            })
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn lop3(&mut self, operands: &[Operand]) -> Decoded<()> {
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..4], Type::B32)?;
        let Some(Operand::Constant(table)) = operands.get(4) else {
            return Err("lop3 without a table".into());
        };
        let table = table.bits(Type::B32) as u32;
        lanes!(self, 32, d, s[0], s[1], s[2], |x, y, z| {
            (0..8).fold(0u32, |out, index: u32| {
                let pick = |v: u32, bit: u32| if index & bit != 0 { v } else { !v };
                if table >> index & 1 != 0 { out | pick(x, 4) & pick(y, 2) & pick(z, 1) } else { out }
            })
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn funnel(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..], Type::B32)?;
        let (left, clamp) = (mnemonic.has(Modifier::L), mnemonic.has(Modifier::Clamp));
        lanes!(self, 32, d, s[0], s[1], s[2], |x, y, n| {
            let n = if clamp { n.min(32) } else { n & 31 };
            let both = u64::from(y) << 32 | u64::from(x);
            if left { ((both << n) >> 32) as u32 } else { (both >> n) as u32 }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn bit_field(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let insert = mnemonic.op == Op::Bfi;
        let signed = ty.is_signed();
        let bits = ty.size() * 8;
        let count = if insert { 2 } else { 1 };
        let positions = self.sources32(&operands[1 + count..3 + count], Type::U32)?;
        let (p, n) = (positions[0], positions[1]);
        let extract = move |value: u64, position: u32, length: u32| -> u64 {
            let (position, length) = (position & 255, length & 255);
            if length == 0 {
                return 0;
            }
            let field = if position >= bits { 0 } else { value >> position };
            let length = length.min(bits);
            let mask = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
            // The sign is that of the field's last bit that exists.
            let top = (position + length - 1).min(bits - 1);
            let negative = signed && value >> top & 1 != 0;
            let have = length.min(bits.saturating_sub(position));
            let kept = if have >= 64 { u64::MAX } else { (1u64 << have) - 1 };
            let field = field & mask & kept;
            if negative { field | !kept } else { field }
        };
        let put = move |value: u64, base: u64, position: u32, length: u32| -> u64 {
            let (position, length) = (position & 255, length & 255);
            if position >= bits || length == 0 {
                return base;
            }
            let mask = if length >= 64 { u64::MAX } else { (1u64 << length) - 1 };
            base & !(mask << position) | (value & mask) << position
        };
        if ty.size() == 8 {
            let d = self.target64(&operands[0])?;
            let s = self.sources64(&operands[1..1 + count], ty)?;
            let (a, b) = (s[0], s[count - 1]);
            self.push(move |w| {
                let values: V64 = std::array::from_fn(|lane| {
                    let (position, length) = (w.narrow[p][lane], w.narrow[n][lane]);
                    if insert {
                        put(w.wide[a][lane], w.wide[b][lane], position, length)
                    } else {
                        extract(w.wide[a][lane], position, length)
                    }
                });
                w.set64(d, &values);
            });
        } else {
            let d = self.target32(&operands[0])?;
            let s = self.sources32(&operands[1..1 + count], ty)?;
            let (a, b) = (s[0], s[count - 1]);
            self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| {
                    let (position, length) = (w.narrow[p][lane], w.narrow[n][lane]);
                    let (x, y) = (u64::from(w.narrow[a][lane]), u64::from(w.narrow[b][lane]));
                    (if insert { put(x, y, position, length) } else { extract(x, position, length) }) as u32
                });
                w.set32(d, &values);
            });
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn bits(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let (op, signed, amount) = (mnemonic.op, ty.is_signed(), mnemonic.has(Modifier::ShiftAmt));
        if ty.size() == 8 {
            let a = self.source64(&operands[1], ty)?;
            if op == Op::Brev {
                let d = self.target64(&operands[0])?;
                lanes!(self, 64, d, a, |x| x.reverse_bits());
                return Ok(());
            }
            let d = self.target32(&operands[0])?;
            self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| {
                    let x = w.wide[a][lane];
                    let x = if op == Op::Bfind && signed && (x as i64) < 0 { !x } else { x };
                    match op {
                        Op::Popc => x.count_ones(),
                        Op::Clz => x.leading_zeros(),
                        _ if x == 0 => u32::MAX,
                        _ if amount => x.leading_zeros(),
                        _ => 63 - x.leading_zeros(),
                    }
                });
                w.set32(d, &values);
            });
            return Ok(());
        }
        let d = self.target32(&operands[0])?;
        let a = self.source32(&operands[1], ty)?;
        lanes!(self, 32, d, a, |x| {
            let x = if op == Op::Bfind && signed && (x as i32) < 0 { !x } else { x };
            match op {
                Op::Popc => x.count_ones(),
                Op::Clz => x.leading_zeros(),
                Op::Brev => x.reverse_bits(),
                _ if x == 0 => u32::MAX,
                _ if amount => x.leading_zeros(),
                _ => 31 - x.leading_zeros(),
            }
        });
        Ok(())
    }

    /// Sums, differences and products that read or write the carry.
    fn carry(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let (reads, writes) =
            (matches!(mnemonic.op, Op::Addc | Op::Subc | Op::Madc), mnemonic.has(Modifier::Cc));
        let subtract = matches!(mnemonic.op, Op::Sub | Op::Subc);
        let product = matches!(mnemonic.op, Op::Mad | Op::Madc);
        let (high, signed) = (mnemonic.has(Modifier::Hi), ty.is_signed());
        let wide = ty.size() == 8;
        let mut sources = Vec::new();
        for operand in &operands[1..] {
            sources.push(if wide {
                Slot::Wide(self.source64(operand, ty)?)
            } else {
                Slot::Narrow(self.source32(operand, ty)?)
            });
        }
        let Operand::Register(register) = &operands[0] else {
            return Err("a destination that is no register".into());
        };
        let d = self.slot(*register);
        let width = ty.size() * 8;
        self.push(move |w| {
            let mask = if width == 64 { u64::MAX } else { u64::from(u32::MAX) };
            let mut flags = w.carry;
            let values: V64 = std::array::from_fn(|lane| {
                let value = |index: usize| match sources[index] {
                    Slot::Narrow(register) => u64::from(w.narrow[register][lane]),
                    Slot::Wide(register) => w.wide[register][lane],
                    Slot::Predicate(_) => 0,
                };
                let carry = if reads { u128::from(w.carry >> lane & 1) } else { 0 };
                let (x, y) = if product {
                    (multiply(value(0), value(1), width, high, signed), value(2))
                } else {
                    (value(0), value(1))
                };
                let (result, out) = if subtract {
                    let result = u128::from(x).wrapping_sub(u128::from(y)).wrapping_sub(carry);
                    (result as u64 & mask, result >> 127 & 1 != 0)
                } else {
                    let result = u128::from(x) + u128::from(y) + carry;
                    (result as u64 & mask, result >> width & 1 != 0)
                };
                if writes && w.mask >> lane & 1 != 0 {
                    flags = flags & !(1 << lane) | u32::from(out) << lane;
                }
                result
            });
            w.carry = flags;
            super::memory::set(w, d, &values);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn bytes(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target32(&operands[0])?;
        let s = self.sources32(&operands[1..4], Type::B32)?;
        let signed = mnemonic.types.get(1).is_some_and(|ty| ty.is_signed());
        let saturate = mnemonic.has(Modifier::Sat);
        let op = mnemonic.op;
        if mnemonic.has(Modifier::Add)
            || !matches!(op, Op::Vadd4 | Op::Vsub4 | Op::Vabsdiff4 | Op::Vmax4 | Op::Vmin4)
        {
            return Err("this form of packed arithmetic is not implemented".into());
        }
        lanes!(self, 32, d, s[0], s[1], |x, y| {
            (0..4).fold(0u32, |out, index| {
                let pick = |v: u32| {
                    let byte = (v >> (8 * index)) as u8;
                    if signed { i32::from(byte as i8) } else { i32::from(byte) }
                };
                let value = match op {
                    Op::Vadd4 => pick(x) + pick(y),
                    Op::Vsub4 => pick(x) - pick(y),
                    Op::Vabsdiff4 => (pick(x) - pick(y)).abs(),
                    Op::Vmax4 => pick(x).max(pick(y)),
                    _ => pick(x).min(pick(y)),
                };
                let value = if saturate {
                    if signed { value.clamp(-128, 127) } else { value.clamp(0, 255) }
                } else {
                    value
                };
                out | u32::from(value as u8) << (8 * index)
            })
        });
        Ok(())
    }
}

fn multiply(x: u64, y: u64, width: u32, high: bool, signed: bool) -> u64 {
    let product = match (width, signed) {
        (32, true) => (i128::from(x as u32 as i32) * i128::from(y as u32 as i32)) as u128,
        (32, false) => u128::from(x as u32) * u128::from(y as u32),
        (_, true) => (i128::from(x as i64) * i128::from(y as i64)) as u128,
        (_, false) => u128::from(x) * u128::from(y),
    };
    let part = if high { product >> width } else { product };
    if width == 32 { part as u32 as u64 } else { part as u64 }
}
