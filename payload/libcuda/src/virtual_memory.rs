//! cuMemAddress…, cuMemCreate, cuMemMap and their kin

use std::ffi::c_void;

use crate::door::*;
use driver::managed::Location;
use driver::virtual_memory::{self, Access, Properties};

exports! {
    fn cuMemAddressReserve(address: *mut u64, bytes: usize, alignment: usize, wish: u64, flags: u64) {
        let target = out(address)?;
        *target = virtual_memory::reserve(bytes as u64, alignment as u64, wish, flags)?;
        Ok(())
    }

    fn cuMemAddressFree(address: u64, bytes: usize) {
        virtual_memory::free_addresses(address, bytes as u64)
    }

    fn cuMemCreate(handle: *mut u64, bytes: usize, properties: *const Properties, flags: u64) {
        let (target, properties) = (out(handle)?, input(properties)?);
        *target = virtual_memory::create(bytes as u64, properties, flags)?;
        Ok(())
    }

    fn cuMemRelease(handle: u64) {
        virtual_memory::release(handle)
    }

    fn cuMemMap(address: u64, bytes: usize, offset: usize, handle: u64, flags: u64) {
        virtual_memory::map(address, bytes as u64, offset as u64, handle, flags)
    }

    fn cuMemUnmap(address: u64, bytes: usize) {
        virtual_memory::unmap(address, bytes as u64)
    }

    fn cuMemSetAccess(address: u64, bytes: usize, wanted: *const Access, count: usize) {
        virtual_memory::set_access(address, bytes as u64, list(wanted, count))
    }

    fn cuMemGetAccess(flags: *mut u64, location: *const Location, address: u64) {
        let (target, location) = (out(flags)?, input(location)?);
        *target = virtual_memory::get_access(*location, address)?.into();
        Ok(())
    }

    fn cuMemGetAllocationGranularity(granularity: *mut usize, properties: *const Properties, option: u32) {
        let (target, properties) = (out(granularity)?, input(properties)?);
        *target = virtual_memory::granularity(properties, option)? as usize;
        Ok(())
    }

    fn cuMemGetAllocationPropertiesFromHandle(properties: *mut Properties, handle: u64) {
        *out(properties)? = virtual_memory::properties_of(handle)?;
        Ok(())
    }

    fn cuMemRetainAllocationHandle(handle: *mut u64, address: *mut c_void) {
        let target = out(handle)?;
        *target = virtual_memory::retain(address as u64)?;
        Ok(())
    }

    fn cuMemExportToShareableHandle(descriptor: *mut c_void, handle: u64, handle_type: u32, flags: u64) {
        let target = out(descriptor.cast::<i32>())?;
        *target = virtual_memory::export(handle, handle_type, flags)?;
        Ok(())
    }

    fn cuMemImportFromShareableHandle(handle: *mut u64, descriptor: *mut c_void, handle_type: u32) {
        let target = out(handle)?;
        *target = virtual_memory::import(descriptor as usize as i32, handle_type)?;
        Ok(())
    }
}
