//! What a kernel consists of: the functions it can reach, and where their variables lie.
//!
//! Functions are reached by calls, and by pointers: those whose address the code takes, and, once there is an indirect call,
//! those that initialisers of the module's variables name. Shared variables that any of them names are laid out together;
//! each function has its local variables, the parameters of its calls among them, in its own part of a thread's stack.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ptx::{
    AddressBase, Body, Element, Function, Mnemonic, Modifier, Module, Op, Operand, Space, Type, Variable,
};

use crate::code::Flush;
use crate::heap;
pub(super) use crate::image::VariablePlace as Place;
use crate::image::{Image, Unsupported};

/// Stack of a thread where its depth can't be known.
const DEEP_STACK: u64 = 64 << 10;

/// A function that the kernel can reach.
pub(super) struct Reached {
    /// Index among the module's functions.
    pub position: usize,
    pub body: Arc<Body>,
    /// Whether a call names it (or it is the kernel); others are called through pointers only.
    pub direct: bool,
}

/// A kernel's functions, the kernel first, and their shared memory.
pub(super) struct Program {
    pub functions: Vec<Reached>,
    /// Functions whose address is known, by position, that can't be called.
    pub broken: Vec<(usize, String)>,
    /// Whether there are calls through pointers.
    pub indirect: bool,
    /// Offsets of shared variables: the function's, or the module's.
    shared: HashMap<(Option<usize>, Box<str>), u64>,
    pub static_shared: u64,
    pub flush: Flush,
}

impl Program {
    /// Finds out what a kernel consists of.
    pub fn collect(image: &Image, kernel: usize) -> Result<Program, Unsupported> {
        let mut program = Program {
            functions: Vec::new(),
            broken: Vec::new(),
            indirect: false,
            shared: HashMap::new(),
            static_shared: 0,
            flush: Flush::Each,
        };
        program.add(image, kernel, true)?;
        let (mut done, mut initialisers_read) = (0, false);
        while done < program.functions.len() {
            let body = program.functions[done].body.clone();
            done += 1;
            let (calls, pointers, indirect) = references(image.module(), &body);
            program.indirect |= indirect;
            for position in calls {
                program.add(image, position, true)?;
            }
            for position in pointers {
                program.add(image, position, false)?;
            }
            if program.indirect && !initialisers_read {
                initialisers_read = true;
                for position in initialised_pointers(image.module()) {
                    program.add(image, position, false)?;
                }
            }
        }
        program.lay_out_shared(image.module());
        program.flush = program.flushing();
        Ok(program)
    }

    fn add(&mut self, image: &Image, position: usize, direct: bool) -> Result<(), Unsupported> {
        if let Some(known) = self.functions.iter_mut().find(|known| known.position == position) {
            known.direct |= direct;
            return Ok(());
        }
        match image.body(position) {
            Ok(body) => self.functions.push(Reached { position, body, direct }),
            Err(error) if direct => return Err(error.into()),
            Err(error) => self.broken.push((position, error.to_string())),
        }
        Ok(())
    }

    /// The index of a function of the module.
    pub fn index_of(&self, position: usize) -> Option<u32> {
        let found = self.functions.iter().position(|reached| reached.position == position)?;
        Some(found as u32)
    }

    /// Offsets of the module's shared variables.
    pub fn shared_variables(&self) -> HashMap<Box<str>, u64> {
        let outer = self.shared.iter().filter(|((owner, _), _)| owner.is_none());
        outer.map(|((_, name), offset)| (name.clone(), *offset)).collect()
    }

    /// Offset of a module's shared variable.
    pub fn shared_offset(&self, name: &str) -> Option<u64> {
        self.shared.get(&(None, name.into())).copied()
    }

    /// Whether a function calls the system's `malloc` or `free`.
    pub fn uses_heap(&self, module: &Module) -> bool {
        let called: Vec<&str> = heap::functions(module).collect();
        let names_one =
            |operand: &Operand| matches!(operand, Operand::Symbol(name, _) if called.contains(&&**name));
        let mut instructions = self.functions.iter().flat_map(|reached| &reached.body.instructions);
        !called.is_empty() && instructions.any(|instruction| instruction.operands.iter().any(names_one))
    }

