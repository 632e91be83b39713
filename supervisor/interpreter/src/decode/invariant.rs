//! Instructions that give a thread the same result in every block of a launch.
//!
//! Most of a compiled kernel's beginning is like that: parameters are loaded, indices are made of a thread's position. Blocks
//! run one after another in the same warps, so such an instruction runs once for each of them and its register keeps the
//! value. An instruction counts if it is the only one that writes its registers, has no guard, touches no
//! memory but the launch's parameters, and reads only what does not change either: constants, special registers other than
//! the block's place, registers of such instructions before it. A read before the only write would find any value, so the
//! value may as well be there from the start.

use std::collections::HashMap;

use ptx::{AddressBase, Body, Instruction, Mnemonic, Op, Operand, RegisterId, Special, Type};

use super::layout::Place;

/// Registers that hold the same constant from the start, and its bits. Inline assembly leaves many of them.
pub(super) fn constants(body: &Body) -> HashMap<RegisterId, u64> {
    let writes = body.writes();
    let moved = body.instructions.iter().filter_map(|instruction| moved_constant(body, instruction));
    moved.filter(|(register, _)| writes[*register as usize] == 1).collect()
}

/// What `mov` puts into its register for all lanes, if that is a number.
fn moved_constant(body: &Body, instruction: &Instruction) -> Option<(RegisterId, u64)> {
    let mnemonic = body.mnemonic(instruction);
    let (Op::Mov, None) = (mnemonic.op, instruction.guard) else { return None };
    match (&instruction.operands[..], mnemonic.ty()?) {
        (_, Type::Pred) => None,
        ([Operand::Register(register), Operand::Constant(constant)], ty) if ty.size() <= 8 => {
            Some((*register, constant.bits(ty)))
        }
        _ => None,
    }
}

/// For each instruction of a kernel's own body whether it is one of those. `places`: where the body's variables lie.
pub(super) fn instructions(body: &Body, places: &[Place]) -> Vec<bool> {
    let writes = body.writes();
    let mut fixed = vec![false; body.register_count as usize];
    let test = |instruction: &Instruction| {
        let mnemonic = body.mnemonic(instruction);
        let Some((_, sources)) = instruction.operands.split_first() else { return false };
        let targets = body.roles(instruction).writes;
        let result = instruction.guard.is_none()
            && (mnemonic.is_pure() || loads_parameter(mnemonic, sources, places))
            && targets.iter().all(|register| writes[*register as usize] == 1)
            && sources.iter().all(|source| is_fixed(source, &fixed, places));
        if result {
            targets.iter().for_each(|register| fixed[*register as usize] = true);
        }
        result
    };
    body.instructions.iter().map(test).collect()
}

fn loads_parameter(mnemonic: &Mnemonic, sources: &[Operand], places: &[Place]) -> bool {
    let place = match sources {
        [Operand::Address { base: AddressBase::Variable(index), .. }] => &places[*index as usize],
        _ => return false,
    };
    mnemonic.op == Op::Ld && matches!(place, Place::Parameter(_))
}

fn is_fixed(operand: &Operand, fixed: &[bool], places: &[Place]) -> bool {
    match operand {
        Operand::Constant(_) | Operand::Symbol(..) => true,
        Operand::Register(register) | Operand::NotRegister(register) => fixed[*register as usize],
        Operand::Vector(parts) => parts.iter().all(|part| is_fixed(part, fixed, places)),
        Operand::Special(special) => is_position(*special),
        Operand::Variable(index, _) => !matches!(places[*index as usize], Place::Register),
        Operand::Address { base: AddressBase::Variable(index), .. } => {
            matches!(places[*index as usize], Place::Parameter(_))
        }
        _ => false,
    }
}

/// Special registers that tell of the launch, or of the thread's place in its block.
fn is_position(special: Special) -> bool {
    use Special::*;
    matches!(
        special,
        TidX | TidY
            | TidZ
            | NtidX
            | NtidY
            | NtidZ
            | NctaidX
            | NctaidY
            | NctaidZ
            | LaneId
            | WarpId
            | NwarpId
            | LanemaskEq
            | LanemaskLt
            | LanemaskLe
            | LanemaskGt
            | LanemaskGe
            | TotalSmemSize
            | DynamicSmemSize
    )
}
