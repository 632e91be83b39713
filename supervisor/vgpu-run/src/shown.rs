//! Descriptors of nodes that were made to show a page of figures, so that the program's own `mmap` of them finds it.
//!
//! ```text
//!   RM_MAP_MEMORY(fd) ──▶ descriptor fd becomes the page's memory file ──▶ mmap(fd)
//!                             └─ its end of the socket pair, which the open file lives by, waits here
//! ```
//!
//! To the program the descriptor goes on to be the node that it opened: calls on it are its file's. That holds for the number that was
//! given, in the process that gave it, until that is something else; a duplicate of it, or a child's, is the page alone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use interception::Request;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use tracee::PidFd;

/// By this name `/proc/TID/fd` tells that a descriptor is a page's.
pub const NAME: &std::ffi::CStr = c"nvidia-shared-data";

/// Those that are known. There are few: programs map the page once.
#[derive(Default)]
pub struct Shown(Vec<Entry>);

struct Entry {
    tgid: i32,
    descriptor: i32,
    /// Of the end of the socket pair that the descriptor was.
    inode: u64,
    /// Keeps that open.
    _file: OwnedFd,
}

impl Shown {
    /// Makes a descriptor of the asker, until now that end of a socket pair, show `page`.
    pub fn show(
        &mut self,
        request: &Request,
        (tgid, descriptor): (i32, i32),
        inode: u64,
        page: &impl AsFd,
    ) -> io::Result<()> {
        /// Each keeps a descriptor of ours.
        const MOST: usize = 64;
        let is_known = self.find(tgid, descriptor).is_some();
        if !is_known && self.0.len() >= MOST {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let file = match is_known {
            true => None,
            false => Some(PidFd::open(tgid)?.descriptor(descriptor)?),
        };
        request.give_as(page, descriptor, closes_at_exec(request.tid, descriptor))?;
        self.0.extend(file.map(|file| Entry { tgid, descriptor, inode, _file: file }));
        Ok(())
    }

    /// What a descriptor was before it showed a page.
    pub fn find(&self, tgid: i32, descriptor: i32) -> Option<u64> {
        let is_it = |entry: &&Entry| (entry.tgid, entry.descriptor) == (tgid, descriptor);
        self.0.iter().find(is_it).map(|entry| entry.inode)
    }

    /// Lets go of those that are something else by now.
    pub fn forget_closed(&mut self) {
        self.0.retain(|entry| {
            procfs::read_link(&format!("{}/fd/{}", entry.tgid, entry.descriptor))
                .is_ok_and(|link| link.to_str().is_some_and(is_page))
        });
    }
}

/// Memory to show where nothing happens: the program may write to it.
pub fn zeros(length: u64) -> io::Result<OwnedFd> {
    let file = memfd_create(NAME, MFdFlags::MFD_CLOEXEC)?;
    ftruncate(&file, length as i64)?;
    Ok(file)
}

/// Whether a link of `/proc/TID/fd` is that of a page.
pub fn is_page(link: &str) -> bool {
    let name = link.strip_prefix("/memfd:").and_then(|rest| rest.strip_suffix(" (deleted)"));
    name.is_some_and(|name| name.as_bytes() == NAME.to_bytes())
}

fn closes_at_exec(tid: i32, descriptor: i32) -> bool {
    let text = procfs::read_to_string(&format!("{tid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0) & libc::O_CLOEXEC != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_page_is_known_by_its_name() {
        assert!(is_page("/memfd:nvidia-shared-data (deleted)"));
        assert!(!is_page("/memfd:nvidia-shared-data2 (deleted)") && !is_page("socket:[7]"));
    }

    #[test]
    fn what_a_descriptor_does_at_exec_is_kept() {
        let (first, second) = std::io::pipe().unwrap();
        let own = std::process::id() as i32;
        assert!(closes_at_exec(own, first.as_raw_fd()));
        // SAFETY: the flags of a descriptor of ours.
        unsafe { libc::fcntl(second.as_raw_fd(), libc::F_SETFD, 0) };
        assert!(!closes_at_exec(own, second.as_raw_fd()));
    }
}
