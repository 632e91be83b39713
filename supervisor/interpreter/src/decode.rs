//! From PTX instructions to operations on 32 lanes.
//!
//! A kernel is decoded together with the functions that it can reach ([`layout::Program`]). A function becomes basic blocks: a
//! new one begins at each label, behind whatever may send lanes elsewhere, and at instructions that lanes do together
//! (`.sync`), since those wait for each other there. An instruction becomes a closure that knows its registers; what can be
//! decided while decoding (types, modifiers, addresses of variables) is decided there. Closures are made in functions compiled
//! for AVX2, so that their loops over lanes become vector instructions.

mod asynchronous;
mod compare;
mod control;
mod convert;
mod float;
mod half_float;
mod integer;
mod invariant;
mod layout;
mod matrix;
mod matrix_memory;
mod memory;
mod moves;
mod operands;
mod ranks;
mod rounding;
mod stack;
mod texture;
mod video;
mod warp_wide;
mod watch;

use std::sync::Arc;

use ptx::{Body, Instruction, Mnemonic, Modifier, Op, Operand};

use crate::code::{Block, Flush, Function, Kernel, MOST_REGISTERS, Operation, Terminator};
use crate::image::{Image, Plan, Unsupported};
use crate::registers::{Condition, FULL, Slot};
use crate::warp::SpareFiles;
use crate::watch::LOCAL_GAP;
use layout::Program;
pub use matrix::product;
use operands::{Decoded, Decoder};
pub use warp_wide::partners as shuffle_partners;

/// A token for a function's address.
pub(crate) fn function_token(position: usize) -> u64 {
    0x10 + position as u64 * 0x10
}

/// Decodes a kernel and all that it can call.
pub(crate) fn kernel(image: &Image, name: &str, stops: &[u32]) -> Result<Kernel, Unsupported> {
    let module = image.module().clone();
    let missing = || Unsupported::NoKernel(name.into());
    let position = module.function_position(name).ok_or_else(missing)?;
    let entry = &module.functions()[position];
    if !entry.entry || !entry.is_defined() {
        return Err(missing());
    }
    require_features(name)?;
    require_no_cluster(entry)?;
    let program = Program::collect(image, position)?;
    let (mut functions, mut frames, mut pointers) = (Vec::new(), Vec::new(), Vec::new());
    let mut block_numbers = Vec::new();
    for (index, reached) in program.functions.iter().enumerate() {
        let stops = if index == 0 { stops } else { &[] };
        let (function, calls) = match function(image, &program, index, stops) {
            Ok((function, calls, numbers)) => {
                if index == 0 {
                    block_numbers = numbers;
                }
                (function, calls)
            }
            Err((instruction, what)) => {
                let error = unsupported(&module, name, &reached.body, instruction, what);
                if reached.direct {
                    return Err(error);
                }
                pointers.push((function_token(reached.position), Err(error.to_string())));
                functions.push(unusable(&reached.body));
                frames.push((0, Vec::new()));
                continue;
            }
        };
        pointers.push((function_token(reached.position), Ok(index as u32)));
        frames.push((function.local_bytes, calls));
        functions.push(function);
    }
    let broken = program.broken.iter();
    pointers.extend(broken.map(|(position, why)| (function_token(*position), Err(why.clone()))));
    pointers.sort_by_key(|(token, _)| *token);
    let product = |size: [u32; 3]| size.iter().product::<u32>();
    Ok(Kernel {
        name: name.into(),
        stack_bytes: stack_bytes(image, program.stack_bytes(&frames)),
        is_watched: image.is_watched,
        functions,
        pointers,
        static_shared: program.static_shared,
        uses_heap: program.uses_heap(&module),
        uses_reserved_shared: program.uses_reserved_shared(),
        parameter_bytes: entry.parameter_bytes(),
        flush: program.flush,
        block_numbers,
        max_threads: entry.required_threads.or(entry.max_threads).map_or(1024, product),
        max_registers: entry.max_registers.unwrap_or(MOST_REGISTERS),
        spare: SpareFiles::default(),
        module,
    })
}

/// A thread's local memory; in a watched kernel, with a gap to the next thread's.
fn stack_bytes(image: &Image, needed: u64) -> u64 {
    if image.is_watched && needed != 0 { needed.next_multiple_of(16) + LOCAL_GAP } else { needed }
}

fn require_features(kernel: &str) -> Result<(), Unsupported> {
    let here = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    if here {
        return Ok(());
    }
    let what = "this processor lacks AVX2, FMA or F16C".into();
    Err(Unsupported::Instruction { kernel: kernel.into(), instruction: String::new(), line: 0, what })
}

