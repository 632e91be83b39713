//! What the driver says of memory and processes, as a client with a limit is to see it.
//!
//! Indices of `FB_GET_INFO` and the fields of `GET_PIDS` and `GET_PID_INFO` are those of the open kernel module's `ctrl2080fb.h` and
//! `ctrl2080gpu.h`; which of them libraries ask for was seen on an H100.

use nvidia_abi::Row;

/// `NV2080_CTRL_FB_INFO_INDEX_`: RAM_SIZE, TOTAL_RAM_SIZE, HEAP_SIZE, MAPPABLE_HEAP_SIZE and USABLE_RAM_SIZE.
const TOTALS: [u32; 5] = [7, 8, 9, 0xa, 0x20];
/// VIDMEM_LARGEST_FREE_REGION, HEAP_FREE.
const FREE: [u32; 2] = [0x12, 0x16];
const KIB: u64 = 1024;

/// A limit and what of it is used, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub limit: u64,
    pub used: u64,
}

impl Share {
    /// What an index says, in KiB; none if it says nothing of sizes. A card that has less than the limit says so.
    fn figure(self, index: u32, of_card: u32) -> Option<u32> {
        let free = self.limit.saturating_sub(self.used);
        let figure = match index {
            _ if TOTALS.contains(&index) => self.limit,
            _ if FREE.contains(&index) => free,
            _ => return None,
        };
        Some(of_card.min(u32::try_from(figure / KIB).unwrap_or(u32::MAX)))
    }

    /// Rewrites pairs of an index and its answer.
    pub fn rewrite(self, pairs: &mut [u8]) {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        for pair in pairs.chunks_exact_mut(8) {
            if let Some(figure) = self.figure(word(&pair[..4]), word(&pair[4..])) {
                pair[4..].copy_from_slice(&figure.to_le_bytes());
            }
        }
    }
}

/// Bytes of the list of pairs behind its count, in `FB_GET_INFO_V2`.
pub fn pairs_of_list<'a>(row: &Row, bytes: &'a mut [u8]) -> &'a mut [u8] {
    let count = row.read(bytes, "fbInfoListSize").unwrap_or(0) as usize;
    let start = row.field("fbInfoList.index").map_or(bytes.len(), |field| field.offset).min(bytes.len());
    let end =
        count.checked_mul(8).and_then(|bytes| bytes.checked_add(start)).unwrap_or(start).min(bytes.len());
    &mut bytes[start..end]
}

/// Replaces numbers of processes in the elements of an array. Elements of other fields lie between them.
pub fn rename(row: &Row, field: &str, count: &str, bytes: &mut [u8], name: impl Fn(u32) -> u32) {
    let Some(field) = row.field(field) else { return };
    let count = row.read(bytes, count).unwrap_or(0) as usize;
    for index in 0..count.min(field.len()) {
        if let Some(pid) = field.read(bytes, index) {
            field.write(bytes, index, name(pid as u32).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn pair(index: u32, kib: u32) -> Vec<u8> {
        [index, kib].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn sizes_are_those_of_the_share_and_never_more_than_the_cards() {
        let share = Share { limit: 10 * GIB, used: 3 * GIB };
        let card = (80 * GIB / KIB) as u32;
        let mut list = [pair(9, card), pair(0x16, card - 1), pair(0x10, 5), pair(0x12, 77)].concat();
        share.rewrite(&mut list);
        let (ten, seven) = ((10 * GIB / KIB) as u32, (7 * GIB / KIB) as u32);
        assert_eq!(list, [pair(9, ten), pair(0x16, seven), pair(0x10, 5), pair(0x12, 77)].concat());
    }

    #[test]
    fn lists_end_where_they_say_and_where_the_bytes_do() {
        let abi = nvidia_abi::Abi::of("580.159.04").expect("known");
        let row = abi.control(0x2080_1303).expect("known");
        let share = Share { limit: GIB, used: GIB };
        for (count, changed) in [(1u32, 1), (u32::MAX, 2)] {
            let mut bytes = [count.to_le_bytes().to_vec(), pair(0x16, 9), pair(0x16, 9)].concat();
            share.rewrite(pairs_of_list(row, &mut bytes));
            assert_eq!(bytes.iter().filter(|byte| **byte == 9).count(), 2 - changed);
        }
    }
}
