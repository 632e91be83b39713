//! Calls by which a process installs a seccomp program of its own.

use crate::{Memory, RemotePtr};

/// What such a call asks for.
#[derive(Clone, Copy, Debug)]
pub enum OwnFilter {
    /// The mode in which a process may only read, write and exit.
    Strict,
    /// A program.
    Program {
        /// `SECCOMP_FILTER_FLAG_…`
        flags: u64,
        /// `struct sock_fprog`: a length of 16 bits, padded, and an address.
        at: RemotePtr<[u64; 2]>,
    },
}

impl OwnFilter {
    /// Of a call with this number and these arguments.
    pub fn of(number: i64, arguments: [u64; 6]) -> Option<Self> {
        let [first, second, third, ..] = arguments;
        let program = |flags| Some(Self::Program { flags, at: RemotePtr::new(third) });
        match number {
            libc::SYS_seccomp => match first as u32 {
                libc::SECCOMP_SET_MODE_STRICT => Some(Self::Strict),
                libc::SECCOMP_SET_MODE_FILTER => program(second),
                _ => None,
            },
            libc::SYS_prctl if first as i32 == libc::PR_SET_SECCOMP => match second as u32 {
                libc::SECCOMP_MODE_STRICT => Some(Self::Strict),
                libc::SECCOMP_MODE_FILTER => program(0),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The kernel takes no longer program (`BPF_MAXINSNS`).
const MOST_INSTRUCTIONS: usize = 4096;

/// The instructions of a program; `None` for one that the kernel will not be able to read either.
pub fn read_program(memory: Memory, at: RemotePtr<[u64; 2]>) -> Option<Vec<libc::sock_filter>> {
    const LENGTH: usize = size_of::<libc::sock_filter>();
    let [length, address] = memory.read(at).ok()?;
    let length = usize::from(length as u16);
    let mut bytes = vec![0; length * LENGTH];
    let readable =
        length <= MOST_INSTRUCTIONS && memory.read_bytes(RemotePtr::new(address), &mut bytes).is_ok();
    let instruction = |bytes: &[u8; LENGTH]| {
        let &[a, b, jt, jf, c, d, e, f] = bytes;
        libc::sock_filter { code: u16::from_le_bytes([a, b]), jt, jf, k: u32::from_le_bytes([c, d, e, f]) }
    };
    let (instructions, _) = bytes.as_chunks::<LENGTH>();
    readable.then(|| instructions.iter().map(instruction).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_as_it_lies_in_memory() {
        let program = [
            libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 4 },
            libc::sock_filter { code: 0x06, jt: 1, jf: 2, k: 0x7fff_0000 },
        ];
        // The upper bits of the first word are padding.
        let header = [program.len() as u64 | 0xffff << 16, program.as_ptr() as u64];
        let at = RemotePtr::new(&raw const header as u64);
        let read = read_program(Memory::of(std::process::id() as i32), at).unwrap();
        let numbers = |one: &libc::sock_filter| (one.code, one.jt, one.jf, one.k);
        assert!(read.iter().map(numbers).eq(program.iter().map(numbers)));
    }

    #[test]
    fn a_program_that_is_too_long_or_nowhere_is_left_to_the_kernel() {
        let memory = Memory::of(std::process::id() as i32);
        let header = [4097, &raw const memory as u64];
        assert!(read_program(memory, RemotePtr::new(&raw const header as u64)).is_none());
        assert!(read_program(memory, RemotePtr::new(8)).is_none());
    }

    #[test]
    fn both_calls_are_understood() {
        let is_program = |number, first, second| {
            let wish = OwnFilter::of(number, [first, second, 0x1000, 0, 0, 0]);
            matches!(wish, Some(OwnFilter::Program { at, .. }) if at.address() == 0x1000)
        };
        assert!(is_program(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER.into(), 8));
        assert!(is_program(libc::SYS_prctl, libc::PR_SET_SECCOMP as u64, libc::SECCOMP_MODE_FILTER.into()));
        assert!(!is_program(libc::SYS_prctl, libc::PR_SET_NAME as u64, libc::SECCOMP_MODE_FILTER.into()));
        assert!(!is_program(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL.into(), 0));
    }
}
