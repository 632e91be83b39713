//! Whether this library's calls are traced (`vgpu-run trace`), and writing down what they do.
//!
//! Asked once, at the library's first call: a word then says that nothing is traced, and each later call looks at it
//! ([`may_be_on`]) and does nothing more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use wire::control::{self, Caller, NoteKind, Status};
use wire::trace::value::Writer;
use wire::trace::{CALLS_LENGTH, Kind, Place, Return, Ring};

use crate::connection::{Connection, errno};
use crate::fork::Epoch;

const UNKNOWN: u32 = 0;
const OFF: u32 = 1;
const ON: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);
static RING: Mutex<Option<(Ring, Epoch)>> = Mutex::new(None);

/// Whether something may have to be written down: `false` once it is known that nothing is.
#[inline(always)]
pub fn may_be_on() -> bool {
    STATE.load(Ordering::Relaxed) != OFF
}

/// Where this process's calls are written down, if they are.
fn ring(caller: Caller) -> Option<Ring> {
    if !may_be_on() {
        return None;
    }
    let mut known = RING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match *known {
        Some((ring, epoch)) if epoch.holds() => Some(ring),
        // Nothing yet, or a parent's ring: that has no place here.
        _ => {
            *known = attach(caller).map(|ring| (ring, Epoch::mark()));
            STATE.store(if known.is_some() { ON } else { OFF }, Ordering::Relaxed);
            known.map(|(ring, _)| ring)
        }
    }
}

fn attach(caller: Caller) -> Option<Ring> {
    let connection = Connection::open_node(caller).ok()?;
    let memory = match connection.call(&control::Trace { caller: caller as u32, reserved: 0 }) {
        Ok(answer) => answer.memory,
        Err(Status::NotFound) => return None,
        Err(status) => {
            let text = format!("calls are not traced: the supervisor says {status:?}");
            connection.note(NoteKind::Fault, 0, &text);
            return None;
        }
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing, and stays; the descriptor is ours to close. The
    // memory is the broker's, of that length, zero at first.
    unsafe {
        let base = libc::mmap(std::ptr::null_mut(), CALLS_LENGTH, protection, libc::MAP_SHARED, memory, 0);
        let error = errno();
        libc::close(memory);
        if base == libc::MAP_FAILED {
            let text = "calls are not traced: there is no room for the memory to write them to";
            connection.note(NoteKind::Fault, error.into(), text);
            return None;
        }
        libc::madvise(base, CALLS_LENGTH, libc::MADV_DONTFORK);
        libc::madvise(base, CALLS_LENGTH, libc::MADV_DONTDUMP);
        Some(Ring::new(base.cast(), CALLS_LENGTH))
    }
}

fn thread() -> u32 {
    // SAFETY: the call takes nothing.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// A call that is being written down.
pub struct Call {
    caller: Caller,
    /// Where its record begins.
    place: u64,
}

/// A function has been called: `describe` adds its arguments. `None`: nothing is traced, or the call was left out and counted.
pub fn call(caller: Caller, name: &str, describe: impl FnOnce(&mut Writer)) -> Option<Call> {
    let ring = ring(caller)?;
    let mut writer = Writer::new(&[]);
    writer.name(name);
    describe(&mut writer);
    let place = ring.write(Kind::Call, caller as u16, thread(), writer.finish())?;
    Some(Call { caller, place })
}

impl Call {
    /// It returns: `describe` adds what it has written through its arguments.
    pub fn returns(self, result: u32, result_name: &str, describe: impl FnOnce(&mut Writer)) {
        let Some(ring) = ring(self.caller) else { return };
        let mut writer = Writer::new(bytemuck::bytes_of(&Return { call: self.place, result, reserved: 0 }));
        writer.name(result_name);
        describe(&mut writer);
        ring.write(Kind::Return, self.caller as u16, thread(), writer.finish());
    }
}

/// This thread has appended a command to a stream.
pub(crate) fn submitted(stream: u32, sequence: u64, command: u16) {
    if let Some(ring) = ring(Caller::Driver) {
        let place = Place { sequence, stream, command: command.into() };
        ring.write(Kind::Submitted, Caller::Driver as u16, thread(), bytemuck::bytes_of(&place));
    }
}

/// Runs something that the thread does itself, within a call; `describe` says what.
pub fn step<T>(name: &str, describe: impl FnOnce(&mut Writer), run: impl FnOnce() -> T) -> T {
    let Some(ring) = ring(Caller::Driver) else { return run() };
    let mut writer = Writer::new(&[]);
    writer.name(name);
    describe(&mut writer);
    ring.write(Kind::Begin, Caller::Driver as u16, thread(), writer.finish());
    let result = run();
    let mut writer = Writer::new(&[]);
    writer.name(name);
    ring.write(Kind::End, Caller::Driver as u16, thread(), writer.finish());
    result
}
