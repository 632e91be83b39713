//! Checks a parsed body beyond its grammar.
//!
//! Rules:
//! 1. A guard and a negated operand are predicates.
//! 2. Logic and comparison on `.pred` take predicates; no other typed instruction takes one as a plain number.
//! 3. A register operand of an integer or float instruction is exactly as wide as the instruction's type says, except where
//!    PTX lets it be wider: `ld`, `st`, `cvt` and friends (PTX ISA 9.4.1).

use crate::body::{Body, Instruction};
use crate::isa::Op;
use crate::operand::Operand;
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
        for operand in &instruction.operands {
            if let Operand::NotRegister(register) = operand
                && self.register_type(*register) != Type::Pred
            {
                return Err(format!("`!{}` is no predicate", self.register_name(*register)));
            }
        }
        let mnemonic = self.mnemonic(instruction);
        let same_width = matches!(
            mnemonic.op,
            Op::Add
                | Op::Sub
                | Op::Min
                | Op::Max
                | Op::And
                | Op::Or
                | Op::Xor
                | Op::Not
                | Op::Neg
                | Op::Abs
                | Op::Div
                | Op::Rem
                | Op::Fma
        );
        let Some(ty) = mnemonic.ty().filter(|_| same_width && mnemonic.types.len() == 1) else {
            return Ok(());
        };
        for operand in &instruction.operands {
            if let Operand::Register(register) = operand {
                self.verify_width(*register, ty)?;
            }
        }
        Ok(())
    }

    fn verify_width(&self, register: u32, ty: Type) -> Result<(), String> {
        let have = self.register_type(register);
        let fits = (have == Type::Pred) == (ty == Type::Pred) && have.size() == ty.size();
        if fits {
            Ok(())
        } else {
            Err(format!("`{}` is `.{have}`, `.{ty}` was expected", self.register_name(register)))
        }
    }
}