/// A kernel that is written for clusters of several blocks would read other blocks' shared memory.
fn require_no_cluster(entry: &ptx::Function) -> Result<(), Unsupported> {
    let blocks = entry.required_cluster.map_or(1, |size| size.iter().product::<u32>());
    if blocks <= 1 && !entry.explicit_cluster {
        return Ok(());
    }
    let what = "clusters of several blocks are not implemented".into();
    let instruction = if blocks > 1 { ".reqnctapercluster" } else { ".explicitcluster" };
    Err(Unsupported::Instruction {
        kernel: entry.name.to_string(),
        instruction: instruction.into(),
        line: 0,
        what,
    })
}

fn unsupported(module: &ptx::Module, kernel: &str, body: &Body, index: usize, what: String) -> Unsupported {
    let instruction = body.instructions.get(index);
    Unsupported::Instruction {
        kernel: kernel.into(),
        instruction: instruction.map_or(String::new(), |instruction| body.print(instruction)),
        line: instruction.map_or(0, |instruction| module.line_of(instruction.offset)),
        what,
    }
}

/// Stands for a function that only pointers reach and that can't be decoded; it is never entered.
fn unusable(body: &Arc<Body>) -> Function {
    Function {
        name: "".into(),
        blocks: Vec::new(),
        ranks: Arc::default(),
        once: Vec::new(),
        registers: Vec::new(),
        local_bytes: 0,
        arguments: Vec::new(),
        results: Vec::new(),
        body: body.clone(),
    }
}

/// What a compiler needs to know of a decoded kernel.
pub(crate) fn plan(image: &Image, name: &str, kernel: &Kernel) -> Result<Plan, Unsupported> {
    let module = image.module();
    let missing = || Unsupported::NoKernel(name.into());
    let position = module.function_position(name).ok_or_else(missing)?;
    let program = Program::collect(image, position)?;
    let (variables, _) = program.places(module, 0);
    let body = program.functions[0].body.clone();
    let decoder = Decoder::new(image, &program, 0, Vec::new());
    let offset = |register| match decoder.slot(register) {
        Slot::Narrow(register) => register.0,
        Slot::Wide(register) => register.0,
        Slot::Predicate(predicate) => predicate.0,
    };
    let mut kept = vec![false; body.register_count as usize];
    let once = invariant::instructions(&body, &variables);
    for (instruction, _) in body.instructions.iter().zip(once).filter(|(_, once)| *once) {
        body.roles(instruction).writes.iter().for_each(|register| kept[*register as usize] = true);
    }
    Ok(Plan {
        kept,
        variables,
        shared: program.shared_variables(),
        registers: (0..body.register_count).map(offset).collect(),
        constants: invariant::constants(&body),
        flushes: kernel.flush == Flush::Whole,
        stack_bytes: kernel.stack_bytes.next_multiple_of(16),
        parameter_bytes: kernel.parameter_bytes,
        body,
    })
}

/// A function, those that it calls by name, and the block that begins at each instruction.
type Decoding = (Function, Vec<u32>, Vec<u32>);

