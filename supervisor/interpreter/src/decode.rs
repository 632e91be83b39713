//! From PTX instructions to closures over 32 lanes.

mod arithmetic;
mod control;
mod convert;
mod memory;
mod warp_wide;

use std::collections::HashMap;
use std::sync::Arc;

use ptx::{AddressBase, Body, Instruction, Mnemonic, Modifier, Op, Operand, RegisterId, Space, Type};

use crate::image::{Image, Unsupported};
use crate::warp::Warp;

/// One operation, for all active lanes.
pub(crate) type Operation = Box<dyn Fn(&mut Warp) + Send + Sync>;

/// How a block ends.
pub(crate) enum Terminator {
    /// In the next block.
    Next,
    /// In another one.
    Jump(u32),
    /// In another one, or the next.
    Branch { predicate: u32, negated: bool, target: u32 },
    /// Lanes end.
    Exit(Option<(u32, bool)>),
    /// All warps meet; then the next block.
    Barrier,
}

/// Straight code.
pub(crate) struct Block {
    pub operations: Vec<Operation>,
    pub end: Terminator,
}

/// A decoded kernel.
pub struct Kernel {
    pub(crate) name: Box<str>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) constants: Vec<u32>,
    pub(crate) wide_constants: Vec<u64>,
    pub(crate) predicates: usize,
    pub(crate) static_shared: u64,
    pub(crate) local_bytes: u64,
    pub(crate) parameter_bytes: u32,
    /// Subnormal floats are flushed throughout.
    pub(crate) flushes: bool,
    max_threads: u32,
    module: Arc<ptx::Module>,
    body: Arc<Body>,
}

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
    /// What `cuFuncGetAttribute` asks for.
    pub fn attributes(&self) -> Attributes {
        Attributes {
            max_threads: self.max_threads,
            static_shared: self.static_shared,
            constant: 0,
            local: self.local_bytes,
            registers: (self.constants.len() as u32 / 4).clamp(16, 255),
        }
    }

    /// An instruction's text and line.
    pub(crate) fn origin(&self, index: u32) -> (String, u32) {
        match self.body.instructions.get(index as usize) {
            Some(instruction) => (self.body.print(instruction), self.module.line_of(instruction.offset)),
            None => (String::new(), 0),
        }
    }
}

/// A token for a function's address.
pub(crate) fn function_token(position: usize) -> u64 {
    0x10 + position as u64 * 0x10
}

/// Decodes a kernel.
pub(crate) fn kernel(image: &Image, name: &str) -> Result<Kernel, Unsupported> {
    let module = image.module().clone();
    let missing = || Unsupported::NoKernel(name.into());
    let position = module.function_position(name).ok_or_else(missing)?;
    let function = &module.functions()[position];
    if !function.entry || !function.is_defined() {
        return Err(missing());
    }
    let body = image.body(position)?;
    let features = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    if !features {
        return Err(Unsupported::Instruction {
            kernel: name.into(),
            instruction: String::new(),
            line: 0,
            what: "this processor lacks AVX2, FMA or F16C".into(),
        });
    }
    let product = |size: [u32; 3]| size.iter().product::<u32>();
    let mut decoder = Decoder::new(image, &body, function.parameter_layout());
    // SAFETY: the processor has the features, as checked above.
    let blocks = unsafe { decoder.blocks() }.map_err(|(index, what)| {
        let instruction = &body.instructions[index];
        Unsupported::Instruction {
            kernel: name.into(),
            instruction: body.print(instruction),
            line: module.line_of(instruction.offset),
            what,
        }
    })?;
    let flushes = body.mnemonics.iter().any(|mnemonic| mnemonic.has(Modifier::Ftz));
    Ok(Kernel {
        name: name.into(),
        blocks,
        constants: decoder.narrow,
        wide_constants: decoder.wide,
        predicates: decoder.predicates,
        static_shared: decoder.shared_bytes,
        local_bytes: decoder.local_bytes,
        parameter_bytes: function.parameter_bytes(),
        flushes,
        max_threads: function.required_threads.or(function.max_threads).map_or(1024, product),
        module: module.clone(),
        body: body.clone(),
    })
}

/// Where a register lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slot {
    Narrow(usize),
    Wide(usize),
    Predicate(usize),
}

