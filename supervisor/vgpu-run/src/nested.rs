//! vgpu-run inside vgpu-run.
//!
//! The kernel allows one listener for a process tree, and one session is what the user wants: the inner
//! vgpu-run finds the outer one as any client does, by opening the rendezvous node, and then becomes its
//! command, which the outer one already follows.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use wire::control::{COOKIE, Call, Caller, Hello, NODE, Operation, REQUEST, Status, Welcome};

use crate::cli::{Session, Target};
use crate::failure::Failure;
use crate::inherited;

/// Whether another vgpu-run already serves this process.
pub fn inside_a_session() -> bool {
    let Ok(node) = OpenOptions::new().read(true).write(true).open(NODE) else { return false };
    let hello = Hello { caller: Caller::NestedSupervisor as u32, ..Hello::default() };
    let mut welcome = Welcome::default();
    let mut call = Call {
        cookie: COOKIE,
        protocol: wire::PROTOCOL,
        operation: Hello::NUMBER,
        input: &raw const hello as u64,
        input_length: size_of::<Hello>() as u32,
        output: &raw mut welcome as u64,
        output_capacity: size_of::<Welcome>() as u32,
        ..Call::default()
    };
    // SAFETY: the request number carries the size of `Call`, and `call` and what it points to are alive.
    // NVIDIA's driver and every other answer an error to this number.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), REQUEST.into(), &mut call) };
    // A vgpu-run of another version serves this process as well, whatever it says of our protocol.
    let answers = [Status::Success as u32, Status::ProtocolMismatch as u32];
    result == 0 && answers.contains(&call.status)
}

/// Executes the command in place of ourselves; returns only if that fails.
pub fn become_command(session: &Session) -> Failure {
    let Target::Command(words) = &session.target else {
        let failure = Failure::new("cannot attach to a process from inside another vgpu-run");
        return failure
            .hint("what that one runs has its GPU; for other processes run vgpu-run outside of it");
    };
    let of_the_card = session.memory.is_some() || session.gpu != "auto" || session.gpus.is_some();
    if of_the_card || !session.inject.is_empty() {
        tracing::warn!(
            "inside another vgpu-run, whose GPU is used; --gpu, --gpus, --memory and --inject have no effect"
        );
    }
    inherited::restore();
    let mut command = Command::new(&words[0]);
    let error = command.args(&words[1..]).exec();
    Failure::new(format!("cannot run `{}`", words[0].to_string_lossy())).cause(error)
}
