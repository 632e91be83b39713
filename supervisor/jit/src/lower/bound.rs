//! Tests that predicates are the same for a whole course (`proof`): mostly whether all places are below a bound.

use ptx::{Mnemonic, Modifier, Op, Operand, RegisterId};

use super::proof::{Linear, SAME, Side};
use super::{Lowered, Lowering};
use crate::kind::Kind;

impl Lowering<'_> {
    /// Tests that a predicate has the same value each time in all lanes: this one.
    pub(super) fn prove_predicate(&mut self, predicate: &Operand, value: bool) -> Lowered<()> {
        let (register, value) = match predicate {
            Operand::Register(register) => (*register, value),
            Operand::NotRegister(register) => (*register, !value),
            _ => return Err("a predicate of this kind".into()),
        };
        if self.proof.steps.get(&register) == Some(&SAME) && self.kind(register) == Kind::Uniform {
            let holds = self.condition(register, !value).name;
            self.assume(&holds);
            return Ok(());
        }
        let index = *self.proof.writers.get(&register).ok_or("a predicate that nothing writes")?;
        let instruction = &self.body.instructions[index];
        // What it was made of must still be there.
        let is_older = |read: &RegisterId| self.proof.writers.get(read).is_none_or(|writer| *writer < index);
        if instruction.guard.is_some() || !self.graph.roles[index].reads.iter().all(is_older) {
            return Err("a predicate of values that have changed".into());
        }
        let mnemonic = self.body.mnemonic(instruction);
        let operands = &instruction.operands;
        let combined = mnemonic.modifiers.first_of(&[Modifier::And, Modifier::Or, Modifier::Xor]);
        match (mnemonic.op, combined) {
            (Op::Not, _) => self.prove_predicate(&operands[1], !value),
            (Op::And, _) if value => self.prove_both(&operands[1..3], value),
            (Op::Or, _) if !value => self.prove_both(&operands[1..3], value),
            (Op::Setp, combined) if operands[0] == Operand::Register(register) => {
                match (combined, value) {
                    (None, _) => {}
                    (Some(Modifier::And), true) | (Some(Modifier::Or), false) => {
                        self.prove_predicate(&operands[3], value)?;
                    }
                    _ => return Err("a predicate of this kind".into()),
                }
                self.prove_comparison(mnemonic, &operands[1..3], value)
            }
            _ => Err("a predicate of this kind".into()),
        }
    }

    fn prove_both(&mut self, predicates: &[Operand], value: bool) -> Lowered<()> {
        predicates.iter().try_for_each(|predicate| self.prove_predicate(predicate, value))
    }

    /// Tests that a comparison of two linear numbers always has this result.
    fn prove_comparison(&mut self, mnemonic: &Mnemonic, operands: &[Operand], value: bool) -> Lowered<()> {
        use Modifier::*;
        let test = mnemonic.modifiers.first_of(&[Lt, Le, Gt, Ge, Lo, Ls, Hi, Hs]);
        let (Some(test), Some(ty)) = (test, mnemonic.ty()) else { return Err("another comparison".into()) };
        if ty.is_float() || !matches!(ty.size(), 4 | 8) {
            return Err("a comparison of other numbers".into());
        }
        let (less, or_equal) = match test {
            Lt | Lo => (true, false),
            Le | Ls => (true, true),
            Gt | Hi => (false, false),
            _ => (false, true),
        };
        // What is not less is greater or equal.
        let (less, or_equal) = if value { (less, or_equal) } else { (!less, !or_equal) };
        let how = match (less, or_equal) {
            (true, false) => "slt",
            (true, true) => "sle",
            (false, false) => "sgt",
            (false, true) => "sge",
        };
        // The lesser one does not wrap above if the greater one does not, nor the greater one below.
        let (side_x, side_y) = if less { (Side::Low, Side::High) } else { (Side::High, Side::Low) };
        let x = self.prove_number(&operands[0], ty, side_x)?;
        let y = self.prove_number(&operands[1], ty, side_y)?;
        let (of_x, of_y) =
            if less { (x.range.end(), y.range.start()) } else { (x.range.start(), y.range.end()) };
        let wide = format!("i{}", 16 * ty.size());
        // At both ends, if either has two.
        for place in 0..x.ends.len().max(y.ends.len()) {
            let end = |number: &Linear| number.ends[place.min(number.ends.len() - 1)].clone();
            let a = self.text.value(format!("add {wide} {}, {of_x}", end(&x)));
            let b = self.text.value(format!("add {wide} {}, {of_y}", end(&y)));
            let holds = self.text.value(format!("icmp {how} {wide} {a}, {b}"));
            self.assume(&holds);
        }
        Ok(())
    }
}
