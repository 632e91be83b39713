//! What we were started with, to be handed to the program as it was.
//!
//! Rust's runtime ignores SIGPIPE and opens `/dev/null` for closed standard descriptors before `main`. To
//! hand on the true state it is recorded before the runtime starts, by a function in `.init_array`.

use std::sync::OnceLock;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};

/// State of this process as its parent left it.
struct Inherited {
    ignores_sigpipe: bool,
    closed: [bool; 3],
    mask: SigSet,
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

#[used]
// SAFETY: the section holds pointers to functions of this type, which the C library calls before `main`;
// `record` needs nothing of Rust's runtime.
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    let _ = INHERITED.set(Inherited {
        ignores_sigpipe: ignores_sigpipe(),
        closed: std::array::from_fn(|descriptor| is_closed(descriptor as i32)),
        mask: SigSet::thread_get_mask().unwrap_or(SigSet::empty()),
    });
}

fn ignores_sigpipe() -> bool {
    // SAFETY: all fields may be zero; the call with a null new action only writes `action`.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action);
        action
    };
    action.sa_sigaction == libc::SIG_IGN
}

fn is_closed(descriptor: i32) -> bool {
    // SAFETY: F_GETFD takes numbers only.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) < 0 }
}

/// Gives the calling process, which is about to exec the program, what we were started with. Allocates
/// nothing. The signal mask comes last, so that a signal which waits kills the program and not us.
pub fn restore() {
    let Some(inherited) = INHERITED.get() else { return };
    let handler = if inherited.ignores_sigpipe { SigHandler::SigIgn } else { SigHandler::SigDfl };
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither disposition is a handler of ours.
    let _ = unsafe { sigaction(Signal::SIGPIPE, &action) };
    for (descriptor, closed) in inherited.closed.iter().enumerate() {
        if *closed {
            // SAFETY: the runtime opened it in place of nothing; nobody in this process uses it.
            unsafe { libc::close(descriptor as i32) };
        }
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&inherited.mask), None);
}

/// The limits are meant for the program, which keeps them, as it is forked before. The supervisor holds descriptors for every
/// client, and engines, which inherit from it, memory: memory files count as files, mappings as the engine's own.
pub fn raise_limits() {
    // A million descriptors are enough; some systems have no hard limit to speak of.
    raise(Resource::RLIMIT_NOFILE, 1 << 20);
    for resource in [Resource::RLIMIT_FSIZE, Resource::RLIMIT_AS, Resource::RLIMIT_DATA, Resource::RLIMIT_CPU]
    {
        raise(resource, RLIM_INFINITY);
    }
}

/// To the hard limit, or beyond it where we are privileged to.
fn raise(resource: Resource, wanted: rlim_t) {
    let Ok((_, hard)) = getrlimit(resource) else { return };
    if setrlimit(resource, wanted, hard.max(wanted)).is_err() {
        let _ = setrlimit(resource, hard.min(wanted), hard);
    }
}
