//! Tier 1 of the CPU engine: PTX to machine code.
//!
//! ```text
//!   Body ─▶ Graph: blocks, liveness, thread frontiers        (graph)
//!        ─▶ Facts: how each register's lanes are related     (kind), once for each of two worlds
//!        ─▶ LLVM IR as text, and tables                      (lower)
//!        ─▶ an object (crate llvm) ─▶ code in memory (crate code-memory)
//!        ─▶ interpreter::compiled::Compiled, which runs blocks together with the interpreter
//! ```
//!
//! A kernel is compiled for one shape of its blocks. Nothing here knows a kernel by its name. What has no code is left to the
//! interpreter at the instruction ([`Made::refused`]); a kernel that is too large is refused.
//!
//! Vocabulary: a *region* lies between two barriers; a *world* says whether lanes may have parted; a register's *kind* is
//! uniform, a pattern, or varying; a *stop* is where code hands a warp to the interpreter.

mod counters;
mod forced;
mod graph;
mod kind;
mod linear;
mod lower;
mod runtime;
mod text;
mod used;

use std::sync::Arc;
use std::time::{Duration, Instant};

use code_memory::Code;
use interpreter::compiled::{Compiled, Enter, Helped};
use interpreter::{Image, Pace, Unsupported};

pub use forced::Forced;
pub use used::{USES, Used};

use graph::{End, Graph, Set};
use kind::{Facts, Kind, Patterns};
use lower::{Knowledge, Lowering, Manner};

/// Why a kernel has no code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interpreter refuses it as well.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// It is not compiled for this reason.
    #[error("kernel `{0}` is not compiled: {1}")]
    Refused(String, String),
    /// LLVM did not take what was made: an error of this crate.
    #[error("kernel `{0}`: LLVM refuses its code: {1}")]
    Llvm(String, String),
    /// The object can't be loaded.
    #[error("kernel `{0}`: its code can't be loaded: {1}")]
    Load(String, String),
}

impl Error {
    /// Whether there should be code: what was made of the kernel is wrong.
    pub fn is_ours(&self) -> bool {
        matches!(self, Error::Llvm(..) | Error::Load(..))
    }
}

/// A kernel's code before it is in memory: what is worth keeping on disk.
pub struct Made {
    /// LLVM IR.
    pub ir: String,
    /// Instructions that are left to the interpreter, by index, and why.
    pub refused: Vec<(u32, String)>,
    /// What lowering has done that it does not do in every kernel, for tests: see [`Used`].
    pub used: Used,
    output: lower::Output,
    name: String,
    order: Option<u64>,
}

/// What a compilation cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From PTX to LLVM IR.
    pub lowering: Duration,
    /// From there to an object.
    pub llvm: Duration,
    /// Bytes of the object.
    pub bytes: usize,
}

/// Larger kernels stay with the interpreter.
const MOST_INSTRUCTIONS: usize = 12_000;

/// A kernel's IR for blocks of a shape, with instructions that the target has.
pub fn lower(image: &Image, name: &str, block: [u32; 3], target: &llvm::Target) -> Result<Made, Error> {
    lower_forced(image, name, block, target, Forced::default())
}

/// [`lower`] in a way that a test forces.
fn lower_forced(
    image: &Image,
    name: &str,
    block: [u32; 3],
    target: &llvm::Target,
    forced: Forced,
) -> Result<Made, Error> {
    let refused = |why: String| Error::Refused(name.into(), why);
    let plan = image.plan(name)?;
    let body = plan.body.clone();
    if body.instructions.len() > MOST_INSTRUCTIONS {
        return Err(refused(format!("it has {} instructions", body.instructions.len())));
    }
    let graph = Graph::new(&body);
    let patterns = Patterns::default();
    let nowhere = vec![Set::new(graph.blocks.len()); graph.blocks.len()];
    let mut first = Facts::new(&body, &plan, block, &patterns);
    first.solve(&graph, &nowhere);
    // Where lanes can wait depends on which branches part them, and that on what varies where lanes wait.
    let frontiers_of = |facts: &Facts| {
        let parts = |block: usize| match graph.blocks[block].end {
            End::Branch { predicate, .. } => facts.kinds[predicate as usize] == Kind::Varying,
            _ => false,
        };
        graph.frontiers(parts, |block| forced.split(block).is_some())
    };
    let mut frontiers = frontiers_of(&first);
    let second = loop {
        let mut second = Facts::new(&body, &plan, block, &patterns);
        second.kinds.clone_from(&first.kinds);
        second.solve(&graph, &frontiers);
        let next = frontiers_of(&second);
        if next == frontiers {
            break second;
        }
        frontiers = next;
    };
    let first = Knowledge { facts: first, frontiers: nowhere };
    let second = Knowledge { facts: second, frontiers };
    let wide = target.has("avx512f");
    let manner = Manner {
        has_dots: target.has("avx512vnni"),
        room: if wide { 12 * 32 } else { 2 * 32 },
        pass: if wide { 16 } else { 8 },
        forced,
    };
    let output = Lowering::new(&body, &plan, &graph, block, first, second, manner).run().map_err(refused)?;
    Ok(Made {
        ir: output.ir.clone(),
        refused: output.refused.clone(),
        used: output.used.clone(),
        output,
        name: name.into(),
        order: forced.order,
    })
}

impl Made {
    /// Loads an object that was made of [`Made::ir`].
    pub fn load(self, image: &Image, object: &[u8]) -> Result<Compiled, Error> {
        let unloadable = |why: String| Error::Load(self.name.clone(), why);
        let code = Code::load(object, &runtime::function).map_err(|error| unloadable(error.to_string()))?;
        let entry = code.function("kernel").ok_or_else(|| unloadable("it has no function".into()))?;
        // SAFETY: the object defines `kernel` with this signature; see `Lowering::function`.
        let enter = unsafe { std::mem::transmute::<*const (), Enter>(entry) };
        let mut symbols = Vec::new();
        for name in &self.output.symbols {
            let address = image.symbol(name).ok_or_else(|| unloadable(format!("`{name}` is not defined")))?;
            symbols.push(address);
        }
        let kernel = image.kernel_with_stops(&self.name, &self.output.instructions)?;
        Ok(Compiled {
            kernel: Arc::new(kernel),
            enter,
            stops: self.output.stops,
            regions: self.output.regions,
            symbols,
            words: self.output.words,
            pending: self.output.pending,
            tiles: self.output.tiles,
            last_lanes: self.output.last_lanes,
            helped: Helped::default(),
            pace: Pace::default(),
            order: self.order,
            owner: Box::new(code),
        })
    }
}

/// A kernel's code for blocks of a shape, and what it cost.
pub fn compile(
    image: &Image,
    name: &str,
    block: [u32; 3],
    target: &llvm::Target,
) -> Result<(Compiled, Cost), Error> {
    compile_forced(image, name, block, target, Forced::default())
}

/// [`compile`] in a way that a test forces.
pub fn compile_forced(
    image: &Image,
    name: &str,
    block: [u32; 3],
    target: &llvm::Target,
    forced: Forced,
) -> Result<(Compiled, Cost), Error> {
    let begun = Instant::now();
    let made = lower_forced(image, name, block, target, forced)?;
    let lowering = begun.elapsed();
    let object =
        llvm::compile(&made.ir, target).map_err(|error| Error::Llvm(name.into(), error.to_string()))?;
    let cost = Cost { lowering, llvm: begun.elapsed() - lowering, bytes: object.len() };
    Ok((made.load(image, &object)?, cost))
}
