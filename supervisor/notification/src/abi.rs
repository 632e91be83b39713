//! Numbers of the kernel's interface that libc does not name.

use libc::c_ulong;

// From linux/seccomp.h, with _IOWR and _IOW of asm-generic/ioctl.h written out.
pub const SECCOMP_IOCTL_NOTIF_RECV: c_ulong = 0xC050_2100;
pub const SECCOMP_IOCTL_NOTIF_SEND: c_ulong = 0xC018_2101;
pub const SECCOMP_IOCTL_NOTIF_ID_VALID: c_ulong = 0x4008_2102;
pub const SECCOMP_IOCTL_NOTIF_ADDFD: c_ulong = 0x4018_2103;
pub const SECCOMP_IOCTL_NOTIF_SET_FLAGS: c_ulong = 0x4008_2104;
/// The answering thread wakes on the asker's core, at once: halves the round trip. Linux 6.6.
pub const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: c_ulong = 1;

/// From linux/audit.h.
pub const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;

const fn size_in(request: c_ulong) -> usize {
    (request >> 16) as usize & 0x3fff
}

// The size in each number is the size of libc's struct.
const _: () = assert!(size_in(SECCOMP_IOCTL_NOTIF_RECV) == size_of::<libc::seccomp_notif>());
const _: () = assert!(size_in(SECCOMP_IOCTL_NOTIF_SEND) == size_of::<libc::seccomp_notif_resp>());
const _: () = assert!(size_in(SECCOMP_IOCTL_NOTIF_ADDFD) == size_of::<libc::seccomp_notif_addfd>());
