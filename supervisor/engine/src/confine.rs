//! What an engine gives up before it runs anybody's code: the supervisor's user, capabilities, new privileges, and every
//! system call that computing does not need.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Pid, Uid, geteuid, setgroups, setresgid, setresuid, setsid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use wire::engine::{Fork, ZYGOTE_SOCKET};

/// Becomes the client's user, in a session of its own, bound to the life of the process `zygote`, our parent.
pub fn take_identity(order: &Fork, zygote: Pid) -> Result<(), Errno> {
    let _ = nix::unistd::close(ZYGOTE_SOCKET);
    setsid()?;
    if geteuid().is_root() && order.user != 0 {
        setgroups(&[])?;
        let (group, user) = (Gid::from_raw(order.group), Uid::from_raw(order.user));
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
    }
    lift_limits();
    // After setresuid, which clears it: the zygote ends with the supervisor, and we with the zygote.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // One that has ended before that sends no signal; another process is our parent then.
    if nix::unistd::getppid() != zygote {
        return Err(Errno::ESRCH);
    }
    Ok(())
}

/// The client's limits are its own; ours must not make a mapping fail that the broker has granted.
fn lift_limits() {
    for resource in [Resource::RLIMIT_AS, Resource::RLIMIT_DATA, Resource::RLIMIT_CPU] {
        if let Ok((_, hard)) = nix::sys::resource::getrlimit(resource) {
            let _ = setrlimit(resource, hard, hard);
        }
    }
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Drops capabilities and installs the allow-list, on every thread.
///
/// `cache` is the descriptor of the code cache, if there is one.
pub fn drop_privileges(cache: Option<RawFd>) -> Result<(), String> {
    nix::sys::prctl::set_no_new_privs().map_err(|error| format!("set no_new_privs: {error}"))?;
    drop_capabilities().map_err(|error| format!("drop capabilities: {error}"))?;
    let filter = allow_list(cache).map_err(|error| format!("build the filter: {error}"))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| format!("install the filter: {error}"))
}

/// `struct __user_cap_header_struct` of linux/capability.h, version 3.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

fn drop_capabilities() -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapabilityHeader { version: VERSION_3, pid: 0 };
    let none = [[0u32; 3]; 2];
    // SAFETY: header and data have the layout that version 3 prescribes and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &header, none.as_ptr()) };
    Errno::result(result).map(drop)
}

/// System calls of a computing process: memory, threads, time, and the descriptors it already has.
///
/// A compiler is no more than that: LLVM is linked in and opens nothing, and `mmap` and `mprotect` come with any protection, as code
/// is mapped for writing and protected for execution after that. What keeps a wild kernel from making code of its own is that
/// nobody calls `mprotect` for it, not this list: whoever can make system calls here has had code of its own before.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getrandom,
    libc::SYS_prctl,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
];

/// What the code cache does with its file, and may do with no other.
const ALLOWED_ON_CACHE: &[libc::c_long] =
    &[libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_lseek, libc::SYS_ftruncate, libc::SYS_flock];

fn allow_list(cache: Option<RawFd>) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    if let Some(descriptor) = cache {
        let is_cache =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, descriptor as u64)?;
        let on_cache = SeccompRule::new(vec![is_cache])?;
        rules.extend(ALLOWED_ON_CACHE.iter().map(|number| (*number, vec![on_cache.clone()])));
    }
    // An error, not a signal: a library that probes for a call must not end the engine.
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use code_cache::{Cache, Key};
    use code_memory::Code;
    use llvm::{Target, compile};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};
    use std::os::unix::fs::FileExt;

    const IR: &str = "define i32 @f(i32 %x) {\n  %r = mul i32 %x, 3\n  ret i32 %r\n}\n";

    fn compile_and_call() -> Option<i32> {
        let object = compile(IR, &Target::host()).ok()?;
        let code = Code::load(&object, &|_| None).ok()?;
        let address = code.function("f")?;
        // SAFETY: the text defines `f` with this type, and the code lives until after the call.
        let f = unsafe { std::mem::transmute::<*const (), extern "C" fn(i32) -> i32>(address) };
        Some(f(14))
    }

    /// Exit status of a child that confines itself and then does `work`.
    fn confined(cache: Option<RawFd>, work: impl FnOnce() -> i32) -> WaitStatus {
        let _alone = crate::cache::alone();
        // SAFETY: the C library makes its allocator usable in the child; the child takes no other lock that a thread of the
        // test program could have held, and never returns.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                let status = if drop_privileges(cache).is_ok() { work() } else { 1 };
                // SAFETY: ends the process without running what the test program registered.
                unsafe { libc::_exit(status) }
            }
            ForkResult::Parent { child } => waitpid(child, None).expect("the child's end"),
        }
    }

    #[test]
    fn confined_process_compiles_and_runs_code() {
        let status = confined(None, || compile_and_call().unwrap_or(2));
        assert!(matches!(status, WaitStatus::Exited(_, 42)), "{status:?}");
    }

    fn errno<T>(result: std::io::Result<T>) -> i32 {
        result.err().and_then(|error| error.raw_os_error()).unwrap_or(0)
    }

    #[test]
    fn confined_process_opens_nothing() {
        let status = confined(None, || errno(std::fs::File::open("/dev/null")));
        assert!(matches!(status, WaitStatus::Exited(_, libc::EPERM)), "{status:?}");
    }

    #[test]
    fn confined_process_uses_its_code_cache() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let (small, large) = (Key::of(&[b"small"]), Key::of(&[b"large"]));
        let status = confined(Some(cache.descriptor()), || {
            let put = cache
                .put(&small, "small", b"object")
                .and_then(|()| cache.put(&large, "large", &[7; 1 << 20]));
            i32::from(put.is_ok() && cache.get(&small).is_some_and(|object| object == b"object"))
        });
        assert!(matches!(status, WaitStatus::Exited(_, 1)), "{status:?}");
        assert_eq!(Cache::open(home.path()).unwrap().get(&large), Some(vec![7; 1 << 20]));
    }

    #[test]
    fn confined_process_touches_no_other_file_as_its_cache() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let other = tempfile::tempfile().unwrap();
        let status = confined(Some(cache.descriptor()), || errno(other.set_len(1)));
        assert!(matches!(status, WaitStatus::Exited(_, libc::EPERM)), "{status:?}");
        let status = confined(None, || errno(other.write_at(b"x", 0)));
        assert!(matches!(status, WaitStatus::Exited(_, libc::EPERM)), "{status:?}");
    }
}
