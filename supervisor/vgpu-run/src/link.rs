//! What the supervisor tells the keeper. The link's end is news as well: the other side is gone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use syscall_filter::handover;
use tracee::PidFd;

/// From the supervisor to the keeper.
#[derive(Debug)]
pub enum Message {
    /// The program runs: the listener of its tree, if it has one, and a handle on it.
    Launched { listener: Option<OwnedFd>, program: PidFd },
    /// The program was stopped, so the shell should see us stopped.
    Stopped,
    /// The program has ended with this wait status. With `leftovers`, processes of its tree go on.
    Ended { status: i32, leftovers: bool },
}

/// One end of the link.
pub struct Link(OwnedFd);

impl Link {
    /// The keeper's end and the supervisor's.
    pub fn pair() -> io::Result<(Link, Link)> {
        let (keepers, supervisors) = handover::pair()?;
        // Hearing never waits: when the supervisor dies while it starts the program, that process still holds
        // the other end, and itself waits for an answer to its exec until the keeper ends it.
        fcntl(&keepers, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Link(keepers), Link(supervisors)))
    }

    /// Sends; false if the other side is gone, which mostly is noticed elsewhere as well.
    pub fn tell(&self, message: &Message) -> bool {
        let (bytes, descriptors) = encode(message);
        handover::send(&self.0, &bytes, &descriptors).is_ok()
    }

    /// Says nothing any more: to the other side we are gone. It can still be heard.
    pub fn fall_silent(&self) {
        let _ = nix::sys::socket::shutdown(self.0.as_raw_fd(), nix::sys::socket::Shutdown::Write);
    }

    /// The next message; `None` when there is none or the other side is gone.
    pub fn hear(&self) -> Option<Message> {
        let received = handover::receive(&self.0).ok()?;
        decode(&received.bytes, received.descriptors)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn encode(message: &Message) -> (Vec<u8>, Vec<i32>) {
    match message {
        Message::Launched { listener, program } => {
            let listener = listener.as_ref().map(AsRawFd::as_raw_fd);
            (vec![b'L'], [program.as_fd().as_raw_fd()].into_iter().chain(listener).collect())
        }
        Message::Stopped => (vec![b'S'], vec![]),
        Message::Ended { status, leftovers } => {
            let mut bytes = vec![b'E', u8::from(*leftovers)];
            bytes.extend(status.to_ne_bytes());
            (bytes, vec![])
        }
    }
}

fn decode(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Message> {
    let mut descriptors = descriptors.into_iter();
    match bytes {
        [b'L'] => Some(Message::Launched {
            program: PidFd::from(descriptors.next()?),
            listener: descriptors.next(),
        }),
        [b'S'] => Some(Message::Stopped),
        [b'E', leftovers, status @ ..] => {
            let status = i32::from_ne_bytes(status.try_into().ok()?);
            Some(Message::Ended { status, leftovers: *leftovers != 0 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (keepers, supervisors) = Link::pair().unwrap();
        assert!(keepers.hear().is_none(), "and it does not wait");
        let program = PidFd::open(std::process::id() as i32).unwrap();
        let (listener, _other) = handover::pair().unwrap();
        supervisors.tell(&Message::Launched { listener: Some(listener), program });
        assert!(
            matches!(keepers.hear(), Some(Message::Launched { program, listener: Some(_) }) if !program.has_ended())
        );
        let program = PidFd::open(std::process::id() as i32).unwrap();
        supervisors.tell(&Message::Launched { listener: None, program });
        assert!(matches!(keepers.hear(), Some(Message::Launched { listener: None, .. })));
        supervisors.tell(&Message::Stopped);
        assert!(matches!(keepers.hear(), Some(Message::Stopped)));
        supervisors.tell(&Message::Ended { status: 0x700, leftovers: true });
        assert!(matches!(keepers.hear(), Some(Message::Ended { status: 0x700, leftovers: true })));
        drop(supervisors);
        assert!(keepers.hear().is_none());
    }
}
