//! What is there between `nvmlInit` and the last `nvmlShutdown`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytemuck::Pod;
use client::{Condition, Connection};
use wire::condition::Card;
use wire::control::{Caller, DescribeDevice, DeviceUsage, NoteKind, Operation, ProcessListHeader, Status};
use wire::device::Description;
use wire::settings::Settings;

use crate::door::{Error, Nvml};
use crate::events::EventSet;
use crate::now::Now;

/// The open connection and what the supervisor announced.
pub struct Session {
    connection: Connection,
    devices: Vec<Description>,
    /// Indices of those that are listed: not what was being drained when this process came.
    listed: Vec<u32>,
    condition: Arc<Condition>,
    event_sets: BTreeMap<usize, Arc<EventSet>>,
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
    let condition = Arc::new(Condition::open(&connection).map_err(|_| Error::UNKNOWN)?);
    let listed = connection.welcome().listed().collect();
    connection.note(NoteKind::Initialised, 0, "nvmlInit");
    *session = Some(Session {
        connection,
        devices,
        listed,
        condition,
        event_sets: BTreeMap::new(),
        opened: 1,
        noted: BTreeSet::new(),
    });
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

/// The same, and may change it.
pub fn with_mut<T>(action: impl FnOnce(&mut Session) -> Nvml<T>) -> Nvml<T> {
    action(lock().as_mut().ok_or(Error::UNINITIALIZED)?)
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
/// The same of event sets.
const EVENT_SETS: usize = 0x7667_8000;

/// The handle of a device that there is.
pub fn handle_of(index: u32) -> usize {
    HANDLES + index as usize
}

/// An error if the handle is no device's.
pub fn check(handle: usize) -> Nvml {
    with(|session| session.device(handle).map(drop))
}

impl Session {
    /// The line to the supervisor.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All devices, also those that are not listed.
    pub fn devices(&self) -> &[Description] {
        &self.devices
    }

    /// Indices of the devices that are listed, in NVML's order.
    pub fn listed(&self) -> &[u32] {
        &self.listed
    }

    /// A device's handle.
    pub fn handle(&self, index: u32) -> Nvml<usize> {
        let handle = handle_of(index);
        self.device(handle).map(|_| handle)
    }

    /// A handle's device: its index and facts. One that is lost has none.
    pub fn device(&self, handle: usize) -> Nvml<(u32, &Description)> {
        let index = handle.wrapping_sub(HANDLES);
        let device = self.devices.get(index).ok_or(Error::INVALID_ARGUMENT)?;
        if self.card(index as u32)?.is_lost() { Err(Error::GPU_IS_LOST) } else { Ok((index as u32, device)) }
    }

    /// What is wrong with a device.
    pub fn card(&self, index: u32) -> Nvml<&Card> {
        self.condition.card(index).ok_or(Error::INVALID_ARGUMENT)
    }

    /// What is set on a device.
    pub fn settings(&self, index: u32) -> Nvml<&Settings> {
        self.condition.settings(index).ok_or(Error::INVALID_ARGUMENT)
    }

    /// A device as it stands.
    pub fn now(&self, handle: usize) -> Nvml<Now<'_>> {
        let (index, device) = self.device(handle)?;
        let usage = self.ask(&DeviceUsage { index, reserved: 0 })?;
        Ok(Now { device, usage, settings: self.settings(index)?, card: self.card(index)? })
    }

    /// A control call without variable parts.
    pub fn ask<O: Operation>(&self, order: &O) -> Nvml<O::Output> {
        self.connection.call(order).map_err(|status| match status {
            Status::NotSupported => Error::NOT_SUPPORTED,
            Status::Denied => Error::NO_PERMISSION,
            Status::Invalid => Error::INVALID_ARGUMENT,
            Status::Lost => Error::GPU_IS_LOST,
            Status::Unavailable => Error::IN_USE,
            _ => Error::UNKNOWN,
        })
    }

    /// A control call that lists what a card has, at most so many.
    pub fn list<O: Operation<Output = ProcessListHeader>, T: Pod>(
        &self,
        order: &O,
        most: usize,
    ) -> Nvml<Vec<T>> {
        let mut tail = vec![0; most * size_of::<T>()];
        let (head, length) = self.connection.call_with(order, &[], &mut tail).map_err(|_| Error::UNKNOWN)?;
        let mut entries = vec![T::zeroed(); head.count as usize];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut entries);
        let usable = bytes.len().min(length);
        bytes[..usable].copy_from_slice(&tail[..usable]);
        Ok(entries)
    }

    /// A new event set's handle.
    pub fn create_event_set(&mut self) -> usize {
        // Numbers of freed sets are not used again as long as there are newer ones.
        let handle = self.event_sets.keys().next_back().map_or(EVENT_SETS, |last| last + 1);
        self.event_sets.insert(handle, Arc::new(EventSet::new(self.condition.clone())));
        handle
    }

    /// The event set of this handle.
    pub fn event_set(&self, handle: usize) -> Nvml<Arc<EventSet>> {
        self.event_sets.get(&handle).cloned().ok_or(Error::INVALID_ARGUMENT)
    }

    /// Forgets an event set. Who waits for its events goes on until their time is over.
    pub fn free_event_set(&mut self, handle: usize) -> Nvml {
        self.event_sets.remove(&handle).map(drop).ok_or(Error::INVALID_ARGUMENT)
    }
}
