//! Copies and fills of device memory, done by the ring thread.

use std::sync::atomic::{AtomicU64, Ordering};

use checks::Checker;
use wire::command;
use wire::command::Copy;

use crate::area::SharedArea;
use crate::fault::result;
use crate::grants::Grants;
use crate::work::Refusal;

/// Memory that the client and we have in common: grants, and the shared area's bounce buffer.
pub struct Memory<'a> {
    pub area: SharedArea,
    pub grants: &'a Grants,
    /// Is told what is read and written.
    pub checker: Option<&'a Checker>,
}

impl Memory<'_> {
    /// A pointer to granted memory.
    pub fn at(&self, address: u64, length: u64, what: &str) -> Result<*mut u8, Refusal> {
        if let Some(checker) = self.checker {
            checker.used(what, address, length);
        }
        if self.grants.contain(address, length) {
            return Ok(address as *mut u8);
        }
        let text =
            format!("{what}: {length} bytes at {address:#x} are not all device memory of this process");
        Err(Refusal::new(result::ILLEGAL_ADDRESS, text))
    }

    /// The same for an operand of a routine, which may write it.
    pub fn operand(&self, address: u64, length: u64, what: &str) -> Result<*mut u8, Refusal> {
        let place = self.at(address, length, what)?;
        self.wrote(address, length);
        Ok(place)
    }

    /// Tells that bytes were written.
    fn wrote(&self, address: u64, length: u64) {
        if let Some(checker) = self.checker {
            checker.written(address, length);
        }
    }

    /// Tells that bytes were copied.
    fn copied(&self, target: u64, source: u64, length: u64) {
        if let Some(checker) = self.checker {
            checker.copied(target, source, length);
        }
    }

    fn in_area(&self, offset: u64, length: u64, what: &str) -> Result<*mut u8, Refusal> {
        let text = || format!("{what}: offset {offset:#x} with {length} bytes is outside the shared area");
        self.area.bytes(offset, length).ok_or_else(|| Refusal::new(result::INVALID_VALUE, text()))
    }

    /// Copies bytes; source and target may overlap.
    pub fn copy(&self, order: &Copy) -> Result<(), Refusal> {
        let source = match order.in_area {
            1 => self.in_area(order.source, order.length, "source of a copy")?,
            _ => self.at(order.source, order.length, "source of a copy")?,
        };
        let target = match order.in_area {
            2 => self.in_area(order.target, order.length, "target of a copy")?,
            _ => self.at(order.target, order.length, "target of a copy")?,
        };
        // SAFETY: both ranges are mapped, by the checks above; `copy` allows overlap. Nobody here holds references into
        // device memory.
        unsafe { std::ptr::copy(source, target, order.length as usize) };
        match order.in_area {
            0 => self.copied(order.target, order.source, order.length),
            1 => self.wrote(order.target, order.length),
            _ => {}
        }
        Ok(())
    }

    /// Copies a box of bytes, row by row.
    pub fn copy_rectangle(&self, order: &command::CopyRectangle) -> Result<(), Refusal> {
        let [width, height, depth] = order.extent;
        for slice in 0..depth {
            for row in 0..height {
                let place = |start: u64, side: usize| {
                    start
                        .wrapping_add(order.slice_pitch[side].wrapping_mul(slice))
                        .wrapping_add(order.row_pitch[side].wrapping_mul(row))
                };
                let source = self.at(place(order.source, 1), width, "source of a box copy")?;
                let target = self.at(place(order.target, 0), width, "target of a box copy")?;
                // SAFETY: both rows are granted memory.
                unsafe { std::ptr::copy(source, target, width as usize) };
                self.copied(place(order.target, 0), place(order.source, 1), width);
            }
        }
        Ok(())
    }

    /// Fills rows with a 1-, 2- or 4-byte value.
    pub fn fill(&self, order: &command::Fill) -> Result<(), Refusal> {
        let text = || format!("fill with elements of {} bytes", order.element);
        let bytes = order.width.checked_mul(u64::from(order.element)).ok_or_else(|| {
            Refusal::new(result::INVALID_VALUE, format!("a fill of {} elements is too long", order.width))
        })?;
        for row in 0..order.height {
            let address = order.target.wrapping_add(order.pitch.wrapping_mul(row));
            let target = self.at(address, bytes, "target of a fill")?;
            self.wrote(address, bytes);
            let width = order.width as usize;
            // SAFETY: the row is granted memory. Elements are written unaligned where they have to be.
            unsafe {
                match order.element {
                    1 => std::ptr::write_bytes(target, order.value as u8, width),
                    2 => fill_row(target.cast(), order.value as u16, width),
                    4 => fill_row(target.cast(), order.value, width),
                    _ => return Err(Refusal::new(result::INVALID_VALUE, text())),
                }
            }
        }
        Ok(())
    }

    /// Writes a word of 4 or 8 bytes, or raises one of 8.
    pub fn write_value(&self, order: &command::WriteValue) -> Result<(), Refusal> {
        let target = self.at(order.address, u64::from(order.width), "target of a value")?;
        self.wrote(order.address, order.width.into());
        if order.raise != 0 {
            if order.width != 8 || !order.address.is_multiple_of(8) {
                let text = format!("a word at {:#x} that can't be raised", order.address);
                return Err(Refusal::new(result::INVALID_VALUE, text));
            }
            // SAFETY: eight aligned bytes of granted memory, which other processes change atomically too.
            unsafe { AtomicU64::from_ptr(target.cast()) }.fetch_max(order.value, Ordering::SeqCst);
            return Ok(());
        }
        // SAFETY: granted memory; the client may have given an unaligned address.
        unsafe {
            match order.width {
                4 => target.cast::<u32>().write_unaligned(order.value as u32),
                _ => target.cast::<u64>().write_unaligned(order.value),
            }
        }
        Ok(())
    }

    /// Whether the word that a stream waits for compares (`CUstreamWaitValue_flags`).
    pub fn value_compares(&self, order: &command::WaitValue) -> Result<bool, Refusal> {
        let source = self.at(order.address, u64::from(order.width), "a word to wait for")?;
        // SAFETY: granted memory, read volatile since the client or a kernel writes it meanwhile.
        let (value, wanted, distance) = unsafe {
            if order.width == 4 {
                let value = source.cast::<u32>().read_volatile();
                (
                    u64::from(value),
                    order.value as u32 as u64,
                    i64::from(value.wrapping_sub(order.value as u32) as i32),
                )
            } else {
                let value = source.cast::<u64>().read_volatile();
                (value, order.value, value.wrapping_sub(order.value) as i64)
            }
        };
        Ok(match order.comparison & 3 {
            0 => distance >= 0,
            1 => value == wanted,
            2 => value & wanted != 0,
            _ => !(value | wanted) != 0,
        })
    }
}

