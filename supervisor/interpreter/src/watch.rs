//! Watching a kernel's accesses to memory, for checks.
//!
//! A kernel of an image that [is watched](crate::Image::watched) has one more operation before each instruction that touches
//! memory: it tells a [`WatchBlock`] what is about to be touched, lane by lane. Kernels of other images have no trace of it, so
//! watching costs nothing where it is off.
//!
//! ```text
//!   Environment::watch ──block()──▶ WatchBlock, one for each worker's block
//!                                     start                        a block begins
//!                                     step, touch, touch, …        an instruction of a warp, its active lanes
//!                                     arrives, leaves, meets       barriers of the block, and of a warp
//!                                     ends                         threads
//!                                     taken, given                 device `malloc` and `free`
//! ```
//!
//! Not told: what `printf` reads, texels and what surface instructions touch (their coordinates are checked by themselves),
//! arguments and results of calls, and the launch's parameters where an instruction names one.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;

use crate::code::{Kernel, Origin};
use crate::launch::FaultKind;
use crate::memory::Memory;
use crate::registers::{FULL, LANES};
use crate::warp::Warp;

/// Bytes behind each thread's local memory that belong to nobody, in watched kernels: what is written just behind an array is seen,
/// and is not another thread's.
pub(crate) const LOCAL_GAP: u64 = 1 << 10;

/// Who is told of the blocks of a launch.
pub trait Watch: Send + Sync {
    /// Somebody to tell of blocks of a launch, one after the other, run by one thread at a time.
    fn block<'a>(&'a self, kernel: &Arc<Kernel>, layout: Layout) -> Box<dyn WatchBlock + 'a>;
}

/// Who is told of a block.
pub trait WatchBlock: Send {
    /// A block begins.
    fn start(&mut self, index: [u32; 3]);
    /// An instruction of a warp begins: its touches follow.
    fn step(&mut self, instruction: Instruction);
    /// A lane is about to touch memory. `false`: no memory is there, and the kernel is to fault rather than to try.
    fn touch(&mut self, touch: &Touch) -> bool;
    /// All lanes of a warp are about to touch device memory, side by side or all the same place: aligned, so many bytes in all.
    /// `true`: that is all that need be told; else each lane is told by itself.
    fn touch_row(&mut self, address: u64, bytes: u64) -> bool;
    /// Lanes of a warp come to a barrier of the block.
    fn arrives(&mut self, warp: u32, barrier: usize);
    /// Lanes of a warp go on behind a barrier that is complete: it has waited for all threads that have not ended, or for a number.
    fn leaves(&mut self, warp: u32, barrier: usize, waited_for_all: bool);
    /// A barrier is complete, and all have left it.
    fn completed(&mut self, barrier: usize);
    /// Lanes of a warp end; whoever waits at a barrier waits for them no longer.
    fn ends(&mut self, warp: u32);
    /// Lanes of a warp do an instruction together that waits for all of them.
    fn meets(&mut self, warp: u32, lanes: u32);
    /// Device `malloc` has given memory.
    fn taken(&mut self, address: u64, bytes: u64);
    /// Device `free` has got it back.
    fn given(&mut self, address: u64);
}

/// The shape of a launch's blocks, and of their shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Bytes of shared variables with a size.
    pub static_shared: u64,
    /// Where dynamic shared memory begins, and its bytes.
    pub dynamic_shared: (u64, u64),
    /// Where the system's part begins, which ends with shared memory; nobody's if the kernel does not ask for it.
    pub reserved_shared: u64,
    /// Bytes of shared memory, the system's part included.
    pub shared: u64,
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Reads and writes at once.
    Atomic,
}

/// An instruction that touches memory, or one of the two halves of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub(crate) origin: Origin,
    /// What it does.
    pub deed: Deed,
    /// Whether threads may do this to the same place at once: it is volatile, or said to be relaxed, acquiring or releasing.
    pub is_strong: bool,
}

impl Instruction {
    /// A number that is the instruction's own in its kernel.
    pub fn number(&self) -> u32 {
        self.origin.function << 22 | self.origin.instruction & INSTRUCTION_MASK
    }
}

/// Bits of [`Instruction::number`] that count in the function.
const INSTRUCTION_MASK: u32 = (1 << 22) - 1;

/// Where something lies that is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In device memory, or nowhere.
    Device,
    /// So many bytes from the beginning of shared memory, which may be outside of it.
    Shared(u64),
    /// So many bytes from the beginning of the thread's local memory.
    Local {
        /// The bytes.
        offset: u64,
        /// How much of it is in use: the frames of the functions that are running.
        used: u64,
    },
    /// In the launch's parameters, or in what blocks of a cooperative launch meet through; whether all of it is inside.
    Other(bool),
}

/// One lane's touch.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The thread's number in its block.
    pub thread: u32,
    /// Where.
    pub place: Place,
    /// The address, as a generic one.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// The address has to be a multiple of it.
    pub align: u64,
    /// What is written, or as much of it as fits; equal for equal bytes.
    pub value: u64,
    /// Whether what is written is there already.
    pub is_same: bool,
}

