//! cudaGetDeviceProperties: the structure as each major version lays it out.
//!
//! One table of fields in the order of CUDA 12 gives every layout: CUDA 11's structure ends earlier. Sizes and order are those of
//! `cudaDeviceProp` in the runtime API reference; offsets follow from C's rules.

use crate::door::*;
use crate::driver::call;

/// Where a field's value comes from.
enum Source {
    Name,
    Uuid,
    Memory,
    /// A device attribute, as an `int`.
    Attribute(i32),
    /// Consecutive attributes, as `int`s.
    Attributes(&'static [i32]),
    /// A device attribute, as a `size_t`.
    Size(i32),
    /// Bytes of zero.
    Zero(usize),
    /// Pads to the alignment of `size_t`.
    Align,
}

use Source::*;

/// `cudaDeviceProp` of CUDA 12.
const FIELDS: &[Source] = &[
    Name,
    Uuid,
    // luid, luidDeviceNodeMask
    Zero(12),
    Align,
    Memory,
    Size(8),
    Attributes(&[12, 10]),
    Size(11),
    // Threads: maximum per block, extents of block and grid; clock rate.
    Attributes(&[1, 2, 3, 4, 5, 6, 7, 13]),
    Size(9),
    // Compute capability.
    Attributes(&[75, 76]),
    Size(14),
    Size(51),
    // Overlap, multiprocessors, time-out, integrated, host mapping, compute mode.
    Attributes(&[15, 16, 17, 18, 19, 20]),
    // Textures: 1D, 2D, gather, 3D and alternates, cube maps, layers.
    Attributes(&[
        21, 77, 69, 22, 23, 73, 74, 70, 71, 72, 45, 46, 24, 25, 26, 47, 48, 49, 52, 42, 43, 27, 28, 29, 53,
        54,
    ]),
    // Surfaces.
    Attributes(&[55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68]),
    Size(30),
    // Concurrent kernels, ECC, PCI place, TCC, engines, unified addressing, memory clock and bus, L2, persistence, threads per SM,
    // priorities, L1 caching.
    Attributes(&[31, 32, 33, 34, 50, 35, 40, 41, 36, 37, 38, 108, 39, 78, 79, 80]),
    Size(81),
    // Registers per SM, managed memory, multi-GPU board, host atomics, precision ratio, pageable and concurrent access,
    // preemption, registered pointers, cooperative launches.
    Attributes(&[82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 95, 96]),
    Size(97),
    // Host page tables, host access, blocks per SM, access-policy window.
    Attributes(&[100, 101, 106, 109]),
    Size(111),
    // From here on CUDA 12: registration, sparse arrays, read-only registration, timelines, pools, GPUDirect (3), pool handles,
    // deferred arrays, IPC events, clusters, unified function pointers.
    Attributes(&[99, 112, 113, 114, 115, 116, 117, 118, 119, 121, 125, 120, 129]),
    // reserved2, reserved1, reserved
    Zero(8 + 4 + 240),
];

/// Bytes of the structure in CUDA 11 and 12.
const LENGTH_11: usize = 728;
const LENGTH_12: usize = 1032;

fn attribute(number: i32, device: i32) -> Runtime<i32> {
    let mut value = 0;
    // SAFETY: a place of this frame.
    unsafe { call!(device_attribute(&mut value, number, device))? };
    Ok(value)
}

fn properties(device: i32) -> Runtime<Vec<u8>> {
    let mut bytes = Vec::with_capacity(LENGTH_12);
    for field in FIELDS {
        append(&mut bytes, field, device)?;
    }
    Ok(bytes)
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn append(bytes: &mut Vec<u8>, field: &Source, device: i32) -> Runtime {
    match field {
        Name => {
            let mut name = [0u8; 256];
            // SAFETY: a buffer of that length.
            unsafe { call!(device_name(name.as_mut_ptr().cast(), name.len() as i32, device))? };
            bytes.extend_from_slice(&name);
        }
        Uuid => {
            let mut uuid = [0; 16];
            // SAFETY: a place of this frame.
            unsafe { call!(device_uuid(&mut uuid, device))? };
            bytes.extend_from_slice(&uuid);
        }
        Memory => {
            let mut length = 0usize;
            // SAFETY: a place of this frame.
            unsafe { call!(device_memory(&mut length, device))? };
            bytes.extend_from_slice(&length.to_ne_bytes());
        }
        Attribute(number) => bytes.extend_from_slice(&attribute(*number, device)?.to_ne_bytes()),
        Attributes(numbers) => {
            for number in *numbers {
                append(bytes, &Attribute(*number), device)?;
            }
        }
        Size(number) => {
            align(bytes);
            bytes.extend_from_slice(&(attribute(*number, device)? as u32 as usize).to_ne_bytes());
        }
        Zero(length) => bytes.resize(bytes.len() + length, 0),
        Align => align(bytes),
    }
    Ok(())
}

unsafe fn write(target: *mut u8, length: usize, device: i32) -> Runtime {
    if target.is_null() {
        return Err(Error::INVALID_VALUE);
    }
    if device < 0 || device >= crate::devices::count()? {
        return Err(Error::INVALID_DEVICE);
    }
    let bytes = properties(device)?;
    // SAFETY: the caller's structure has the length of its version.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, length) };
    Ok(())
}

exports! {
    fn abi11_cudaGetDeviceProperties(target: *mut u8, device: i32) {
        write(target, LENGTH_11, device)
    }

    // The unsuffixed name in CUDA 12 still means CUDA 11's structure.
    fn abi12_cudaGetDeviceProperties(target: *mut u8, device: i32) {
        write(target, LENGTH_11, device)
    }

    fn cudaGetDeviceProperties_v2(target: *mut u8, device: i32) {
        write(target, LENGTH_12, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes up to and including each field, without asking a device.
    fn offsets() -> Vec<usize> {
        let mut length = 0usize;
        FIELDS
            .iter()
            .map(|field| {
                length = match field {
                    Name => length + 256,
                    Uuid => length + 16,
                    Memory => length + 8,
                    Attribute(_) => length + 4,
                    Attributes(numbers) => length + 4 * numbers.len(),
                    Size(_) => length.next_multiple_of(8) + 8,
                    Zero(bytes) => length + bytes,
                    Align => length.next_multiple_of(8),
                };
                length
            })
            .collect()
    }

    #[test]
    fn structure_has_the_length_of_each_version() {
        let offsets = offsets();
        assert_eq!(offsets.last(), Some(&LENGTH_12));
        assert!(offsets.contains(&LENGTH_11), "{offsets:?}");
        // sharedMemPerMultiprocessor ends at 648, sharedMemPerBlockOptin at 704: known places in CUDA 11 and 12.
        assert!(offsets.contains(&648) && offsets.contains(&704), "{offsets:?}");
    }
}
