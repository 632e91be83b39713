//! The state of a warp: the calls its lanes are in, who executes now, and who waits where.
//!
//! Lanes that execute together are a *fragment*: a call, a block of its function, a mask. Lanes that part become two
//! fragments; fragments that get to the same place become one. The innermost call's first block runs first (thread
//! frontiers: in compiled code, that is where lanes meet again; `decode::ranks` says which comes first), unless it has run for long:
//! then the others get a turn, so that lanes may wait for each other in loops.

use std::sync::{Arc, Mutex, PoisonError};

use crate::code::{Kernel, Origin, Terminator};
use crate::launch::FaultKind;
use crate::memory::{Memory, thread_positions};
use crate::registers::{Condition, FULL, LANES, Lane, Predicate, Reg, Slot, Word};

/// What went wrong, and where.
#[derive(Clone, Debug)]
pub(crate) struct WarpFault {
    pub kind: FaultKind,
    pub address: u64,
    pub lane: u32,
    pub origin: Origin,
}

/// A call in progress.
pub(crate) struct Frame {
    pub function: u32,
    /// The caller's frame, and the block where lanes go on when they return; the kernel's own frame is its own parent.
    pub parent: u32,
    pub resume: u32,
    pub depth: u32,
    /// Lanes that have not returned or ended.
    pub lanes: u32,
    /// Offset of its local memory in each thread's.
    pub stack: u64,
    /// Places of the results in the caller's frame.
    pub results: Vec<u64>,
    registers: Registers,
    /// Its function's.
    ranks: Arc<[u32]>,
}

impl Frame {
    /// A block's place in the order in which blocks run.
    fn rank(&self, block: u32) -> u32 {
        self.ranks.get(block as usize).copied().unwrap_or(block)
    }
}

/// A register file, aligned for vectors.
pub(crate) struct Registers(Vec<[u64; 4]>);

/// Register files of a kernel's warps that have ended, for those of its next launch. Their constants are in place; what else is
/// in them nobody may rely on.
#[derive(Default)]
pub(crate) struct SpareFiles(Mutex<Vec<Registers>>);

/// Bytes that a kernel keeps in [`SpareFiles`] at most.
const MOST_SPARE: usize = 8 << 20;

impl SpareFiles {
    fn take(&self) -> Option<Registers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps the files of warps whose launch is over.
    pub fn keep(&self, warps: Vec<Warp>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in warps.into_iter().filter_map(|warp| warp.frames.into_iter().next()) {
            if (spare.len() + 1) * size_of_val(&*frame.registers.0) <= MOST_SPARE {
                spare.push(frame.registers);
            }
        }
    }
}

impl Registers {
    fn new(words: &[u64]) -> Registers {
        // One vector more than needed, so that an aligned start can be chosen.
        let mut file = vec![[0u64; 4]; words.len().div_ceil(4) + 1];
        let start = Registers::start(file.as_mut_ptr());
        // SAFETY: `start` lies at most 24 bytes into the vector, which has 32 bytes more than `words`.
        unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), start.cast(), words.len()) };
        Registers(file)
    }

    fn start(file: *mut [u64; 4]) -> *mut u8 {
        let place: *mut u8 = file.cast();
        place.wrapping_add(place.align_offset(32))
    }
}

/// Lanes that wait to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Rises when a fragment has run for long.
    pub turn: u32,
    pub depth: u32,
    pub frame: u32,
    pub block: u32,
    /// The block's, see [`Frame::rank`].
    pub rank: u32,
    pub mask: u32,
    /// Lanes that must be here before the block begins; none as a rule.
    pub members: u32,
}

impl Fragment {
    /// Least runs first.
    fn order(&self) -> (u32, u32, u32, u32) {
        (self.turn, u32::MAX - self.depth, self.rank, self.frame)
    }
}

/// Turns on backward branches before others get their turn.
const BUDGET: u32 = 1 << 10;

