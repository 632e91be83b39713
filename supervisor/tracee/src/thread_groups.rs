//! Which process a thread belongs to.

use std::collections::HashMap;

use crate::pidfd;

/// Remembers the process of each thread. Reading `/proc/TID/status` costs more than all the rest of a small
/// control call.
#[derive(Debug, Default)]
pub struct ThreadGroups {
    known: HashMap<i32, i32>,
    /// How many entries make it worth while to look for those of ended threads.
    sweep_at: usize,
}

/// Beyond this many entries, those of ended threads are thrown out.
const ENOUGH: usize = 4096;

impl ThreadGroups {
    /// The process of thread `tid`, which must be waiting for our answer (else its number may be reused).
    pub fn of(&mut self, tid: i32) -> Option<i32> {
        if let Some(&tgid) = self.known.get(&tid)
            && belongs(tid, tgid)
        {
            return Some(tgid);
        }
        // Most calls come from a first thread, whose number is its process's.
        if belongs(tid, tid) {
            return Some(tid);
        }
        if self.known.len() >= self.sweep_at.max(ENOUGH) {
            self.known.retain(|&tid, &mut tgid| belongs(tid, tgid));
            // Twice what is there now, so that many living threads are not asked again and again.
            self.sweep_at = 2 * self.known.len();
        }
        let tgid = from_proc(tid).or_else(|| pidfd::process_of(tid))?;
        self.known.insert(tid, tgid);
        Some(tgid)
    }
}

/// One cheap question to the kernel, which closes the race of a reused number: signal 0 to a thread that is
/// not in that process is ESRCH.
fn belongs(tid: i32, tgid: i32) -> bool {
    // SAFETY: the call takes numbers; signal 0 is sent to nobody.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, tgid, tid, 0) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

fn from_proc(tid: i32) -> Option<i32> {
    procfs::status_field(tid, "Tgid")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_belongs_to_its_process() {
        let own = std::process::id() as i32;
        let tid = std::thread::spawn(move || {
            // SAFETY: gettid takes nothing.
            let tid = unsafe { libc::gettid() };
            assert_eq!(ThreadGroups::default().of(tid), Some(own));
            match pidfd::process_of(tid) {
                None => println!("skipped: this kernel tells a thread's process only in /proc"),
                process => assert_eq!(process, Some(own)),
            }
            tid
        });
        assert_ne!(tid.join().unwrap(), own);
    }

    #[test]
    fn a_number_that_was_reused_is_found_out() {
        let own = std::process::id() as i32;
        let mut groups = ThreadGroups { known: HashMap::from([(own, 1)]), ..Default::default() };
        assert_eq!(groups.of(own), Some(own));
    }

    #[test]
    fn nobody_belongs_to_no_process() {
        assert_eq!(ThreadGroups::default().of(i32::MAX), None);
    }
}
