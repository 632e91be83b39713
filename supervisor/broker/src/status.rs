//! What sessions do at the moment, for `vgpu-run top`.

use std::sync::atomic::Ordering;

use wire::device::{Description, unpadded};
use wire::figures::KernelCost;

use crate::Broker;
use crate::engine::Engine;

/// A device as it stands.
pub struct DeviceStatus {
    /// The card's name.
    pub name: String,
    /// Bytes.
    pub total: u64,
    /// Bytes that are held.
    pub used: u64,
    /// What is wrong with it, in words; empty: nothing.
    pub condition: String,
}

/// A process that has an engine.
pub struct ClientStatus {
    /// Its thread-group id.
    pub process: u32,
    /// Bytes that it holds, by device.
    pub memory: Vec<u64>,
    /// What its engine does.
    pub engine: EngineStatus,
}

/// Sums since an engine's start, and what is to be done. Client and engine can write there: numbers to show, nothing to rely on.
pub struct EngineStatus {
    /// Kernels that have ended.
    pub kernels: u64,
    /// Nanoseconds in which kernels ran.
    pub kernel_nanoseconds: u64,
    /// What each kernel cost.
    pub costs: Vec<KernelCost>,
    /// Commands in streams that are not done.
    pub queued: u32,
    /// Bytes of commands that nobody has looked at.
    pub unread_bytes: u64,
    /// Kernels that wait to be compiled.
    pub compile_queue: u32,
    /// Compilers at work.
    pub compiling: u32,
}

impl Broker {
    /// Announced devices; none before anybody has asked for them.
    pub fn device_status(&self) -> Vec<DeviceStatus> {
        let devices = self.announcement.iter().flat_map(|announcement| &announcement.devices);
        let status = |(index, device): (usize, &Description)| {
            let index = index as u32;
            DeviceStatus {
                name: unpadded(&device.name),
                total: self.ledger.capacity(index),
                used: self.ledger.used(index),
                condition: self.condition(index),
            }
        };
        devices.enumerate().map(status).collect()
    }

    /// Processes that have an engine, in the order of their numbers.
    pub fn client_status(&self) -> Vec<ClientStatus> {
        let devices = self.announcement.as_ref().map_or(0, |announcement| announcement.devices.len() as u32);
        let mut clients: Vec<ClientStatus> = self
            .sessions
            .iter()
            .map(|(process, session)| ClientStatus {
                process: *process,
                memory: (0..devices).map(|device| self.ledger.held(device, *process)).collect(),
                engine: session.engine.status(),
            })
            .collect();
        clients.sort_by_key(|client| client.process);
        clients
    }
}

impl Engine {
    fn status(&self) -> EngineStatus {
        let (kernels, kernel_nanoseconds) = self.work_done();
        let head = self.head();
        let (written, read) = (head.head.0.load(Ordering::Relaxed), head.tail.0.load(Ordering::Relaxed));
        EngineStatus {
            kernels,
            kernel_nanoseconds,
            costs: self.kernels(),
            queued: head.queued.load(Ordering::Relaxed),
            unread_bytes: written.saturating_sub(read),
            compile_queue: head.compile_queue.load(Ordering::Relaxed),
            compiling: head.compiling.load(Ordering::Relaxed),
        }
    }
}
