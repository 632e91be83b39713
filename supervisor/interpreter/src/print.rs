//! Device `printf`: a format and the arguments that device code packed behind each other in local memory.

use std::ffi::{CString, c_void};

use crate::memory::Memory;

/// Most bytes that are read of a string.
const LONGEST: u64 = 1 << 16;

/// A string of device memory; what a kernel may not read is named instead.
pub(crate) fn string_at(memory: &Memory, address: u64) -> String {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < LONGEST {
        let place = address + bytes.len() as u64;
        if !memory.allows(place, 1) {
            return format!("(no string at {address:#x})");
        }
        // SAFETY: the kernel may read this byte, as was just checked.
        match unsafe { (place as *const u8).read() } {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Formats with the arguments that lie at an address; tells how many the text asks for, which is what `printf` answers.
pub(crate) fn format(memory: &Memory, text: &str, arguments: u64) -> (String, u32) {
    let (mut out, mut count) = (String::new(), 0);
    let mut place = arguments;
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let tail = &rest[start + 1..];
        let is_end =
            |letter: char| letter.is_ascii_alphabetic() && !LENGTHS.contains(letter) || letter == '%';
        let Some(end) = tail.find(is_end) else {
            out.push('%');
            rest = tail;
            continue;
        };
        let (specification, conversion) = (&tail[..end], tail.as_bytes()[end]);
        rest = &tail[end + 1..];
        if conversion == b'%' {
            out.push('%');
        } else {
            out.push_str(&convert(memory, specification, conversion, &mut place));
            count += 1 + specification.matches('*').count() as u32;
        }
    }
    out.push_str(rest);
    (out, count)
}

/// Letters that say how long an argument is.
const LENGTHS: &str = "hlLzjt";

fn convert(memory: &Memory, specification: &str, conversion: u8, place: &mut u64) -> String {
    let mut flags = String::new();
    for letter in specification.chars().filter(|letter| !LENGTHS.contains(*letter)) {
        match letter {
            // A width or precision that is an argument itself.
            '*' => flags.push_str(&(next(memory, place, 4) as i32).to_string()),
            _ => flags.push(letter),
        }
    }
    let is_long = specification.contains(['l', 'z', 'j', 't']);
    let is_float = matches!(conversion.to_ascii_lowercase(), b'f' | b'e' | b'g' | b'a');
    let eight = is_long || is_float || matches!(conversion, b's' | b'p');
    let value = next(memory, place, if eight { 8 } else { 4 });
    if conversion == b's' {
        return written(&flags, "s", |buffer, format| {
            let text = CString::new(string_at(memory, value)).unwrap_or_default();
            // SAFETY: the format asks for one string, which ends with a zero and lives until the call returns.
            unsafe { snprintf(buffer.as_mut_ptr(), buffer.len(), format, text.as_ptr()) }
        });
    }
    let letter = (conversion as char).to_string();
    if is_float {
        return written(&flags, &letter, |buffer, format| {
            // SAFETY: the format asks for one double.
            unsafe { snprintf(buffer.as_mut_ptr(), buffer.len(), format, f64::from_bits(value)) }
        });
    }
    if conversion == b'p' {
        return written(&flags, "p", |buffer, format| {
            // SAFETY: the format asks for one pointer, whose target is not looked at.
            unsafe { snprintf(buffer.as_mut_ptr(), buffer.len(), format, value as *const c_void) }
        });
    }
    if !matches!(conversion, b'd' | b'i' | b'u' | b'x' | b'X' | b'o' | b'c') {
        return format!("%{specification}{letter}");
    }
    let narrow = &specification[specification.find('h').unwrap_or(specification.len())..];
    let letter = if eight { format!("ll{letter}") } else { format!("{narrow}{letter}") };
    written(&flags, &letter, |buffer, format| {
        // SAFETY: the format asks for one integer of this length.
        unsafe {
            if eight {
                snprintf(buffer.as_mut_ptr(), buffer.len(), format, value)
            } else {
                snprintf(buffer.as_mut_ptr(), buffer.len(), format, value as u32)
            }
        }
    })
}

/// The next argument.
fn next(memory: &Memory, place: &mut u64, size: u64) -> u64 {
    let at = place.next_multiple_of(size);
    *place = at + size;
    if !memory.allows(at, size) {
        return 0;
    }
    // SAFETY: the kernel may read these bytes, as was just checked.
    unsafe { if size == 8 { (at as *const u64).read() } else { (at as *const u32).read().into() } }
}

/// What one call of `snprintf` writes.
fn written(flags: &str, letter: &str, print: impl FnOnce(&mut [u8], *const i8) -> i32) -> String {
    let Ok(format) = CString::new(format!("%{flags}{letter}")) else { return String::new() };
    let mut buffer = vec![0u8; 4096];
    let length = print(&mut buffer, format.as_ptr()).max(0) as usize;
    String::from_utf8_lossy(&buffer[..length.min(4095)]).into_owned()
}

unsafe extern "C" {
    fn snprintf(buffer: *mut u8, size: usize, format: *const i8, ...) -> i32;
}
