//! Control calls: reading a block, executing its operation, writing the answer; or all of it in registers.
//!
//! To add an operation: a row and its structs in `wire::control`, a line in `execute`, a function here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use bytemuck::{Pod, bytes_of};
use nix::errno::Errno;
use wire::PROTOCOL;
use wire::control::{
    self, COOKIE, Call, MemoryKind, NEAR_INPUT, Operation, ProcessEntry, ProcessListHeader, Registers, Status,
};
use wire::device::Usage;
use wire::engine::Map;

use crate::export::Export;
use crate::session::{Grant, cost, memory_kind};
use crate::{Broker, CallerFd, Event, accounting, condition, memory, settings, trace, virtual_memory};

/// The process that waits in its `ioctl`, as far as the broker may touch it.
pub trait Caller {
    /// Its thread-group id.
    fn process(&self) -> u32;
    /// Its user and group.
    fn identity(&self) -> (u32, u32);
    /// Whether its effective user is root.
    fn is_root(&self) -> bool;
    /// Copies from its memory.
    fn read(&self, address: u64, target: &mut [u8]) -> Result<(), Errno>;
    /// The same, as far as there is memory; tells how many bytes came.
    fn read_some(&self, address: u64, target: &mut [u8]) -> Result<usize, Errno>;
    /// Copies to two places of its memory, in this order.
    fn write(&self, parts: [(u64, &[u8]); 2]) -> Result<(), Errno>;
    /// Gives it a descriptor, close-on-exec.
    fn install(&self, descriptor: BorrowedFd) -> Result<CallerFd, Errno>;
    /// A duplicate of a descriptor that it has.
    fn descriptor(&self, number: CallerFd) -> Result<OwnedFd, Errno>;
    /// Whether it still waits: checked before side effects that nobody would undo.
    fn is_waiting(&self) -> bool;
}

/// Bytes of a block.
const BLOCK: usize = size_of::<Call>();
/// Longest input that a call may have: a head and a note's text.
const LONGEST_INPUT: u32 = 8192;
/// Bytes that a call in registers can answer.
const ROOM_IN_A_REGISTER: u32 = size_of::<i64>() as u32;
/// Granularity of grants, the page.
pub(crate) const PAGE: u64 = 4096;

/// What an operation answers: its output, whole.
pub(crate) type Answer = Result<Vec<u8>, Status>;

/// Executes one call. `Err` is the `errno` of the `ioctl` for what is no call of ours.
pub fn handle(broker: &mut Broker, caller: &dyn Caller, address: u64) -> Result<i64, Errno> {
    let mut bytes = [0; BLOCK + NEAR_INPUT];
    let read = caller.read_some(address, &mut bytes)?;
    let (block, near) = bytes[..read].split_at_checked(BLOCK).ok_or(Errno::EFAULT)?;
    let mut call: Call = bytemuck::pod_read_unaligned(block);
    if call.cookie != COOKIE {
        return Err(Errno::ENOTTY);
    }
    let mut execute = |input: &[u8]| execute(broker, caller, call.operation, input, call.output_capacity);
    let answer = match call.protocol {
        PROTOCOL => match near.get(..call.input_length as usize) {
            Some(input) if call.input == address + BLOCK as u64 => execute(input),
            _ => read_input(caller, &call).and_then(|input| execute(&input)),
        },
        // Hello is answered in any protocol, so that the payload can say which one it met.
        _ if call.operation == control::Hello::NUMBER => hello(broker),
        _ => Err(Status::ProtocolMismatch),
    };
    deliver(caller, address, &mut call, answer)?;
    Ok(0)
}

/// Executes a call that lies in the registers of its `ioctl`, whose result, or `errno`, is the answer.
pub fn handle_registers(broker: &mut Broker, caller: &dyn Caller, registers: [u64; 4]) -> Result<i64, i32> {
    let call = Registers::unpack(registers).ok_or(Errno::ENOTTY as i32)?;
    let answer = match call.protocol {
        PROTOCOL => execute(broker, caller, call.operation, bytes_of(&call.input), ROOM_IN_A_REGISTER),
        _ => Err(Status::ProtocolMismatch),
    };
    let output = answer.map_err(Status::errno)?;
    let mut value = [0; ROOM_IN_A_REGISTER as usize];
    value.get_mut(..output.len()).ok_or(Status::Invalid.errno())?.copy_from_slice(&output);
    Ok(i64::from_ne_bytes(value))
}