/// A refusal's reason.
pub(crate) type Decoded<T> = Result<T, String>;

pub(crate) struct Decoder<'a> {
    pub image: &'a Image,
    pub body: &'a Body,
    slots: Vec<Slot>,
    /// First values of registers: zero, or a constant's.
    narrow: Vec<u32>,
    wide: Vec<u64>,
    predicates: usize,
    narrow_constants: HashMap<u32, usize>,
    wide_constants: HashMap<u64, usize>,
    pub parameters: Vec<ptx::ParameterSlot>,
    shared_offsets: HashMap<Box<str>, u64>,
    local_offsets: Vec<Option<u64>>,
    shared_bytes: u64,
    local_bytes: u64,
    /// What has been decoded of the current block.
    pub operations: Vec<Operation>,
    pub index: usize,
}

impl<'a> Decoder<'a> {
    fn new(image: &'a Image, body: &'a Body, parameters: Vec<ptx::ParameterSlot>) -> Decoder<'a> {
        let mut decoder = Decoder {
            image,
            body,
            slots: Vec::new(),
            narrow: Vec::new(),
            wide: Vec::new(),
            predicates: 0,
            narrow_constants: HashMap::new(),
            wide_constants: HashMap::new(),
            parameters,
            shared_offsets: HashMap::new(),
            local_offsets: Vec::new(),
            shared_bytes: 0,
            local_bytes: 0,
            operations: Vec::new(),
            index: 0,
        };
        for register in 0..body.register_count {
            let slot = match body.register_type(register) {
                Type::Pred => {
                    decoder.predicates += 1;
                    Slot::Predicate(decoder.predicates - 1)
                }
                ty if ty.size() <= 4 => decoder.new_narrow(0),
                _ => decoder.new_wide(0),
            };
            decoder.slots.push(slot);
        }
        decoder.lay_out();
        decoder
    }

    fn new_narrow(&mut self, value: u32) -> Slot {
        self.narrow.push(value);
        Slot::Narrow(self.narrow.len() - 1)
    }

    fn new_wide(&mut self, value: u64) -> Slot {
        self.wide.push(value);
        Slot::Wide(self.wide.len() - 1)
    }

    /// A register of the decoder's own.
    pub fn temporary(&mut self, wide: bool) -> Slot {
        if wide { self.new_wide(0) } else { self.new_narrow(0) }
    }

    /// Places shared variables (the module's and the function's; unsized ones behind all others), and the function's local ones.
    fn lay_out(&mut self) {
        let module = self.image.module().clone();
        let all: Vec<ptx::Variable> =
            module.variables().iter().chain(&self.body.variables).cloned().collect();
        let (mut offset, mut dynamic) = (0u64, Vec::new());
        for variable in all.iter().filter(|variable| variable.space == Space::Shared) {
            if variable.count == 0 && variable.array || variable.linkage == ptx::Linkage::Extern {
                dynamic.push(variable.name.clone());
                continue;
            }
            offset = offset.next_multiple_of(u64::from(variable.align));
            self.shared_offsets.insert(variable.name.clone(), offset);
            offset += variable.size();
        }
        // Module-level shared variables of other kernels would count as well; only those that this body names do.
        let named = self.names_used();
        if !self.shared_offsets.keys().any(|name| named.contains(name)) {
            offset = 0;
        }
        offset = offset.next_multiple_of(16);
        for name in dynamic {
            self.shared_offsets.insert(name, offset);
        }
        self.shared_bytes = offset;
        let mut local = 0u64;
        let parameters = self.parameters.len();
        for (index, variable) in self.body.variables.iter().enumerate() {
            let stored =
                variable.space == Space::Local || variable.space == Space::Param && index >= parameters;
            self.local_offsets.push(stored.then(|| {
                local = local.next_multiple_of(u64::from(variable.align.max(8)));
                let place = local;
                local += variable.size().max(8);
                place
            }));
        }
        self.local_bytes = local.next_multiple_of(16);
    }

    fn names_used(&self) -> std::collections::HashSet<Box<str>> {
        let mut names = std::collections::HashSet::new();
        for instruction in &self.body.instructions {
            for operand in &instruction.operands {
                match operand {
                    Operand::Symbol(name, _) | Operand::Address { base: AddressBase::Global(name), .. } => {
                        names.insert(name.clone());
                    }
                    Operand::Variable(index, _)
                    | Operand::Address { base: AddressBase::Variable(index), .. } => {
                        names.insert(self.body.variables[*index as usize].name.clone());
                    }
                    _ => {}
                }
            }
        }
        names
    }

    pub fn slot(&self, register: RegisterId) -> Slot {
        self.slots[register as usize]
    }

    pub fn shared_offset(&self, name: &str) -> Option<u64> {
        self.shared_offsets.get(name).copied()
    }

    pub fn local_offset(&self, variable: u32) -> Option<u64> {
        self.local_offsets[variable as usize]
    }

    pub fn narrow_constant(&mut self, value: u32) -> usize {
        if let Some(known) = self.narrow_constants.get(&value) {
            return *known;
        }
        let Slot::Narrow(register) = self.new_narrow(value) else { unreachable!("just made") };
        self.narrow_constants.insert(value, register);
        register
    }

    pub fn wide_constant(&mut self, value: u64) -> usize {
        if let Some(known) = self.wide_constants.get(&value) {
            return *known;
        }
        let Slot::Wide(register) = self.new_wide(value) else { unreachable!("just made") };
        self.wide_constants.insert(value, register);
        register
    }

    /// A source of at most 32 bits.
    pub fn source32(&mut self, operand: &Operand, ty: Type) -> Decoded<usize> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Narrow(register) => Ok(register),
                Slot::Wide(register) => Ok(self.narrowed(register)),
                Slot::Predicate(_) => Err("a predicate where a number is needed".into()),
            },
            Operand::Constant(constant) => Ok(self.narrow_constant(constant.bits(ty) as u32)),
            Operand::Special(_) | Operand::Variable(..) | Operand::Symbol(..) => {
                let slot = self.temporary(false);
                self.move_address(slot, operand)?;
                let Slot::Narrow(register) = slot else { unreachable!("just made") };
                Ok(register)
            }
            _ => Err("an operand that this instruction can't have".into()),
        }
    }

    /// A source of 64 bits.
    pub fn source64(&mut self, operand: &Operand, ty: Type) -> Decoded<usize> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Wide(register) => Ok(register),
                Slot::Narrow(register) => Ok(self.widened(register)),
                Slot::Predicate(_) => Err("a predicate where a number is needed".into()),
            },
            Operand::Constant(constant) => Ok(self.wide_constant(constant.bits(ty))),
            Operand::Special(_) | Operand::Variable(..) | Operand::Symbol(..) => {
                let slot = self.temporary(true);
                self.move_address(slot, operand)?;
                let Slot::Wide(register) = slot else { unreachable!("just made") };
                Ok(register)
            }
            _ => Err("an operand that this instruction can't have".into()),
        }
    }

    fn narrowed(&mut self, wide: usize) -> usize {
        let Slot::Narrow(d) = self.temporary(false) else { unreachable!("narrow") };
        self.operations.push(Box::new(move |w| {
            for lane in 0..32 {
                w.narrow[d][lane] = w.wide[wide][lane] as u32;
            }
        }));
        d
    }

    fn widened(&mut self, narrow: usize) -> usize {
        let Slot::Wide(d) = self.temporary(true) else { unreachable!("wide") };
        self.operations.push(Box::new(move |w| {
            for lane in 0..32 {
                w.wide[d][lane] = u64::from(w.narrow[narrow][lane]);
            }
        }));
        d
    }

    /// A predicate source, and whether it is negated.
    pub fn source_predicate(&self, operand: &Operand) -> Decoded<(usize, bool)> {
        let (register, negated) = match operand {
            Operand::Register(register) => (register, false),
            Operand::NotRegister(register) => (register, true),
            _ => return Err("an operand that is no predicate".into()),
        };
        match self.slot(*register) {
            Slot::Predicate(predicate) => Ok((predicate, negated)),
            _ => Err("an operand that is no predicate".into()),
        }
    }

    pub fn target32(&self, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Narrow(register) => Ok(register),
                _ => Err("a destination of another width".into()),
            },
            _ => Err("a destination that is no register".into()),
        }
    }

    pub fn target64(&self, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Wide(register) => Ok(register),
                _ => Err("a destination of another width".into()),
            },
            _ => Err("a destination that is no register".into()),
        }
    }

    pub fn target_predicate(&self, operand: &Operand) -> Decoded<usize> {
        match operand {
            Operand::Register(register) => match self.slot(*register) {
                Slot::Predicate(predicate) => Ok(predicate),
                _ => Err("a destination that is no predicate".into()),
            },
            _ => Err("a destination that is no predicate".into()),
        }
    }

    /// Where an address operand's base lies, and the offset: for address spaces that are real memory.
    pub fn push(&mut self, operation: impl Fn(&mut Warp) + Send + Sync + 'static) {
        self.operations.push(Box::new(operation));
    }
}

