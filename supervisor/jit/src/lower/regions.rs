//! Which regions follow which, and which of them need no record of where their warps are.
//!
//! A region with a single way out is *certain*: once all warps have run it they are where it leads, so code goes straight on.
//! What the interpreter must know of a block that it is given in the middle of such a region, the region's table says.

use interpreter::compiled::Leads;
use ptx::Body;

use crate::graph::{End, Graph, Set};

/// Where a kernel's regions lead, and what may have happened before each.
#[derive(Default)]
pub(super) struct Ways {
    leads: Vec<Leads>,
    /// Regions that are reached with all warps, by number: none has ended.
    whole: Vec<bool>,
}

impl Ways {
    /// Of regions by their first blocks; lanes that come to one of `turns` from elsewhere are in another region. None is certain if
    /// warps may lack lanes, of which a record is kept as well.
    pub fn new(graph: &Graph, regions: &[usize], turns: impl Fn(usize) -> bool, has_parts: bool) -> Ways {
        let of = |entry: &usize| match has_parts {
            true => Leads::Open,
            false => leads(graph, regions, *entry, &turns),
        };
        let leads: Vec<Leads> = regions.iter().map(of).collect();
        let mut whole: Vec<bool> = regions.iter().map(|entry| !turns(*entry)).collect();
        loop {
            let lost: Vec<usize> = (0..regions.len())
                .flat_map(|region| match leads[region] {
                    Leads::Region(_) if whole[region] => Vec::new(),
                    _ => reachable_regions(graph, regions, regions[region]),
                })
                .filter(|region| whole[*region])
                .collect();
            if lost.is_empty() {
                return Ways { leads, whole };
            }
            lost.into_iter().for_each(|region| whole[region] = false);
        }
    }

    /// Where a region leads.
    pub fn leads(&self, region: usize) -> Leads {
        self.leads[region]
    }

    /// Whether all warps of the block come to a region.
    pub fn is_whole(&self, region: usize) -> bool {
        self.whole[region]
    }

    /// Whether a warp that goes from one region to another leaves word of it.
    pub fn is_noted(&self, from: usize, to: usize) -> bool {
        match self.leads[from] {
            Leads::Open => true,
            // Whoever may find warps that have ended must be able to tell.
            _ => self.whole[from] && !self.whole[to],
        }
    }
}

fn leads(graph: &Graph, regions: &[usize], entry: usize, turns: &impl Fn(usize) -> bool) -> Leads {
    let blocks = region_blocks(graph, entry);
    let ends = |block: usize| match graph.blocks[block].end {
        End::Exit | End::Branch { taken: None, .. } => true,
        End::Jump(_) | End::Branch { .. } | End::Barrier { .. } | End::Stop => false,
    };
    let is_open = |block: usize| turns(block) || graph.blocks[block].end == End::Stop;
    if blocks.iter().any(is_open) {
        return Leads::Open;
    }
    match (&reachable_regions(graph, regions, entry)[..], blocks.iter().any(ends)) {
        ([next], false) => Leads::Region(*next as u32),
        ([], true) => Leads::End,
        _ => Leads::Open,
    }
}

/// Blocks that lanes reach from a region's first block without a barrier.
fn region_blocks(graph: &Graph, entry: usize) -> Set {
    let mut reached = Set::new(graph.blocks.len());
    let mut waiting = vec![entry];
    while let Some(block) = waiting.pop() {
        if reached.insert(block) && !matches!(graph.blocks[block].end, End::Barrier { .. }) {
            waiting.extend(graph.blocks[block].successors());
        }
    }
    reached
}

/// Regions that can follow one.
pub(super) fn reachable_regions(graph: &Graph, regions: &[usize], entry: usize) -> Vec<usize> {
    let blocks = region_blocks(graph, entry);
    let mut following: Vec<usize> = blocks
        .iter()
        .filter_map(|block| match graph.blocks[block].end {
            End::Barrier { next } => regions.iter().position(|entry| *entry == next),
            _ => None,
        })
        .collect();
    following.sort_unstable();
    following.dedup();
    following
}

/// Registers that a region may write.
pub(super) fn written_in_region(body: &Body, graph: &Graph, entry: usize) -> Set {
    let mut written = Set::new(body.register_count as usize);
    for block in region_blocks(graph, entry).iter() {
        for index in graph.blocks[block].instructions.clone() {
            graph.roles[index].writes.iter().for_each(|register| {
                written.insert(*register as usize);
            });
        }
    }
    written
}
