//! The supervisor's end.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;

use crate::snapshot::Snapshot;

/// What the names of all sockets begin with; the user follows, and what tells sessions apart.
pub const NAMES: &str = "vgpu-run/top";

/// What the kernel keeps at least for a viewer that does not read yet, with some hundred processes in it.
const ROOM: usize = 128 << 10;

/// Answers viewers.
pub struct Server(UnixListener);

impl Server {
    /// Listens for viewers of this process's user.
    pub fn open() -> io::Result<Server> {
        // Two process namespaces may share a network namespace: the process's number alone may be taken.
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let name = format!("{NAMES}/{}/{}.{moment}", geteuid(), std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Server(listener))
    }

    /// Answers those who have come. Waits for nobody.
    pub fn answer(&self, mut snapshot: impl FnMut() -> Snapshot) {
        while let Ok((viewer, _)) = self.0.accept() {
            // A viewer that does not read gets as much as the kernel keeps for it.
            let _ = tell(&viewer, &mut snapshot);
        }
    }
}

fn tell(viewer: &UnixStream, snapshot: &mut impl FnMut() -> Snapshot) -> io::Result<()> {
    if !peer(viewer).is_ok_and(may_ask) {
        return Ok(());
    }
    viewer.set_nonblocking(true)?;
    let mut snapshot = snapshot();
    let mut bytes = serde_json::to_vec(&snapshot)?;
    if bytes.len() > ROOM {
        snapshot.processes.iter_mut().for_each(|process| process.busiest.truncate(1));
        bytes = serde_json::to_vec(&snapshot)?;
    }
    (&*viewer).write_all(&bytes)
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a session tells this user of itself, and does what they say: its own user, and root.
pub fn may_ask(user: u32) -> bool {
    user == geteuid().as_raw() || user == 0
}

/// Whether what a session of this user says is of interest: our own user's and root's, and to root everybody's.
pub fn is_believed(other: &UnixStream) -> bool {
    peer(other).is_ok_and(|theirs| may_ask(theirs) || geteuid().is_root())
}

/// The user at the other end.
fn peer(other: &UnixStream) -> nix::Result<u32> {
    Ok(getsockopt(other, PeerCredentials)?.uid())
}
