//! Operands: registers and constants as places in the register file, and operations made of a function on lanes.

use std::collections::HashMap;
use std::sync::Arc;

use ptx::{Body, Mnemonic, Modifier, Operand, RegisterId, Type};

use super::invariant;
use super::layout::{Place, Program};
use crate::code::{Flush, Operation, Origin};
use crate::image::Image;
use crate::registers::{Condition, Lane, Layout, Predicate, Reg, Slot, Word};
use crate::warp::Warp;

/// A value, or the reason why an instruction can't be decoded.
pub(crate) type Decoded<T> = Result<T, String>;

/// Decodes one function.
pub(super) struct Decoder<'a> {
    pub image: &'a Image,
    pub program: &'a Program,
    /// Index among the program's functions.
    pub number: u32,
    pub body: Arc<Body>,
    slots: Vec<Slot>,
    pub layout: Layout,
    /// Registers that hold the same value from the start, and it.
    known: HashMap<RegisterId, u64>,
    constants: HashMap<(u64, bool), Slot>,
    carry: Option<Predicate>,
    /// A predicate that is always false.
    never: Option<Predicate>,
    /// Where each of the body's variables lies.
    pub places: Vec<Place>,
    /// Its dynamic stack memory, if it uses any.
    pub stack: Option<super::stack::Region>,
    /// What has been decoded of the current block.
    pub operations: Vec<Operation>,
    /// What has been decoded of [`invariant`] instructions.
    pub once: Vec<Operation>,
    /// The current instruction.
    pub index: u32,
    /// Bytes of the function's frame.
    pub frame_bytes: u64,
}

