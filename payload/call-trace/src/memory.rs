//! Reading this process's own memory without trusting an address.

use std::mem::MaybeUninit;

use wire::trace::value::LONGEST_TEXT;

/// As many bytes as can be read there, at most the length of `target`. The kernel reads them for us, and answers instead of
/// sending a signal where there is nothing.
fn read_bytes(address: usize, target: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: target.as_mut_ptr().cast(), iov_len: target.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: target.len() };
    let (one, no_flags) = (1usize, 0usize);
    // SAFETY: the call writes into `target` alone, at most its length. Its arguments are words, as `syscall` passes them on whole.
    let read = unsafe {
        let own = libc::getpid() as usize;
        libc::syscall(
            libc::SYS_process_vm_readv,
            own,
            &raw const local,
            one,
            &raw const remote,
            one,
            no_flags,
        )
    };
    usize::try_from(read).unwrap_or(0)
}

/// The bytes of a value at an address, all of them.
pub fn read<T>(address: *const T) -> Option<MaybeUninit<T>> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the bytes of `value`, all of them zero.
    let bytes = unsafe { std::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>()) };
    (!address.is_null() && read_bytes(address as usize, bytes) == size_of::<T>()).then_some(value)
}

/// The text at an address, up to its NUL, or one byte more of it than is shown.
pub fn read_text(address: *const libc::c_char) -> Option<Vec<u8>> {
    let mut bytes = [0; LONGEST_TEXT + 1];
    let mut length = read_bytes(address as usize, &mut bytes);
    if length == 0 {
        // The text may end close before memory that is not there.
        let to_end_of_page = 4096 - (address as usize & 4095);
        length = read_bytes(address as usize, &mut bytes[..to_end_of_page.min(LONGEST_TEXT + 1)]);
    }
    let there = &bytes[..length];
    let end = there.iter().position(|byte| *byte == 0).unwrap_or(length);
    (length > 0).then(|| there[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_what_is_not_there_is_none() {
        // SAFETY: any bytes are a number.
        let number = |address: *const u64| read(address).map(|bytes| unsafe { bytes.assume_init() });
        assert_eq!(number(&77), Some(77));
        assert_eq!(number(std::ptr::null()), None);
        assert_eq!(number(24 as *const u64), None);
        assert_eq!(read_text(c"saxpy".as_ptr()).as_deref(), Some(b"saxpy".as_slice()));
        assert_eq!(read_text(24 as *const libc::c_char), None);
    }

    #[test]
    fn text_at_the_end_of_memory_is_read() {
        // SAFETY: a mapping of our own, of whose two pages the second is taken away again.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let both =
                libc::mmap(std::ptr::null_mut(), 8192, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            libc::munmap(both.byte_add(4096), 4096);
            let text = both.byte_add(4096 - 4).cast::<libc::c_char>();
            std::ptr::copy_nonoverlapping(c"end".as_ptr(), text, 4);
            assert_eq!(read_text(text).as_deref(), Some(b"end".as_slice()));
            libc::munmap(both, 4096);
        }
    }
}
