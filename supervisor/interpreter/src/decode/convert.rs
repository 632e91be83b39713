//! `cvt`: between any two number types.

use std::arch::x86_64::*;

use half::{bf16, f16};
use ptx::{Mnemonic, Modifier, Operand, Type};

use super::{Decoded, Decoder, Slot};
use crate::warp::{V32, V64};

/// A number on its way from one type to another.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn convert(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [to, from] = mnemonic.types[..] else {
            return Err("this form of conversion is not implemented".into());
        };
        if operands.len() != 2 || !scalar(to) || !scalar(from) {
            return Err("packed conversions are not implemented".into());
        }
        let Operand::Register(register) = &operands[0] else {
            return Err("a destination that is no register".into());
        };
        let d = self.slot(*register);
        let a = if from.size() == 8 {
            Slot::Wide(self.source64(&operands[1], from)?)
        } else {
            Slot::Narrow(self.source32(&operands[1], from)?)
        };
        if self.common(d, a, to, from, mnemonic) {
            return Ok(());
        }
        let rounding = mnemonic.modifiers.first_of(&[
            Modifier::Rn,
            Modifier::Rz,
            Modifier::Rm,
            Modifier::Rp,
            Modifier::Rni,
            Modifier::Rzi,
            Modifier::Rmi,
            Modifier::Rpi,
        ]);
        let saturate = mnemonic.has(Modifier::Sat);
        let flush = mnemonic.has(Modifier::Ftz);
        self.push(move |w| {
            let values: V64 = std::array::from_fn(|lane| {
                let bits = match a {
                    Slot::Narrow(register) => u64::from(w.narrow[register][lane]),
                    Slot::Wide(register) => w.wide[register][lane],
                    Slot::Predicate(_) => 0,
                };
                encode(decode(bits, from, flush), to, rounding, saturate, flush)
            });
            super::memory::set(w, d, &values);
        });
        Ok(())
    }

    /// The conversions that kernels spend their time in.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn common(&mut self, d: Slot, a: Slot, to: Type, from: Type, mnemonic: &Mnemonic) -> bool {
        use Type::*;
        if mnemonic.has(Modifier::Sat) {
            return false;
        }
        match (d, a, to, from) {
            (Slot::Wide(d), Slot::Narrow(a), S64 | U64, S32) => self.push(move |w| {
                let values: V64 = std::array::from_fn(|lane| w.narrow[a][lane] as i32 as i64 as u64);
                w.set64(d, &values);
            }),
            (Slot::Wide(d), Slot::Narrow(a), S64 | U64, U32) => self.push(move |w| {
                let values: V64 = std::array::from_fn(|lane| u64::from(w.narrow[a][lane]));
                w.set64(d, &values);
            }),
            (Slot::Narrow(d), Slot::Wide(a), S32 | U32, S64 | U64) => self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| w.wide[a][lane] as u32);
                w.set32(d, &values);
            }),
            (Slot::Narrow(d), Slot::Narrow(a), U32 | S32, U16) => self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| w.narrow[a][lane] & 0xffff);
                w.set32(d, &values);
            }),
            (Slot::Narrow(d), Slot::Narrow(a), U16 | S16, U32 | S32) => self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| w.narrow[a][lane] & 0xffff);
                w.set32(d, &values);
            }),
            (Slot::Narrow(d), Slot::Narrow(a), F32, S32) => self.push(move |w| {
                let values: V32 = std::array::from_fn(|lane| (w.narrow[a][lane] as i32 as f32).to_bits());
                w.set32(d, &values);
            }),
            (Slot::Narrow(d), Slot::Narrow(a), F32, F16) => self.push(move |w| {
                let mut values = [0u32; 32];
                let source = w.narrow[a].as_ptr();
                for group in 0..4 {
                    // SAFETY: eight lanes at a multiple of eight, inside arrays of 32; the features were checked.
                    unsafe {
                        let wide = _mm256_loadu_si256(source.add(8 * group).cast());
                        let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(wide, wide));
                        let floats = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
                        _mm256_storeu_ps(values.as_mut_ptr().add(8 * group).cast(), floats);
                    }
                }
                w.set32(d, &values);
            }),
            _ => return false,
        }
        true
    }
}

fn scalar(ty: Type) -> bool {
    use Type::*;
    matches!(ty, U8 | S8 | U16 | S16 | U32 | S32 | U64 | S64 | F16 | Bf16 | F32 | F64 | B8 | B16 | B32 | B64)
}

fn decode(bits: u64, ty: Type, flush: bool) -> Number {
    use Type::*;
    match ty {
        U8 | B8 => Number::Integer((bits as u8).into()),
        S8 => Number::Integer((bits as i8).into()),
        U16 | B16 => Number::Integer((bits as u16).into()),
        S16 => Number::Integer((bits as i16).into()),
        U32 | B32 => Number::Integer((bits as u32).into()),
        S32 => Number::Integer((bits as i32).into()),
        U64 | B64 => Number::Integer(bits.into()),
        S64 => Number::Integer((bits as i64).into()),
        F16 => Number::Float(f16::from_bits(bits as u16).to_f64()),
        Bf16 => Number::Float(bf16::from_bits(bits as u16).to_f64()),
        F32 => {
            let value = f32::from_bits(bits as u32);
            Number::Float(if flush && value.is_subnormal() {
                0f64.copysign(value.into())
            } else {
                value.into()
            })
        }
        _ => Number::Float(f64::from_bits(bits)),
    }
}

