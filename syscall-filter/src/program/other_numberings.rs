//! Calls whose numbers no row speaks of, where they would reach the driver all the same.

use std::mem::offset_of;

use super::{Instruction, Pattern};
use crate::policy::SHARED_FILE;

/// From linux/audit.h, and asm/unistd.h.
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
/// Calls of 32-bit programs (`arch/x86/entry/syscalls/syscall_32.tbl`). The arguments of the older `mmap` are in memory, where the filter
/// cannot look; nobody's library makes it any more.
const IOCTL: u32 = 54;
const OLD_MMAP: u32 = 90;
const MMAP: u32 = 192;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// `/dev/nvidia-uvm` has small numbers, and two more.
const SMALL: Pattern = (!0xff, 0);
const FIRST_AND_LAST: Pattern = (!3, 0x3000_0000);

/// Ends what is refused and goes on behind itself with everything else.
pub fn refuse(drivers: &[Pattern]) -> Vec<Instruction> {
    let number = load(offset_of!(libc::seccomp_data, nr) as u32);
    let mut of_32_bits = if_equal(number, IOCTL, &ioctl(drivers));
    of_32_bits.extend(if_equal(number, MMAP, &mmap()));
    of_32_bits.extend(if_equal(number, OLD_MMAP, &[answer(REFUSED)]));
    let mut program =
        if_equal(load(offset_of!(libc::seccomp_data, arch) as u32), AUDIT_ARCH_I386, &of_32_bits);
    // Numbers of 32-bit programs are small.
    program.extend([number, refuse_if(libc::BPF_JGE, X32), answer(REFUSED)]);
    program
}

fn ioctl(drivers: &[Pattern]) -> Vec<Instruction> {
    let patterns = [SMALL, FIRST_AND_LAST].into_iter().chain(drivers.iter().copied());
    let refused =
        |(mask, value)| [load(argument(1)), and(mask), refuse_if(libc::BPF_JEQ, value), answer(REFUSED)];
    patterns.flat_map(refused).collect()
}

/// Of a file, shared and not from its beginning.
fn mmap() -> Vec<Instruction> {
    let (mask, shared) = SHARED_FILE;
    let mut flags = vec![load(argument(3)), and(mask)];
    flags.extend(if_equal_now(shared, &[load(argument(5)), go_on_if(0), answer(REFUSED)]));
    flags
}

/// The lower half of an argument.
fn argument(index: usize) -> u32 {
    (offset_of!(libc::seccomp_data, args) + index * size_of::<u64>()) as u32
}

/// Some instructions, if what is loaded is so much.
fn if_equal(load: Instruction, value: u32, then: &[Instruction]) -> Vec<Instruction> {
    let mut program = vec![load];
    program.extend(if_equal_now(value, then));
    program
}

/// The same of what has been loaded. A jump over many is one without a condition: those have a byte for the distance.
fn if_equal_now(value: u32, then: &[Instruction]) -> Vec<Instruction> {
    let mut program = vec![go_on_if(value), skip(then.len() as u32)];
    program.extend(then);
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
