//! The bytes of the file: a head, then records.

use bytemuck::{Pod, Zeroable};
use sha2::{Digest, Sha256};

use crate::Key;

/// The first bytes of the file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct FileHead {
    pub magic: [u8; 8],
    /// Changes when records move.
    pub generation: u64,
}

/// With the version of the format.
pub const FILE_MAGIC: [u8; 8] = *b"vgpucod1";
const RECORD_MAGIC: u32 = 0x6a62_6f76;

/// The first bytes of a record; label and object follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct RecordHead {
    magic: u32,
    pub label_length: u32,
    pub object_length: u64,
    pub key: [u8; 32],
    /// Of key, label and object.
    digest: [u8; 16],
    /// Of what is above, so that a damaged length leads nowhere.
    check: [u8; 8],
    /// Seconds since 1970; 0: gone. The only part that changes, so nothing covers it.
    pub last_use: u64,
}

/// Where [`RecordHead::last_use`] lies in a record.
pub const LAST_USE: u64 = std::mem::offset_of!(RecordHead, last_use) as u64;

impl RecordHead {
    pub const SIZE: u64 = size_of::<RecordHead>() as u64;

    pub fn new(key: &Key, label: &str, object: &[u8], now: u64) -> RecordHead {
        let mut head = RecordHead {
            magic: RECORD_MAGIC,
            label_length: label.len() as u32,
            object_length: object.len() as u64,
            key: key.0,
            digest: digest(key, label.as_bytes(), object),
            check: [0; 8],
            last_use: now,
        };
        head.check = head.check();
        head
    }

    /// Bytes of the whole record; `None` if this is no head.
    pub fn record_length(&self) -> Option<u64> {
        let sound = self.magic == RECORD_MAGIC && self.check == self.check();
        let body = self.object_length.checked_add(u64::from(self.label_length))?;
        body.checked_add(Self::SIZE).filter(|_| sound)
    }

    /// Splits what follows the head into label and object, if it is what was written.
    pub fn open<'body>(&self, body: &'body [u8]) -> Option<(&'body str, &'body [u8])> {
        let (label, object) = body.split_at_checked(self.label_length as usize)?;
        let sound = digest(&Key(self.key), label, object) == self.digest;
        std::str::from_utf8(label).ok().filter(|_| sound).map(|label| (label, object))
    }

    fn check(&self) -> [u8; 8] {
        let covered = RecordHead { check: [0; 8], last_use: 0, ..*self };
        prefix(Sha256::digest(bytemuck::bytes_of(&covered)).as_slice())
    }
}

fn digest(key: &Key, label: &[u8], object: &[u8]) -> [u8; 16] {
    prefix(Sha256::new().chain_update(key.0).chain_update(label).chain_update(object).finalize().as_slice())
}

fn prefix<const N: usize>(digest: &[u8]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}
