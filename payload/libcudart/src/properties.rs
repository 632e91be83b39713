//! cudaGetDeviceProperties: the structure as each major version lays it out.
//!
//! One table of fields gives every layout: CUDA 12 appended to CUDA 11's structure, CUDA 13 left out what it deprecated and
//! appended more. Sizes and order are those of `cudaDeviceProp` in the runtime API reference; offsets follow from C's rules.
//! A test compiles a program with each version's header that compares every field with its attribute.

use crate::door::*;
use crate::driver::call;

/// Where a field's value comes from.
enum Source {
    Name,
    Uuid,
    Memory,
    /// Device attributes, each as an `int`.
    Attributes(&'static [i32]),
    /// The same, in versions before CUDA 13 only.
    Before13(&'static [i32]),
    /// The same, from CUDA 12 on.
    From12(&'static [i32]),
    /// The same, from CUDA 13 on.
    From13(&'static [i32]),
    /// A device attribute, as a `size_t`.
    Size(i32),
    /// Bytes of zero.
    Zero(usize),
    /// Pads to the alignment of `size_t`.
    Align,
}

use Source::*;

/// `cudaDeviceProp`.
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
    Attributes(&[1, 2, 3, 4, 5, 6, 7]),
    Before13(&[13]),
    Size(9),
    // Compute capability.
    Attributes(&[75, 76]),
    Size(14),
    Size(51),
    // Overlap, multiprocessors, time-out, integrated, host mapping, compute mode.
    Before13(&[15]),
    Attributes(&[16]),
    Before13(&[17]),
    Attributes(&[18, 19]),
    Before13(&[20]),
    // Textures: 1D (mipmapped, linear), 2D, gather, 3D and alternates, cube maps, layers.
    Attributes(&[21, 77]),
    Before13(&[69]),
    Attributes(&[22, 23, 73, 74, 70, 71, 72, 45, 46, 24, 25, 26, 47, 48, 49, 52, 42, 43, 27, 28, 29, 53, 54]),
    // Surfaces.
    Attributes(&[55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68]),
    Size(30),
    // Concurrent kernels, ECC, PCI place, TCC, engines, unified addressing, memory clock and bus, L2, persistence, threads per SM,
    // priorities, L1 caching.
    Attributes(&[31, 32, 33, 34, 50, 35, 40, 41]),
    Before13(&[36]),
    Attributes(&[37, 38, 108, 39, 78, 79, 80]),
    Size(81),
    // Registers per SM, managed memory, multi-GPU board, host atomics, precision ratio, pageable and concurrent access,
    // preemption, registered pointers, cooperative launches (on several devices too).
    Attributes(&[82, 83, 84, 85, 86]),
    Before13(&[87]),
    Attributes(&[88, 89, 90, 91, 95]),
    Before13(&[96]),
    Size(97),
    // Host page tables, host access, blocks per SM, access-policy window.
    Attributes(&[100, 101, 106, 109]),
    Size(111),
    // Registration, sparse arrays, read-only registration, timelines, pools, GPUDirect (3), pool handles, deferred arrays, IPC
    // events, clusters, unified function pointers.
    From12(&[99, 112, 113, 114, 115, 116, 117, 118, 119, 121, 125, 120, 129]),
    // NUMA configuration and node, MPS, the host's node, PCI ids, IPC between hosts.
    From13(&[130, 131, 133, 134, 139, 140, 143]),
];

/// Bytes of the structure by major version. From CUDA 12 on it ends with a reserve, which is zero.
fn length(major: u32) -> usize {
    match major {
        11 => 728,
        12 => 1032,
        _ => 1008,
    }
}

impl Source {
    /// The attributes of a field of `int`s, if a version has it.
    fn attributes(&self, major: u32) -> &'static [i32] {
        match self {
            Attributes(numbers) => numbers,
            Before13(numbers) if major < 13 => numbers,
            From12(numbers) if major >= 12 => numbers,
            From13(numbers) if major >= 13 => numbers,
            _ => &[],
        }
    }
}

fn attribute(number: i32, device: i32) -> Runtime<i32> {
    let mut value = 0;
    // SAFETY: a place of this frame.
    unsafe { call!(device_attribute(&mut value, number, device))? };
    Ok(value)
}

fn properties(device: i32, major: u32) -> Runtime<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length(major));
    for field in FIELDS {
        append(&mut bytes, field, device, major)?;
    }
    bytes.resize(length(major), 0);
    Ok(bytes)
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn append(bytes: &mut Vec<u8>, field: &Source, device: i32, major: u32) -> Runtime {
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
        Attributes(_) | Before13(_) | From12(_) | From13(_) => {
            for number in field.attributes(major) {
                bytes.extend_from_slice(&attribute(*number, device)?.to_ne_bytes());
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

unsafe fn write(target: *mut u8, major: u32, device: i32) -> Runtime {
    if target.is_null() {
        return Err(Error::INVALID_VALUE);
    }
    if device < 0 || device >= crate::devices::count()? {
        return Err(Error::INVALID_DEVICE);
    }
    let bytes = properties(device, major)?;
    // SAFETY: the caller's structure has the length of its version.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    Ok(())
}

exports! {
    // In CUDA 12 the unsuffixed name still means CUDA 11's structure; its headers ask for the other.
    fn abi11_cudaGetDeviceProperties(target: *mut u8, device: i32) {
        write(target, 11, device)
    }

    fn cudaGetDeviceProperties_v2(target: *mut u8, device: i32) {
        write(target, 12, device)
    }

    fn abi13_cudaGetDeviceProperties(target: *mut u8, device: i32) {
        write(target, 13, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes up to and including the last field, without asking a device.
    fn end(major: u32) -> usize {
        FIELDS.iter().fold(0usize, |length, field| match field {
            Name => length + 256,
            Uuid => length + 16,
            Memory => length + 8,
            Size(_) => length.next_multiple_of(8) + 8,
            Zero(bytes) => length + bytes,
            Align => length.next_multiple_of(8),
            _ => length + 4 * field.attributes(major).len(),
        })
    }

    #[test]
    fn fields_fill_the_structure_up_to_its_reserve() {
        // `int reserved[63]` and `[56]` end the structures of CUDA 12 and 13.
        for (major, reserve) in [(11, 0), (12, 4 * 63), (13, 4 * 56)] {
            assert_eq!(end(major) + reserve, length(major), "CUDA {major}");
        }
    }
}