fn read_input(caller: &dyn Caller, call: &Call) -> Result<Vec<u8>, Status> {
    if call.input_length > LONGEST_INPUT {
        return Err(Status::Invalid);
    }
    let mut input = vec![0; call.input_length as usize];
    caller.read(call.input, &mut input).map_err(|_| Status::Invalid)?;
    Ok(input)
}

/// Writes the answer, and behind it the block that says so.
fn deliver(caller: &dyn Caller, address: u64, call: &mut Call, answer: Answer) -> Result<(), Errno> {
    let refused = match answer {
        Ok(output) => {
            let output = &output[..output.len().min(call.output_capacity as usize)];
            (call.status, call.output_length) = (Status::Success as u32, output.len() as u32);
            if caller.write([(call.output, output), (address, bytes_of(call))]).is_ok() {
                return Ok(());
            }
            Status::Invalid
        }
        Err(status) => status,
    };
    (call.status, call.output_length) = (refused as u32, 0);
    caller.write([(address, bytes_of(call)), (address, &[])])
}

/// `capacity`: bytes that the caller has room for.
fn execute(broker: &mut Broker, caller: &dyn Caller, operation: u32, input: &[u8], capacity: u32) -> Answer {
    use control::*;
    match operation {
        Hello::NUMBER => hello(broker),
        DescribeDevice::NUMBER => describe(broker, fixed(input)?),
        DeviceUsage::NUMBER => usage(broker, caller.process(), fixed(input)?),
        FreeMemory::NUMBER => free_memory(broker, fixed(input)?),
        ListProcesses::NUMBER => list_processes(broker, fixed(input)?, capacity),
        Connect::NUMBER => connect(broker, caller, fixed(input)?),
        Allocate::NUMBER => allocate(broker, caller, fixed(input)?),
        Free::NUMBER => free(broker, caller.process(), fixed(input)?),
        ExportMemory::NUMBER => export(broker, caller.process(), fixed(input)?),
        ImportMemory::NUMBER => import(broker, caller, fixed(input)?),
        Note::NUMBER => note(broker, caller.process(), input),
        Disconnect::NUMBER => {
            broker.end_session(caller.process());
            Ok(Vec::new())
        }
        EnterDevice::NUMBER => enter_device(broker, caller.process(), fixed(input)?),
        ReserveAddresses::NUMBER => virtual_memory::reserve(broker, caller.process(), fixed(input)?),
        ReleaseAddresses::NUMBER => {
            virtual_memory::release_addresses(broker, caller.process(), fixed(input)?)
        }
        CreatePhysical::NUMBER => virtual_memory::create(broker, caller.process(), fixed(input)?),
        ReleasePhysical::NUMBER => virtual_memory::release(broker, caller.process(), fixed(input)?),
        MapPhysical::NUMBER => virtual_memory::map(broker, caller, fixed(input)?),
        UnmapPhysical::NUMBER => virtual_memory::unmap(broker, caller.process(), fixed(input)?),
        ExportPhysical::NUMBER => virtual_memory::export(broker, caller, fixed(input)?),
        ImportPhysical::NUMBER => virtual_memory::import(broker, caller, fixed(input)?),
        Trace::NUMBER => trace::hand_out(broker, caller),
        ShareCondition::NUMBER => condition::share(broker, caller),
        SetDevice::NUMBER => settings::set(broker, caller, fixed(input)?),
        ClearErrors::NUMBER => settings::clear_errors(broker, caller, fixed(input)?),
        ResetDevice::NUMBER => settings::reset(broker, caller, fixed(input)?),
        ListAccounted::NUMBER => accounting::list(broker, fixed(input)?, capacity),
        ClearAccounted::NUMBER => accounting::clear(broker, caller, fixed(input)?),
        _ => Err(Status::Invalid),
    }
}

fn fixed<T: Pod>(input: &[u8]) -> Result<T, Status> {
    input.get(..size_of::<T>()).map(bytemuck::pod_read_unaligned).ok_or(Status::Invalid)
}

pub(crate) fn plain(output: &impl Pod) -> Answer {
    Ok(bytes_of(output).to_vec())
}

