//! A client of the resource manager that speaks to its nodes directly, and does everything wrong that can be done wrong.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nvidia_abi::escape;

/// An opened node.
pub struct Node(File);

impl Node {
    /// By its path.
    pub fn open(path: &str) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// An escape with the size of `structure`. What came back, or the error of the call.
    pub fn escape(&self, number: u32, structure: &mut [u8]) -> i32 {
        self.raw(3 << 30 | (structure.len() as u32) << 16 | u32::from(b'F') << 8 | number, structure)
    }

    /// Any request. 0 or the error.
    pub fn raw(&self, request: u32, structure: &mut [u8]) -> i32 {
        // SAFETY: `structure` is as long as the request says, or, where a test lies about that, lies in a larger buffer.
        match unsafe { libc::ioctl(self.fd(), u64::from(request) as _, structure.as_mut_ptr()) } {
            -1 => io::Error::last_os_error().raw_os_error().unwrap_or(-1),
            _ => 0,
        }
    }

    /// `NV_ESC_RM_CONTROL`: the call's error and RM's status.
    pub fn control(&self, client: u32, object: u32, command: u32, parameters: &mut [u8]) -> (i32, u32) {
        let address = if parameters.is_empty() { 0 } else { parameters.as_mut_ptr() as u64 };
        self.control_at(client, object, command, address, parameters.len() as u32)
    }

    /// The same with any address and size of the parameters.
    pub fn control_at(&self, client: u32, object: u32, command: u32, address: u64, size: u32) -> (i32, u32) {
        let mut outer = [0; 32];
        put(&mut outer, 0, client);
        put(&mut outer, 4, object);
        put(&mut outer, 8, command);
        outer[16..24].copy_from_slice(&address.to_le_bytes());
        put(&mut outer, 24, size);
        let error = self.escape(escape::NV_ESC_RM_CONTROL, &mut outer);
        (error, get(&outer, 28))
    }

    /// `NV_ESC_RM_ALLOC`: the call's error, RM's status, the new object's handle.
    pub fn alloc(
        &self,
        client: u32,
        parent: u32,
        handle: u32,
        class: u32,
        parameters: &mut [u8],
    ) -> (i32, u32, u32) {
        let mut outer = [0; 48];
        put(&mut outer, 0, client);
        put(&mut outer, 4, parent);
        put(&mut outer, 8, handle);
        put(&mut outer, 12, class);
        if !parameters.is_empty() {
            outer[16..24].copy_from_slice(&(parameters.as_mut_ptr() as u64).to_le_bytes());
        }
        put(&mut outer, 32, parameters.len() as u32);
        let error = self.escape(escape::NV_ESC_RM_ALLOC, &mut outer);
        (error, get(&outer, 40), get(&outer, 8))
    }

    /// `NV_ESC_RM_MAP_MEMORY`: NVOS33 and the descriptor that the mapping is for. The call's error and RM's status.
    pub fn map_memory(
        &self,
        client: u32,
        device: u32,
        memory: u32,
        length: u64,
        through: &Node,
    ) -> (i32, u32) {
        let mut outer = [0; 56];
        for (at, word) in [(0, client), (4, device), (8, memory), (48, through.fd() as u32)] {
            put(&mut outer, at, word);
        }
        outer[24..32].copy_from_slice(&length.to_le_bytes());
        let error = self.escape(escape::NV_ESC_RM_MAP_MEMORY, &mut outer);
        (error, get(&outer, 40))
    }

    /// `NV_ESC_RM_FREE`: the call's error and RM's status.
    pub fn free(&self, client: u32, parent: u32, handle: u32) -> (i32, u32) {
        let mut outer = [0; 16];
        put(&mut outer, 0, client);
        put(&mut outer, 4, parent);
        put(&mut outer, 8, handle);
        let error = self.escape(escape::NV_ESC_RM_FREE, &mut outer);
        (error, get(&outer, 12))
    }
}

/// A node's mapping of what the last `NV_ESC_RM_MAP_MEMORY` named.
pub struct Mapping {
    address: *mut u8,
    length: usize,
}

impl Mapping {
    /// Maps what can be read only.
    pub fn of(node: &Node, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, node.fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { address: address.cast(), length })
    }

    /// What is there now. The driver writes meanwhile.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: bytes of the mapping, which lasts as long as this value, each read once.
        (0..self.length).map(|at| unsafe { self.address.add(at).read_volatile() }).collect()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by this value, and nobody keeps a reference into it.
        unsafe { libc::munmap(self.address.cast(), self.length) };
    }
}

/// Writes a word.
pub fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Reads a word.
pub fn get(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
