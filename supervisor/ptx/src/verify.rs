//! Checks a parsed body against the table, beyond its grammar.
//!
//! Rules:
//! 1. A guard and a negated operand are predicates.
//! 2. An operand is of the kind that the instruction's form has at its place: a destination can be written, `[…]` is memory, an
//!    immediate is a number.
//! 3. A register agrees with the type that the form gives it (PTX ISA 9.4, table *Operand type checking rules*): the same
//!    width, and the same class unless either side is untyped (`.b32`). Signed and unsigned integers agree.
//! 4. It may be wider than the type only for `ld`, `st`, `cvt` and the like (9.4.1).
//! 5. Vectors have as many elements as `.v2`, `.v4`, `.v8` say, matrix fragments as many as shape and type make (9.7.14).
//! 6. `mov` moves as many bits as its type has, packed or not.

use crate::body::{Body, Instruction};
use crate::isa::form::{Kind, Matrix, Slot, Which};
use crate::isa::{Form, Mnemonic, Modifier, Op};
use crate::operand::{AddressBase, Operand};
use crate::types::Type;

impl Body {
    /// The first rule broken, as a sentence, with the instruction that breaks it.
    pub fn verify(&self) -> Result<(), (u32, String)> {
        for (index, instruction) in self.instructions.iter().enumerate() {
            self.verify_one(instruction)
                .map_err(|what| (index as u32, format!("`{}`: {what}", self.print(instruction))))?;
        }
        Ok(())
    }

    fn verify_one(&self, instruction: &Instruction) -> Result<(), String> {
        if let Some((register, _)) = instruction.guard
            && self.register_type(register) != Type::Pred
        {
            return Err(format!("guard `{}` is no predicate", self.register_name(register)));
        }
        let mnemonic = self.mnemonic(instruction);
        let mut first = None;
        for form in mnemonic.forms_with(instruction.operands.len()) {
            match self.verify_form(form, mnemonic, &instruction.operands) {
                Ok(()) => return Ok(()),
                Err(what) => first = first.or(Some(what)),
            }
        }
        Err(first.unwrap_or_else(|| "no form has so many operands".into()))
    }

    fn verify_form(&self, form: &Form, mnemonic: &Mnemonic, operands: &[Operand]) -> Result<(), String> {
        for (slot, operand) in form.operands.iter().zip(operands) {
            self.verify_operand(slot, mnemonic, operand)?;
        }
        let packs = mnemonic.op == Op::Mov && mnemonic.vector() == 1;
        if packs { self.verify_mov(mnemonic, operands) } else { Ok(()) }
    }

    fn verify_operand(&self, slot: &Slot, mnemonic: &Mnemonic, operand: &Operand) -> Result<(), String> {
        let place = Place { body: self, slot, mnemonic };
        match slot.kind {
            Kind::Value { ty, parts } => place.value(operand, mnemonic.named(ty), parts),
            Kind::Vector(ty) => match mnemonic.vector() {
                1 => place.list(operand, mnemonic.named(ty), Some(1)),
                count => place.list(operand, mnemonic.named(ty), Some(count)),
            },
            Kind::Braces(ty, count) => {
                place.list(operand, mnemonic.named(ty), count.or(mnemonic.matrix_registers()))
            }
            Kind::Fragment(matrix, nth) => {
                let (ty, count) = mnemonic.fragment(matrix, nth);
                place.list(operand, ty, Some(count))
            }
            Kind::Memory { extra } => place.memory(operand, extra),
            Kind::Address => match operand {
                Operand::Register(register) => place.pointer(*register),
                Operand::Variable(..) | Operand::Symbol(..) => Ok(()),
                _ => Err("an address was expected".into()),
            },
            Kind::Immediate => match operand {
                Operand::Constant(_) => Ok(()),
                _ => Err("a number was expected".into()),
            },
            Kind::Label => match operand {
                Operand::Label(_) => Ok(()),
                _ => Err("a label was expected".into()),
            },
            Kind::Any => Ok(()),
        }
    }