/// Decodes one function.
fn function(
    image: &Image,
    program: &Program,
    index: usize,
    stops: &[u32],
) -> Result<Decoding, (usize, String)> {
    let reached = &program.functions[index];
    let declared = &image.module().functions()[reached.position];
    let (places, mut local_bytes) = program.places(image.module(), index);
    let [results, arguments] = layout::signature(declared, &places).map_err(|what| (0, what))?;
    let mut decoder = Decoder::new(image, program, index as u32, places);
    if stack::is_used(&reached.body) {
        decoder.open_stack(local_bytes);
        local_bytes += stack::BYTES;
    }
    decoder.frame_bytes = local_bytes;
    // SAFETY: `kernel` has checked that the processor has the features.
    let (blocks, numbers) = unsafe { decoder.blocks(declared.entry, stops) }?;
    let calls = blocks.iter().filter_map(|block| match &block.end {
        Terminator::Call(_, call) => call.function(),
        _ => None,
    });
    let calls = calls.collect();
    let function = Function {
        name: declared.name.clone(),
        ranks: ranks::ranks(&blocks),
        blocks,
        once: decoder.once,
        registers: decoder.layout.words,
        local_bytes,
        arguments,
        results,
        body: reached.body.clone(),
    };
    Ok((function, calls, numbers))
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn blocks(&mut self, entry: bool, stops: &[u32]) -> Result<(Vec<Block>, Vec<u32>), (usize, String)> {
        let body = self.body.clone();
        let starts = self.starts(stops);
        let numbers = block_numbers(&starts);
        // Only a kernel's own registers keep their values; a function's are fresh at each call.
        let once = if entry { invariant::instructions(&body, &self.places) } else { Vec::new() };
        let mut blocks = Vec::new();
        let mut end = None;
        for (index, instruction) in body.instructions.iter().enumerate() {
            self.index = index as u32;
            if index > 0 && starts[index] != Start::No {
                if starts[index] == Start::Meeting {
                    end = Some(self.meeting(instruction).map_err(|what| (index, what))?);
                }
                blocks.push(self.block(end.take()));
            }
            if starts[index] == Start::BehindMeeting {
                let meeting = self.meeting(instruction).map_err(|what| (index, what))?;
                blocks.push(self.block(Some(meeting)));
            }
            let before = self.operations.len();
            end = self.instruction(instruction, &numbers).map_err(|what| (index, what))?;
            if once.get(index) == Some(&true) {
                self.once.extend(self.operations.drain(before..));
            }
        }
        blocks.push(self.block(end));
        // Running past the end is a return.
        let last = if entry { Terminator::Exit(None) } else { Terminator::Return(None) };
        blocks.push(self.block(Some(last)));
        Ok((blocks, numbers))
    }

    /// What has been decoded since the last block.
    fn block(&mut self, end: Option<Terminator>) -> Block {
        Block { operations: std::mem::take(&mut self.operations), end: end.unwrap_or(Terminator::Next) }
    }

    /// Whether a block begins at each instruction, and at the end.
    fn starts(&self, stops: &[u32]) -> Vec<Start> {
        let body = &self.body;
        let count = body.instructions.len();
        let mut starts = vec![Start::No; count + 1];
        (starts[0], starts[count]) = (Start::Plain, Start::Plain);
        for label in &body.labels {
            starts[label.target.unwrap_or(0) as usize] = Start::Plain;
        }
        for stop in stops {
            starts[*stop as usize] = Start::Plain;
        }
        for (index, instruction) in body.instructions.iter().enumerate() {
            if self.ends_block(body.mnemonic(instruction), &instruction.operands) {
                starts[index + 1] = Start::Plain;
            }
        }
        // Whether all lanes have met since the block began; straight code does not part them.
        let mut together = false;
        for (start, instruction) in starts.iter_mut().zip(&body.instructions) {
            together &= *start == Start::No;
            let gathering = gathering(body, instruction);
            if gathering == Gathering::None || gathering == Gathering::All && together {
                continue;
            }
            *start = if *start == Start::No { Start::Meeting } else { Start::BehindMeeting };
            together = gathering == Gathering::All;
        }
        starts
    }

    /// Where lanes meet before an instruction that they do together.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn meeting(&mut self, instruction: &Instruction) -> Decoded<Terminator> {
        if gathering(&self.body, instruction) == Gathering::All {
            return Ok(Terminator::Meet { members: self.constant(FULL) });
        }
        let members = instruction.operands.last().ok_or("an instruction without its mask of lanes")?;
        Ok(Terminator::Meet { members: self.source::<u32>(members)? })
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn instruction(&mut self, instruction: &Instruction, numbers: &[u32]) -> Decoded<Option<Terminator>> {
        let body = self.body.clone();
        let mnemonic = body.mnemonic(instruction);
        let guard = match instruction.guard {
            None => None,
            Some((register, true)) => Some(self.condition(&Operand::NotRegister(register))?),
            Some((register, false)) => Some(self.condition(&Operand::Register(register))?),
        };
        if self.ends_block(mnemonic, &instruction.operands) {
            return self.terminator(instruction, mnemonic, guard, numbers).map(Some);
        }
        let before = self.operations.len();
        if gathering(&body, instruction) != Gathering::None {
            self.watch_meeting();
        }
        self.plain(instruction, mnemonic)?;
        if let Some(condition) = guard {
            let guarded: Vec<Operation> = self.operations.drain(before..).collect();
            self.guard(condition, guarded);
        }
        Ok(None)
    }

    /// Operations for the lanes for which a condition holds.
    fn guard(&mut self, condition: Condition, mut operations: Vec<Operation>) {
        if operations.len() == 1 {
            let only = operations.remove(0);
            return self.push(move |w| w.guarded(condition, |w| only(w)));
        }
        self.push(move |w| {
            w.guarded(condition, |w| {
                for operation in &operations {
                    operation(w);
                }
            });
        });
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn plain(&mut self, instruction: &Instruction, mnemonic: &Mnemonic) -> Decoded<()> {
        use Op::*;
        let operands = &instruction.operands;
        if let Some(what) = not_implemented(mnemonic) {
            return Err(what.into());
        }
        match mnemonic.op {
            Ld | Ldu | St | Atom | Red | Cvta | Isspacep => self.memory(mnemonic, operands),
            Prefetch | Prefetchu | Discard | Applypriority => Ok(()),
            Cvt => self.convert(mnemonic, operands),
            Mov => self.mov(mnemonic, operands),
            Setp | Set | Selp | Slct | Testp => self.compare(mnemonic, operands),
            Shfl | Vote | Match | Activemask | Redux | Elect => self.warp_wide(mnemonic, operands),
            Alloca | Stacksave | Stackrestore => self.stack(mnemonic, operands),
            Mma | Wmma | Ldmatrix | Stmatrix | Movmatrix => self.matrix(mnemonic, operands),
            Cp | Mbarrier | Createpolicy => self.asynchronous(mnemonic, operands),
            Setmaxnreg => Ok(()),
            Tex | Tld4 | Txq | Suld | Sust | Suq => self.texture(mnemonic, operands),
            Bar | Barrier | Membar | Fence | Griddepcontrol | Nanosleep | Trap | Brkpt | Pmevent | Call => {
                self.control(mnemonic, operands)
            }
            _ => self.arithmetic(mnemonic, operands),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn arithmetic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use ptx::Type;
        match mnemonic.ty().ok_or("not implemented")? {
            Type::Pred => self.logic_of_predicates(mnemonic, operands),
            Type::F32 => self.single(mnemonic, operands),
            Type::F64 => self.double(mnemonic, operands),
            Type::F32x2 => self.pair_of_singles(mnemonic, operands),
            Type::F16 | Type::Bf16 | Type::F16x2 | Type::Bf16x2 => self.half(mnemonic, operands),
            _ => self.integer(mnemonic, operands),
        }
    }
}

/// Words that change what is computed, and that the decoders below do not look at: without this they would compute something
/// else and say nothing.
fn not_implemented(mnemonic: &Mnemonic) -> Option<&'static str> {
    use Op::*;
    let has = |modifier| mnemonic.has(modifier);
    match mnemonic.op {
        Fma if has(Modifier::Oob) => Some("`.oob` is not implemented"),
        Add | Sub | Fma if mnemonic.types.len() > 1 => Some("mixed precision is not implemented"),
        Min | Max if has(Modifier::AbsModifier) && !has(Modifier::XorSign) => {
            Some("`.abs` without `.xorsign` is not implemented")
        }
        St | Red if has(Modifier::Async) => Some("asynchronous stores are not implemented"),
        Cvt if has(Modifier::Pack) || has(Modifier::Rs) => Some("this form of conversion is not implemented"),
        _ => None,
    }
}

/// How a block begins at an instruction.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    /// Not at all.
    No,
    /// As it is.
    Plain,
    /// Lanes meet at the end of the block before.
    Meeting,
    /// Lanes come from elsewhere as well, and meet in a block of its own.
    BehindMeeting,
}

