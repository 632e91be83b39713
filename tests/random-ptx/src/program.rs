//! A program as a tree, of which parts can be taken out.

use std::sync::Arc;

/// Registers of each class that statements work on; more than this many are for the frame around them.
pub const REGISTERS: &[(&str, &str, usize)] = &[
    ("w", "b64", 6),
    ("r", "b32", 10),
    ("h", "b16", 4),
    ("f", "f32", 6),
    ("d", "f64", 4),
    // Half-precision numbers, single and in pairs: bits that may be a NaN of any payload.
    ("e", "b16", 4),
    ("x", "b32", 4),
    // Pairs of the other half precision, `bf16`.
    ("y", "b32", 3),
    ("p", "pred", 6),
];

/// A program.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it was made from; its data too.
    pub seed: u64,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// What threads do, in order.
    pub body: Vec<Node>,
    /// Registers that have a value from the start, and whose value is looked at in the end, by class and number: those that the
    /// program named before anything was taken out of it.
    pub registers: Vec<(&'static str, usize)>,
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Node {
    /// Instructions in a row. `%mask` stands for the register that holds the lanes that come by, `APART2` for the offset of a
    /// thread's third word among those that lie apart.
    Line(Arc<str>),
    /// Lanes for which the predicate holds do one thing, the others another.
    If {
        /// Number of the predicate.
        predicate: usize,
        /// What is done where it holds.
        then: Vec<Node>,
        /// What is done where it does not.
        otherwise: Vec<Node>,
    },
    /// A loop.
    Loop {
        /// How often.
        count: Count,
        /// Whether the test stands behind the body.
        late: bool,
        /// What is done.
        body: Vec<Node>,
    },
    /// In a loop that counts no lanes: the lanes for which the predicate holds leave it, or begin its next round.
    Leave {
        /// Number of the predicate.
        predicate: usize,
        /// The next round.
        again: bool,
    },
    /// Blocks that branch to each other in any way, until each lane has used up its fuel.
    Maze {
        /// Branches that a lane takes at most.
        fuel: u32,
        /// The blocks and where they lead.
        blocks: Vec<(Vec<Node>, Exit)>,
    },
    /// Threads for which the predicate holds write a result and end.
    End {
        /// Number of the predicate.
        predicate: usize,
    },
}

/// How often a loop goes round.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// So often in all threads.
    Fixed(u32),
    /// As three bits of a register say, plus one if the test is late.
    Lane(usize),
}

/// Where a block of a maze leads.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// To the first block if the predicate holds, else to the second.
    Branch(usize, usize, usize),
    /// By two bits of a register, to one of four blocks.
    Table(usize, [usize; 4]),
}

impl Program {
    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Threads in all.
    pub fn all_threads(&self) -> u32 {
        self.threads() * self.grid.iter().product::<u32>()
    }
}

/// Whether an instruction among these names the lanes that come by.
pub fn counts_lanes(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Line(text) => text.contains("%mask"),
        Node::If { then, otherwise, .. } => counts_lanes(then) || counts_lanes(otherwise),
        Node::Loop { body, .. } => counts_lanes(body),
        Node::Maze { blocks, .. } => blocks.iter().any(|(body, _)| counts_lanes(body)),
        Node::Leave { .. } | Node::End { .. } => false,
    })
}
