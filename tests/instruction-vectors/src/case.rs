//! One instruction with its operands, and all of them.

use ptx::isa::{Op, forms};
use ptx::{Mnemonic, Type};

use crate::{form, moves};

/// What values an operand takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any of its type.
    Any,
    /// Few different ones, and now and then the same in a whole warp.
    Few,
    /// At most this (a power of two less one), where the manual leaves larger ones undefined.
    AtMost(u64),
    /// Near zero, with either sign.
    Offset,
    /// Lanes of the warp, the same mask in all: those that take part.
    Members,
    /// All lanes of the warp.
    AllLanes,
}

/// An operand that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its type.
    pub ty: Type,
    /// Its values.
    pub domain: Domain,
    /// Whether its register has 64 bits, whatever the type.
    pub wide: bool,
}

/// An operand that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its type.
    pub ty: Type,
    /// Whether its register has 64 bits, whatever the type.
    pub wide: bool,
}

/// Where the memory operand of an instruction lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// There is none.
    None,
    /// In global memory.
    Global,
    /// In the block's shared memory.
    Shared,
}

/// One instruction with its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The instruction, and what goes before and behind it: its inputs are called `%i0` …, its outputs `%o0` ….
    pub text: String,
    /// The instruction without operands.
    pub mnemonic: Mnemonic,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What it writes.
    pub outputs: Vec<Output>,
    /// Its memory: the first inputs are stored there before, the last outputs loaded behind.
    pub cell: Cell,
    /// How many values the memory has.
    pub cell_values: usize,
}

/// The instructions that are covered: all whose result depends on operands alone.
const OPS: &[Op] = {
    use Op::*;
    &[
        Add, Sub, Addc, Subc, Mul, Mad, Madc, Mul24, Mad24, Sad, Div, Rem, Abs, Neg, Min, Max, Popc, Clz,
        Bfind, Fns, Brev, Bfe, Bfi, Szext, Bmsk, Dp4a, Dp2a, Testp, Copysign, Fma, Rcp, Sqrt, Rsqrt, Sin,
        Cos, Lg2, Ex2, Tanh, Set, Setp, Selp, Slct, And, Or, Xor, Not, Cnot, Lop3, Shf, Shl, Shr, Prmt, Cvt,
        Atom, Red, Shfl, Vote, Match, Activemask, Redux, Elect, Movmatrix, Vadd, Vsub, Vabsdiff, Vmin, Vmax,
        Vshl, Vshr, Vmad, Vset, Vadd2, Vsub2, Vavrg2, Vabsdiff2, Vmin2, Vmax2, Vset2, Vadd4, Vsub4, Vavrg4,
        Vabsdiff4, Vmin4, Vmax4, Vset4,
    ]
};

/// Every case, in an order that depends on the table alone.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for op in OPS {
        for form in forms(*op) {
            cases.extend(form::cases(form));
        }
    }
    cases.extend(moves::cases());
    // Forms overlap: `vote.sync.all` is one of two, and what is the same is asked once.
    let mut seen = std::collections::HashSet::new();
    cases.retain(|case| seen.insert(case.text.clone()));
    cases
}

impl Case {
    /// Threads that are asked, each for other values.
    pub fn count(&self) -> usize {
        match &self.inputs[..] {
            // All there are.
            [only] if only.ty.size() == 2 && !only.wide && only.domain == Domain::Any => 1 << 16,
            _ => 4096,
        }
    }

    /// Whether lanes do it together.
    pub fn is_warp_wide(&self) -> bool {
        use Op::*;
        matches!(self.mnemonic.op, Shfl | Vote | Match | Activemask | Redux | Elect | Movmatrix)
    }
}
