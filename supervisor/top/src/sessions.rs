//! Finding sessions and asking them.

use std::io::{self, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::server::{NAMES, may_talk};
use crate::snapshot::Snapshot;

/// A supervisor answers at once; one that is stopped does not.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than any answer.
const MOST: u64 = 4 << 20;

/// All sessions of this user, or of all users if that is root, in the order of their supervisors' numbers.
pub fn all() -> io::Result<Vec<Snapshot>> {
    let list = procfs::read_to_string("net/unix")
        .map_err(|error| io::Error::new(error.kind(), format!("/proc/net/unix: {error}")))?;
    let mut sessions: Vec<Snapshot> = names(&list).into_iter().filter_map(|name| ask(&name)).collect();
    sessions.sort_by_key(|session| session.supervisor);
    Ok(sessions)
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

/// `None`: it has ended, it is stopped, or it is somebody else's.
fn ask(name: &str) -> Option<Snapshot> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    if !may_talk(&stream) {
        return None;
    }
    let mut answer = Vec::new();
    (&mut stream).take(MOST).read_to_end(&mut answer).ok()?;
    serde_json::from_slice(&answer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;

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

    #[test]
    fn session_is_found_and_tells_of_itself() {
        let server = Server::open().unwrap();
        let expected = Snapshot { supervisor: 77, command: vec!["x".into()], ..Snapshot::default() };
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let list = procfs::read_to_string("net/unix").unwrap();
                let mark = format!("/{}.", std::process::id());
                names(&list).iter().filter(|name| name.contains(&mark)).find_map(|name| ask(name))
            });
            while !asking.is_finished() {
                server.answer(|| expected.clone());
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(asking.join().unwrap(), Some(expected.clone()));
        });
    }
}
