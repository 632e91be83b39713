//! Addresses without memory, and memory put there: the client's half of virtual memory management.

use wire::control::{self, Status};

use crate::connection::Connection;
use crate::engine::Engine;
use crate::mapping;

impl Engine {
    /// Reserves addresses; nothing can be accessed there.
    pub fn reserve_addresses(
        &self,
        connection: &Connection,
        length: u64,
        alignment: u64,
        wish: u64,
    ) -> Result<u64, Status> {
        let order = control::ReserveAddresses { length, alignment, wish };
        let address = connection.call(&order)?.address;
        // Without a window of our own somebody else's mapping could come to lie there.
        if !self.in_window(address, length) && mapping::reserve(address, length).is_err() {
            let _ = connection.call(&control::ReleaseAddresses { address });
            return Err(Status::OutOfMemory);
        }
        Ok(address)
    }

    /// Gives reserved addresses back; nothing may be mapped there any more.
    pub fn release_addresses(
        &self,
        connection: &Connection,
        address: u64,
        length: u64,
    ) -> Result<(), Status> {
        connection.call(&control::ReleaseAddresses { address })?;
        if !self.in_window(address, length) {
            mapping::unmap(address, length, false);
        }
        Ok(())
    }

    /// Maps memory at reserved addresses, or changes what may be done with what is mapped exactly there.
    pub fn map_physical(
        &self,
        connection: &Connection,
        number: u64,
        address: u64,
        length: u64,
        writable: bool,
    ) -> Result<(), Status> {
        let order = control::MapPhysical { number, address, length, writable: writable.into(), reserved: 0 };
        let grant = connection.call(&order)?;
        let mapped = mapping::map(&grant, true, writable).map_err(|_| {
            let _ = connection.call(&control::UnmapPhysical { address });
            Status::OutOfMemory
        })?;
        self.follow(mapped.map_sequence);
        Ok(())
    }

    /// Undoes that. The caller has waited for the work that uses it.
    pub fn unmap_physical(&self, connection: &Connection, address: u64, length: u64) -> Result<(), Status> {
        mapping::unmap(address, length, true);
        let unmapped = connection.call(&control::UnmapPhysical { address })?;
        self.follow(unmapped.map_sequence);
        Ok(())
    }
}
