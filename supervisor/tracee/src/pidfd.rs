//! A process that cannot be mistaken for another.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor for a process. It becomes readable when the process has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Of the process `tgid` as it is now; fails if that is a thread or nobody.
    pub fn open(tgid: i32) -> io::Result<Self> {
        Self::open_with(tgid, 0)
    }

    /// Of one thread, where the kernel (6.9) has such.
    pub fn of_thread(tid: i32) -> io::Result<Self> {
        // `PIDFD_THREAD`
        Self::open_with(tid, libc::O_EXCL as u32)
    }

    fn open_with(id: i32, flags: u32) -> io::Result<Self> {
        // SAFETY: the call takes numbers.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_open, id, flags) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(result as i32) }))
    }

    /// Sends a signal; to nobody else, even if the number has been reused.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without siginfo the call takes numbers.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, no_info, 0) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How the process `tgid`, of which this is a handle, has ended, as `wait` would tell its parent; also when we are
    /// not that. `None`: it has not ended, or the kernel (before 6.15) has forgotten it.
    pub fn wait_status(&self, tgid: i32) -> Option<i32> {
        let of_zombie = || {
            let status = status_of_zombie(tgid)?;
            // Only as long as its parent has not waited for it is the number still its own.
            self.signal(0).is_ok().then_some(status)
        };
        // Its parent may wait for it just now.
        self.status_after_wait().or_else(of_zombie).or_else(|| self.status_after_wait())
    }

    /// What the kernel keeps with the handle.
    fn status_after_wait(&self) -> Option<i32> {
        self.info(Info::EXIT).map(|info| info.exit_code)
    }

    /// User and group that the process acts as, where the kernel (6.13) tells it.
    pub fn owner(&self) -> Option<(u32, u32)> {
        self.info(Info::CREDENTIALS).map(|info| (info.ids[Info::USER], info.ids[Info::GROUP]))
    }

    /// The process's parent, where the kernel (6.13) tells it.
    pub fn parent(&self) -> Option<i32> {
        self.info(Info::PID).map(|info| info.ids[Info::PARENT] as i32)
    }

    /// What this bit of the mask stands for.
    fn info(&self, wanted: u64) -> Option<Info> {
        let mut info = Info { mask: wanted, ..Info::default() };
        // SAFETY: the request number holds the size of `info`, which the kernel fills with numbers.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), Info::REQUEST, &mut info) };
        (result == 0 && info.mask & wanted != 0).then_some(info)
    }

    /// A duplicate of one of its descriptors.
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        // SAFETY: the call takes numbers.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), number, 0) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
    }

    /// The process has ended.
    pub fn has_ended(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        unsafe { libc::poll(&mut poll, 1, 0) };
        poll.revents != 0
    }
}

/// The process of a thread, where the kernel (6.13) tells it without /proc.
pub fn process_of(tid: i32) -> Option<i32> {
    let info = PidFd::of_thread(tid).ok()?.info(Info::PID)?;
    Some(info.ids[Info::PROCESS] as i32)
}

/// `struct pidfd_info` of linux/pidfd.h in its first version. `ids`: thread, process, parent; real user and group,
/// effective ones, and so on.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

impl Info {
    /// `PIDFD_GET_INFO`: _IOWR(0xff, 11, struct pidfd_info).
    const REQUEST: libc::c_ulong = 0xc040_ff0b;
    /// `PIDFD_INFO_PID`
    const PID: u64 = 1 << 0;
    /// `PIDFD_INFO_CREDS`
    const CREDENTIALS: u64 = 1 << 1;
    /// `PIDFD_INFO_EXIT`
    const EXIT: u64 = 1 << 3;
    const PROCESS: usize = 1;
    const PARENT: usize = 2;
    const USER: usize = 5;
    const GROUP: usize = 6;
}

const _: () = assert!(size_of::<Info>() == 64);

/// The last field of `stat`, of a process that has ended and was not yet waited for.
fn status_of_zombie(tgid: i32) -> Option<i32> {
    let stat = procfs::read_to_string(&format!("{tgid}/stat")).ok()?;
    // Counted from the name, which may hold anything: first the state, 49 fields later the status.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    (fields.next()? == "Z").then(|| fields.nth(48)?.parse().ok())?
}

impl From<OwnedFd> for PidFd {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_process_is_seen_to_have_ended() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pidfd = PidFd::open(child.id() as i32).unwrap();
        assert!(!pidfd.has_ended());
        pidfd.signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(pidfd.has_ended());
        assert_eq!(pidfd.signal(libc::SIGKILL).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn owner_of_this_process_is_we() {
        // SAFETY: the calls take nothing.
        let expected = unsafe { (libc::geteuid(), libc::getegid()) };
        let own = PidFd::open(std::process::id() as i32).unwrap();
        match own.owner() {
            None => println!("skipped: this kernel tells owners only in /proc"),
            owner => {
                assert_eq!(owner, Some(expected));
                assert_eq!(own.parent(), Some(std::os::unix::process::parent_id() as i32));
            }
        }
    }

    #[test]
    fn status_is_told_before_and_after_the_parent_has_waited() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let tgid = child.id() as i32;
        let pidfd = PidFd::open(tgid).unwrap();
        assert_eq!(pidfd.wait_status(tgid), None);
        drop(child.stdin.take());
        while !pidfd.has_ended() {
            std::thread::yield_now();
        }
        assert_eq!(pidfd.wait_status(tgid), Some(7 << 8));
        child.wait().unwrap();
        if pidfd.status_after_wait().is_none() {
            println!("skipped: this kernel forgets how a process ended");
            return;
        }
        assert_eq!(pidfd.wait_status(tgid), Some(7 << 8));
    }
}