/// The block where lanes that are sent to an instruction begin.
fn block_numbers(starts: &[Start]) -> Vec<u32> {
    let mut next = 0;
    let number = |start: &Start| {
        next += match start {
            Start::No => 0,
            Start::Plain | Start::Meeting => 1,
            Start::BehindMeeting => 2,
        };
        next - if *start == Start::BehindMeeting { 2 } else { 1 }
    };
    starts.iter().map(number).collect()
}

/// Which lanes meet before an instruction.
#[derive(Clone, Copy, PartialEq)]
enum Gathering {
    None,
    /// Those that its last operand names.
    Members,
    /// All.
    All,
}

fn gathering(body: &Body, instruction: &Instruction) -> Gathering {
    let mnemonic = body.mnemonic(instruction);
    // Lanes that a guard holds back are not waited for, so the members' mask says nothing.
    if instruction.guard.is_some() {
        return Gathering::None;
    }
    match mnemonic.op {
        Op::Shfl | Op::Vote | Op::Match | Op::Redux | Op::Elect if mnemonic.has(Modifier::Sync) => {
            Gathering::Members
        }
        Op::Bar | Op::Barrier if mnemonic.has(Modifier::Warp) => Gathering::Members,
        Op::Mma | Op::Wmma | Op::Ldmatrix | Op::Stmatrix | Op::Movmatrix => Gathering::All,
        _ => Gathering::None,
    }
}
