//! In which order blocks run where lanes wait at several.
//!
//! Lanes that have parted are to meet where all their ways lead: those that are through with a loop wait behind it for those that
//! are not. So of the blocks where lanes wait the first one runs, in an order in which a block comes behind all from which lanes
//! get to it, loops' ways back aside. As a rule compilers write code in such an order. GCC puts what is behind a loop before it,
//! and its OpenMP regions count on lanes that wait there, as lanes do on a card.

use std::sync::Arc;

use crate::code::{Block, Terminator};

/// Functions with more blocks keep the order of their text: finding another one takes a call deep for each block.
const MOST_BLOCKS: usize = 2000;

/// Each block's place in the order; empty if that is the order of the text.
pub(super) fn ranks(blocks: &[Block]) -> Arc<[u32]> {
    if blocks.len() > MOST_BLOCKS {
        return Arc::default();
    }
    let behind: Vec<Vec<u32>> = (0..).zip(blocks).map(|(index, block)| successors(index, block)).collect();
    order(&behind).unwrap_or_default().into()
}

/// Blocks that lanes get to from a block, the last of the text first.
fn successors(index: u32, block: &Block) -> Vec<u32> {
    let mut found = match &block.end {
        Terminator::Exit(None) | Terminator::Return(None) => Vec::new(),
        Terminator::Jump(target) => vec![*target],
        Terminator::Branch { target, .. } => vec![*target, index + 1],
        Terminator::Table { targets, .. } => targets.to_vec(),
        _ => vec![index + 1],
    };
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

/// Each block's rank, unless the order of the text does as well.
fn order(behind: &[Vec<u32>]) -> Option<Vec<u32>> {
    let mut search = Search { behind, numbers: vec![0; behind.len()], last: 0, open: Vec::new() };
    // From the last on; each part is put before what was found earlier.
    let mut reversed = Vec::new();
    let unreachable = (1..behind.len() as u32).rev();
    search.visit(0, &mut reversed);
    let mut rest = Vec::new();
    for block in unreachable {
        if search.numbers[block as usize] == 0 {
            search.visit(block, &mut rest);
        }
    }
    rest.append(&mut reversed);
    let mut ranks = vec![0; behind.len()];
    for (rank, block) in (0..).zip(rest.iter().rev()) {
        ranks[*block as usize] = rank;
    }
    let goes_back = |(from, to): (usize, usize)| to <= from && ranks[from] < ranks[to];
    let ways = |from: usize| behind[from].iter().map(move |to| (from, *to as usize));
    let text_serves = !(0..behind.len()).flat_map(ways).any(goes_back);
    (!text_serves).then_some(ranks)
}

/// F. Bourdoncle's weak topological order (Efficient chaotic iteration strategies with widenings, 1993): loops stay together, and
/// what is behind one comes behind all of it.
struct Search<'a> {
    behind: &'a [Vec<u32>],
    /// When a block was found; 0: not yet. [`PLACED`]: it has its place.
    numbers: Vec<u32>,
    last: u32,
    open: Vec<u32>,
}

const PLACED: u32 = u32::MAX;

impl Search<'_> {
    /// Places a block and all that is found from it; answers the earliest open block that leads there.
    fn visit(&mut self, block: u32, reversed: &mut Vec<u32>) -> u32 {
        self.open.push(block);
        self.last += 1;
        let number = self.last;
        self.numbers[block as usize] = number;
        let (mut head, mut is_loop) = (number, false);
        for &next in &self.behind[block as usize] {
            let known = self.numbers.get(next as usize).copied().unwrap_or(PLACED);
            let earliest = if known == 0 { self.visit(next, reversed) } else { known };
            if earliest <= head {
                (head, is_loop) = (earliest, true);
            }
        }
        if head == number {
            while let Some(element) = self.open.pop().filter(|element| *element != block) {
                self.numbers[element as usize] = 0;
            }
            self.numbers[block as usize] = PLACED;
            if is_loop {
                self.place_loop(block, reversed);
            } else {
                reversed.push(block);
            }
        }
        head
    }

    /// Places the blocks of a loop, whose first is this one.
    fn place_loop(&mut self, first: u32, reversed: &mut Vec<u32>) {
        let mut inner = Vec::new();
        for &next in &self.behind[first as usize] {
            if self.numbers.get(next as usize) == Some(&0) {
                self.visit(next, &mut inner);
            }
        }
        reversed.append(&mut inner);
        reversed.push(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks of blocks that lead to these.
    fn ranks_of(behind: &[&[u32]]) -> Option<Vec<u32>> {
        order(&behind.iter().map(|block| block.to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn text_in_order_is_left_alone() {
        assert_eq!(ranks_of(&[&[]]), None);
        // A choice, a loop in a loop.
        assert_eq!(ranks_of(&[&[2, 1], &[3], &[3], &[4], &[5, 4], &[6, 3], &[]]), None);
    }

    #[test]
    fn what_is_behind_a_loop_waits_for_it() {
        // The end (1) stands before the loop (2, 3).
        let ranks = ranks_of(&[&[2, 1], &[], &[3], &[2, 1]]).expect("another order");
        assert_eq!(ranks, [0, 3, 1, 2]);
        // So does what is behind the inner of two loops (2, behind 3), which belongs to the outer one (1 to 3); 4 is behind both.
        let ranks = ranks_of(&[&[1], &[3], &[4, 1], &[3, 2], &[]]).expect("another order");
        assert_eq!(ranks, [0, 1, 3, 2, 4]);
    }

    #[test]
    fn every_block_has_a_place_of_its_own() {
        // Two entries to a loop, and a block (5) that nothing leads to.
        let mut ranks = ranks_of(&[&[3, 1], &[3], &[], &[1, 2], &[], &[0]]).expect("another order");
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5]);
    }
}