/// An instruction as a reader knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Its text.
    pub instruction: String,
    /// Its line in the module's PTX.
    pub line: u32,
    /// File and line of the source that it was compiled from, where the PTX says so (`.loc`).
    pub source: Option<(String, u32)>,
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the threads of a warp need not keep step with each other: capability 7.0 and later.
    pub fn has_independent_threads(&self) -> bool {
        let digits = self.module.target.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse::<u32>().is_ok_and(|capability| capability >= 70)
    }

    /// The instruction with an [`Instruction::number`].
    pub fn describe(&self, number: u32) -> Described {
        let place = Origin { function: number >> 22, instruction: number & INSTRUCTION_MASK };
        let Some(function) = self.functions.get(place.function as usize) else { return Described::default() };
        let (instruction, line) = self.origin(place);
        let known = function.body.instructions.get(place.instruction as usize);
        Described { instruction, line, source: known.and_then(|it| self.module.source_of(it.offset)) }
    }
}

/// A lane's addresses and bytes.
pub(crate) struct Access {
    pub instruction: Instruction,
    /// The addresses are meant to lie in shared memory.
    pub only_shared: bool,
    pub size: u64,
    pub align: u64,
    /// Bytes of the running function's frame.
    pub frame_bytes: u64,
}

/// What a lane is about to write: the bits of the elements, so many bytes each.
pub(crate) struct Written<'a> {
    pub elements: &'a [[u64; LANES]],
    pub element_bytes: u64,
}

impl Written<'_> {
    /// A number for comparison, and whether memory holds these bytes.
    fn of(&self, memory: &Memory, lane: usize, address: u64) -> (u64, bool) {
        let size = self.element_bytes * self.elements.len() as u64;
        let mut value = 0u64;
        // Only shared memory is looked at: nobody but this thread of ours changes it.
        let mut same = memory.shared.holds(address, size);
        for (number, element) in self.elements.iter().enumerate() {
            let bits = element[lane] & (u64::MAX >> (64 - 8 * self.element_bytes));
            value = value.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bits;
            let bytes = bits.to_le_bytes();
            let place = address.wrapping_add(number as u64 * self.element_bytes);
            // SAFETY: looked at only if it lies in shared memory, by the test above.
            let is_there =
                |(offset, byte): (usize, &u8)| unsafe { (place as *const u8).add(offset).read() == *byte };
            same = same && bytes[..self.element_bytes as usize].iter().enumerate().all(is_there);
        }
        (value, same)
    }
}

/// Tells of an instruction that touches an address for each of some lanes.
pub(crate) fn tell(w: &mut Warp, access: &Access, lanes: u32, at: &[u64; LANES], written: Option<&Written>) {
    let mut nothing = None;
    if let Some(mut watch) = watch_of(w) {
        watch.step(access.instruction);
        if let Some((address, bytes)) = row(w, access, lanes, at)
            && watch.touch_row(address, bytes)
        {
            return;
        }
        for lane in crate::warp::lanes_of(lanes) {
            let touch = touch(w, access, lane, at[lane], written);
            if !watch.touch(&touch) {
                nothing = Some((lane, at[lane]));
                break;
            }
        }
    }
    if let Some((lane, address)) = nothing {
        w.fail(FaultKind::IllegalAddress, address, lane, access.instruction.origin);
    }
}

/// Where all lanes touch device memory side by side, or all the same place, and how many bytes in all.
fn row(w: &Warp, access: &Access, lanes: u32, at: &[u64; LANES]) -> Option<(u64, u64)> {
    let (first, last, size) = (at[0], at[LANES - 1], access.size);
    // The last lane tells most others from a row without a look at them.
    let step = if first == last { 0 } else { size };
    let bytes = step * (LANES as u64 - 1) + size;
    if lanes != FULL || last.wrapping_sub(first) != bytes - size || !first.is_multiple_of(access.align) {
        return None;
    }
    let in_row = |(lane, address): (u64, &u64)| *address == first.wrapping_add(lane * step);
    let is_row = (0..).zip(at).all(in_row) && place(w, access, first) == Place::Device;
    is_row.then_some((first, bytes))
}

fn touch(w: &Warp, access: &Access, lane: usize, address: u64, written: Option<&Written>) -> Touch {
    let memory = w.memory();
    let (value, is_same) = written.map_or((0, false), |written| written.of(memory, lane, address));
    Touch {
        thread: w.index * LANES as u32 + lane as u32,
        place: place(w, access, address),
        address,
        size: access.size,
        align: access.align,
        value,
        is_same,
    }
}

fn place(w: &Warp, access: &Access, address: u64) -> Place {
    let Memory { shared, local, parameters, workspace, stack_bytes, .. } = w.memory();
    if access.only_shared || shared.holds(address, 1) {
        return Place::Shared(address.wrapping_sub(shared.start));
    }
    if *stack_bytes != 0 && local.holds(address, 1) {
        let used = w.frames[w.frame as usize].stack + access.frame_bytes;
        return Place::Local { offset: (address - local.start) % stack_bytes, used };
    }
    for region in [parameters, workspace] {
        if region.holds(address, 1) {
            return Place::Other(region.holds(address, access.size));
        }
    }
    Place::Device
}

/// Whoever is told of the warp's block.
pub(crate) fn watch_of<'w, 'a>(w: &'w Warp<'a>) -> Option<RefMut<'w, Box<dyn WatchBlock + 'a>>> {
    // Borrowed for the time of one instruction, which does not watch itself.
    w.memory().watch.as_ref().map(RefCell::borrow_mut)
}
