//! What a seccomp program says to a call: the kernel's classic BPF, as far as seccomp permits it.

use crate::program::Instruction;

/// Where an operand comes from, in the instruction's code.
const FROM_X: u16 = 0x08;

/// The return value for a call of 64-bit code; `None` if the program looks at where the call comes from, which we can't know, or is
/// none that the kernel would take.
pub fn judge(program: &[Instruction], number: i64, arguments: [u64; 6]) -> Option<u32> {
    const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
    judge_of(program, AUDIT_ARCH_X86_64, number, arguments)
}

/// The same for a call of any architecture.
pub(crate) fn judge_of(
    program: &[Instruction],
    architecture: u32,
    number: i64,
    arguments: [u64; 6],
) -> Option<u32> {
    let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
    let mut at = 0;
    loop {
        let &Instruction { code, jt, jf, k } = program.get(at)?;
        at += 1;
        let operand = if code & FROM_X != 0 { x } else { k };
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            // BPF_LD, BPF_LDX: absolute, immediate, memory, length
            0x20 => a = word(architecture, number, &arguments, k)?,
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = *memory.get(k as usize)?,
            0x61 => x = *memory.get(k as usize)?,
            0x80 => a = size_of::<libc::seccomp_data>() as u32,
            0x81 => x = size_of::<libc::seccomp_data>() as u32,
            // BPF_ST, BPF_STX
            0x02 => *memory.get_mut(k as usize)? = a,
            0x03 => *memory.get_mut(k as usize)? = x,
            // BPF_MISC: TAX, TXA
            0x07 => x = a,
            0x87 => a = x,
            // BPF_RET
            0x06 => return Some(k),
            0x16 => return Some(a),
            // BPF_JMP
            0x05 => at = at.checked_add(k as usize)?,
            0x15 | 0x1d => at += branch(a == operand),
            0x25 | 0x2d => at += branch(a > operand),
            0x35 | 0x3d => at += branch(a >= operand),
            0x45 | 0x4d => at += branch(a & operand != 0),
            // BPF_ALU
            0x84 => a = a.wrapping_neg(),
            _ => a = compute(code & !FROM_X, a, operand)?,
        }
    }
}

fn compute(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code {
        0x04 => a.wrapping_add(operand),
        0x14 => a.wrapping_sub(operand),
        0x24 => a.wrapping_mul(operand),
        0x34 => a.checked_div(operand)?,
        0x44 => a | operand,
        0x54 => a & operand,
        0x64 => a.checked_shl(operand)?,
        0x74 => a.checked_shr(operand)?,
        0xa4 => a ^ operand,
        _ => return None,
    })
}

/// A word of the kernel's `struct seccomp_data`: number, architecture, instruction pointer, arguments.
fn word(architecture: u32, number: i64, arguments: &[u64; 6], offset: u32) -> Option<u32> {
    match offset {
        0 => Some(number as u32),
        4 => Some(architecture),
        16.. if offset.is_multiple_of(4) => {
            let argument = arguments.get((offset as usize - 16) / 8)?;
            Some((argument >> (8 * (offset % 8))) as u32)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Coverage, compile};

    #[test]
    fn our_own_program_lets_writes_through_and_notifies_of_loaders_opens() {
        let program = compile(Coverage::Lean, &[], Action::Notify).unwrap();
        let says = |number, arguments| judge(program.instructions(), number, arguments);
        assert_eq!(says(libc::SYS_write, [1, 0, 0, 0, 0, 0]), Some(libc::SECCOMP_RET_ALLOW));
        let open = [libc::AT_FDCWD as u64, 0x1000, libc::O_CLOEXEC as u64, 0, 0, 0];
        assert_eq!(says(libc::SYS_openat, open), Some(libc::SECCOMP_RET_USER_NOTIF));
    }

    #[test]
    fn arithmetic_and_jumps_are_the_kernels() {
        let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
        // The upper half of argument 1, halved; 7 where that is 21, else the call's number.
        let program = [
            instruction(0x20, 0, 0, 16 + 8 + 4),
            instruction(0x34, 0, 0, 2),
            instruction(0x15, 0, 1, 21),
            instruction(0x06, 0, 0, 7),
            instruction(0x20, 0, 0, 0),
            instruction(0x16, 0, 0, 0),
        ];
        assert_eq!(judge(&program, 5, [0, 42 << 32, 0, 0, 0, 0]), Some(7));
        assert_eq!(judge(&program, 5, [0; 6]), Some(5));
        assert_eq!(judge(&program[..3], 5, [0; 6]), None, "it runs off its end");
        assert_eq!(
            judge(&[instruction(0x20, 0, 0, 8)], 5, [0; 6]),
            None,
            "it asks for the instruction pointer"
        );
    }
}
