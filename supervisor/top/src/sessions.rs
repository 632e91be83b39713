//! Finding sessions and asking them.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::geteuid;

use crate::server::{NAMES, is_believed};
use crate::snapshot::Snapshot;

/// Supervisors answer at once; one that is stopped does not.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than any answer.
const MOST: u64 = 4 << 20;

/// Who is there.
#[derive(Default)]
pub struct Found {
    /// Those that answered, in the order of their supervisors' numbers.
    pub sessions: Vec<Snapshot>,
    /// Supervisors that did not answer in time.
    pub silent: Vec<u32>,
}

/// All sessions of this user, or of all users if that is root.
pub fn all() -> io::Result<Found> {
    let list = procfs::read_to_string("net/unix")
        .map_err(|error| io::Error::new(error.kind(), format!("/proc/net/unix: {error}")))?;
    Ok(ask_all(names(&list)))
}

/// Names of supervisors' sockets in the kernel's list: in the last column, `@` for the NUL that abstract names begin with.
fn names(list: &str) -> Vec<String> {
    let own = match geteuid().is_root() {
        true => format!("@{NAMES}/"),
        false => format!("@{NAMES}/{}/", geteuid()),
    };
    let abstract_names = list.lines().filter_map(|line| line.split_whitespace().nth(7));
    let mut names: Vec<String> = abstract_names
        .filter(|name| name.starts_with(&own))
        .map(|name| name.trim_start_matches('@').to_owned())
        .collect();
    // Each connection that is not over is a line of its own.
    names.sort();
    names.dedup();
    names
}

/// The supervisor's process, which its socket's name tells.
fn supervisor(name: &str) -> Option<u32> {
    name.rsplit('/').next()?.split('.').next()?.parse().ok()
}

/// Asks all before it waits for any.
fn ask_all(names: Vec<String>) -> Found {
    let asked: Vec<_> = names.iter().map(|name| (supervisor(name), ask(name))).collect();
    let deadline = Instant::now() + PATIENCE;
    let mut found = Found::default();
    for (supervisor, stream) in asked {
        let answer = match stream {
            Ok(Some(stream)) => answer(stream, deadline),
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        match answer {
            Ok(session) => found.sessions.push(session),
            Err(_) => found.silent.extend(supervisor),
        }
    }
    found.sessions.sort_by_key(|session| session.supervisor);
    found.silent.sort_unstable();
    found
}

/// `None`: it has ended, or it is somebody else's. Fails where too many wait for an answer already.
fn ask(name: &str) -> io::Result<Option<UnixStream>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(stream.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?) {
        Err(Errno::ECONNREFUSED) => return Ok(None),
        connected => connected?,
    }
    let stream = UnixStream::from(stream);
    Ok(Some(stream).filter(is_believed))
}

/// Reads until the supervisor hangs up.
fn answer(mut stream: UnixStream, deadline: Instant) -> io::Result<Snapshot> {
    stream.set_nonblocking(false)?;
    // No time at all would be no limit.
    let patience = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(patience))?;
    let mut answer = Vec::new();
    (&mut stream).take(MOST).read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Process, Server};

    /// Names of this process's servers.
    fn own_names() -> Vec<String> {
        let list = procfs::read_to_string("net/unix").unwrap();
        let own = |name: &String| supervisor(name) == Some(std::process::id());
        names(&list).into_iter().filter(own).collect()
    }

    #[test]
    fn names_are_read_from_the_kernels_list() {
        let own = geteuid();
        let list = format!(
            "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0000: 00000002 00000000 00010000 0001 01 123 @{NAMES}/{own}/4711.5\n\
             0000: 00000003 00000000 00000000 0001 03 124 @{NAMES}/{own}/4711.5\n\
             0000: 00000002 00000000 00010000 0001 01 125 /run/systemd/notify\n\
             0000: 00000003 00000000 00000000 0001 03 126\n"
        );
        assert_eq!(names(&list), [format!("{NAMES}/{own}/4711.5")]);
    }

    /// Asks this process's servers, one of which answers with this.
    fn asked(server: &Server, snapshot: &Snapshot) -> Found {
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_all(own_names()));
            while !asking.is_finished() {
                server.answer(|| snapshot.clone());
                std::thread::sleep(Duration::from_millis(1));
            }
            asking.join().unwrap()
        })
    }

    // One test: servers of others would be found as well.
    #[test]
    fn sessions_tell_of_themselves_and_the_silent_ones_are_named() {
        let server = Server::open().unwrap();
        let mut expected = Snapshot { supervisor: 77, command: vec!["x".into()], ..Snapshot::default() };
        let found = asked(&server, &expected);
        assert_eq!((found.sessions, found.silent), (vec![expected.clone()], vec![]));

        let kernel = crate::Kernel { name: "k".repeat(240), ..Default::default() };
        let process = Process { busiest: vec![kernel; 5], ..Process::default() };
        expected.processes = vec![process; 250];
        let found = asked(&server, &expected);
        assert_eq!((found.sessions.len(), found.sessions[0].processes.len()), (1, 250));

        let stopped = Server::open().unwrap();
        let begun = Instant::now();
        let found = asked(&server, &expected);
        assert_eq!((found.sessions.len(), found.silent), (1, vec![std::process::id()]));
        assert!(begun.elapsed() < 4 * PATIENCE, "{:?}", begun.elapsed());
        // More ask than can wait for it.
        let name = own_names().pop().unwrap();
        let waiting: Vec<_> = (0..10_000).map_while(|_| ask(&name).ok()).collect();
        assert!(!waiting.is_empty());
        drop((stopped, server));
        assert!(ask(&name).is_ok_and(|stream| stream.is_none()));
    }
}