impl<'a> Decoder<'a> {
    pub fn new(image: &'a Image, program: &'a Program, number: u32, places: Vec<Place>) -> Decoder<'a> {
        let body = program.functions[number as usize].body.clone();
        let mut layout = Layout::default();
        let known = invariant::constants(&body);
        let slot = |register| {
            let value = known.get(&register).copied().unwrap_or(0);
            match body.register_type(register) {
                Type::Pred => Slot::Predicate(layout.predicate()),
                ty if ty.size() <= 4 => Slot::Narrow(layout.register(value as u32)),
                _ => Slot::Wide(layout.register(value)),
            }
        };
        let slots = (0..body.register_count).map(slot).collect();
        Decoder {
            image,
            program,
            number,
            slots,
            layout,
            known,
            constants: HashMap::new(),
            carry: None,
            never: None,
            places,
            stack: None,
            operations: Vec::new(),
            once: Vec::new(),
            index: 0,
            frame_bytes: 0,
            body,
        }
    }

    /// Where the current instruction stands.
    pub fn origin(&self) -> Origin {
        Origin { function: self.number, instruction: self.index }
    }

    pub fn push(&mut self, operation: impl Fn(&mut Warp) + Send + Sync + 'static) {
        self.operations.push(Box::new(operation));
    }

    /// Whether an instruction must flush subnormal values itself.
    pub fn flushes(&self, mnemonic: &Mnemonic) -> bool {
        mnemonic.has(Modifier::Ftz) && self.program.flush == Flush::Each
    }

    pub fn slot(&self, register: RegisterId) -> Slot {
        self.slots[register as usize]
    }

    /// A register that holds a constant.
    pub fn constant<W: Word>(&mut self, value: W) -> Reg<W> {
        let layout = &mut self.layout;
        let fresh = || W::slot(layout.register(value));
        let slot = *self.constants.entry((value.widen(), size_of::<W>() == 8)).or_insert_with(fresh);
        W::register(slot).expect("the key holds the width")
    }

    /// The bits of an operand that is the same for all lanes at all times.
    pub fn known(&self, operand: &Operand, ty: Type) -> Option<u64> {
        match operand {
            Operand::Constant(constant) => Some(constant.bits(ty)),
            Operand::Register(register) => self.known.get(register).copied(),
            _ => None,
        }
    }

    /// A register of the decoder's own.
    pub fn temporary<W: Word>(&mut self) -> Reg<W> {
        self.layout.register(W::default())
    }

    /// The carry flag.
    pub fn carry(&mut self) -> Predicate {
        *self.carry.get_or_insert_with(|| self.layout.predicate())
    }

    /// A source.
    pub fn source<T: Lane>(&mut self, operand: &Operand) -> Decoded<Reg<T::Word>> {
        self.source_as(operand, T::TYPE)
    }

    /// A source whose constants are read as a type.
    pub fn source_as<W: Word>(&mut self, operand: &Operand, ty: Type) -> Decoded<Reg<W>> {
        match operand {
            Operand::Register(register) => self.in_width(self.slot(*register)),
            Operand::Constant(constant) => Ok(self.constant(W::narrow(constant.bits(ty)))),
            Operand::Special(_) | Operand::Variable(..) | Operand::Symbol(..) => {
                let register = self.temporary();
                self.move_address(W::slot(register), operand)?;
                Ok(register)
            }
            _ => Err("an operand that this instruction can't have".into()),
        }
    }

    /// A source of the width that a type has.
    pub fn source_slot(&mut self, operand: &Operand, ty: Type) -> Decoded<Slot> {
        if let Operand::Register(register) = operand {
            return Ok(self.slot(*register));
        }
        if ty.size() == 8 {
            self.source_as(operand, ty).map(Slot::Wide)
        } else {
            self.source_as(operand, ty).map(Slot::Narrow)
        }
    }

    /// A register's value in another width: cut, or extended by zeros.
    fn in_width<W: Word>(&mut self, slot: Slot) -> Decoded<Reg<W>> {
        if let Some(register) = W::register(slot) {
            return Ok(register);
        }
        let d: Reg<W> = self.temporary();
        match slot {
            Slot::Narrow(a) => self.push(move |w| w.write(d, |w, lane| W::narrow(w.value(a, lane).into()))),
            Slot::Wide(a) => self.push(move |w| w.write(d, |w, lane| W::narrow(w.value(a, lane)))),
            Slot::Predicate(_) => return Err("a predicate where a number is needed".into()),
        }
        Ok(d)
    }

    /// A predicate source.
    pub fn condition(&mut self, operand: &Operand) -> Decoded<Condition> {
        let (register, negated) = match operand {
            Operand::Register(register) => (register, false),
            Operand::NotRegister(register) => (register, true),
            Operand::Constant(constant) => {
                // A predicate that nothing writes is false.
                let predicate = *self.never.get_or_insert_with(|| self.layout.predicate());
                return Ok(Condition { predicate, negated: constant.bits(Type::U64) != 0 });
            }
            _ => return Err("an operand that is no predicate".into()),
        };
        match self.slot(*register) {
            Slot::Predicate(predicate) => Ok(Condition { predicate, negated }),
            _ => Err("an operand that is no predicate".into()),
        }
    }

    /// A destination.
    pub fn target<W: Word>(&mut self, operand: &Operand) -> Decoded<Reg<W>> {
        match operand {
            Operand::Register(register) => {
                W::register(self.slot(*register)).ok_or_else(|| "a destination of another width".into())
            }
            Operand::Sink => Ok(self.temporary()),
            _ => Err("a destination that is no register".into()),
        }
    }

    /// A destination of any width.
    pub fn target_slot(&mut self, operand: &Operand) -> Decoded<Slot> {
        match operand {
            Operand::Register(register) => Ok(self.slot(*register)),
            Operand::Sink => Ok(Slot::Wide(self.temporary())),
            _ => Err("a destination that is no register".into()),
        }
    }

    /// A predicate destination.
    pub fn target_predicate(&mut self, operand: &Operand) -> Decoded<Predicate> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Predicate(predicate) => Ok(predicate),
                _ => Err("a destination that is no predicate".into()),
            },
            Operand::Sink => Ok(self.layout.predicate()),
            _ => Err("a destination that is no predicate".into()),
        }
    }

    /// `d = f(a)`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn unary<A: Lane, D: Lane>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A) -> D + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let a = self.source::<A>(&operands[1])?;
        let d = self.target::<D::Word>(&operands[0])?;
        self.push(move |w| w.map1::<A, D>(d, a, f));
        Ok(())
    }

    /// `d = f(a, b)`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn binary<A: Lane, B: Lane, D: Lane>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A, B) -> D + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let sources = (self.source::<A>(&operands[1])?, self.source::<B>(&operands[2])?);
        let d = self.target::<D::Word>(&operands[0])?;
        self.push(move |w| w.map2::<A, B, D>(d, sources, f));
        Ok(())
    }

    /// `d = f(a, b, c)`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn ternary<A: Lane, B: Lane, C: Lane, D: Lane>(
        &mut self,
        operands: &[Operand],
        f: impl Fn(A, B, C) -> D + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let sources = (
            self.source::<A>(&operands[1])?,
            self.source::<B>(&operands[2])?,
            self.source::<C>(&operands[3])?,
        );
        let d = self.target::<D::Word>(&operands[0])?;
        self.push(move |w| w.map3::<A, B, C, D>(d, sources, f));
        Ok(())
    }

    /// `d = f(d)`: what a modifier does to a result.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn adjust<D: Lane>(
        &mut self,
        operand: &Operand,
        f: impl Fn(D) -> D + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let d = self.target::<D::Word>(operand)?;
        self.push(move |w| w.map1::<D, D>(d, d, f));
        Ok(())
    }
}