    /// Whether a function asks where the system's part of shared memory lies.
    pub fn uses_reserved_shared(&self) -> bool {
        use ptx::Special::*;
        let asks = |operand: &Operand| {
            let special = if let Operand::Special(special) = operand { Some(*special) } else { None };
            matches!(
                special,
                Some(ReservedSmemBegin | ReservedSmemEnd | ReservedSmemCap | ReservedSmem0 | ReservedSmem1)
            )
        };
        let bodies = self.functions.iter().map(|reached| &reached.body);
        bodies.flat_map(|body| &body.instructions).any(|instruction| instruction.operands.iter().any(asks))
    }

    /// Places shared variables, unsized ones behind all others. An extern one with a size is as any other: a real driver
    /// gives it that size where no other module can define it.
    fn lay_out_shared(&mut self, module: &Module) {
        let named: HashSet<Box<str>> =
            self.functions.iter().flat_map(|reached| module_names(&reached.body)).collect();
        let outer = module.variables().iter().filter(|variable| named.contains(&variable.name));
        let mut all: Vec<(Option<usize>, &Variable)> = outer.map(|variable| (None, variable)).collect();
        for reached in &self.functions {
            all.extend(reached.body.variables.iter().map(|variable| (Some(reached.position), variable)));
        }
        let (mut offset, mut dynamic) = (0u64, Vec::new());
        for (owner, variable) in all.into_iter().filter(|(_, variable)| variable.space == Space::Shared) {
            if variable.count == 0 {
                dynamic.push((owner, variable.name.clone()));
                continue;
            }
            offset = offset.next_multiple_of(variable.align.into());
            self.shared.insert((owner, variable.name.clone()), offset);
            offset += variable.size();
        }
        self.static_shared = offset;
        for key in dynamic {
            self.shared.insert(key, offset.next_multiple_of(16));
        }
    }

    /// Where a function's variables lie, and the bytes that its frame takes.
    pub fn places(&self, module: &Module, index: usize) -> (Vec<Place>, u64) {
        let reached = &self.functions[index];
        let function = &module.functions()[reached.position];
        let parameters = if function.entry { function.parameter_layout() } else { Vec::new() };
        let mut frame = 0u64;
        let mut place = |(number, variable): (usize, &Variable)| match variable.space {
            Space::Shared => {
                let key = (Some(reached.position), variable.name.clone());
                Place::Shared(self.shared.get(&key).copied().unwrap_or(0))
            }
            Space::Param if number < parameters.len() => Place::Parameter(parameters[number].offset.into()),
            Space::Reg => Place::Register,
            _ => {
                // Eight bytes at least, so that results and parameters may be read as words.
                frame = frame.next_multiple_of(u64::from(variable.align.max(8)));
                let place = Place::Local(frame);
                frame += variable.size().max(8);
                place
            }
        };
        let places = reached.body.variables.iter().enumerate().map(&mut place).collect();
        (places, frame.next_multiple_of(16))
    }

    /// Bytes of stack that a thread needs; `frames`: what each function takes, and which functions it calls.
    pub fn stack_bytes(&self, frames: &[(u64, Vec<u32>)]) -> u64 {
        let mut depths = vec![None; frames.len()];
        let deepest = if self.indirect { None } else { depth(frames, 0, &mut depths, &mut Vec::new()) };
        deepest.unwrap_or_else(|| frames[0].0 + DEEP_STACK)
    }

    /// Whether the processor can flush subnormal values for the whole kernel: if every instruction asks for it that could.
    fn flushing(&self) -> Flush {
        let all = || self.functions.iter().flat_map(|reached| &reached.body.mnemonics);
        if all().any(|mnemonic| mnemonic.has(Modifier::Ftz)) && all().all(bears_flushing) {
            Flush::Whole
        } else {
            Flush::Each
        }
    }
}

/// Whether an instruction gives the same when the processor flushes.
fn bears_flushing(mnemonic: &Mnemonic) -> bool {
    use Op::*;
    let computes = !matches!(
        mnemonic.op,
        // Products of matrices are computed without flushing in any case.
        Mov | Ld | Ldu | St | Selp | Shfl | Neg | Abs | Testp | Copysign | Tanh | Call | Slct | Mma | Wmma
    );
    let sensitive = mnemonic
        .types
        .iter()
        .any(|ty| matches!(ty, Type::F32 | Type::F64 | Type::Bf16 | Type::Bf16x2 | Type::F32x2));
    let flushes = mnemonic.has(Modifier::Ftz) && !mnemonic.types.contains(&Type::F64);
    !computes || !sensitive || flushes || mnemonic.op == Cvt && converts_alike(mnemonic)
}

