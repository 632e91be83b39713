//! Handing descriptors and a few bytes from one process to another.
//!
//! The pair is SOCK_SEQPACKET: messages stay whole, and when the other side dies before it sends anything,
//! the receiver sees end-of-file. (With SOCK_DGRAM it would wait for ever.)

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors in one message.
pub const MOST_DESCRIPTORS: usize = 4;
/// The most bytes in one message.
pub const MOST_BYTES: usize = 64;

/// Two connected ends, both closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` has room for the two descriptors that the call writes.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } as isize)?;
    // SAFETY: the kernel just made both descriptors for us.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// What `receive` got.
pub struct Message {
    /// The bytes; none means that the other side is gone.
    pub bytes: Vec<u8>,
    /// The descriptors that came with them, closed on exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Room for the control message, aligned as `struct cmsghdr` wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

const _: () = assert!(size_of::<Control>() >= 16 + MOST_DESCRIPTORS * size_of::<RawFd>());

/// Sends one message. Allocates nothing: it runs between fork and exec. A receiver that is gone is an
/// error, never a SIGPIPE.
pub fn send(socket: &impl AsFd, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
    assert!(descriptors.len() <= MOST_DESCRIPTORS && !bytes.is_empty() && bytes.len() <= MOST_BYTES);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all fields of msghdr may be zero.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    if !descriptors.is_empty() {
        let length = size_of_val(descriptors) as u32;
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: plain arithmetic on the length.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as usize;
        // SAFETY: `control` is aligned and, as asserted above, large enough for one header and
        // `descriptors`, which do not overlap it.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(length) as usize;
            let data = libc::CMSG_DATA(first).cast::<RawFd>();
            std::ptr::copy_nonoverlapping(descriptors.as_ptr(), data, descriptors.len());
        }
    }
    // SAFETY: `header` points at `part` and `control`, both alive here.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &header, libc::MSG_NOSIGNAL) };
    check(sent).map(drop)
}

/// Waits for one message.
pub fn receive(socket: &impl AsFd) -> io::Result<Message> {
    let mut control = Control([0; 64]);
    let mut bytes = vec![0; MOST_BYTES];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all fields of msghdr may be zero.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Control>();
    // SAFETY: `header` points at `part` and `control`, both alive here, with their true sizes.
    let received = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) };
    bytes.truncate(check(received)?);
    Ok(Message { bytes, descriptors: descriptors(&header) })
}

fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel filled `header` and its control buffer; a header that it wrote is followed by
    // as many descriptors as its length says, and they are new ones, ours alone.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        if !first.is_null() && (*first).cmsg_type == libc::SCM_RIGHTS {
            let length = (*first).cmsg_len - libc::CMSG_LEN(0) as usize;
            let data = libc::CMSG_DATA(first).cast::<RawFd>();
            for index in 0..length / size_of::<RawFd>() {
                found.push(OwnedFd::from_raw_fd(data.add(index).read()));
            }
        }
    }
    found
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (here, there) = pair().unwrap();
        let (passed, kept) = pair().unwrap();
        send(&here, b"two", &[passed.as_raw_fd(), passed.as_raw_fd()]).unwrap();
        let message = receive(&there).unwrap();
        assert_eq!(message.bytes, b"two");
        assert_eq!(message.descriptors.len(), 2);
        send(&message.descriptors[1], b"through", &[]).unwrap();
        assert_eq!(receive(&kept).unwrap().bytes, b"through");
    }

    #[test]
    fn a_sender_that_is_gone_reads_as_no_bytes() {
        let (here, there) = pair().unwrap();
        drop(here);
        assert!(receive(&there).unwrap().bytes.is_empty());
    }
}