    fn verify_mov(&self, mnemonic: &Mnemonic, operands: &[Operand]) -> Result<(), String> {
        let ty = mnemonic.ty().ok_or("a move without a type")?;
        for operand in operands {
            match operand {
                Operand::Register(register) => self.verify_register(*register, ty, false)?,
                Operand::Vector(list) if !list.contains(&Operand::Sink) => {
                    let bytes = list.iter().map(|element| match element {
                        Operand::Register(register) => self.register_type(*register).size(),
                        _ => 0,
                    });
                    let bytes: u32 = bytes.sum();
                    if bytes != ty.size() && list.iter().all(|it| matches!(it, Operand::Register(_))) {
                        return Err(format!("{bytes} bytes in braces are moved as `.{ty}`"));
                    }
                }
                _ => {}
            }
        }
        match operands.first() {
            Some(Operand::Register(_) | Operand::Vector(_) | Operand::Sink) => Ok(()),
            _ => Err("the destination can't be written".into()),
        }
    }

    fn verify_register(&self, register: u32, ty: Type, wider: bool) -> Result<(), String> {
        let have = self.register_type(register);
        if agrees(ty, have, wider) {
            Ok(())
        } else {
            Err(format!("`{}` is `.{have}`, `.{ty}` was expected", self.register_name(register)))
        }
    }
}

/// Rules 3 and 4.
fn agrees(ty: Type, have: Type, wider: bool) -> bool {
    if ty == Type::Pred || have == Type::Pred {
        return ty == have;
    }
    if have.size() != ty.size() {
        return wider && have.size() > ty.size();
    }
    let plain = |ty: Type| ty.is_untyped() || ty.is_narrow_float();
    match (ty, have) {
        _ if plain(ty) || plain(have) => true,
        (Type::Tf32, Type::F32) => true,
        _ if ty.is_float() || have.is_float() => ty == have,
        _ => true,
    }
}

/// One operand's place in an instruction.
struct Place<'b> {
    body: &'b Body,
    slot: &'b Slot,
    mnemonic: &'b Mnemonic,
}

impl Place<'_> {
    fn value(&self, operand: &Operand, ty: Type, parts: bool) -> Result<(), String> {
        let written = self.slot.written;
        match operand {
            Operand::Register(register) => self.body.verify_register(*register, ty, self.slot.wider),
            Operand::Sink if written => Ok(()),
            Operand::Pair(first, second) if self.slot.pair => {
                first.map_or(Ok(()), |register| self.body.verify_register(register, ty, self.slot.wider))?;
                second.map_or(Ok(()), |register| self.body.verify_register(register, Type::Pred, false))
            }
            Operand::Part(register, _) if parts => self.body.verify_register(*register, ty, false),
            _ if written => Err("the destination can't be written".into()),
            Operand::Negated(operand) if self.mnemonic.op == Op::Vmad => self.value(operand, ty, parts),
            Operand::NotRegister(register) => match ty {
                Type::Pred => self.body.verify_register(*register, ty, false),
                _ => Err(format!("`.{ty}` can't be negated")),
            },
            Operand::Constant(_) => Ok(()),
            Operand::Special(_) if ty != Type::Pred => Ok(()),
            Operand::Variable(..) | Operand::Symbol(..) if ty.size() >= 4 && !ty.is_float() => Ok(()),
            _ => Err(format!("an operand of type `.{ty}` was expected")),
        }
    }

    fn list(&self, operand: &Operand, ty: Type, count: Option<usize>) -> Result<(), String> {
        let elements = match operand {
            Operand::Vector(list) => list,
            Operand::Texel(list, resident) if self.slot.pair => {
                resident.map_or(Ok(()), |register| self.body.verify_register(register, Type::Pred, false))?;
                list
            }
            // One element needs no braces.
            _ if count.is_none_or(|count| count == 1) => return self.value(operand, ty, false),
            _ => return Err(format!("{} values in braces were expected", count.unwrap_or(1))),
        };
        if let Some(count) = count
            && elements.len() != count
        {
            return Err(format!("{} values in braces, {count} were expected", elements.len()));
        }
        elements.iter().try_for_each(|element| self.value(element, ty, false))
    }

    fn memory(&self, operand: &Operand, with_extra: bool) -> Result<(), String> {
        let Operand::Address { base, extra, .. } = operand else {
            return Err("an address in brackets was expected".into());
        };
        if !extra.is_empty() && !with_extra {
            return Err(format!("`{}` takes a plain address", self.mnemonic.text));
        }
        match base {
            AddressBase::Register(register) => self.pointer(*register),
            _ => Ok(()),
        }
    }

    fn pointer(&self, register: u32) -> Result<(), String> {
        let have = self.body.register_type(register);
        let fits = matches!(have.size(), 4 | 8) && !have.is_float() && have != Type::Pred;
        if fits { Ok(()) } else { Err(format!("`{}` holds no address", self.body.register_name(register))) }
    }
}

