//! Groups, and the sends and receives that meet in them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;

use crate::communicators::{check_rank, device};
use crate::door::{Failure, Nccl, fail};
use crate::{driver, operators};

/// One side of a transfer to ourselves.
struct Side {
    communicator: usize,
    address: u64,
    bytes: usize,
    stream: usize,
}

#[derive(Default)]
struct Group {
    depth: usize,
    sends: VecDeque<Side>,
    receives: VecDeque<Side>,
}

thread_local! {
    static GROUP: RefCell<Group> = RefCell::default();
}

/// Keeps one side until the group's end. Outside of a group it would wait for itself for ever.
fn wait(side: Side, choose: fn(&mut Group) -> &mut VecDeque<Side>) -> Nccl {
    GROUP.with_borrow_mut(|group| {
        if group.depth == 0 {
            return fail(Failure::INVALID_USAGE, "a rank can send to itself inside of a group only");
        }
        choose(group).push_back(side);
        Ok(())
    })
}

/// Transfers what was sent to where it is to be received, in order.
fn meet(sends: VecDeque<Side>, mut receives: VecDeque<Side>) -> Nccl {
    for send in sends {
        let partner = receives.iter().position(|receive| receive.communicator == send.communicator);
        let Some(receive) = partner.and_then(|index| receives.remove(index)) else {
            return fail(Failure::INVALID_USAGE, "something was sent that nobody receives");
        };
        if receive.bytes < send.bytes {
            return fail(
                Failure::INVALID_USAGE,
                format!("{} bytes sent to {} bytes", send.bytes, receive.bytes),
            );
        }
        // After what was sent is there, and before it may change.
        driver::order(send.stream, receive.stream)?;
        driver::copy(receive.address, send.address, send.bytes, receive.stream)?;
        driver::order(receive.stream, send.stream)?;
    }
    match receives.is_empty() {
        true => Ok(()),
        false => fail(Failure::INVALID_USAGE, "something is to be received that nobody sends"),
    }
}

exports! {
    fn ncclGroupStart |pncclGroupStart () {
        GROUP.with_borrow_mut(|group| group.depth += 1);
        Ok(())
    }

    fn ncclGroupEnd |pncclGroupEnd () {
        let ended = GROUP.with_borrow_mut(|group| match group.depth {
            0 => None,
            1 => Some(std::mem::take(group)),
            _ => {
                group.depth -= 1;
                Some(Group::default())
            }
        });
        match ended {
            Some(group) => meet(group.sends, group.receives),
            None => fail(Failure::INVALID_USAGE, "ncclGroupEnd without ncclGroupStart"),
        }
    }

    fn ncclSend |pncclSend (source: u64, count: usize, kind: u32, peer: i32, communicator: usize, stream: usize) {
        device(communicator)?;
        check_rank(peer)?;
        let side = Side { communicator, address: source, bytes: operators::bytes(count, kind)?, stream };
        wait(side, |group| &mut group.sends)
    }

    fn ncclRecv |pncclRecv (target: *mut c_void, count: usize, kind: u32, peer: i32, communicator: usize, stream: usize) {
        device(communicator)?;
        check_rank(peer)?;
        let side = Side { communicator, address: target as u64, bytes: operators::bytes(count, kind)?, stream };
        wait(side, |group| &mut group.receives)
    }
}
