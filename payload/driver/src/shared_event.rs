//! The state of an event that processes share: a page with two numbers ([`SharedEvent`]).
//!
//! ```text
//!   record   client: submitted += 1   ──stream──▶  engine: reached = max(reached, that number)
//!   wait     client: n = submitted    ──stream──▶  engine: until reached ≥ n
//! ```
//!
//! Engines look at the page from time to time while a stream waits for it: no bell rings between processes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use client::Engine;
use wire::command::{WaitValue, WriteValue};
use wire::control::{self, MemoryKind, SharedEvent};

use crate::context::Context;
use crate::stream::Stream;
use crate::{Cuda, get, gone, lock, status};

/// A mapping of the page.
pub struct SharedState {
    address: u64,
    engine: Arc<Engine>,
}

/// A page that nobody here uses any more, but perhaps commands on their way: (stream, sequence) of the last ones.
struct Retired {
    address: u64,
    engine: Arc<Engine>,
    last: Vec<(u32, u64)>,
}

static RETIRED: Mutex<Vec<Retired>> = Mutex::new(Vec::new());

impl SharedState {
    /// A fresh page.
    pub fn new(context: &Context) -> Cuda<SharedState> {
        give_back_retired();
        let driver = get()?;
        let device = driver.device(context.device)?.index;
        let (connection, length) = (driver.connection(), size_of::<SharedEvent>() as u64);
        let mapped =
            context.engine.allocate(connection, device, MemoryKind::Event, length).map_err(status)?;
        Ok(SharedState { address: mapped.address, engine: context.engine.clone() })
    }

    /// The page that another process named.
    pub fn import(context: &Context, token: [u8; 32]) -> Cuda<SharedState> {
        give_back_retired();
        let connection = get()?.connection();
        let mapped = context.engine.import(connection, token, MemoryKind::Event).map_err(status)?;
        Ok(SharedState { address: mapped.address, engine: context.engine.clone() })
    }

    /// A name for other processes.
    pub fn export(&self) -> Cuda<[u8; 32]> {
        let order = control::ExportMemory { address: self.address };
        get()?.connection().call(&order).map(|exported| exported.token).map_err(status)
    }

    fn page(&self) -> &SharedEvent {
        // SAFETY: a page of this kind is mapped there until `give_back_retired` takes it, for which the value has to be dropped
        // first; it is changed atomically only, here and elsewhere.
        unsafe { &*(self.address as *const SharedEvent) }
    }

    /// Number of the newest record of any process; 0: never recorded.
    pub fn submitted(&self) -> u64 {
        self.page().submitted.load(Ordering::SeqCst)
    }

    /// Whether a record is done.
    pub fn reached(&self, number: u64) -> bool {
        self.page().reached.load(Ordering::SeqCst) >= number
    }

    /// Records in stream order.
    pub fn submit_record(&self, stream: &Stream) -> Cuda {
        let value = self.page().submitted.fetch_add(1, Ordering::SeqCst) + 1;
        let order = WriteValue { address: self.address + SharedEvent::REACHED, value, width: 8, raise: 1 };
        stream.engine.submit(stream.slot, &order).map(drop).map_err(gone)
    }

    /// Holds the stream until the newest record of now is done.
    pub fn submit_wait(&self, stream: &Stream) -> Cuda {
        let (address, value) = (self.address + SharedEvent::REACHED, self.submitted());
        let order = WaitValue { address, value, width: 8, comparison: 0 };
        stream.engine.submit(stream.slot, &order).map(drop).map_err(gone)
    }
}

impl Drop for SharedState {
    fn drop(&mut self) {
        let (address, engine) = (self.address, self.engine.clone());
        let last = engine.submitted_so_far();
        lock(&RETIRED).push(Retired { address, engine, last });
    }
}

/// Unmaps pages that no command uses any more.
fn give_back_retired() {
    let Ok(driver) = get() else { return };
    lock(&RETIRED).retain(|Retired { address, engine, last }| {
        let done = last.iter().all(|(stream, sequence)| engine.completed(*stream) >= *sequence);
        if done {
            let _ = engine.free(driver.connection(), *address);
        }
        !done
    });
}
