//! Memory that processes of this tree share (`cuIpcGetMemHandle`).

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use wire::control::MemoryKind;

/// An exported allocation. It lives as long as its exporter's grant; importers hold the memory on their own.
#[derive(Clone)]
pub struct Export {
    pub owner: u32,
    pub address: u64,
    pub device: u32,
    pub kind: MemoryKind,
    pub length: u64,
    pub memory: Arc<OwnedFd>,
}

/// Exports by their unguessable name.
#[derive(Default)]
pub struct Exports(HashMap<[u8; 32], Export>);

impl Exports {
    /// The name of an allocation; the same one for the same allocation.
    pub fn name(&mut self, export: Export) -> Option<[u8; 32]> {
        let same = |known: &Export| (known.owner, known.address) == (export.owner, export.address);
        if let Some((token, _)) = self.0.iter().find(|(_, known)| same(known)) {
            return Some(*token);
        }
        let mut token = [0u8; 32];
        // SAFETY: the kernel writes at most 32 bytes into 32 bytes.
        let written = unsafe { libc::getrandom(token.as_mut_ptr().cast(), token.len(), 0) };
        (written == 32).then(|| {
            self.0.insert(token, export);
            token
        })
    }

    /// The allocation of that name.
    pub fn find(&self, token: &[u8; 32]) -> Option<&Export> {
        self.0.get(token)
    }

    /// An allocation is no more.
    pub fn forget(&mut self, owner: u32, address: u64) {
        self.0.retain(|_, export| (export.owner, export.address) != (owner, address));
    }

    /// A process is no more.
    pub fn forget_process(&mut self, owner: u32) {
        self.0.retain(|_, export| export.owner != owner);
    }
}
