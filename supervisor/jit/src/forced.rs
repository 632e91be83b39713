//! Ways of compiling that tests force, to come by what kernels seldom do. Results of programs without races stay the same.

/// What a test forces. By default nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Forced {
    /// Warps begin every region in the second world, and stay there.
    pub masked: bool,
    /// At random blocks some lanes go on while the others wait for them: from this seed.
    pub splits: Option<u64>,
    /// Code gives up at random instructions now and then, as if an assumption had failed: from this seed.
    pub stops: Option<u64>,
    /// Between barriers a block's warps run in a random order: from this seed.
    pub order: Option<u64>,
    /// Every loop of one block is one in which warps take turns, of a few rounds each: from this seed.
    pub turns: Option<u64>,
}

/// Of so many blocks, and of so many instructions, one is taken.
const BLOCKS: u64 = 3;
const INSTRUCTIONS: u64 = 3;
/// Rounds of a turn at most.
const ROUNDS: u32 = 3;

impl Forced {
    /// Whether warps go their usual way from instruction to instruction.
    pub(crate) fn is_straight(&self) -> bool {
        !self.masked && self.splits.is_none() && self.stops.is_none()
    }

    /// The lanes that go on first where lanes come to a block, if not all do.
    pub(crate) fn split(&self, block: usize) -> Option<u32> {
        let hash = mix(self.splits? ^ mix(block as u64));
        // Now and then few, for whom there is code of its own.
        let most = if hash >> 16 & 1 == 0 { u32::MAX } else { 0xff };
        hash.is_multiple_of(BLOCKS).then_some((hash >> 32) as u32 & most)
    }

    /// Whether a block's instructions are done in passes wherever that can be.
    pub(crate) fn passes(&self, block: usize) -> bool {
        self.splits.or(self.stops).is_some_and(|seed| mix(seed ^ mix(!(block as u64))) & 1 == 0)
    }

    /// Whether such passes are a loop, where that can be.
    pub(crate) fn rolled(&self, block: usize) -> bool {
        self.splits.or(self.stops).is_some_and(|seed| mix(seed ^ mix(!(block as u64))) & 2 == 0)
    }

    /// Whether a warp leaves the first world where it comes to a block.
    pub(crate) fn leaves_first(&self, block: usize) -> bool {
        self.masked || self.split(block).is_some()
    }

    /// How often a warp goes round in one turn of a loop that consists of a block.
    pub(crate) fn rounds(&self, block: usize) -> Option<u32> {
        let hash = mix(self.turns? ^ mix(block as u64));
        Some(1 + (hash >> 32) as u32 % ROUNDS)
    }

    /// How seldom code gives up before an instruction: once in two to the power of this; `None`: never.
    pub(crate) fn doubts(&self, instruction: usize) -> Option<u32> {
        let hash = mix(self.stops? ^ mix(instruction as u64));
        hash.is_multiple_of(INSTRUCTIONS).then_some([2, 5, 8][(hash >> 32) as usize % 3])
    }
}

/// A hash of 64 bits (splitmix64's).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
