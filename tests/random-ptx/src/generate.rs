//! From a seed to a program.

use std::sync::Arc;

use crate::program::{Count, Exit, Node, Program};
use crate::random::{Random, mix};
use crate::statements::{Manner, Place, at_one_place, statement};
use crate::text::DEPTH;

/// Shapes of blocks: whole warps, parts of warps, and three dimensions.
const BLOCKS: &[[u32; 3]] = &[
    [32, 1, 1],
    [64, 1, 1],
    [128, 1, 1],
    [1, 1, 1],
    [7, 1, 1],
    [37, 1, 1],
    [33, 2, 1],
    [5, 7, 3],
    [16, 3, 2],
    [96, 1, 1],
    [8, 8, 1],
    [100, 1, 1],
    [32, 4, 1],
    [4, 8, 2],
    [2, 16, 1],
    [64, 1, 1],
    [16, 8, 1],
    [32, 2, 2],
    [160, 1, 1],
];

/// Shapes of grids.
const GRIDS: &[[u32; 3]] = &[[1, 1, 1], [2, 1, 1], [3, 1, 1], [2, 2, 1], [1, 2, 3], [8, 1, 1], [5, 2, 1]];

/// The program of a seed.
pub fn generate(seed: u64) -> Program {
    let mut random = Random(mix(seed.wrapping_add(1)));
    let (grid, block) = (random.choose(GRIDS), random.choose(BLOCKS));
    let threads = block.iter().product();
    let manner = Manner { flushes: random.choose(&[0, 0, 1, 4]), threads, guards: random.choose(&[0, 1, 3]) };
    let most = if random.one_in(4) { 40 } else { 16 };
    let statements = 3 + random.below(most);
    let mut generator = Generator { random, manner, left: statements as i32, ended: threads % 32 != 0 };
    let around = Around { depth: 0, warp: true, block: true, leaves: false, branches: true };
    let mut body = Vec::new();
    while generator.left > 0 {
        body.push(generator.node(around));
    }
    // Chosen apart: programs without one are what they were when they were recorded.
    let mut apart = Random(mix(!seed));
    if apart.one_in(12) {
        let text = at_one_place(&mut apart, manner);
        insert(&mut body, Node::Line(Arc::from(text)), &mut apart);
    }
    let mut program = Program { seed, grid, block, body, registers: Vec::new() };
    program.registers = program.named();
    program
}

/// Puts a statement anywhere.
fn insert(nodes: &mut Vec<Node>, statement: Node, random: &mut Random) {
    let place = random.below(nodes.len() + 1);
    match nodes.get_mut(place) {
        Some(Node::If { then: inside, .. } | Node::Loop { body: inside, .. }) if random.one_in(2) => {
            insert(inside, statement, random)
        }
        _ => nodes.insert(place, statement),
    }
}

struct Generator {
    random: Random,
    manner: Manner,
    /// Statements that are still to be written.
    left: i32,
    /// No warp has all its lanes any more.
    ended: bool,
}

/// What is known where a statement stands.
#[derive(Clone, Copy)]
struct Around {
    depth: usize,
    /// The lanes that come by are counted.
    warp: bool,
    /// The whole block comes by.
    block: bool,
    /// In a loop that can be left.
    leaves: bool,
    /// Branches and loops are allowed.
    branches: bool,
}

impl Generator {
    fn node(&mut self, around: Around) -> Node {
        self.left -= 1;
        let nests = around.branches && around.depth < DEPTH - 1;
        match self.random.below(24) {
            0..=2 if nests => self.branch(around),
            3..=4 if nests => self.round(around),
            5 if nests && !around.leaves => self.maze(around),
            6 if around.leaves => {
                Node::Leave { predicate: self.random.below(6), again: self.random.one_in(2) }
            }
            7 if around.depth == 0 && self.random.one_in(6) => {
                self.ended = true;
                Node::End { predicate: self.random.below(6) }
            }
            _ => self.statement(around),
        }
    }

    fn statement(&mut self, around: Around) -> Node {
        let place =
            Place { warp: around.warp, block: around.block, whole: around.block && !self.ended, calls: true };
        let text = statement(&mut self.random, place, self.manner);
        Node::Line(Arc::from(text))
    }

    fn nodes(&mut self, most: usize, around: Around) -> Vec<Node> {
        let count = 1 + self.random.below(most);
        (0..count).map(|_| self.node(around)).collect()
    }

    fn branch(&mut self, around: Around) -> Node {
        let inside = Around { depth: around.depth + 1, block: false, ..around };
        let predicate = self.random.below(6);
        let then = self.nodes(4, inside);
        let otherwise = if self.random.one_in(2) { self.nodes(4, inside) } else { Vec::new() };
        Node::If { predicate, then, otherwise }
    }

    fn round(&mut self, around: Around) -> Node {
        let fixed = self.random.one_in(2);
        let count = if fixed {
            Count::Fixed(1 + self.random.below(5) as u32)
        } else {
            Count::Lane(self.random.below(10))
        };
        // A loop that lanes leave in its middle counts none.
        let leaves = !(around.warp && self.random.one_in(2));
        let inside = Around {
            depth: around.depth + 1,
            warp: around.warp && !leaves,
            block: around.block && fixed && !leaves,
            leaves,
            branches: true,
        };
        Node::Loop { count, late: self.random.one_in(3), body: self.nodes(5, inside) }
    }

    fn maze(&mut self, around: Around) -> Node {
        let inside =
            Around { depth: around.depth + 1, warp: false, block: false, leaves: false, branches: false };
        let count = 2 + self.random.below(5);
        let blocks = (0..count)
            .map(|_| {
                let body = self.nodes(3, inside);
                let mut place = || self.random.below(count);
                let targets = [place(), place(), place(), place()];
                let exit = if self.random.one_in(4) {
                    Exit::Table(self.random.below(10), targets)
                } else {
                    Exit::Branch(self.random.below(6), targets[0], targets[1])
                };
                (body, exit)
            })
            .collect();
        Node::Maze { fuel: 3 + self.random.below(12) as u32, blocks }
    }
}