impl Mnemonic {
    /// A type of this mnemonic.
    pub fn named(&self, which: Which) -> Type {
        let last = self.types.last().copied().unwrap_or(Type::B32);
        match which {
            Which::Last => last,
            Which::Nth(nth) => self.types.get(nth).copied().unwrap_or(last),
            Which::Fixed(ty) => ty,
            Which::Double => match last {
                Type::U16 => Type::U32,
                Type::S16 => Type::S32,
                Type::U32 => Type::U64,
                _ => Type::S64,
            },
        }
    }

    /// The registers of `ldmatrix` and `stmatrix`: one for each matrix, two where a matrix has 16 rows of 16 bytes.
    pub(crate) fn matrix_registers(&self) -> Option<usize> {
        let counts = [(Modifier::X1, 1), (Modifier::X2, 2), (Modifier::X4, 4)];
        let (_, count) = *counts.iter().find(|(modifier, _)| self.has(*modifier))?;
        let each = self.shape.map_or(1, |shape| if (shape.m, shape.n) == (16, 16) { 2 } else { 1 });
        matches!(self.op, Op::Ldmatrix | Op::Stmatrix).then_some(count * each)
    }

    /// The registers that hold a thread's part of a matrix (PTX ISA 9.7.14 and 9.7.15, *Matrix fragments*).
    pub(crate) fn fragment(&self, matrix: Matrix, nth: usize) -> (Type, usize) {
        let element = self.named(Which::Nth(nth));
        let shape = self.shape.expect("forms with fragments have a shape");
        let sparse = self.has(Modifier::Sp) || self.has(Modifier::SpOrdered);
        let elements = match matrix {
            Matrix::A if sparse => shape.m * shape.k / 2,
            Matrix::A => shape.m * shape.k,
            Matrix::B => shape.k * shape.n,
            Matrix::C => shape.m * shape.n,
        };
        let threads = if self.op == Op::Wgmma { 128 } else { 32 };
        let each = (elements / threads) as usize;
        match (matrix, element) {
            // A warp does four products of this shape at a time.
            (Matrix::C, Type::F32) if (shape.m, shape.n, shape.k) == (8, 8, 4) => (Type::F32, 8),
            (Matrix::C, Type::F16) if (shape.m, shape.n, shape.k) == (8, 8, 4) => (Type::B32, 4),
            (_, Type::F16) if (shape.m, shape.n, shape.k) == (8, 8, 4) => (Type::B32, 2),
            // `wmma` holds each half twice.
            (Matrix::A | Matrix::B, Type::F16) if self.op == Op::Wmma => (Type::B32, 8),
            (_, Type::F64) => (Type::F64, each),
            (Matrix::C, Type::F32 | Type::S32) => (element, each),
            _ => (Type::B32, (elements * element.bits() / 32 / threads) as usize),
        }
    }
}