fn hello(broker: &mut Broker) -> Answer {
    let announcement = broker.announcement();
    let mut driver_version = [0; 32];
    for (target, byte) in driver_version.iter_mut().zip(announcement.driver_version.bytes().take(31)) {
        *target = byte;
    }
    let mut welcome = control::Welcome {
        protocol: PROTOCOL,
        device_count: announcement.devices.len() as u32,
        cuda_version: announcement.cuda_version,
        drained: 0,
        driver_version,
    };
    let drained = (0..welcome.device_count.min(u32::BITS)).filter(|&index| broker.is_drained(index));
    welcome.drained = drained.fold(0, |bits, index| bits | 1 << index);
    plain(&welcome)
}

fn describe(broker: &mut Broker, order: control::DescribeDevice) -> Answer {
    plain(broker.announcement().devices.get(order.index as usize).ok_or(Status::NotFound)?)
}

fn usage(broker: &mut Broker, process: u32, order: control::DeviceUsage) -> Answer {
    let usage = broker.usage(order.index).ok_or(Status::NotFound)?;
    plain(&Usage { own: broker.ledger.held(order.index, process), ..usage })
}

fn free_memory(broker: &mut Broker, order: control::FreeMemory) -> Answer {
    let there_is = (order.index as usize) < broker.announcement().devices.len();
    let bytes = there_is.then(|| broker.ledger.free(order.index)).ok_or(Status::NotFound)?;
    plain(&control::FreeBytes { bytes })
}

fn list_processes(broker: &mut Broker, order: control::ListProcesses, capacity: u32) -> Answer {
    if order.index as usize >= broker.announcement().devices.len() {
        return Err(Status::NotFound);
    }
    let holders = broker.ledger.processes(order.index);
    let now = Instant::now();
    let room = (capacity as usize).saturating_sub(size_of::<ProcessListHeader>()) / size_of::<ProcessEntry>();
    let count = holders.len().min(room);
    let mut output =
        bytes_of(&ProcessListHeader { count: count as u32, total: holders.len() as u32 }).to_vec();
    for &(pid, bytes) in &holders[..count] {
        let utilisation = broker.sessions.get_mut(&pid).map_or(0, |session| session.utilisation(now));
        output.extend_from_slice(bytes_of(&ProcessEntry { pid, utilisation, bytes }));
    }
    Ok(output)
}

fn connect(broker: &mut Broker, caller: &dyn Caller, order: control::Connect) -> Answer {
    broker.announcement();
    let process = caller.process();
    let window = control::WINDOWS.into_iter().find(|window| window.start == order.window);
    let window = window.filter(|_| caller.is_waiting()).ok_or(Status::Invalid)?;
    // A process that connects anew has lost its old connection (it began another program).
    broker.end_session(process);
    let (user, group) = caller.identity();
    if let Err(text) = broker.begin_session(process, user, group, window) {
        broker.events.push(Event::EngineFailed { process, text });
        return Err(Status::EngineFailed);
    }
    let session = &broker.sessions[&process];
    let installed = caller.install(session.engine.area().as_fd());
    let Ok(area) = installed else {
        broker.end_session(process);
        return Err(Status::OutOfMemory);
    };
    plain(&control::Connection {
        area,
        checks: broker.config.checks.into(),
        area_length: wire::shared::AREA_LENGTH as u64,
    })
}

fn enter_device(broker: &mut Broker, process: u32, order: control::EnterDevice) -> Answer {
    let card = broker.announcement().devices.get(order.index as usize).ok_or(Status::Invalid)?;
    let cost = card.context_memory;
    if broker.is_lost(order.index) {
        return Err(Status::Lost);
    }
    broker.admit(process, order.index)?;
    broker.enter_device(process, order.index, cost);
    Ok(Vec::new())
}

fn allocate(broker: &mut Broker, caller: &dyn Caller, order: control::Allocate) -> Answer {
    let process = caller.process();
    let kind = memory_kind(order.kind).ok_or(Status::Invalid)?;
    if order.length == 0 || order.device as usize >= broker.announcement().devices.len() {
        return Err(Status::Invalid);
    }
    let length = order.length.checked_next_multiple_of(PAGE).ok_or(Status::OutOfMemory)?;
    let memory = std::sync::Arc::new(back(broker, process, order.device, kind, length)?);
    let charged = cost(kind, length);
    let granted =
        grant(broker, caller, Grant { length, device: order.device, kind, charged, imported: false, memory });
    if granted.is_err() {
        broker.ledger.release(order.device, process, charged);
    }
    granted
}