/// Whether a conversion gives the same for a subnormal number and for zero, and never gives one. (That of an `f16` to `f32` reads
/// subnormal ones also on a processor that flushes: only those of `f32` are flushed.)
fn converts_alike(mnemonic: &Mnemonic) -> bool {
    use Modifier::{Rn, Rni, Rz, Rzi};
    match mnemonic.types[..] {
        [Type::F32, Type::F16] => true,
        [Type::F32, from] if !from.is_float() => true,
        [Type::F16 | Type::F16x2, Type::F32] => mnemonic.modifiers.first_of(&[Rn, Rz]).is_some(),
        [to, Type::F32] if !to.is_float() || to == Type::F32 => {
            mnemonic.modifiers.first_of(&[Rni, Rzi]).is_some()
        }
        _ => false,
    }
}

/// Deepest stack below a function; `None`: it may call itself.
fn depth(
    frames: &[(u64, Vec<u32>)],
    function: u32,
    known: &mut [Option<u64>],
    path: &mut Vec<u32>,
) -> Option<u64> {
    if let Some(depth) = known[function as usize] {
        return Some(depth);
    }
    if path.contains(&function) {
        return None;
    }
    path.push(function);
    let (own, callees) = &frames[function as usize];
    let mut most = 0;
    for callee in callees {
        most = most.max(depth(frames, *callee, known, path)?);
    }
    path.pop();
    known[function as usize] = Some(own + most);
    Some(own + most)
}

/// The function that a call names.
pub(super) fn callee(operands: &[Operand]) -> Option<&str> {
    let target = operands.iter().find(|operand| !matches!(operand, Operand::List(_)))?;
    if let Operand::Symbol(name, _) = target { Some(name) } else { None }
}

/// Functions that a body calls, those whose address it takes, and whether it calls through pointers.
fn references(module: &Module, body: &Body) -> (Vec<usize>, Vec<usize>, bool) {
    let (mut calls, mut pointers, mut indirect) = (Vec::new(), Vec::new(), false);
    let defined = |name: &str| {
        module.function_position(name).filter(|position| module.functions()[*position].is_defined())
    };
    for instruction in &body.instructions {
        if body.mnemonic(instruction).op == Op::Call {
            match callee(&instruction.operands) {
                Some(name) => calls.extend(defined(name)),
                None => indirect = true,
            }
            continue;
        }
        for operand in &instruction.operands {
            if let Operand::Symbol(name, _) = operand {
                pointers.extend(defined(name));
            }
        }
    }
    (calls, pointers, indirect)
}

/// Functions that initialisers name.
fn initialised_pointers(module: &Module) -> Vec<usize> {
    let initialised = module.variables().iter().filter(|variable| variable.is_initialised());
    let elements = initialised.filter_map(|variable| module.initial_elements(variable).ok()).flatten();
    let named = elements.filter_map(|element| match element {
        Element::Address { symbol, .. } => module.function_position(&symbol),
        Element::Constant(_) => None,
    });
    named.filter(|position| module.functions()[*position].is_defined()).collect()
}

/// Symbols of the module that a body names.
fn module_names(body: &Body) -> Vec<Box<str>> {
    fn collect(operand: &Operand, names: &mut Vec<Box<str>>) {
        match operand {
            Operand::Symbol(name, _) | Operand::Address { base: AddressBase::Global(name), .. } => {
                names.push(name.clone());
            }
            Operand::Vector(parts) | Operand::List(parts) => {
                parts.iter().for_each(|part| collect(part, names));
            }
            _ => {}
        }
    }
    let mut names = Vec::new();
    for operand in body.instructions.iter().flat_map(|instruction| &instruction.operands) {
        collect(operand, &mut names);
    }
    names
}

/// Places and sizes of a device function's results and parameters.
pub(super) fn signature(function: &Function, places: &[Place]) -> Result<[Vec<(u64, u64)>; 2], String> {
    if function.entry {
        return Ok([Vec::new(), Vec::new()]);
    }
    let place = |(variable, place): (&Variable, &Place)| match place {
        Place::Local(offset) => Ok((*offset, variable.size())),
        _ => Err(format!("parameter `{}` is passed in a register", variable.name)),
    };
    let (results, parameters) = places.split_at(function.results.len());
    let results: Result<Vec<_>, _> = function.results.iter().zip(results).map(place).collect();
    let parameters: Result<Vec<_>, _> = function.parameters.iter().zip(parameters).map(place).collect();
    Ok([results?, parameters?])
}
