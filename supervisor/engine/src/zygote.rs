//! The zygote: a warm process without threads that forks one engine per client in about half a millisecond.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Pid, fork};
use wire::engine::{Fork, ForkFailed, Forked, ZYGOTE_SOCKET};

use crate::process;

/// Serves the supervisor until it hangs up.
pub fn serve() -> ! {
    // SAFETY: the supervisor starts us with this descriptor open, and nothing here closes it.
    let socket = unsafe { BorrowedFd::borrow_raw(ZYGOTE_SOCKET) };
    // SAFETY: no handler is installed; engines that end leave no zombie, the broker follows them by pidfd.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    process::set_name(c"vgpu-zygote");
    llvm::prepare();
    loop {
        match packet::receive(socket) {
            Ok(Some(packet)) => fork_engine(socket, packet),
            Ok(None) => std::process::exit(0),
            Err(error) => {
                eprintln!("vgpu-engine: the supervisor's socket failed: {error}");
                std::process::exit(1);
            }
        }
    }
}

fn fork_engine(socket: BorrowedFd, packet: packet::Packet) {
    let Some(order) = packet.message::<Fork>() else {
        eprintln!("vgpu-engine: packet {} is not one that a zygote knows", packet.number);
        return;
    };
    let own = nix::unistd::getpid();
    // SAFETY: this process has one thread, so the child may use everything that the parent could.
    let outcome = match unsafe { fork() } {
        Ok(ForkResult::Child) => process::run(order, packet.descriptors, own),
        Ok(ForkResult::Parent { child }) => pidfd_of(child).map(|pidfd| (child.as_raw() as u32, pidfd)),
        Err(error) => Err(error),
    };
    // A supervisor that is gone needs no answer; the next receive sees the end of file.
    let _ = match outcome {
        Ok((engine, pidfd)) => {
            packet::send(socket, &Forked { client: order.client, engine }, &[], &[pidfd.as_raw_fd()])
        }
        Err(error) => {
            packet::send(socket, &ForkFailed { client: order.client, errno: error as u32 }, &[], &[])
        }
    };
}

/// A handle that stays the engine's also when it ends and its number is given away.
fn pidfd_of(child: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: a plain system call; the descriptor that it returns is new and ours.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    // SAFETY: as above.
    Errno::result(result).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}
