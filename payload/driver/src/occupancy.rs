//! How many blocks fit on a multiprocessor, from the card's facts.

use std::sync::Arc;

use crate::device::attribute;
use crate::module::Function;
use crate::{CuResult, Cuda, context, device};

/// `cuOccupancyMaxActiveBlocksPerMultiprocessor`
pub fn max_active_blocks(function: &Function, block_size: i32, dynamic_shared: u64) -> Cuda<i32> {
    if block_size <= 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let card = device::description(context::current()?.device)?;
    let value = |number: usize| u64::from(card.attributes[number].max(0) as u32);
    let attributes = function.attributes()?;
    if block_size as u32 > attributes.max_threads {
        return Ok(0);
    }
    let warp = value(attribute::WARP_SIZE).max(1);
    let threads = (block_size as u64).next_multiple_of(warp);
    let by_threads = value(attribute::THREADS_PER_MULTIPROCESSOR) / threads;
    let shared =
        u64::from(attributes.static_shared) + dynamic_shared + value(attribute::RESERVED_SHARED_PER_BLOCK);
    let by_shared = value(attribute::SHARED_PER_MULTIPROCESSOR).checked_div(shared).unwrap_or(u64::MAX);
    Ok(by_threads.min(by_shared).min(value(attribute::BLOCKS_PER_MULTIPROCESSOR)) as i32)
}

/// `cuOccupancyMaxPotentialBlockSize`: smallest grid that fills the card, and the block size for it. `shared` answers the
/// dynamic shared memory of a block size.
pub fn max_potential_block_size(
    function: &Arc<Function>,
    shared: impl Fn(i32) -> u64,
    limit: i32,
) -> Cuda<(i32, i32)> {
    let card = device::description(context::current()?.device)?;
    let largest = function.attributes()?.max_threads as i32;
    let largest = if limit > 0 { largest.min(limit) } else { largest };
    let (mut best, mut best_threads) = ((0, 0), 0);
    for block in (32..=largest.max(32)).rev().filter(|block| block % 32 == 0) {
        let blocks = max_active_blocks(function, block, shared(block))?;
        if blocks * block > best_threads {
            best_threads = blocks * block;
            best = (blocks * card.attributes[attribute::MULTIPROCESSOR_COUNT], block);
        }
    }
    Ok(best)
}

/// `cuOccupancyAvailableDynamicSMemPerBlock`
pub fn available_dynamic_shared(function: &Function, blocks: i32, block_size: i32) -> Cuda<u64> {
    if blocks <= 0 || block_size <= 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let card = device::description(context::current()?.device)?;
    let value = |number: usize| u64::from(card.attributes[number].max(0) as u32);
    let share = value(attribute::SHARED_PER_MULTIPROCESSOR) / blocks as u64;
    let share = share.min(value(attribute::SHARED_PER_BLOCK_OPTIN));
    Ok(share.saturating_sub(
        u64::from(function.attributes()?.static_shared) + value(attribute::RESERVED_SHARED_PER_BLOCK),
    ))
}
