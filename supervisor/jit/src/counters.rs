//! Registers that count up to a limit, and so never become negative.
//!
//! ```text
//!   i = …            what it begins with
//!   loop:
//!     …
//!     i = i + 128    a *step*
//!     if i < 2048 goto loop
//! ```
//!
//! What goes round is below the limit, so that a step leads no further than its length beyond that. Compilers divide such a number
//! by a power of two as if it could be negative, and only who knows that it can't sees that lanes stay side by side.

use std::collections::HashMap;

use ptx::{Body, Modifier, Op, Operand, RegisterId, Type};

use crate::graph::{End, Graph};

/// A step of a register that counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// How far it leads.
    length: u64,
    /// The largest number that goes round.
    most: u64,
    /// Other instructions that write the register, but for steps.
    pub begins: Vec<usize>,
    /// The largest number that goes round behind any of its steps.
    most_of_all: u64,
}

impl Step {
    /// Bits of what the step leads to at most, if the register begins with so many bits.
    pub fn bits(&self, begins: u32) -> Option<u32> {
        let begins = 1u64.checked_shl(begins)? - 1;
        let end = begins.max(self.most_of_all).checked_add(self.length)?;
        (end < 1 << 31).then_some(64 - end.leading_zeros())
    }
}

/// Steps, by the instruction that writes the register.
pub(crate) fn steps(body: &Body, graph: &Graph) -> HashMap<usize, Step> {
    let mut writes: HashMap<RegisterId, Vec<usize>> = HashMap::new();
    let mut found: HashMap<usize, Step> = HashMap::new();
    for (number, block) in graph.blocks.iter().enumerate() {
        for index in block.instructions.clone() {
            for register in &graph.roles[index].writes {
                writes.entry(*register).or_default().push(index);
                if let Some(step) = step(body, graph, number, index, *register) {
                    found.insert(index, step);
                }
            }
        }
    }
    // What may be read before it is written begins with anything.
    found.retain(|index, _| {
        graph.roles[*index].writes.iter().all(|register| !graph.live_in[0].has(*register as usize))
    });
    let all = found.clone();
    for (index, step) in &mut found {
        let Some(writes) = graph.roles[*index].writes.first().and_then(|register| writes.get(register))
        else {
            continue;
        };
        let (steps, begins): (Vec<usize>, Vec<usize>) =
            writes.iter().partition(|write| all.contains_key(write));
        step.begins = begins;
        step.most_of_all = steps.iter().map(|other| all[other].most).max().unwrap_or(step.most);
    }
    found
}

/// A register and what is added to it, if that is what an instruction computes.
fn sum(body: &Body, index: usize) -> Option<(RegisterId, RegisterId, u64)> {
    let instruction = &body.instructions[index];
    let mnemonic = body.mnemonic(instruction);
    let plain = mnemonic.op == Op::Add
        && matches!(mnemonic.ty(), Some(Type::S32 | Type::U32))
        && !mnemonic.has(Modifier::Sat)
        && !mnemonic.has(Modifier::Cc)
        && instruction.guard.is_none();
    match instruction.operands[..] {
        [Operand::Register(to), Operand::Register(from), Operand::Constant(length)] if plain => {
            let length = length.bits(Type::B32) as u32;
            (0 < length as i32).then_some((to, from, length.into()))
        }
        _ => None,
    }
}

