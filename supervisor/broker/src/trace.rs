//! What is traced: memory for calls, one for each process, made when the first of its libraries asks for it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wire::control::{Status, TraceMemory};
use wire::trace::CALLS_LENGTH;

use crate::call::{Answer, Caller, plain};
use crate::engine::pidfd_of;
use crate::watch::Source;
use crate::{Broker, memory};

/// Who reads what is traced. It is told of memory and keeps a duplicate.
pub trait Tracer {
    /// The calls of a process will be in this memory: a [`Ring`](wire::trace::Ring) of [`CALLS_LENGTH`] bytes.
    fn calls_of(&mut self, process: u32, memory: BorrowedFd);

    /// What an engine does for a process will be in this shared area: [`View::trace`](wire::shared::View::trace).
    fn work_of(&mut self, process: u32, area: BorrowedFd);
}

/// Memory for calls, by process.
#[derive(Default)]
pub struct Rings(HashMap<u32, Traced>);

struct Traced {
    memory: OwnedFd,
    /// Watched: the process's number may be given away after its end.
    _process: OwnedFd,
}

impl Rings {
    /// The process has ended.
    pub fn forget(&mut self, process: u32) {
        self.0.remove(&process);
    }
}

/// Gives a process the memory for its calls.
pub fn hand_out(broker: &mut Broker, caller: &dyn Caller) -> Answer {
    let process = caller.process();
    if broker.config.tracer.is_none() {
        return Err(Status::NotFound);
    }
    if !broker.rings.0.contains_key(&process) {
        let traced = make(broker, process).ok_or(Status::OutOfMemory)?;
        if let Some(tracer) = &mut broker.config.tracer {
            tracer.calls_of(process, traced.memory.as_fd());
        }
        broker.rings.0.insert(process, traced);
    }
    let memory = broker.rings.0[&process].memory.as_fd();
    let memory = caller.install(memory).map_err(|_| Status::OutOfMemory)?;
    plain(&TraceMemory { memory, reserved: 0 })
}

fn make(broker: &Broker, process: u32) -> Option<Traced> {
    let handle = pidfd_of(process).ok()?;
    broker.watch.add(handle.as_fd(), Source::Traced(process)).ok()?;
    Some(Traced { memory: memory::create(c"vgpu-trace", CALLS_LENGTH as u64).ok()?, _process: handle })
}
