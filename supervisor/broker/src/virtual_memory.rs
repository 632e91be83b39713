//! Control calls of virtual memory management: addresses and memory apart from each other.
//!
//! What the interface asks of a program is checked in the client, which it is for. Here is checked what keeps sessions apart
//! and the accounts true.

use std::os::fd::AsFd;

use nix::errno::Errno;
use wire::control::{self, Status};
use wire::engine::Map;

use crate::call::{Answer, Caller, PAGE, back, plain};
use crate::session::{Session, memory_kind};
use crate::{Broker, Event};

fn session(broker: &mut Broker, process: u32) -> Result<&mut Session, Status> {
    broker.sessions.get_mut(&process).ok_or(Status::NotFound)
}

pub fn reserve(broker: &mut Broker, process: u32, order: control::ReserveAddresses) -> Answer {
    let control::ReserveAddresses { length, alignment, wish } = order;
    let whole = length > 0 && length.is_multiple_of(PAGE) && wish.is_multiple_of(PAGE);
    if !whole || !alignment.is_power_of_two() {
        return Err(Status::Invalid);
    }
    let session = session(broker, process)?;
    let wished = (wish != 0).then(|| session.space.take_at(wish, length, alignment)).flatten();
    let address =
        wished.or_else(|| session.space.take_aligned(length, alignment)).ok_or(Status::OutOfMemory)?;
    session.reservations.insert(address, length);
    plain(&control::Addresses { address })
}

pub fn release_addresses(broker: &mut Broker, process: u32, order: control::ReleaseAddresses) -> Answer {
    let session = session(broker, process)?;
    let length = *session.reservations.get(&order.address).ok_or(Status::NotFound)?;
    if session.placed.range(order.address..order.address + length).next().is_some() {
        return Err(Status::Invalid);
    }
    session.reservations.remove(&order.address);
    session.space.give(order.address);
    Ok(Vec::new())
}

pub fn create(broker: &mut Broker, process: u32, order: control::CreatePhysical) -> Answer {
    let control::CreatePhysical { device, kind, length } = order;
    let memory_kind = memory_kind(kind).ok_or(Status::Invalid)?;
    let known = (device as usize) < broker.announcement().devices.len();
    if length == 0 || !length.is_multiple_of(PAGE) || !known {
        return Err(Status::Invalid);
    }
    let memory = back(broker, process, device, memory_kind, length)?;
    let number = broker.physical.enter(process, device, memory_kind, length, memory);
    plain(&control::Physical { number, length, device, kind })
}

pub fn release(broker: &mut Broker, process: u32, order: control::ReleasePhysical) -> Answer {
    if session(broker, process)?.placed.values().any(|(_, number)| *number == order.number) {
        return Err(Status::Invalid);
    }
    let released = broker.physical.release(order.number, process, &mut broker.ledger, &mut broker.reclaimer);
    if released { Ok(Vec::new()) } else { Err(Status::NotFound) }
}

pub fn map(broker: &mut Broker, caller: &dyn Caller, order: control::MapPhysical) -> Answer {
    let control::MapPhysical { number, address, length, writable, .. } = order;
    let process = caller.process();
    let session = broker.sessions.get_mut(&process).ok_or(Status::NotFound)?;
    let physical = broker.physical.held(number, process).ok_or(Status::NotFound)?;
    let whole = length > 0 && length.is_multiple_of(PAGE) && address.is_multiple_of(PAGE);
    if !whole || length > physical.length || !session.has_place(address, length) {
        return Err(Status::Invalid);
    }
    let memory = caller.install(physical.memory.as_fd()).map_err(|_| Status::OutOfMemory)?;
    session.map_sequence += 1;
    let map_sequence = session.map_sequence;
    // As for a grant: an engine that died leaves the client its memory.
    let _ = session.engine.map(&Map { address, length, sequence: map_sequence, writable }, &physical.memory);
    session.placed.insert(address, (length, number));
    plain(&control::Allocation { address, length, map_sequence, memory })
}

pub fn unmap(broker: &mut Broker, process: u32, order: control::UnmapPhysical) -> Answer {
    let session = session(broker, process)?;
    let (length, _) = session.placed.remove(&order.address).ok_or(Status::NotFound)?;
    session.map_sequence += 1;
    session.engine.unmap(order.address, length, session.map_sequence);
    plain(&control::Unmapped { map_sequence: session.map_sequence, reserved: 0 })
}

pub fn export(broker: &mut Broker, caller: &dyn Caller, order: control::ExportPhysical) -> Answer {
    broker.physical.held(order.number, caller.process()).ok_or(Status::NotFound)?;
    let descriptor = broker.physical.export(order.number, &broker.watch).map_err(|_| Status::OutOfMemory)?;
    // If that fails, both ends are closed and the memory is as it was.
    let descriptor = caller.install(descriptor.as_fd()).map_err(|_| Status::OutOfMemory)?;
    plain(&control::ExportedPhysical { descriptor })
}

pub fn import(broker: &mut Broker, caller: &dyn Caller, order: control::ImportPhysical) -> Answer {
    let process = caller.process();
    session(broker, process)?;
    let descriptor = caller.descriptor(order.descriptor).map_err(|errno| {
        if errno == Errno::EBADF {
            return Status::NotFound;
        }
        let kind = control::NoteKind::Unsupported as u32;
        let text = format!("import of shared memory: its descriptor can't be looked at: {}", errno.desc());
        broker.events.push(Event::Note { process, kind, caller: 0, value: 0, text });
        Status::NotSupported
    })?;
    let (ledger, reclaimer) = (&mut broker.ledger, &mut broker.reclaimer);
    let imported = broker.physical.import(&descriptor, process, ledger, reclaimer);
    let (number, physical) = imported.ok_or(Status::NotFound)?;
    let (length, device, kind) = (physical.length, physical.device, physical.kind as u32);
    plain(&control::Physical { number, length, device, kind })
}