/// # Safety
/// `width` elements at `target` must be writable memory.
unsafe fn fill_row<T: std::marker::Copy>(target: *mut T, value: T, width: usize) {
    for index in 0..width {
        // SAFETY: in the row, by the caller's promise.
        unsafe { target.add(index).write_unaligned(value) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of this test's own, announced as a grant.
    fn with_memory(bytes: &mut [u8], test: impl FnOnce(&Memory, u64)) {
        let grants = Grants::default();
        let address = bytes.as_mut_ptr() as u64;
        grants.insert(address, bytes.len() as u64);
        test(&Memory { area: SharedArea::for_test(), grants: &grants, checker: None }, address);
    }

    #[test]
    fn fill_respects_pitch_and_width() {
        let mut bytes = [0u8; 64];
        with_memory(&mut bytes, |memory, address| {
            let order =
                command::Fill { target: address, pitch: 16, width: 3, height: 2, value: 0x1234, element: 2 };
            memory.fill(&order).expect("granted");
        });
        assert_eq!(bytes[..8], [0x34, 0x12, 0x34, 0x12, 0x34, 0x12, 0, 0]);
        assert_eq!(bytes[16..22], [0x34, 0x12, 0x34, 0x12, 0x34, 0x12]);
        assert!(bytes[32..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn copy_outside_of_grants_is_refused_and_names_the_address() {
        let mut bytes = [1u8; 16];
        with_memory(&mut bytes, |memory, address| {
            let order = Copy { target: address, source: 0x10, length: 8, in_area: 0, reserved: 0 };
            let refusal = memory.copy(&order).expect_err("0x10 is nobody's memory");
            assert_eq!(refusal.result, result::ILLEGAL_ADDRESS);
            assert!(refusal.text.contains("0x10"), "{}", refusal.text);
        });
    }

    #[test]
    fn raised_value_never_falls() {
        let mut word = [7u64];
        with_memory(bytemuck::bytes_of_mut(&mut word), |memory, address| {
            let raise = |address, value, width| {
                memory.write_value(&command::WriteValue { address, value, width, raise: 1 })
            };
            raise(address, 9, 8).expect("granted");
            raise(address, 8, 8).expect("granted");
            assert!(raise(address + 4, 1, 4).is_err(), "half a word");
        });
        assert_eq!(word, [9]);
    }

    #[test]
    fn wait_value_compares_cyclically() {
        let mut bytes = 5u32.to_ne_bytes();
        with_memory(&mut bytes, |memory, address| {
            let wait = |value: u64, comparison| {
                let order = command::WaitValue { address, value, width: 4, comparison };
                memory.value_compares(&order).expect("granted")
            };
            assert!(wait(5, 0) && wait(4, 0) && !wait(6, 0) && wait(0xffff_fff0, 0));
            assert!(wait(5, 1) && !wait(4, 1));
            assert!(wait(4, 2) && !wait(2, 2));
        });
    }
}
