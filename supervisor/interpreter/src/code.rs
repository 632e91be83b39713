//! What decoding makes of a kernel: functions of basic blocks, blocks of operations.

use std::sync::Arc;

use ptx::Body;

use crate::launch::FaultKind;
use crate::registers::{Condition, Predicate, Reg};
use crate::warp::{SpareFiles, Warp};

/// One operation, for all active lanes.
pub(crate) type Operation = Box<dyn Fn(&mut Warp) + Send + Sync>;

/// Straight code.
pub(crate) struct Block {
    pub operations: Vec<Operation>,
    pub end: Terminator,
}

/// How a block ends. Lanes for which a condition does not hold go on in the next block.
pub(crate) enum Terminator {
    /// In the next block.
    Next,
    /// In another one.
    Jump(u32),
    /// In another one, or the next.
    Branch { condition: Condition, target: u32 },
    /// In one of several.
    Table { index: Reg<u32>, targets: Box<[u32]> },
    /// Lanes end.
    Exit(Option<Condition>),
    /// Lanes go back to their caller.
    Return(Option<Condition>),
    /// The next block begins with an instruction that the lanes named by `members` do together.
    Meet { members: Reg<u32> },
    /// Lanes meet others of the block.
    Barrier(Option<Condition>, Box<Barrier>),
    /// Lanes enter a function.
    Call(Option<Condition>, Box<Call>),
}

/// `bar` and `barrier`.
#[derive(Clone, Copy)]
pub(crate) struct Barrier {
    pub number: Reg<u32>,
    /// Threads that take part; all of the block if not said.
    pub threads: Option<Reg<u32>>,
    pub kind: BarrierKind,
}

/// What lanes do at a barrier.
#[derive(Clone, Copy)]
pub(crate) enum BarrierKind {
    /// Wait.
    Sync,
    /// Go on.
    Arrive,
    /// Wait, and learn how many lanes' condition held.
    Count { of: Condition, result: Reg<u32> },
    /// Wait, and learn whether all lanes' condition held.
    All { of: Condition, result: Predicate },
    /// Wait, and learn whether any lane's condition held.
    Any { of: Condition, result: Predicate },
}

/// A call: parameters and results are bytes in the local memory of caller and callee.
pub(crate) struct Call {
    pub target: Callee,
    /// Places in the caller's frame, in order.
    pub arguments: Vec<u64>,
    pub results: Vec<u64>,
    pub origin: Origin,
}

impl Call {
    /// The function, if the call names one.
    pub fn function(&self) -> Option<u32> {
        if let Callee::Function(function) = self.target { Some(function) } else { None }
    }
}

/// Who is called.
pub(crate) enum Callee {
    /// Index into [`Kernel::functions`].
    Function(u32),
    /// Each lane's token, see [`crate::image::Image::symbol`].
    Pointer(Reg<u64>),
}

/// A decoded function; the kernel itself is the first.
pub(crate) struct Function {
    pub name: Box<str>,
    pub blocks: Vec<Block>,
    /// Each block's place in the order in which those run where lanes wait; empty: as they are numbered.
    pub ranks: Arc<[u32]>,
    /// Of a kernel: what runs once in each warp, before its first block, for all lanes.
    pub once: Vec<Operation>,
    /// First contents of the register file.
    pub registers: Vec<u64>,
    /// Bytes of each thread's local memory.
    pub local_bytes: u64,
    /// Place and size of parameters and results in local memory.
    pub arguments: Vec<(u64, u64)>,
    pub results: Vec<(u64, u64)>,
    pub body: Arc<Body>,
}

/// How subnormal floats are treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flush {
    /// By each instruction that asks for it.
    Each,
    /// By the processor: every instruction that could ask does.
    Whole,
}

/// A decoded kernel.
pub struct Kernel {
    pub(crate) name: Box<str>,
    pub(crate) functions: Vec<Function>,
    /// Function pointers: token, and the function or why it can't be called.
    pub(crate) pointers: Vec<(u64, Result<u32, String>)>,
    pub(crate) static_shared: u64,
    /// It asks where the system's part of shared memory lies.
    pub(crate) uses_reserved_shared: bool,
    /// What it touches is told ([`crate::watch`]).
    pub(crate) is_watched: bool,
    /// It calls `malloc` or `free`.
    pub(crate) uses_heap: bool,
    /// Bytes of local memory of one thread, calls included.
    pub(crate) stack_bytes: u64,
    pub(crate) parameter_bytes: u32,
    pub(crate) flush: Flush,
    /// Block of the kernel's own function where lanes that are sent to an instruction begin, for those where one begins.
    pub(crate) block_numbers: Vec<u32>,
    pub(crate) max_threads: u32,
    /// As `.maxnreg` says. It bounds what is told; nothing here is allocated by it.
    pub(crate) max_registers: u32,
    pub(crate) spare: SpareFiles,
    pub(crate) module: Arc<ptx::Module>,
}

/// Registers that a thread can have on any card.
pub(crate) const MOST_REGISTERS: u32 = 255;

/// What `cuFuncGetAttribute` asks for.
pub struct Attributes {
    /// Threads per block that the kernel allows.
    pub max_threads: u32,
    /// Bytes of static shared memory.
    pub static_shared: u64,
    /// Bytes of constants.
    pub constant: u64,
    /// Bytes of local memory per thread.
    pub local: u64,
    /// 32-bit registers per thread that a GPU might need: an estimate.
    pub registers: u32,
}

impl Kernel {
    /// How many instructions its own body has.
    pub fn instructions(&self) -> usize {
        self.functions[0].body.instructions.len()
    }

    /// Whether it calls `malloc` or `free`.
    pub fn uses_heap(&self) -> bool {
        self.uses_heap
    }

    /// What `cuFuncGetAttribute` asks for.
    pub fn attributes(&self) -> Attributes {
        let entry = &self.functions[0];
        Attributes {
            max_threads: self.max_threads,
            static_shared: self.static_shared,
            constant: self
                .module
                .variables()
                .iter()
                .filter(|it| it.space == ptx::Space::Const)
                .map(ptx::Variable::size)
                .sum(),
            local: entry.local_bytes,
            registers: (entry.body.register_count / 4).clamp(16, MOST_REGISTERS).min(self.max_registers),
        }
    }

    /// The block that begins at an instruction of the kernel's own body.
    pub(crate) fn block_of(&self, instruction: u32) -> u32 {
        self.block_numbers[instruction as usize]
    }

    /// An instruction's text and line.
    pub(crate) fn origin(&self, place: Origin) -> (String, u32) {
        let body = &self.functions[place.function as usize].body;
        match body.instructions.get(place.instruction as usize) {
            Some(instruction) => (body.print(instruction), self.module.line_of(instruction.offset)),
            None => (String::new(), 0),
        }
    }

    /// The function that a pointer means.
    pub(crate) fn pointed(&self, token: u64) -> Result<u32, FaultKind> {
        let known = self.pointers.binary_search_by_key(&token, |(token, _)| *token);
        match known.map(|place| &self.pointers[place].1) {
            Ok(Ok(function)) => Ok(*function),
            Ok(Err(why)) => Err(FaultKind::InvalidCall(why.clone())),
            Err(_) => Err(FaultKind::InvalidCall(format!("{token:#x} is no function"))),
        }
    }
}

/// Where an instruction stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub function: u32,
    pub instruction: u32,
}
