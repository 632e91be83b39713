//! Where the values of a warp live: a register is 32 lanes side by side in the register file of a call.
//!
//! Numbers of up to 32 bits take a word per lane, 64-bit ones two; a predicate is one word with a bit per lane. A value of a
//! narrower type fills its word's low bits; what is above them is not looked at.

use std::marker::PhantomData;

use half::{bf16, f16};
use ptx::Type;

/// Lanes of a warp.
pub(crate) const LANES: usize = 32;
/// All lanes.
pub(crate) const FULL: u32 = u32::MAX;

/// What a lane of a register holds: `u32` or `u64`.
pub(crate) trait Word: Copy + Default + Send + Sync + 'static {
    /// Keeps `old` in lanes that are not active.
    fn blend(self, old: Self, active: bool) -> Self;
    /// As 64 bits, and back.
    fn widen(self) -> u64;
    fn narrow(value: u64) -> Self;
    /// The register, if it is of this width.
    fn register(slot: Slot) -> Option<Reg<Self>>;
    fn slot(register: Reg<Self>) -> Slot;
}

impl Word for u32 {
    #[inline(always)]
    fn blend(self, old: u32, active: bool) -> u32 {
        let mask = 0u32.wrapping_sub(u32::from(active));
        self & mask | old & !mask
    }
    #[inline(always)]
    fn widen(self) -> u64 {
        self.into()
    }
    #[inline(always)]
    fn narrow(value: u64) -> u32 {
        value as u32
    }
    fn register(slot: Slot) -> Option<Reg<u32>> {
        if let Slot::Narrow(register) = slot { Some(register) } else { None }
    }
    fn slot(register: Reg<u32>) -> Slot {
        Slot::Narrow(register)
    }
}

impl Word for u64 {
    #[inline(always)]
    fn blend(self, old: u64, active: bool) -> u64 {
        let mask = 0u64.wrapping_sub(u64::from(active));
        self & mask | old & !mask
    }
    #[inline(always)]
    fn widen(self) -> u64 {
        self
    }
    #[inline(always)]
    fn narrow(value: u64) -> u64 {
        value
    }
    fn register(slot: Slot) -> Option<Reg<u64>> {
        if let Slot::Wide(register) = slot { Some(register) } else { None }
    }
    fn slot(register: Reg<u64>) -> Slot {
        Slot::Wide(register)
    }
}

/// A value as an instruction sees it.
pub(crate) trait Lane: Copy + 'static {
    /// What holds it.
    type Word: Word;
    /// What PTX calls it.
    const TYPE: Type;
    fn of(word: Self::Word) -> Self;
    fn word(self) -> Self::Word;
}

macro_rules! lanes {
    ($($type:ident $ptx:ident, $word:ty, |$bits:ident| $of:expr, |$value:ident| $back:expr;)*) => {$(
        impl Lane for $type {
            type Word = $word;
            const TYPE: Type = Type::$ptx;
            #[inline(always)]
            fn of($bits: $word) -> $type {
                $of
            }
            #[inline(always)]
            fn word(self) -> $word {
                let $value = self;
                $back
            }
        }
    )*};
}

lanes! {
    u8 U8, u32, |bits| bits as u8, |value| value.into();
    i8 S8, u32, |bits| bits as i8, |value| value as u8 as u32;
    u16 U16, u32, |bits| bits as u16, |value| value.into();
    i16 S16, u32, |bits| bits as i16, |value| value as u16 as u32;
    u32 U32, u32, |bits| bits, |value| value;
    i32 S32, u32, |bits| bits as i32, |value| value as u32;
    u64 U64, u64, |bits| bits, |value| value;
    i64 S64, u64, |bits| bits as i64, |value| value as u64;
    f32 F32, u32, |bits| f32::from_bits(bits), |value| value.to_bits();
    f64 F64, u64, |bits| f64::from_bits(bits), |value| value.to_bits();
    f16 F16, u32, |bits| f16::from_bits(bits as u16), |value| value.to_bits().into();
    bf16 Bf16, u32, |bits| bf16::from_bits(bits as u16), |value| value.to_bits().into();
}

/// A float whose subnormal values count as zero (`.ftz`).
#[derive(Clone, Copy)]
pub(crate) struct Flushed<T>(pub T);

impl Lane for Flushed<f32> {
    type Word = u32;
    const TYPE: Type = Type::F32;
    #[inline(always)]
    fn of(bits: u32) -> Self {
        Flushed(f32::from_bits(flush(bits, 0x7f80_0000, 0x8000_0000)))
    }
    #[inline(always)]
    fn word(self) -> u32 {
        flush(self.0.to_bits(), 0x7f80_0000, 0x8000_0000)
    }
}

/// Only the sign stays of bits whose exponent is zero.
#[inline(always)]
pub(crate) fn flush(bits: u32, exponent: u32, sign: u32) -> u32 {
    if bits & exponent == 0 { bits & sign } else { bits }
}

/// A register: byte offset of its first lane in the register file.
pub(crate) struct Reg<W>(pub u32, PhantomData<W>);

impl<W> Clone for Reg<W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Reg<W> {}

/// A predicate: byte offset of its word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Predicate(pub u32);

/// A predicate and whether its complement is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub predicate: Predicate,
    pub negated: bool,
}

/// A register of any kind.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    Narrow(Reg<u32>),
    Wide(Reg<u64>),
    Predicate(Predicate),
}

/// Lays out a register file, and holds the values that its constants have.
#[derive(Clone, Default)]
pub(crate) struct Layout {
    /// First contents, as 64-bit words.
    pub words: Vec<u64>,
    /// Predicates share a vector's room: the next free half word, if one is left.
    spare: Option<u32>,
}

/// Registers are aligned for 256-bit vectors.
const ALIGN: usize = 32;

impl Layout {
    /// A register that holds `value` in each lane until it is written.
    pub fn register<W: Word>(&mut self, value: W) -> Reg<W> {
        let offset = self.words.len() * 8;
        debug_assert!(offset.is_multiple_of(ALIGN));
        let bytes = size_of::<W>() * LANES;
        let word = if size_of::<W>() == 4 { value.widen() * 0x1_0000_0001 } else { value.widen() };
        self.words.extend(std::iter::repeat_n(word, bytes / 8));
        Reg(offset as u32, PhantomData)
    }

    /// A predicate, false in all lanes.
    pub fn predicate(&mut self) -> Predicate {
        let offset = self.spare.take().unwrap_or_else(|| {
            let offset = self.words.len() * 8;
            self.words.extend([0; ALIGN / 8]);
            offset as u32
        });
        let next = offset + 4;
        self.spare = (!next.is_multiple_of(ALIGN as u32)).then_some(next);
        Predicate(offset)
    }
}