/// A warp while it runs.
pub(crate) struct Warp<'a> {
    /// Register file of the running frame.
    base: *mut u8,
    /// Lanes that execute now.
    pub mask: u32,
    /// Whether lanes that do not execute have values in this frame that must stay.
    blend: bool,
    /// Lanes that have not ended.
    pub live: u32,
    pub frame: u32,
    pub turn: u32,
    pub budget: u32,
    pub frames: Vec<Frame>,
    /// Frames that nobody is in.
    free: Vec<u32>,
    /// Waiting fragments, the next one last.
    pub pending: Vec<Fragment>,
    pub memory: *const Memory<'a>,
    pub index: u32,
    /// x, y and z of each thread in the block.
    pub positions: [[u32; LANES]; 3],
    pub fault: Option<WarpFault>,
    /// Whether it has run what is the same for every block of the launch.
    is_prepared: bool,
}

// SAFETY: the raw pointers mean memory that belongs to this warp and its block, which move between threads together.
unsafe impl Send for Warp<'_> {}

impl<'a> Warp<'a> {
    /// A warp that waits to be started.
    pub fn new(kernel: &Kernel, index: u32, block: [u32; 3]) -> Warp<'a> {
        let mut warp = Warp {
            base: std::ptr::null_mut(),
            mask: 0,
            blend: false,
            live: 0,
            frame: 0,
            turn: 0,
            budget: BUDGET,
            frames: Vec::new(),
            free: Vec::new(),
            pending: Vec::new(),
            memory: std::ptr::null(),
            index,
            positions: thread_positions(index, block),
            fault: None,
            is_prepared: false,
        };
        warp.frames.push(Frame {
            function: 0,
            parent: 0,
            resume: 0,
            depth: 0,
            lanes: 0,
            stack: 0,
            results: Vec::new(),
            registers: kernel.spare.take().unwrap_or_else(|| Registers::new(&kernel.functions[0].registers)),
            ranks: kernel.functions[0].ranks.clone(),
        });
        warp
    }

    /// Puts `live` lanes at the kernel's first block.
    pub fn start(&mut self, memory: *const Memory<'a>, live: u32) {
        (self.memory, self.live, self.mask, self.fault) = (memory, live, 0, None);
        (self.turn, self.budget) = (0, BUDGET);
        self.pending.clear();
        self.frames.truncate(1);
        self.free.clear();
        self.frames[0].lanes = live;
        if live != 0 {
            self.send(0, 0, live);
        }
    }

    /// The kernel's own register file.
    pub fn register_file(&mut self) -> *mut u8 {
        Registers::start(self.frames[0].registers.0.as_mut_ptr())
    }

    /// What was the same for every block of a launch is not so in the next one.
    pub fn forget_launch(&mut self) {
        self.is_prepared = false;
    }

    /// Bytes of the kernel's own register file.
    pub fn register_bytes(&self) -> usize {
        size_of_val(&*self.frames[0].registers.0)
    }

    /// Makes `live` lanes ready to be sent to blocks of the kernel, with the registers as they are.
    pub fn resume(&mut self, live: u32) {
        (self.live, self.mask, self.frame) = (live, 0, 0);
        (self.turn, self.budget) = (0, BUDGET);
        self.pending.clear();
        self.frames.truncate(1);
        self.free.clear();
        self.frames[0].lanes = live;
    }

    /// Does the operations of a block of the kernel's own function for some lanes.
    pub fn step(&mut self, kernel: &Kernel, block: u32, lanes: u32) {
        self.prepare(kernel);
        let blocks = &kernel.functions[0].blocks[block as usize..];
        // Where lanes would meet they are together, and the instruction is behind that.
        let meets = matches!(blocks[0].end, Terminator::Meet { .. });
        let operations = &blocks[usize::from(meets)].operations;
        (self.frame, self.live) = (0, FULL);
        self.base = Registers::start(self.frames[0].registers.0.as_mut_ptr());
        (self.mask, self.blend) = (lanes, lanes != FULL);
        for operation in operations {
            operation(self);
        }
    }

    /// Runs what is the same for every block of the launch, if that has not been done. The warp must have been started.
    pub fn prepare(&mut self, kernel: &Kernel) {
        if std::mem::replace(&mut self.is_prepared, true) {
            return;
        }
        self.frame = 0;
        self.base = Registers::start(self.frames[0].registers.0.as_mut_ptr());
        (self.mask, self.blend) = (FULL, false);
        for operation in &kernel.functions[0].once {
            operation(self);
        }
        self.mask = 0;
    }

    /// The memory that the block sees.
    pub fn memory(&self) -> &Memory<'a> {
        // SAFETY: `start` was given the block's memory, which outlives its warps and is not changed while they run.
        unsafe { &*self.memory }
    }

    /// Makes a fragment the one that runs.
    pub fn enter(&mut self, fragment: Fragment) {
        self.frame = fragment.frame;
        self.turn = fragment.turn;
        let frame = &mut self.frames[fragment.frame as usize];
        self.base = Registers::start(frame.registers.0.as_mut_ptr());
        self.set_mask(fragment.mask);
    }

    /// Changes who executes.
    pub fn set_mask(&mut self, mask: u32) {
        self.mask = mask;
        self.blend = self.frames[self.frame as usize].lanes & !mask != 0;
    }

    /// Restricts execution to some lanes for the time of one instruction.
    #[inline(always)]
    pub fn guarded(&mut self, condition: Condition, run: impl FnOnce(&mut Self)) {
        let (mask, blend) = (self.mask, self.blend);
        let some = mask & self.holds(condition);
        if some == 0 {
            return;
        }
        self.mask = some;
        self.blend = blend || some != mask;
        run(self);
        if self.fault.is_none() {
            (self.mask, self.blend) = (mask, blend);
        }
    }

    #[inline(always)]
    fn at<T>(&self, offset: u32) -> *mut T {
        self.base.wrapping_add(offset as usize).cast()
    }

    /// The lanes of a register.
    #[inline(always)]
    pub fn values<W: Word>(&self, register: Reg<W>) -> [W; LANES] {
        // SAFETY: the decoder made the register for this frame's function, whose register file it laid out.
        unsafe { self.at::<[W; LANES]>(register.0).read() }
    }

    /// The lanes of a register, where they lie.
    #[inline(always)]
    pub fn lanes<W: Word>(&self, register: Reg<W>) -> &[W; LANES] {
        // SAFETY: as in `values`; nothing writes registers while the warp is borrowed.
        unsafe { &*self.at::<[W; LANES]>(register.0) }
    }

    /// One lane of a register.
    #[inline(always)]
    pub fn value<W: Word>(&self, register: Reg<W>, lane: usize) -> W {
        debug_assert!(lane < LANES);
        // SAFETY: as in `values`; the lane is below 32.
        unsafe { self.at::<W>(register.0).add(lane).read() }
    }

    /// Writes one lane, active or not.
    #[inline(always)]
    pub fn set_value<W: Word>(&mut self, register: Reg<W>, lane: usize, value: W) {
        debug_assert!(lane < LANES);
        // SAFETY: as in `value`.
        unsafe { self.at::<W>(register.0).add(lane).write(value) }
    }

    /// Writes the active lanes. `value` may read the register that is written, in its own lane.
    #[inline(always)]
    pub fn write<W: Word>(&mut self, register: Reg<W>, value: impl Fn(&Self, usize) -> W) {
        self.write_chunks(register, |warp, first| std::array::from_fn(|lane| value(warp, first + lane)));
    }

    /// Writes the active lanes, eight at a time: `values` is given the first lane.
    #[inline(always)]
    pub fn write_chunks<W: Word>(&mut self, register: Reg<W>, values: impl Fn(&Self, usize) -> [W; 8]) {
        let target = self.at::<W>(register.0);
        let mask = self.mask;
        for chunk in 0..LANES / 8 {
            let first = 8 * chunk;
            let mut fresh = values(self, first);
            // SAFETY: eight lanes from a multiple of eight within the register, as in `values`.
            unsafe {
                let place = target.add(first).cast::<[W; 8]>();
                if self.blend {
                    let old = place.read();
                    for lane in 0..8 {
                        fresh[lane] = fresh[lane].blend(old[lane], mask >> (first + lane) & 1 != 0);
                    }
                }
                place.write(fresh);
            }
        }
    }

    /// Writes the same value to the active lanes.
    #[inline(always)]
    pub fn fill<W: Word>(&mut self, register: Reg<W>, value: W) {
        self.write(register, |_, _| value);
    }

    /// Writes wide values to a register of any width.
    pub fn write_slot(&mut self, slot: Slot, values: &[u64; LANES]) {
        match slot {
            Slot::Narrow(register) => self.write(register, |_, lane| values[lane] as u32),
            Slot::Wide(register) => self.write(register, |_, lane| values[lane]),
            Slot::Predicate(_) => {}
        }
    }

    /// The lanes of a register of any width.
    pub fn slot_values(&self, slot: Slot) -> [u64; LANES] {
        match slot {
            Slot::Narrow(register) => self.values(register).map(u64::from),
            Slot::Wide(register) => self.values(register),
            Slot::Predicate(_) => [0; LANES],
        }
    }

    #[inline(always)]
    pub fn map1<A: Lane, D: Lane>(&mut self, d: Reg<D::Word>, a: Reg<A::Word>, f: impl Fn(A) -> D) {
        self.write(d, |w, lane| f(A::of(w.value(a, lane))).word());
    }

    #[inline(always)]
    pub fn map2<A: Lane, B: Lane, D: Lane>(
        &mut self,
        d: Reg<D::Word>,
        (a, b): (Reg<A::Word>, Reg<B::Word>),
        f: impl Fn(A, B) -> D,
    ) {
        self.write(d, |w, lane| f(A::of(w.value(a, lane)), B::of(w.value(b, lane))).word());
    }

    #[inline(always)]
    pub fn map3<A: Lane, B: Lane, C: Lane, D: Lane>(
        &mut self,
        d: Reg<D::Word>,
        (a, b, c): Three<A, B, C>,
        f: impl Fn(A, B, C) -> D,
    ) {
        self.write(d, |w, lane| {
            f(A::of(w.value(a, lane)), B::of(w.value(b, lane)), C::of(w.value(c, lane))).word()
        });
    }

    /// A bit per lane for which `test` holds.
    #[inline(always)]
    pub fn test2<A: Lane>(&self, a: Reg<A::Word>, b: Reg<A::Word>, test: impl Fn(A, A) -> bool) -> u32 {
        let mut bits = 0;
        for chunk in 0..LANES / 8 {
            let held: [u32; 8] = std::array::from_fn(|lane| {
                let lane = 8 * chunk + lane;
                u32::from(test(A::of(self.value(a, lane)), A::of(self.value(b, lane)))) << lane
            });
            bits |= held.iter().fold(0, |all, bit| all | bit);
        }
        bits
    }

    /// A predicate's word.
    #[inline(always)]
    pub fn predicate(&self, predicate: Predicate) -> u32 {
        // SAFETY: as in `values`.
        unsafe { self.at::<u32>(predicate.0).read() }
    }

    /// Lanes for which a condition holds, active or not.
    #[inline(always)]
    pub fn holds(&self, condition: Condition) -> u32 {
        self.predicate(condition.predicate) ^ if condition.negated { FULL } else { 0 }
    }

    /// Writes a predicate's active lanes.
    #[inline(always)]
    pub fn set_predicate(&mut self, predicate: Predicate, bits: u32) {
        let fresh = self.predicate(predicate) & !self.mask | bits & self.mask;
        // SAFETY: as in `values`.
        unsafe { self.at::<u32>(predicate.0).write(fresh) }
    }

    /// Records a fault; nothing more of this warp has an effect.
    #[cold]
    pub fn fail(&mut self, kind: FaultKind, address: u64, lane: usize, origin: Origin) {
        if self.fault.is_none() {
            self.fault = Some(WarpFault { kind, address, lane: lane as u32, origin });
        }
        (self.mask, self.blend) = (0, true);
    }

    /// Lowest active lane.
    pub fn first(&self) -> usize {
        self.mask.trailing_zeros() as usize & (LANES - 1)
    }

    /// Active lanes, ascending.
    #[inline(always)]
    pub fn active(&self) -> impl Iterator<Item = usize> + use<> {
        lanes_of(self.mask)
    }

    /// Those of some lanes that have the same value as the first of them, and it.
    #[inline(always)]
    pub fn alike(&self, lanes: u32, register: Reg<u32>) -> (u32, u32) {
        let value = self.value(register, lanes.trailing_zeros() as usize & (LANES - 1));
        (lanes & self.test2::<u32>(register, register, |other, _| other == value), value)
    }

    /// Sends lanes to a block of a frame.
    pub fn send(&mut self, frame: u32, block: u32, mask: u32) {
        self.send_when(frame, block, mask, 0);
    }

    /// Sends lanes to a block that begins when `members` are there; lanes that wait for others are apart from them.
    pub fn send_when(&mut self, frame: u32, block: u32, mask: u32, members: u32) {
        if mask == 0 {
            return;
        }
        let same =
            |known: &&mut Fragment| (known.frame, known.block, known.members) == (frame, block, members);
        if let Some(known) = self.pending.iter_mut().find(same) {
            known.mask |= mask;
            return;
        }
        let fresh = Fragment { mask, members, ..self.fragment(frame, block) };
        let place = self.pending.partition_point(|known| known.order() > fresh.order());
        self.pending.insert(place, fresh);
    }

    /// A fragment without lanes, at a block of a frame.
    pub fn fragment(&self, frame: u32, block: u32) -> Fragment {
        let of = &self.frames[frame as usize];
        let (turn, depth, rank) = (self.turn, of.depth, of.rank(block));
        Fragment { turn, depth, frame, block, rank, mask: 0, members: 0 }
    }

    /// Sends the running lanes to a block, behind all others.
    pub fn yield_turn(&mut self, block: u32) {
        let last = self.pending.iter().map(|known| known.turn).max().unwrap_or(self.turn);
        self.turn = if last == u32::MAX { 0 } else { last.max(self.turn) + 1 };
        self.budget = BUDGET;
        let (frame, mask) = (self.frame, self.mask);
        self.send(frame, block, mask);
    }

    /// The next fragment to run: one whose members are all here, else the first that waits.
    pub fn next(&mut self) -> Option<Fragment> {
        let live = self.live;
        let ready = |known: &Fragment| known.members & live & !known.mask == 0;
        let place = self.pending.iter().rposition(ready).or(self.pending.len().checked_sub(1))?;
        Some(self.pending.remove(place))
    }

    /// Whether another fragment must run before the running one goes on at `block`.
    #[inline(always)]
    pub fn must_give_way(&self, block: u32) -> bool {
        let Some(next) = self.pending.last() else { return false };
        next.order() <= self.fragment(self.frame, block).order()
    }

    /// A frame for a call by the running lanes, and its number.
    pub fn call(&mut self, kernel: &Kernel, function: u32, frame: CallFrame) -> u32 {
        let fresh = Frame {
            function,
            parent: self.frame,
            resume: frame.resume,
            depth: self.frames[self.frame as usize].depth + 1,
            lanes: frame.lanes,
            stack: frame.stack,
            results: frame.results,
            registers: Registers::new(&kernel.functions[function as usize].registers),
            ranks: kernel.functions[function as usize].ranks.clone(),
        };
        match self.free.pop() {
            Some(number) => {
                self.frames[number as usize] = fresh;
                number
            }
            None => {
                self.frames.push(fresh);
                self.frames.len() as u32 - 1
            }
        }
    }

    /// Lanes leave a frame.
    pub fn leave(&mut self, number: u32, lanes: u32) {
        let frame = &mut self.frames[number as usize];
        frame.lanes &= !lanes;
        if frame.lanes == 0 && number != 0 {
            frame.registers.0 = Vec::new();
            self.free.push(number);
        }
    }

    /// Lanes end: they leave their frame and all frames around it.
    pub fn end(&mut self, lanes: u32) {
        self.live &= !lanes;
        let mut number = self.frame;
        loop {
            let parent = self.frames[number as usize].parent;
            self.leave(number, lanes);
            if number == 0 {
                return;
            }
            number = parent;
        }
    }
}

/// The registers of three operands.
type Three<A, B, C> = (Reg<<A as Lane>::Word>, Reg<<B as Lane>::Word>, Reg<<C as Lane>::Word>);

/// What [`Warp::call`] needs to know.
pub(crate) struct CallFrame {
    pub resume: u32,
    pub lanes: u32,
    pub stack: u64,
    pub results: Vec<u64>,
}

/// Lanes of a mask, ascending.
#[inline(always)]
pub(crate) fn lanes_of(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}
