//! Telling a session to do something: a line of words there, an answer back.
//!
//! Datagrams, so that a supervisor has no connection to keep and nobody to wait for. The kernel says with each whose it is.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg, sendto, setsockopt, sockopt::PassCred,
};
use nix::unistd::geteuid;

use crate::server::may_ask;

/// What the names of all sockets begin with.
const NAMES: &str = "vgpu-run/inject";
/// Longest order, and longest answer.
const LONGEST: usize = 4096;
/// Orders that are taken at a time; more wait.
const AT_A_TIME: usize = 16;
/// Supervisors answer at once; one that is stopped does not.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was done, or why it was not.
pub type Answer = Result<String, String>;

/// Where a supervisor takes orders.
pub struct Inbox {
    socket: UnixDatagram,
    name: String,
}

impl Inbox {
    /// Listens for orders of this process's user.
    pub fn open() -> io::Result<Inbox> {
        let (socket, name) = bind()?;
        setsockopt(&socket, PassCred, &true)?;
        socket.set_nonblocking(true)?;
        Ok(Inbox { socket, name })
    }

    /// Its abstract name, for the session's [`Snapshot`](crate::Snapshot).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Executes the orders that have come. Waits for nobody.
    pub fn answer(&self, mut execute: impl FnMut(&str) -> Answer) {
        for _ in 0..AT_A_TIME {
            let Ok((words, user, sender)) = self.receive() else { return };
            let answer = match user.filter(|user| may_ask(*user)) {
                Some(_) => execute(&words),
                None => Err("the session is another user's".to_owned()),
            };
            let answer = serde_json::to_vec(&answer).unwrap_or_default();
            // Who does not wait for it has no use for it.
            if let Some(sender) = sender {
                let _ = sendto(self.socket.as_raw_fd(), &answer, &sender, MsgFlags::MSG_DONTWAIT);
            }
        }
    }

    /// An order, the user it is of, and where the answer goes.
    fn receive(&self) -> nix::Result<(String, Option<u32>, Option<UnixAddr>)> {
        let mut bytes = [0; LONGEST];
        // No room for descriptors: the kernel closes them.
        let mut space = cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let (length, sender) = (message.bytes, message.address);
        // One that was cut does not say whose it is, and is refused.
        let user = message.cmsgs().ok().and_then(|mut parts| {
            parts.find_map(|part| match part {
                ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.uid()),
                _ => None,
            })
        });
        Ok((String::from_utf8_lossy(&bytes[..length]).into_owned(), user, sender))
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Orders something of the session whose inbox has this name.
pub fn order(name: &str, words: &str) -> io::Result<Answer> {
    let (socket, _) = bind()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // Connected, it hears nobody else.
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.send(words.as_bytes())?;
    let mut answer = [0; LONGEST];
    let length = socket.recv(&mut answer)?;
    Ok(serde_json::from_slice(&answer[..length])?)
}

/// A socket with a name of its own.
fn bind() -> io::Result<(UnixDatagram, String)> {
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let name = format!("{NAMES}/{}/{}.{moment}", geteuid(), std::process::id());
    Ok((UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?, name))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    #[test]
    fn orders_are_executed_and_answered() {
        let inbox = Inbox::open().unwrap();
        std::thread::scope(|scope| {
            let ordering =
                scope.spawn(|| ["one", "two words", "no"].map(|words| order(inbox.name(), words).unwrap()));
            while !ordering.is_finished() {
                inbox
                    .answer(|words| if words == "no" { Err("why".into()) } else { Ok(words.to_uppercase()) });
                std::thread::sleep(Duration::from_millis(1));
            }
            let expected = [Ok("ONE".into()), Ok("TWO WORDS".into()), Err("why".into())];
            assert_eq!(ordering.join().unwrap(), expected);
        });
        let name = inbox.name().to_owned();
        drop(inbox);
        assert_eq!(order(&name, "one").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn descriptors_that_come_along_are_not_kept() {
        let inbox = Inbox::open().unwrap();
        let (sender, _) = bind().unwrap();
        let address = UnixAddr::new_abstract(inbox.name().as_bytes()).unwrap();
        let (mut ours, theirs) = std::io::pipe().unwrap();
        let descriptors = [theirs.as_raw_fd()];
        let (rights, parts) = ([ControlMessage::ScmRights(&descriptors)], [io::IoSlice::new(b"clear")]);
        sendmsg(sender.as_raw_fd(), &parts, &rights, MsgFlags::empty(), Some(&address)).unwrap();
        drop(theirs);
        inbox.answer(|_| Ok(String::new()));
        // Whoever still had the other end would be waited for.
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(io::Read::read(&mut ours, &mut [0]).unwrap()));
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(0));
    }
}