/// Makes memory that the machine can back and charges the process its [`cost`].
pub(crate) fn back(
    broker: &mut Broker,
    process: u32,
    device: u32,
    kind: MemoryKind,
    length: u64,
) -> Result<OwnedFd, Status> {
    let session = broker.sessions.get(&process).ok_or(Status::NotFound)?;
    let charged = cost(kind, length);
    if !broker.can_back(session, length) {
        let text = "this machine and its cgroups can't back that much more".to_owned();
        return Err(refuse(broker, process, length, text));
    }
    if broker.ledger.charge(device, process, charged).is_err() {
        return Err(refuse(broker, process, length, format!("device {device} has not that much left")));
    }
    memory::create(c"vgpu-memory", length).map_err(|error| {
        broker.ledger.release(device, process, charged);
        refuse(broker, process, length, memory::why(error))
    })
}

/// Tells the report why memory is refused.
fn refuse(broker: &mut Broker, process: u32, length: u64, text: String) -> Status {
    let kind = control::NoteKind::AllocationFailed as u32;
    broker.events.push(Event::Note { process, kind, caller: 0, value: length as i64, text });
    Status::OutOfMemory
}

/// Places memory in a session and hands it to client and engine.
fn grant(broker: &mut Broker, caller: &dyn Caller, grant: Grant) -> Answer {
    let session = broker.sessions.get_mut(&caller.process()).ok_or(Status::NotFound)?;
    let address = session.space.take(grant.length).ok_or(Status::OutOfMemory)?;
    let sequence = session.map_sequence + 1;
    let handed = caller.install(grant.memory.as_fd()).inspect(|_| {
        // An engine that died leaves the client its memory; commands fail on their own.
        let order = Map { address, length: grant.length, sequence, writable: 1 };
        let _ = session.engine.map(&order, &grant.memory);
    });
    let Ok(number) = handed else {
        session.space.give(address);
        return Err(Status::OutOfMemory);
    };
    session.map_sequence = sequence;
    let length = grant.length;
    session.hold(address, grant);
    plain(&control::Allocation { address, length, map_sequence: sequence, memory: number })
}

fn free(broker: &mut Broker, process: u32, order: control::Free) -> Answer {
    let session = broker.sessions.get_mut(&process).ok_or(Status::NotFound)?;
    let grant = session.let_go(order.address).ok_or(Status::NotFound)?;
    session.engine.unmap(order.address, grant.length, session.map_sequence);
    session.space.give(order.address);
    broker.ledger.release(grant.device, process, grant.charged);
    if !grant.imported {
        broker.exports.forget(process, order.address);
    }
    if grant.is_to_be_reclaimed() {
        broker.reclaimer.reclaim(grant.memory, grant.length);
    }
    Ok(Vec::new())
}

fn export(broker: &mut Broker, process: u32, order: control::ExportMemory) -> Answer {
    let session = broker.sessions.get(&process).ok_or(Status::NotFound)?;
    let grant = session.grant(order.address).filter(|grant| !grant.imported).ok_or(Status::NotFound)?;
    let export = Export {
        owner: process,
        address: order.address,
        device: grant.device,
        kind: grant.kind,
        length: grant.length,
        memory: grant.memory.clone(),
    };
    let token = broker.exports.name(export).ok_or(Status::OutOfMemory)?;
    plain(&control::ExportedMemory { token })
}

fn import(broker: &mut Broker, caller: &dyn Caller, order: control::ImportMemory) -> Answer {
    let export = broker.exports.find(&order.token).filter(|export| export.kind as u32 == order.kind);
    let Export { device, kind, length, memory, .. } = export.ok_or(Status::NotFound)?.clone();
    grant(broker, caller, Grant { length, device, kind, charged: 0, imported: true, memory })
}

fn note(broker: &mut Broker, process: u32, input: &[u8]) -> Answer {
    let note: control::Note = fixed(input)?;
    let text = String::from_utf8_lossy(&input[size_of::<control::Note>()..]).into_owned();
    broker.events.push(Event::Note {
        process,
        kind: note.kind,
        caller: note.caller,
        value: note.value,
        text,
    });
    Ok(Vec::new())
}