/// Whether an instruction ends a block.
fn ends_block(mnemonic: &Mnemonic) -> bool {
    match mnemonic.op {
        Op::Bra | Op::Ret | Op::Exit | Op::Brx => true,
        Op::Bar | Op::Barrier => !mnemonic.has(Modifier::Warp),
        _ => false,
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn blocks(&mut self) -> Result<Vec<Block>, (usize, String)> {
        let body = self.body;
        let count = body.instructions.len();
        let mut leaders = vec![false; count + 1];
        leaders[0] = true;
        for label in &body.labels {
            leaders[label.target.unwrap_or(0) as usize] = true;
        }
        for (index, instruction) in body.instructions.iter().enumerate() {
            if ends_block(body.mnemonic(instruction)) {
                leaders[index + 1] = true;
            }
        }
        // Number of the block that begins at or contains each instruction.
        let numbers: Vec<u32> = leaders
            .iter()
            .scan(0u32, |number, leader| {
                *number += u32::from(*leader);
                Some(*number - 1)
            })
            .collect();
        let mut blocks = Vec::new();
        for index in 0..count {
            self.index = index;
            let instruction = &body.instructions[index];
            let end = self.instruction(instruction, &numbers).map_err(|what| (index, what))?;
            if leaders[index + 1] {
                blocks.push(Block {
                    operations: std::mem::take(&mut self.operations),
                    end: end.unwrap_or(Terminator::Next),
                });
            }
        }
        // Running past the end ends the thread.
        blocks.push(Block { operations: Vec::new(), end: Terminator::Exit(None) });
        Ok(blocks)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn instruction(&mut self, instruction: &Instruction, numbers: &[u32]) -> Decoded<Option<Terminator>> {
        let mnemonic = self.body.mnemonic(instruction);
        let guard = match instruction.guard {
            None => None,
            Some((register, negated)) => match self.slot(register) {
                Slot::Predicate(predicate) => Some((predicate as u32, negated)),
                _ => return Err("a guard that is no predicate".into()),
            },
        };
        if ends_block(mnemonic) {
            return self.terminator(instruction, mnemonic, guard, numbers).map(Some);
        }
        let before = self.operations.len();
        self.plain(instruction, mnemonic)?;
        if let Some((predicate, negated)) = guard {
            let guarded: Vec<Operation> = self.operations.drain(before..).collect();
            self.push(move |w| {
                let whole = w.mask;
                let bits = w.predicates[predicate as usize];
                w.mask &= if negated { !bits } else { bits };
                if w.mask != 0 {
                    for operation in &guarded {
                        operation(w);
                    }
                }
                w.mask = if w.fault.is_some() { 0 } else { whole };
            });
        }
        Ok(None)
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn plain(&mut self, instruction: &Instruction, mnemonic: &Mnemonic) -> Decoded<()> {
        use Op::*;
        let operands = &instruction.operands;
        match mnemonic.op {
            Ld | Ldu | St | Atom | Red | Cvta | Isspacep | Prefetch | Prefetchu | Discard | Applypriority => {
                self.memory(mnemonic, operands)
            }
            Cvt => self.convert(mnemonic, operands),
            Mov => self.mov(mnemonic, operands),
            Shfl | Vote | Match | Activemask | Redux => self.warp_wide(mnemonic, operands),
            Bar | Barrier | Membar | Fence | Griddepcontrol | Nanosleep | Trap | Brkpt | Pmevent | Call => {
                self.control(mnemonic, operands)
            }
            _ => self.arithmetic(mnemonic, operands),
        }
    }
}
