//! Filters that programs of the tree install themselves, and what they can't have beside ours.
//!
//! Most of it goes together: the strictest verdict wins, so whatever a program forbids itself stays forbidden. What does not is
//! left to the kernel and named in the report.

use interception::Request;
use tracee::{Memory, OwnFilter, read_program};

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
    match OwnFilter::of(request.number, request.arguments)? {
        OwnFilter::Strict => Some(Conflict::Strict),
        OwnFilter::Program { flags, .. } if flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 => {
            Some(Conflict::Listener)
        }
        OwnFilter::Program { at, .. } => read_program(Memory::of(request.tid), at)
            .is_some_and(|program| may_call_a_tracer(&program))
            .then_some(Conflict::Tracer),
    }
}

fn may_call_a_tracer(program: &[libc::sock_filter]) -> bool {
    const RETURN_CONSTANT: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    program.iter().any(|instruction| {
        instruction.code == RETURN_CONSTANT
            && instruction.k & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_TRACE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_a_verdict_for_a_tracer_is_recognised() {
        let instruction = |code: u32, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
        let allow = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
        let trace = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRACE | 7);
        let compares = instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SECCOMP_RET_TRACE);
        assert!(may_call_a_tracer(&[allow, trace]));
        assert!(!may_call_a_tracer(&[compares, allow]));
        assert!(!may_call_a_tracer(&[]));
    }
}
