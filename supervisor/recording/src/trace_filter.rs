//! The seccomp program of a recorded process: the calls below stop for the tracer, all others run untouched.

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_TRACE,
    sock_filter, sock_fprog,
};
use nix::errno::Errno;

const TRACED: [libc::c_long; 22] = [
    libc::SYS_ioctl,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_prctl,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
];

/// Installs the program in the calling thread; what it starts inherits it.
pub(crate) fn install() -> Result<(), Errno> {
    let statement = |code: u32, k: u32, jt: u8| sock_filter { code: code as u16, jt, jf: 0, k };
    let mut program = vec![statement(BPF_LD | BPF_W | BPF_ABS, 0, 0)];
    for (index, number) in TRACED.iter().enumerate() {
        let to_the_end = (TRACED.len() - index) as u8;
        program.push(statement(BPF_JMP | BPF_JEQ | BPF_K, *number as u32, to_the_end));
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0));
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_TRACE, 0));
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls take integers and a pointer to a program that lives until they return.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    Errno::result(result).map(drop)
}
