//! Which bits words can have: what is left after masks, shifts and what is put together of them.

use interpreter::Plan;
use ptx::{Body, Instruction, Modifier, Op, Operand, RegisterId, Type};

use crate::graph::Graph;

/// Of each register of at most 32 bits those that may be set.
pub(super) struct Ones(Vec<u32>);

impl Ones {
    pub fn new(body: &Body, plan: &Plan, graph: &Graph) -> Ones {
        let mut ones = Ones(vec![0; body.register_count as usize]);
        // What may be read before it is written has any value.
        graph.live_in[0].iter().for_each(|register| ones.0[register] = u32::MAX);
        plan.constants.iter().for_each(|(register, value)| ones.0[*register as usize] = *value as u32);
        loop {
            let mut changed = false;
            for (instruction, roles) in body.instructions.iter().zip(&graph.roles) {
                let result = ones.result(body, instruction).unwrap_or(u32::MAX);
                for register in &roles.writes {
                    let old = &mut ones.0[*register as usize];
                    changed |= *old | result != *old;
                    *old |= result;
                }
            }
            if !changed {
                return ones;
            }
        }
    }

    /// Bits that an operand can have.
    pub fn of(&self, operand: &Operand) -> u32 {
        match operand {
            Operand::Register(register) => self.register(*register),
            Operand::Constant(constant) => constant.bits(Type::B32) as u32,
            _ => u32::MAX,
        }
    }

    fn register(&self, register: RegisterId) -> u32 {
        self.0[register as usize]
    }

    /// The largest byte that an operand can have.
    pub fn largest_byte(&self, operand: &Operand) -> u8 {
        self.of(operand).to_le_bytes().into_iter().max().unwrap_or(u8::MAX)
    }

    /// Bits of an instruction's only result; `None`: any.
    fn result(&self, body: &Body, instruction: &Instruction) -> Option<u32> {
        let (mnemonic, operands) = (body.mnemonic(instruction), &instruction.operands);
        let ty = mnemonic.ty()?;
        if ty.is_float() || ty.size() > 4 || !matches!(operands[0], Operand::Register(_)) {
            return None;
        }
        let of = |place: usize| operands.get(place).map(|operand| self.of(operand));
        let count = || match operands.get(2) {
            Some(Operand::Constant(count)) => Some(count.bits(Type::B32) as u32).filter(|count| *count < 32),
            _ => None,
        };
        Some(match mnemonic.op {
            Op::Mov if operands.len() == 2 => of(1)?,
            Op::And => of(1)? & of(2)?,
            Op::Or | Op::Xor | Op::Selp => of(1)? | of(2)?,
            Op::Shl => of(1)? << count()?,
            // The sign, if there may be one, comes down as well.
            Op::Shr if ty.size() == 4 && (!ty.is_signed() || of(1)? >> 31 == 0) => of(1)? >> count()?,
            Op::Lop3 if !mnemonic.has(Modifier::And) && !mnemonic.has(Modifier::Or) => {
                let Some(Operand::Constant(table)) = operands.get(4) else { return None };
                chosen(table.bits(Type::B32), [of(1)?, of(2)?, of(3)?])
            }
            Op::Ld | Op::Ldu if !ty.is_signed() && ty.size() < 4 => (1 << (8 * ty.size())) - 1,
            _ => return None,
        })
    }
}

/// Bits of `lop3`: its table has an entry for each combination of bits, of which some can't be.
fn chosen(table: u64, sources: [u32; 3]) -> u32 {
    let mut result = 0;
    for entry in (0..8).filter(|entry| table >> entry & 1 != 0) {
        let all =
            (0..3).map(|source| if entry >> (2 - source) & 1 != 0 { sources[source] } else { u32::MAX });
        result |= all.fold(u32::MAX, |a, b| a & b);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn a_table_chooses_among_bits_that_can_be() {
        // (a & b) | c.
        assert_eq!(chosen(0xea, [0x0f0f, 0x00ff, 0x1000]), 0x100f);
        // Not all of them.
        assert_eq!(chosen(0x7f, [0x0f, 0xff, 0xff]), u32::MAX);
    }
}