/// A step of a register, if an instruction is one.
fn step(body: &Body, graph: &Graph, block: usize, index: usize, register: RegisterId) -> Option<Step> {
    let writes = |at: usize, it: RegisterId| graph.roles[at].writes.contains(&it);
    let range = graph.blocks[block].instructions.clone();
    // The register's next number: in a register of its own first, or at once.
    let (next, made_at, from, length) = match body.instructions[index].operands[..] {
        [Operand::Register(_), Operand::Register(next)]
            if body.mnemonic(&body.instructions[index]).op == Op::Mov
                && body.instructions[index].guard.is_none() =>
        {
            let at = (range.start..index).rev().find(|at| writes(*at, next))?;
            let (_, from, length) = sum(body, at)?;
            (next, at, from, length)
        }
        _ => sum(body, index).map(|(next, from, length)| (next, index, from, length))?,
    };
    let End::Branch { predicate, negated, taken: Some(taken), next: other } = graph.blocks[block].end else {
        return None;
    };
    let once = range.clone().filter(|at| writes(*at, register)).count() == 1;
    if from != register || !once {
        return None;
    }
    let test = range.clone().rev().find(|at| writes(*at, predicate))?;
    let (limit, compared) = limit(body, test)?;
    // Which number is compared: that before the step, or the next one.
    let is_next = compared == next && test > made_at || compared == register && test > index;
    let is_old = compared == register && test < index;
    let stays = next == register || range.clone().filter(|at| writes(*at, next)).count() == 1;
    // Where the comparison does not hold, nobody asks for the register.
    let out = if negated { taken } else { other };
    if !stays || !(is_next || is_old) || graph.live_in[out].has(register as usize) || taken == other {
        return None;
    }
    let most = if is_next { limit } else { limit + length };
    Some(Step { length, most, begins: Vec::new(), most_of_all: most })
}

/// A number and the register that is at most that, where a comparison holds.
fn limit(body: &Body, index: usize) -> Option<(u64, RegisterId)> {
    let instruction = &body.instructions[index];
    let mnemonic = body.mnemonic(instruction);
    let combined = [Modifier::And, Modifier::Or, Modifier::Xor].iter().any(|it| mnemonic.has(*it));
    let narrow = matches!(mnemonic.ty(), Some(Type::S32 | Type::U32));
    if mnemonic.op != Op::Setp || instruction.guard.is_some() || combined || !narrow {
        return None;
    }
    match instruction.operands[..] {
        [Operand::Register(_), Operand::Register(register), Operand::Constant(limit)] => {
            let limit = limit.bits(Type::B32) as u32;
            let inclusive = mnemonic.has(Modifier::Le) || mnemonic.has(Modifier::Ls);
            let below = mnemonic.has(Modifier::Lt) || mnemonic.has(Modifier::Lo) || inclusive;
            (below && 0 < limit as i32).then_some((u64::from(limit) - u64::from(!inclusive), register))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of the last write of the register that counts in a loop of these instructions, which begins with 11 bits.
    fn bits(turn: &str, behind: &str) -> Option<u32> {
        let text = format!(
            ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k() {{\n.reg .pred %p<2>;\n.reg .b32 %r<4>;\n\
             mov.u32 %r1, %tid.x;\nloop:\n{turn}\n@%p1 bra loop;\n{behind}\nret;\n}}\n"
        );
        let module = ptx::Module::parse(text).expect("PTX");
        let body = module.entries().next().and_then(|entry| module.body(entry).ok()).expect("a body");
        let steps = steps(&body, &Graph::new(&body));
        steps.values().next().and_then(|step| step.bits(11))
    }

    #[test]
    fn what_counts_up_to_a_limit_has_few_bits() {
        let turn = "add.s32 %r1, %r1, 128;\nsetp.lt.s32 %p1, %r1, 2048;";
        assert_eq!(bits(turn, ""), Some(12));
        let turn = "add.s32 %r2, %r1, 512;\nsetp.lt.s32 %p1, %r1, 1536;\nmov.u32 %r1, %r2;";
        assert_eq!(bits(turn, ""), Some(12));
        let turn = "add.s32 %r1, %r1, 128;\nsetp.le.s32 %p1, %r1, 8192;";
        assert_eq!(bits(turn, ""), Some(14));
    }

    #[test]
    fn what_might_go_on_has_not() {
        let other = "add.s32 %r1, %r1, 128;\nsetp.lt.s32 %p1, %r2, 2048;";
        assert_eq!(bits(other, ""), None);
        let down = "add.s32 %r1, %r1, -128;\nsetp.lt.s32 %p1, %r1, 2048;";
        assert_eq!(bits(down, ""), None);
        let far = "add.s32 %r1, %r1, 2147483647;\nsetp.lt.s32 %p1, %r1, 2048;";
        assert_eq!(bits(far, ""), None);
        let up = "add.s32 %r1, %r1, 128;\nsetp.lt.s32 %p1, %r1, 2048;";
        assert_eq!(bits(up, "bra loop;"), None, "it goes round whatever it is");
    }
}