fn encode(number: Number, to: Type, rounding: Option<Modifier>, saturate: bool, flush: bool) -> u64 {
    match number {
        Number::Integer(value) if !to.is_float() => wrap(value, to, saturate),
        Number::Integer(value) => from_integer(value, to, rounding),
        Number::Float(value) if to.is_float() => {
            let whole =
                matches!(rounding, Some(Modifier::Rni | Modifier::Rzi | Modifier::Rmi | Modifier::Rpi));
            let value = if whole { round(value, rounding) } else { value };
            let value =
                if saturate { if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) } } else { value };
            to_float(value, to, rounding, flush)
        }
        Number::Float(value) => to_integer(round(value, rounding), to),
    }
}

fn round(value: f64, rounding: Option<Modifier>) -> f64 {
    match rounding {
        Some(Modifier::Rzi | Modifier::Rz) => value.trunc(),
        Some(Modifier::Rmi | Modifier::Rm) => value.floor(),
        Some(Modifier::Rpi | Modifier::Rp) => value.ceil(),
        _ => value.round_ties_even(),
    }
}

fn bounds(ty: Type) -> (i128, i128) {
    let bits = ty.size() * 8;
    if ty.is_signed() {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    }
}

fn wrap(value: i128, to: Type, saturate: bool) -> u64 {
    let (low, high) = bounds(to);
    let value = if saturate { value.clamp(low, high) } else { value };
    // A narrower type in a wider register is extended by its sign.
    match (to.size(), to.is_signed()) {
        (1, true) => value as i8 as i64 as u64,
        (1, false) => value as u8 as u64,
        (2, true) => value as i16 as u16 as u64,
        (2, false) => value as u16 as u64,
        (4, _) => value as u32 as u64,
        _ => value as u64,
    }
}

fn to_integer(value: f64, to: Type) -> u64 {
    if value.is_nan() {
        // By the PTX manual: zero for narrow types, the largest or all ones patterns for wide ones are what GPUs give.
        return match to {
            Type::S64 | Type::U64 => 1 << 63,
            _ => 0,
        };
    }
    let (low, high) = bounds(to);
    wrap((value as i128).clamp(low, high), to, false)
}

fn from_integer(value: i128, to: Type, rounding: Option<Modifier>) -> u64 {
    match to {
        Type::F32 => {
            let nearest = value as f32;
            u64::from(directed32(nearest, nearest as i128 - value, rounding).to_bits())
        }
        Type::F64 => (value as f64).to_bits(),
        Type::F16 => f16::from_f64(value as f64).to_bits().into(),
        _ => bf16::from_f64(value as f64).to_bits().into(),
    }
}

/// Corrects a value rounded to nearest for a directed rounding; `excess`: how far it is above the exact value.
fn directed32(nearest: f32, excess: i128, rounding: Option<Modifier>) -> f32 {
    match rounding {
        Some(Modifier::Rz) if excess > 0 && nearest > 0.0 => nearest.next_down(),
        Some(Modifier::Rz) if excess < 0 && nearest < 0.0 => nearest.next_up(),
        Some(Modifier::Rm) if excess > 0 => nearest.next_down(),
        Some(Modifier::Rp) if excess < 0 => nearest.next_up(),
        _ => nearest,
    }
}

fn to_float(value: f64, to: Type, rounding: Option<Modifier>, flush: bool) -> u64 {
    match to {
        Type::F32 => {
            let nearest = value as f32;
            let directed = match rounding {
                Some(Modifier::Rz) if f64::from(nearest).abs() > value.abs() => toward_zero(nearest),
                Some(Modifier::Rm) if f64::from(nearest) > value => nearest.next_down(),
                Some(Modifier::Rp) if f64::from(nearest) < value => nearest.next_up(),
                _ => nearest,
            };
            let flushed = if flush && directed.is_subnormal() { 0f32.copysign(directed) } else { directed };
            u64::from(flushed.to_bits())
        }
        Type::F64 => value.to_bits(),
        Type::F16 => {
            let nearest = f16::from_f64(value);
            let bits = nearest.to_bits();
            let away = nearest.to_f64().abs() > value.abs();
            u64::from(if rounding == Some(Modifier::Rz) && away { bits - 1 } else { bits })
        }
        _ => {
            let nearest = bf16::from_f64(value);
            let bits = nearest.to_bits();
            let away = nearest.to_f64().abs() > value.abs();
            u64::from(if rounding == Some(Modifier::Rz) && away { bits - 1 } else { bits })
        }
    }
}

fn toward_zero(value: f32) -> f32 {
    if value > 0.0 { value.next_down() } else { value.next_up() }
}
