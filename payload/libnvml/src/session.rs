//! What is there between `nvmlInit` and the last `nvmlShutdown`.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use client::Connection;
use wire::control::{Caller, DescribeDevice, DeviceUsage, NoteKind};
use wire::device::{Description, Usage};

use crate::door::{Error, Nvml};

/// The open connection and what the supervisor announced.
pub struct Session {
    connection: Connection,
    devices: Vec<Description>,
    opened: u32,
    noted: BTreeSet<&'static str>,
}

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `nvmlInit`: counted.
pub fn open() -> Nvml {
    let mut session = lock();
    if let Some(session) = session.as_mut() {
        session.opened += 1;
        return Ok(());
    }
    let connection = Connection::open(Caller::Nvml).map_err(|_| Error::DRIVER_NOT_LOADED)?;
    let describe =
        |index| connection.call(&DescribeDevice { index, reserved: 0 }).map_err(|_| Error::UNKNOWN);
    let devices = (0..connection.welcome().device_count).map(describe).collect::<Nvml<Vec<_>>>()?;
    connection.note(NoteKind::Initialised, 0, "nvmlInit");
    *session = Some(Session { connection, devices, opened: 1, noted: BTreeSet::new() });
    Ok(())
}

/// `nvmlShutdown`
pub fn close() -> Nvml {
    let mut session = lock();
    let open = session.as_mut().ok_or(Error::UNINITIALIZED)?;
    open.opened -= 1;
    if open.opened == 0 {
        *session = None;
    }
    Ok(())
}

/// Runs something on the open session.
pub fn with<T>(action: impl FnOnce(&Session) -> Nvml<T>) -> Nvml<T> {
    action(lock().as_ref().ok_or(Error::UNINITIALIZED)?)
}

/// Tells the report, once, that a function was called that we lack.
pub fn note_unsupported(name: &'static str) {
    if let Some(session) = lock().as_mut()
        && session.noted.insert(name)
    {
        session.connection.note(NoteKind::Unsupported, 0, name);
    }
}

/// First handle; a handle is this plus the index. Small numbers and pointers to programs' data are none.
const HANDLES: usize = 0x7667_7000;

/// An error if the handle is no device's.
pub fn check(handle: usize) -> Nvml {
    with(|session| session.device(handle).map(drop))
}

impl Session {
    /// The line to the supervisor.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All devices.
    pub fn devices(&self) -> &[Description] {
        &self.devices
    }

    /// A device's handle.
    pub fn handle(&self, index: usize) -> Nvml<usize> {
        if index < self.devices.len() { Ok(HANDLES + index) } else { Err(Error::INVALID_ARGUMENT) }
    }

    /// A handle's device: its index and facts.
    pub fn device(&self, handle: usize) -> Nvml<(u32, &Description)> {
        let index = handle.wrapping_sub(HANDLES);
        self.devices.get(index).map(|device| (index as u32, device)).ok_or(Error::INVALID_ARGUMENT)
    }

    /// Moving figures.
    pub fn usage(&self, handle: usize) -> Nvml<Usage> {
        let (index, _) = self.device(handle)?;
        self.connection.call(&DeviceUsage { index, reserved: 0 }).map_err(|_| Error::UNKNOWN)
    }
}
