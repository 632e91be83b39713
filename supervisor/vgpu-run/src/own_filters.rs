//! Filters that programs of the tree install themselves, and what they can't have beside ours.
//!
//! Most of it goes together: the strictest verdict wins, so whatever a program forbids itself stays forbidden. What does not is
//! left to the kernel and named in the report.

use interception::Request;
use tracee::{Memory, RemotePtr};

/// What a program asks for and does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A listener: the kernel allows one for a tree, and answers EBUSY.
    Listener,
    /// The mode in which a process may only read, write and exit: EINVAL for whoever has a filter.
    Strict,
    /// A filter that hands calls to a tracer, which sees none of those that come to us.
    Tracer,
}

/// What stands in the way of what this call asks for.
pub fn conflict(request: &Request) -> Option<Conflict> {
    let [operation, flags, program, ..] = request.arguments;
    let wish = match request.number {
        libc::SYS_seccomp => match operation as u32 {
            libc::SECCOMP_SET_MODE_STRICT => Wish::Strict,
            libc::SECCOMP_SET_MODE_FILTER => Wish::Filter { flags, program },
            _ => return None,
        },
        // PR_SET_SECCOMP: the second argument is a mode.
        _ => match flags as u32 {
            libc::SECCOMP_MODE_STRICT => Wish::Strict,
            libc::SECCOMP_MODE_FILTER => Wish::Filter { flags: 0, program },
            _ => return None,
        },
    };
    match wish {
        Wish::Strict => Some(Conflict::Strict),
        Wish::Filter { flags, .. } if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 => {
            Some(Conflict::Listener)
        }
        Wish::Filter { program, .. } => read_program(Memory::of(request.tid), RemotePtr::new(program))
            .is_some_and(|program| may_call_a_tracer(&program))
            .then_some(Conflict::Tracer),
    }
}

enum Wish {
    Strict,
    Filter { flags: u64, program: u64 },
}

/// One instruction: `struct sock_filter` of linux/filter.h as a number. Its code is the lowest quarter, `k` the upper half.
type Instruction = u64;

/// The kernel takes no longer program (`BPF_MAXINSNS`).
const MOST_INSTRUCTIONS: usize = 4096;

/// `None` for what the kernel will not be able to read either.
fn read_program(memory: Memory, at: RemotePtr<[u64; 2]>) -> Option<Vec<Instruction>> {
    // `struct sock_fprog`: a length of 16 bits, padded, and an address.
    let [length, address] = memory.read(at).ok()?;
    let length = usize::from(length as u16);
    let mut bytes = vec![0; length * size_of::<Instruction>()];
    let readable =
        length <= MOST_INSTRUCTIONS && memory.read_bytes(RemotePtr::new(address), &mut bytes).is_ok();
    let words = bytes.chunks_exact(size_of::<Instruction>());
    readable.then(|| words.map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())).collect())
}

fn may_call_a_tracer(program: &[Instruction]) -> bool {
    const RETURN_CONSTANT: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    program.iter().any(|instruction| {
        let (code, constant) = (*instruction as u16, (instruction >> 32) as u32);
        code == RETURN_CONSTANT && constant & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_TRACE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u32, constant: u32) -> Instruction {
        u64::from(code) | u64::from(constant) << 32
    }

    #[test]
    fn a_filter_with_a_verdict_for_a_tracer_is_recognised_in_memory() {
        let allow = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
        let trace = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRACE | 7);
        let compares = instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SECCOMP_RET_TRACE);
        for (program, expected) in
            [(vec![allow, trace], true), (vec![compares, allow], false), (vec![], false)]
        {
            // The upper bits of the first word are padding.
            let header = [program.len() as u64 | 0xffff << 16, program.as_ptr() as u64];
            let at = RemotePtr::new(&raw const header as u64);
            let read = read_program(Memory::of(std::process::id() as i32), at).unwrap();
            assert_eq!(may_call_a_tracer(&read), expected);
        }
    }

    #[test]
    fn a_program_that_is_too_long_or_nowhere_is_left_to_the_kernel() {
        let memory = Memory::of(std::process::id() as i32);
        let header = [4097, &raw const memory as u64];
        assert_eq!(read_program(memory, RemotePtr::new(&raw const header as u64)), None);
        assert_eq!(read_program(memory, RemotePtr::new(8)), None);
    }
}
