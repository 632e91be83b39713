//! Memory objects: `NV_MEMORY_ALLOCATION_PARAMS`, and what RM makes of the attributes that a program leaves open.

use nvidia_abi::status;

use crate::make::{Made, Making};
use crate::object::{Memory, Space};

/// Fields of `attr` and `attr2` (`NVOS32_ATTR_…`), as shift and width.
type Bits = (u32, u32);

const PAGE_SIZE: Bits = (23, 2);
const LOCATION: Bits = (25, 2);
const PHYSICALITY: Bits = (27, 2);
/// Of `attr2`.
const ZERO_BANDWIDTH_CLEAR: Bits = (0, 2);
const CACHEABLE: Bits = (2, 2);
const HUGE_PAGE: Bits = (20, 2);

const PAGE_4K: u32 = 1;
const PAGE_HUGE: u32 = 3;
const LOCATION_ANY: u32 = 3;
const SCATTERED: u32 = 1;
const CONTIGUOUS: u32 = 2;
const NO_CLEAR: u32 = 1;
const CACHED: u32 = 1;
const UNCACHED: u32 = 2;
const HUGE_2M: u32 = 1;

/// What RM writes into `format` of memory without a layout.
const FORMAT: u32 = 6;
const HUGE: u64 = 2 << 20;

/// Video memory comes in pages of 2 MiB.
pub(crate) fn video_memory(making: &mut Making) -> Result<Made, u32> {
    let attributes = making.parameters.word("attr");
    if read(attributes, LOCATION) != 0 {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    let attributes = with(with(attributes, PAGE_SIZE, PAGE_HUGE), PHYSICALITY, CONTIGUOUS);
    answer(making, attributes, CACHED, HUGE_2M);
    let length = size(making, HUGE)?;
    // Where it is in the card's memory is nobody's business; programs get a number all the same.
    making.parameters.set("offset", making.numbers.place(length));
    Ok(Made { memory: Some(Memory { space: Space::Video, length }), ..Made::default() })
}

/// The machine's memory comes in the machine's pages, wherever they lie.
pub(crate) fn system_memory(making: &mut Making) -> Result<Made, u32> {
    const PAGE: u64 = 4096;
    let attributes = making.parameters.word("attr");
    let attributes = with(with(attributes, PAGE_SIZE, PAGE_4K), PHYSICALITY, SCATTERED);
    answer(making, attributes, UNCACHED, 0);
    let length = size(making, PAGE)?;
    Ok(Made { memory: Some(Memory { space: Space::System, length }), ..Made::default() })
}

/// Addresses alone.
pub(crate) fn virtual_memory(making: &mut Making) -> Result<Made, u32> {
    /// The first address that programs get.
    const FIRST: u64 = 0x500_0000;
    let attributes =
        with(with(making.parameters.word("attr"), LOCATION, LOCATION_ANY), PHYSICALITY, CONTIGUOUS);
    answer(making, attributes, CACHED, HUGE_2M);
    making.parameters.set("rangeLo", FIRST);
    making.parameters.set("rangeHi", u64::from(u32::MAX));
    size(making, HUGE)?;
    Ok(Made::default())
}

/// Whole pages; and the last byte, counted from the first.
fn size(making: &mut Making, page: u64) -> Result<u64, u32> {
    let parameters = &mut making.parameters;
    let asked = parameters.get("size");
    let length =
        asked.checked_next_multiple_of(page).filter(|_| asked > 0).ok_or(status::NV_ERR_INVALID_ARGUMENT)?;
    parameters.set("size", length);
    parameters.set("limit", length - 1);
    if parameters.get("alignment") == 0 {
        parameters.set("alignment", page);
    }
    Ok(length)
}

/// The second word says what the first leaves open.
fn answer(making: &mut Making, attributes: u32, cacheable: u32, huge: u32) {
    let parameters = &mut making.parameters;
    let second = parameters.word("attr2");
    let second = with_default(with(second, ZERO_BANDWIDTH_CLEAR, NO_CLEAR), CACHEABLE, cacheable);
    parameters.set("attr", attributes);
    parameters.set("attr2", with_default(second, HUGE_PAGE, huge));
    parameters.set("format", FORMAT);
}

fn read(word: u32, (shift, width): Bits) -> u32 {
    word >> shift & ((1 << width) - 1)
}

fn with(word: u32, (shift, width): Bits, value: u32) -> u32 {
    word & !(((1 << width) - 1) << shift) | value << shift
}

/// A field that is 0 is left to RM.
fn with_default(word: u32, bits: Bits, value: u32) -> u32 {
    if read(word, bits) == 0 { with(word, bits, value) } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_asks_for_cached_memory_keeps_it() {
        assert_eq!(with_default(4, CACHEABLE, UNCACHED), 4);
        assert_eq!(with_default(0, CACHEABLE, UNCACHED), 8);
        assert_eq!(with(0x5a00_0000, PHYSICALITY, SCATTERED), 0x4a00_0000);
    }
}
