//! Calls whose numbers no row speaks of, where they would reach the driver all the same.

use std::mem::offset_of;

use super::{Instruction, Pattern};

/// From linux/audit.h, and asm/unistd.h.
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
/// `ioctl` of 32-bit programs.
const IOCTL: u32 = 54;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// `/dev/nvidia-uvm` has small numbers, and two more.
const SMALL: Pattern = (!0xff, 0);
const FIRST_AND_LAST: Pattern = (!3, 0x3000_0000);

/// Ends what is refused and goes on behind itself with everything else.
pub fn refuse(drivers: &[Pattern]) -> Vec<Instruction> {
    let request = (offset_of!(libc::seccomp_data, args) + size_of::<u64>()) as u32;
    let mut of_32_bits = vec![];
    for &(mask, value) in [SMALL, FIRST_AND_LAST].iter().chain(drivers) {
        of_32_bits.extend([load(request), and(mask), refuse_if(libc::BPF_JEQ, value)]);
        of_32_bits.push(answer(REFUSED));
    }
    let number = load(offset_of!(libc::seccomp_data, nr) as u32);
    let x32 = [number, refuse_if(libc::BPF_JGE, X32), answer(REFUSED)];
    let beyond_x32 = skip(x32.len() as u32);
    // A jump over many is one without a condition: those have a byte for the distance.
    let over_ioctl = skip(of_32_bits.len() as u32 + 1 + x32.len() as u32);
    let mut program = vec![load(offset_of!(libc::seccomp_data, arch) as u32)];
    program.push(go_on_if(AUDIT_ARCH_I386));
    program.push(skip(3 + of_32_bits.len() as u32 + 1));
    program.extend([number, go_on_if(IOCTL), over_ioctl]);
    program.extend(of_32_bits);
    program.push(beyond_x32);
    program.extend(x32);
    program
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code: code as u16, jt, jf, k }
}

fn load(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn and(mask: u32) -> Instruction {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask)
}

/// To the next instruction, or over it.
fn refuse_if(test: u32, k: u32) -> Instruction {
    instruction(libc::BPF_JMP | test | libc::BPF_K, 0, 1, k)
}

/// Over the next instruction, or to it.
fn go_on_if(k: u32) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, k)
}

fn skip(distance: u32) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance)
}

fn answer(k: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, k)
}
