//! Packets of `wire::engine` with their descriptors, over a `SOCK_SEQPACKET` socket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use wire::engine::{Head, Message};

/// Longest packet: a head, a message, a note's text.
const CAPACITY: usize = 8192;
/// Most descriptors of one packet.
const DESCRIPTORS: usize = 4;

/// One received packet.
pub struct Packet {
    /// [`Head::number`].
    pub number: u32,
    body: Vec<u8>,
    /// Descriptors that came with it, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

impl Packet {
    /// The message, if this packet is one of that kind, whole and with its descriptors.
    pub fn message<M: Message>(&self) -> Option<M> {
        let bytes = self.body.get(..size_of::<M>())?;
        (self.number == M::NUMBER && self.descriptors.len() == M::DESCRIPTORS)
            .then(|| bytemuck::pod_read_unaligned(bytes))
    }

    /// The bytes behind a message of that kind.
    pub fn tail<M: Message>(&self) -> &[u8] {
        self.body.get(size_of::<M>()..).unwrap_or_default()
    }
}

/// Waits for a packet; `None` at end of file.
pub fn receive(socket: BorrowedFd) -> Result<Option<Packet>, Errno> {
    let mut bytes = vec![0; CAPACITY];
    let mut control = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let (length, descriptors) = loop {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags) {
            // The peer ended with packets of ours unread. That is told once, before what it sent itself, which still comes.
            Err(Errno::EINTR | Errno::ECONNRESET) => continue,
            Err(error) => return Err(error),
            Ok(received) => break (received.bytes, take_descriptors(received.cmsgs()?)),
        }
    };
    if length < size_of::<Head>() {
        return if length == 0 { Ok(None) } else { Err(Errno::EBADMSG) };
    }
    let head: Head = bytemuck::pod_read_unaligned(&bytes[..size_of::<Head>()]);
    bytes.truncate(length);
    bytes.drain(..size_of::<Head>());
    if head.length as usize != bytes.len() {
        return Err(Errno::EBADMSG);
    }
    Ok(Some(Packet { number: head.number, body: bytes, descriptors }))
}

fn take_descriptors(messages: nix::sys::socket::CmsgIterator) -> Vec<OwnedFd> {
    messages
        .filter_map(|message| match message {
            ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        // SAFETY: the kernel has just put these descriptors into this process; nobody else knows their numbers.
        .map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
        .collect()
}

/// Sends a message, the bytes that follow it, and its descriptors.
pub fn send<M: Message>(
    socket: BorrowedFd,
    message: &M,
    tail: &[u8],
    descriptors: &[RawFd],
) -> Result<(), Errno> {
    let length = size_of::<M>() + tail.len();
    let head = Head { number: M::NUMBER, length: length as u32 };
    let parts = [
        IoSlice::new(bytemuck::bytes_of(&head)),
        IoSlice::new(bytemuck::bytes_of(message)),
        IoSlice::new(tail),
    ];
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage] = if descriptors.is_empty() { &[] } else { &rights };
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => continue,
            result => return result.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use wire::engine::{EngineNote, Map, Unmap};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .expect("socketpair")
    }

    #[test]
    fn message_arrives_with_its_descriptor_and_tail() {
        let (ours, theirs) = pair();
        let map = Map { address: 1, length: 2, sequence: 3, writable: 1 };
        send(ours.as_fd(), &map, &[], &[ours.as_raw_fd()]).expect("send");
        send(ours.as_fd(), &EngineNote::default(), b"text", &[]).expect("send");
        let first = receive(theirs.as_fd()).expect("receive").expect("a packet");
        assert_eq!(first.message::<Map>().expect("a map").length, 2);
        assert!(first.message::<Unmap>().is_none());
        let second = receive(theirs.as_fd()).expect("receive").expect("a packet");
        assert_eq!(second.tail::<EngineNote>(), b"text");
    }

    #[test]
    fn end_of_file_is_told_and_a_message_without_its_descriptor_is_none() {
        let (ours, theirs) = pair();
        send(ours.as_fd(), &Map::default(), &[], &[]).expect("send");
        drop(ours);
        let packet = receive(theirs.as_fd()).expect("receive").expect("a packet");
        assert!(packet.message::<Map>().is_none());
        assert!(receive(theirs.as_fd()).expect("receive").is_none());
    }

    #[test]
    fn last_words_of_a_peer_that_did_not_listen_arrive() {
        let (ours, theirs) = pair();
        send(ours.as_fd(), &Map::default(), &[], &[]).expect("send");
        send(theirs.as_fd(), &EngineNote::default(), b"why", &[]).expect("send");
        drop(theirs);
        let packet = receive(ours.as_fd()).expect("receive").expect("a packet");
        assert_eq!(packet.tail::<EngineNote>(), b"why");
        assert!(receive(ours.as_fd()).expect("receive").is_none());
    }
}
