//! The filter, the kernel and the mediator together: a program maps what stands for the driver's node.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::process::Command;

use mediation::{Kernel, Node, StandIn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use notification::Listener;
use syscall_filter::{Coverage, Program, compile_for_driver, handover};
use wire::control::REQUESTS;

use super::*;

const GIB: u64 = 1 << 30;

/// A node is any file that is no device.
fn mediator() -> (Mediator, Program) {
    let nodes = vec![((0, 0), Node::UnifiedMemory)];
    let driver = StandIn { version: "580.159.04", nodes, kernel: Kernel::OWN }.driver().expect("known");
    let filter = compile_for_driver(Coverage::Lean, &REQUESTS, &driver.requests()).expect("compiles");
    (Mediator::begin(driver, Some(4 * GIB)).expect("processes"), filter)
}

/// Runs a program under the filter, and answers its mappings as the loop does; its exit status, and how often its threads stood still.
fn serve(mediator: &mut Mediator, filter: &Program, program: impl FnOnce() -> i32) -> (i32, usize) {
    let (here, there) = handover::pair().expect("a pair");
    // SAFETY: this process has one thread.
    let child = match unsafe { fork() }.expect("a process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            syscall_filter::forbid_new_privileges().expect("may be");
            let listener = syscall_filter::install(filter).expect("a listener");
            handover::send(&there, b"L", &[listener.as_raw_fd()]).expect("somebody listens");
            drop((here, there, listener));
            crate::launch::exit(program());
        }
    };
    drop(there);
    let listener = handover::receive(&here).expect("a message").descriptors.pop().expect("a listener");
    let listener = Listener::new(listener, None).expect("the kernel's");
    let mut stood_still = 0;
    while !listener.hung_up() {
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::NONE).expect("a request, or the end");
        let is_there = polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
        if let Some(request) = is_there.then(|| listener.receive().expect("a request")).flatten() {
            stood_still += usize::from(deliver(mediator, request, child.as_raw()));
        }
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => (code, stood_still),
        other => panic!("{other:?}"),
    }
}

/// Answers a call; whether the program's threads stood still for that.
fn deliver(mediator: &mut Mediator, request: Request, child: i32) -> bool {
    if request.number != libc::SYS_mmap {
        request.reply(Reply::Continue).expect("answered");
        return false;
    }
    let answered = answer(mediator, &request, &mut Asker::new(&request, child), &[]);
    match answered.expect("no process is asked") {
        Mediated::Reply(reply) => {
            request.reply(reply).expect("answered");
            false
        }
        Mediated::Frozen(frozen) => {
            request.reply(Reply::Continue).expect("answered");
            frozen.returned();
            true
        }
        Mediated::Later => panic!("a mapping waits for nobody"),
    }
}

/// Maps a file at its offset, or says why not.
fn map(file: &File, at: u64, length: u64, how: i32) -> i32 {
    let (address, flags) = (std::ptr::with_exposed_provenance_mut(at as usize), libc::MAP_SHARED | how);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: nothing of this process lies at the addresses that are asked for here, and nobody touches them.
    match unsafe { libc::mmap(address, length as usize, protection, flags, file.as_raw_fd(), at as i64) } {
        libc::MAP_FAILED => std::io::Error::last_os_error().raw_os_error().expect("an error"),
        _ => 0,
    }
}

fn node() -> File {
    // SAFETY: the name outlives the call, which makes a descriptor that is this file's alone.
    let file = unsafe { File::from_raw_fd(libc::memfd_create(c"node".as_ptr(), 0)) };
    file.set_len(1 << 47).expect("room for a hole");
    file
}

/// What the program finds; the number of the first line that is not so, or 0.
fn use_memory() -> i32 {
    const BASE: u64 = 0x2000_0000_0000;
    let (node, zeroes) = (node(), File::options().read(true).write(true).open("/dev/zero").expect("there"));
    let fixed = libc::MAP_FIXED;
    let expected = [
        // libcuda's way, and others.
        (map(&node, BASE, 8 * GIB, fixed), libc::ENOMEM),
        (map(&node, BASE, 8 * GIB, libc::MAP_FIXED_NOREPLACE), libc::ENOMEM),
        (map(&node, BASE, 8 * GIB, 0), libc::ENOMEM),
        (map(&node, BASE, 2 * GIB, fixed), 0),
        (map(&node, BASE + 4 * GIB, 3 * GIB, fixed), libc::ENOMEM),
        (map(&node, BASE + 4 * GIB, 2 * GIB, fixed), 0),
        (map(&node, BASE + 8 * GIB, 4096, fixed), libc::ENOMEM),
        // SAFETY: nobody has touched the mapping.
        (unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(BASE as usize), 2 * GIB as usize) }, 0),
        (map(&node, BASE + 8 * GIB, 2 * GIB, fixed), 0),
        // What is no node is nobody's business, by one thread or another.
        (map(&zeroes, BASE + 32 * GIB, 8 * GIB, fixed), 0),
        (
            std::thread::spawn(move || map(&zeroes, BASE + 64 * GIB, 8 * GIB, fixed))
                .join()
                .expect("a number"),
            0,
        ),
    ];
    let wrong = expected.iter().position(|(found, expected)| found != expected);
    wrong.map_or(0, |line| line as i32 + 1)
}

#[test]
fn a_program_maps_no_more_managed_memory_than_the_limit() {
    const VARIABLE: &str = "VGPU_RUN_TEST_ALONE";
    if std::env::var_os(VARIABLE).is_some() {
        let (mut mediator, filter) = mediator();
        // The thread's mapping alone is made while all stand still: before, there was none beside.
        assert_eq!(serve(&mut mediator, &filter, use_memory), (0, 1));
        return;
    }
    // The mediator wants a process that has one thread.
    let own = std::env::current_exe().expect("this program");
    let name = "mediated::tests::a_program_maps_no_more_managed_memory_than_the_limit";
    let ran = Command::new(own)
        .args([name, "--exact", "--test-threads=1", "--nocapture"])
        .env(VARIABLE, "1")
        .output();
    let ran = ran.expect("runs");
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
