//! `mma` and `wmma.mma`: what is computed is the [`tensor`] crate's.
//!
//! A `wmma` fragment holds what `mma` would hold for each 16 × 8 block of the result, one block after the other; where PTX gives
//! it more registers than that takes, the others are copies, and are not read.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};
use tensor::{Accumulator, DoubleMultiplier, Doubles, Element, Lanes, Logic, Multiplier, Product, Shape};

use super::memory::elements;
use super::operands::{Decoded, Decoder};
use crate::code::Flush;
use crate::control_word::Control;
use crate::registers::{LANES, Reg, Word};
use crate::warp::Warp;

/// Most registers of a fragment that are read or written.
const MOST: usize = 8;

/// Registers of a fragment.
#[derive(Clone, Copy)]
struct Registers<W> {
    all: [Reg<W>; MOST],
    count: usize,
}

impl<W: Word> Registers<W> {
    fn of(registers: &[Reg<W>]) -> Decoded<Registers<W>> {
        let first = *registers.first().ok_or("a fragment without registers")?;
        let all = std::array::from_fn(|place| *registers.get(place).unwrap_or(&first));
        Ok(Registers { all, count: registers.len() })
    }

    /// Their lanes; those of the first where there is none.
    #[inline(always)]
    fn lanes<'a>(&self, w: &'a Warp) -> [&'a [W; LANES]; MOST] {
        self.all.map(|register| w.lanes(register))
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn multiply(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let product = product(mnemonic)?;
        let [in_a, in_b, in_c, in_d] = product.registers();
        if product.a == Element::F64 {
            return self.multiply_doubles(mnemonic, product, operands);
        }
        let multiplier = Multiplier::new(product).ok_or("this product is not implemented")?;
        let is_sparse = mnemonic.has(Modifier::Sp) || mnemonic.has(Modifier::SpOrdered);
        let factor = |count| (count, Type::B32);
        let a = self.fragment::<u32>(&operands[1], factor(if is_sparse { in_a / 2 } else { in_a }))?;
        let b = self.fragment::<u32>(&operands[2], factor(in_b))?;
        let c = self.fragment::<u32>(&operands[3], (in_c, word_type(product.c)))?;
        let d = self.results::<u32>(&operands[0], in_d)?;
        let control = self.float_control(mnemonic);
        let places = match (is_sparse, operands.get(4)) {
            (true, Some(places)) => Some(self.source_as::<u32>(places, Type::B32)?),
            _ => None,
        };
        let selector = operands.get(5).and_then(|operand| self.known(operand, Type::U32)).unwrap_or(0) as u32;
        macro_rules! push {
            ($count:literal) => {
                self.push(move |w| {
                    let mut results: [Lanes; $count] = [[0; LANES]; $count];
                    let (a, b, c) = (a.lanes(w), b.lanes(w), c.lanes(w));
                    control.during(|| match places {
                        None => multiplier.run(&a, &b, &c, &mut results),
                        Some(places) => {
                            multiplier.run_sparse((&a, w.lanes(places), selector), &b, &c, &mut results)
                        }
                    });
                    put(w, &d, &results);
                })
            };
        }
        match d.count {
            1 => push!(1),
            2 => push!(2),
            4 => push!(4),
            8 => push!(8),
            _ => return Err("a result of another number of registers".into()),
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn multiply_doubles(
        &mut self,
        mnemonic: &Mnemonic,
        product: Product,
        operands: &[Operand],
    ) -> Decoded<()> {
        let multiplier = DoubleMultiplier::new(product).ok_or("this product is not implemented")?;
        let [in_a, in_b, in_c, in_d] = product.registers();
        let a = self.fragment::<u64>(&operands[1], (in_a, Type::F64))?;
        let b = self.fragment::<u64>(&operands[2], (in_b, Type::F64))?;
        let c = self.fragment::<u64>(&operands[3], (in_c, Type::F64))?;
        let d = self.results::<u64>(&operands[0], in_d)?;
        let control = self.float_control(mnemonic);
        self.push(move |w| {
            let mut results: [Doubles; 4] = [[0; LANES]; 4];
            control.during(|| multiplier.run(&a.lanes(w), &b.lanes(w), &c.lanes(w), &mut results));
            put(w, &d, &results);
        });
        Ok(())
    }

    /// Sources, of which so many are needed.
    fn fragment<W: Word>(&mut self, operand: &Operand, (count, ty): (usize, Type)) -> Decoded<Registers<W>> {
        let elements = elements(operand);
        let mut registers = Vec::new();
        for element in &elements {
            registers.push(self.source_as::<W>(element, ty)?);
        }
        if registers.len() < count || count > MOST {
            return Err(format!("a fragment of {} registers, not {count}", registers.len()));
        }
        Registers::of(&registers)
    }

    fn results<W: Word>(&mut self, operand: &Operand, count: usize) -> Decoded<Registers<W>> {
        let mut registers = Vec::new();
        for element in &elements(operand) {
            registers.push(self.target::<W>(element)?);
        }
        if registers.len() != count || count > MOST {
            return Err(format!("a result of {} registers, not {count}", registers.len()));
        }
        Registers::of(&registers)
    }

    /// How floats are rounded, and that subnormal ones count, whatever the rest of the kernel does.
    fn float_control(&self, mnemonic: &Mnemonic) -> Control {
        Control::new(self.program.flush == Flush::Whole, mnemonic)
    }
}

fn put<W: Word>(w: &mut Warp, d: &Registers<W>, results: &[[W; LANES]]) {
    for (register, values) in d.all.iter().zip(results).take(d.count) {
        w.write(*register, |_, lane| values[lane]);
    }
}

/// What `mma` or `wmma.mma` computes.
pub fn product(mnemonic: &Mnemonic) -> Result<Product, String> {
    let of_bytes = mnemonic.has(Modifier::KindF8f6f4);
    let unknown = || format!("products of `{}` are not implemented", mnemonic.text);
    if mnemonic.has(Modifier::BlockScale) {
        return Err(unknown());
    }
    let shape = mnemonic.shape.ok_or("a product without a shape")?;
    // `wmma` of halves names its accumulators only.
    let types = match mnemonic.types[..] {
        [d, a, b, c] => [d, a, b, c],
        [d, c] if mnemonic.op == Op::Wmma => [d, Type::F16, Type::F16, c],
        _ => return Err(unknown()),
    };
    let layouts = mnemonic.order.iter().filter(|word| matches!(word, Modifier::Row | Modifier::Col));
    let layouts: Vec<Modifier> = layouts.copied().collect();
    Ok(Product {
        shape: Shape { m: shape.m, n: shape.n, k: shape.k },
        a: element(types[1], of_bytes).ok_or_else(unknown)?,
        b: element(types[2], of_bytes).ok_or_else(unknown)?,
        c: accumulator(types[3]).ok_or_else(unknown)?,
        d: accumulator(types[0]).ok_or_else(unknown)?,
        saturates: mnemonic.has(Modifier::Satfinite),
        logic: if mnemonic.has(Modifier::Xor) { Logic::Xor } else { Logic::And },
        transposed: [layouts.first() == Some(&Modifier::Col), layouts.get(1) == Some(&Modifier::Row)],
    })
}

/// An element of a factor; `of_bytes`: four bits have a byte to themselves.
pub(super) fn element(ty: Type, of_bytes: bool) -> Option<Element> {
    Some(match ty {
        Type::F16 => Element::F16,
        Type::Bf16 => Element::Bf16,
        Type::Tf32 => Element::Tf32,
        Type::E4m3 => Element::E4m3,
        Type::E5m2 => Element::E5m2,
        Type::E3m2 => Element::E3m2,
        Type::E2m3 => Element::E2m3,
        Type::E2m1 if of_bytes => Element::E2m1,
        Type::E2m1 => Element::PackedE2m1,
        Type::S8 => Element::S8,
        Type::U8 => Element::U8,
        Type::S4 => Element::S4,
        Type::U4 => Element::U4,
        Type::B1 => Element::B1,
        Type::F64 => Element::F64,
        _ => return None,
    })
}

/// What sums are kept in.
pub(super) fn accumulator(ty: Type) -> Option<Accumulator> {
    Some(match ty {
        Type::F16 => Accumulator::Half,
        Type::F32 => Accumulator::Single,
        Type::S32 => Accumulator::Integer,
        Type::F64 => Accumulator::Double,
        _ => return None,
    })
}

/// As what a constant in an accumulator is read.
fn word_type(kind: Accumulator) -> Type {
    match kind {
        Accumulator::Single => Type::F32,
        Accumulator::Integer => Type::S32,
        _ => Type::B32,
    }
}
