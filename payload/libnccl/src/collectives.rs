//! The collectives: with one rank, copies.

use crate::communicators::{check_rank, device};
use crate::door::Nccl;
use crate::{driver, operators};

/// Moves the only rank's elements to where the result belongs.
fn gather(communicator: usize, source: u64, target: u64, count: usize, kind: u32, stream: usize) -> Nccl {
    device(communicator)?;
    driver::copy(target, source, operators::bytes(count, kind)?, stream)
}

fn reduce(
    communicator: usize,
    source: u64,
    target: u64,
    count: usize,
    kind: u32,
    operator: u32,
    stream: usize,
) -> Nccl {
    gather(communicator, source, target, count, kind, stream)?;
    operators::apply(operator, target, count, kind, stream)
}

exports! {
    fn ncclAllReduce |pncclAllReduce (source: u64, target: u64, count: usize, kind: u32, operator: u32, communicator: usize, stream: usize) {
        reduce(communicator, source, target, count, kind, operator, stream)
    }

    fn ncclReduce |pncclReduce (
        source: u64,
        target: u64,
        count: usize,
        kind: u32,
        operator: u32,
        root: i32,
        communicator: usize,
        stream: usize,
    ) {
        check_rank(root)?;
        reduce(communicator, source, target, count, kind, operator, stream)
    }

    fn ncclReduceScatter |pncclReduceScatter (source: u64, target: u64, count: usize, kind: u32, operator: u32, communicator: usize, stream: usize) {
        reduce(communicator, source, target, count, kind, operator, stream)
    }

    fn ncclAllGather |pncclAllGather (source: u64, target: u64, count: usize, kind: u32, communicator: usize, stream: usize) {
        gather(communicator, source, target, count, kind, stream)
    }

    fn ncclBroadcast |pncclBroadcast (source: u64, target: u64, count: usize, kind: u32, root: i32, communicator: usize, stream: usize) {
        check_rank(root)?;
        gather(communicator, source, target, count, kind, stream)
    }

    fn ncclBcast |pncclBcast (buffer: u64, count: usize, kind: u32, root: i32, communicator: usize, stream: usize) {
        check_rank(root)?;
        gather(communicator, buffer, buffer, count, kind, stream)
    }

    fn ncclAlltoAll |pncclAlltoAll (source: u64, target: u64, count: usize, kind: u32, communicator: usize, stream: usize) {
        gather(communicator, source, target, count, kind, stream)
    }

    fn ncclGather |pncclGather (source: u64, target: u64, count: usize, kind: u32, root: i32, communicator: usize, stream: usize) {
        check_rank(root)?;
        gather(communicator, source, target, count, kind, stream)
    }

    fn ncclScatter |pncclScatter (source: u64, target: u64, count: usize, kind: u32, root: i32, communicator: usize, stream: usize) {
        check_rank(root)?;
        gather(communicator, source, target, count, kind, stream)
    }
}
