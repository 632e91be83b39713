//! Running a block: its warps in turn, from barrier to barrier.

use std::cell::RefCell;
use std::sync::Arc;

use crate::code::{BarrierKind, Call, Callee, Flush, Kernel, Terminator};
use crate::compiled::{Compiled, Native, Ran};
use crate::control_word::FlushAll;
use crate::launch::{Environment, Fault, FaultKind, Launch};
use crate::memory::{Memory, RESERVED_SHARED, Region, local_address};
use crate::order::Shuffle;
use crate::registers::{Condition, FULL, LANES, Reg};
use crate::warp::{CallFrame, Fragment, Warp, WarpFault, lanes_of};
use crate::watch::{Layout, WatchBlock, watch_of};

/// Most bytes of shared memory that a block may have.
const MAX_SHARED: u64 = 256 << 10;
/// Barriers of a block.
const BARRIERS: usize = 16;

/// Whether a launch fits the kernel.
pub(crate) fn check(kernel: &Kernel, launch: &Launch) -> Result<(), Fault> {
    let threads: u64 = launch.block.iter().map(|size| u64::from(*size)).product();
    let refuse = |text: String| Err(plain_fault(kernel, FaultKind::InvalidLaunch(text)));
    if threads == 0 || threads > 1024 || launch.grid.contains(&0) {
        return refuse(format!("{threads} threads in a block, grid {:?}", launch.grid));
    }
    let shared = kernel.static_shared.next_multiple_of(16) + u64::from(launch.dynamic_shared);
    if shared > MAX_SHARED {
        return refuse(format!("{shared} bytes of shared memory"));
    }
    if launch.parameters.len() < kernel.parameter_bytes as usize {
        return refuse(format!(
            "{} bytes of parameters, {} are needed",
            launch.parameters.len(),
            kernel.parameter_bytes
        ));
    }
    Ok(())
}

/// A fault that no thread is to blame for.
pub(crate) fn plain_fault(kernel: &Kernel, kind: FaultKind) -> Fault {
    let (instruction, name) = (String::new(), kernel.name.to_string());
    Fault { kind, kernel: name, instruction, line: 0, block: [0; 3], thread: [0; 3], address: 0 }
}

/// Lanes that wait at a barrier.
pub(crate) struct Waiting {
    pub warp: usize,
    pub fragment: Fragment,
    pub kind: BarrierKind,
}

/// One barrier of a block.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// Lanes of each warp that have come.
    pub lanes: Vec<u32>,
    pub waiting: Vec<Waiting>,
    /// Threads that it waits for, if it does not wait for all.
    pub threads: Option<u32>,
    held: u32,
    failed: bool,
}

impl Arrivals {
    /// Whether lanes of a warp are here.
    pub fn has(&self, warp: usize) -> bool {
        self.lanes.get(warp).is_some_and(|lanes| *lanes != 0)
    }

    /// Lanes of a warp wait here.
    pub fn wait(&mut self, warp: usize, fragment: Fragment) {
        self.waiting.push(Waiting { warp, fragment, kind: BarrierKind::Sync });
    }
}

/// The barriers of a block.
pub(crate) struct Barriers {
    pub all: [Arrivals; BARRIERS],
    /// Lanes of each warp that have not ended.
    live: Vec<u32>,
}

impl Barriers {
    /// Nobody has come to any.
    fn clear(&mut self) {
        for barrier in self.all.iter_mut().filter(|barrier| !barrier.lanes.is_empty()) {
            *barrier = Arrivals::default();
        }
    }

    /// Tells which lanes of a warp have not ended.
    pub fn set_live(&mut self, warp: usize, lanes: u32) {
        self.live[warp] = lanes;
    }

    fn is_complete(&self, number: usize) -> bool {
        let barrier = &self.all[number];
        let mut lanes = barrier.lanes.iter().zip(&self.live);
        match barrier.threads {
            None => lanes.all(|(come, live)| live & !come == 0),
            // A warp whose lanes are all here counts in full, as on a GPU.
            Some(threads) => {
                let count =
                    |(come, live): (&u32, &u32)| if live & !come == 0 { 32 } else { come.count_ones() };
                lanes.filter(|(come, _)| **come != 0).map(count).sum::<u32>() >= threads
            }
        }
    }
}

/// How far a block has got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Progress {
    /// All its threads have ended.
    Done,
    /// Every warp that can run has had its turn.
    Yielded,
}

/// A worker's memory for one block at a time.
pub(crate) struct Room<'a> {
    memory: Box<Memory<'a>>,
    warps: Vec<Warp<'a>>,
    barriers: Barriers,
    /// Its part for compiled code, and whether that is running the block.
    native: Option<(Native, bool)>,
    /// Where warps take their turns in a random order: what decides that, and the order.
    order: Option<(Shuffle, Vec<u32>)>,
    /// What [`Memory`] points to.
    _shared: Vec<Line>,
    _local: Vec<Line>,
    _parameters: Vec<Line>,
}

/// As much as any variable may be aligned.
type Line = [u64; 32];

/// Zeroed memory and where it lies.
fn lines(bytes: u64) -> (Vec<Line>, Region) {
    // One more, so that an aligned start can be chosen. Fresh pages are zero already: nothing is written here.
    let lines: Vec<Line> = vec![[0; 32]; bytes.div_ceil(size_of::<Line>() as u64) as usize + 1];
    let start = (lines.as_ptr().expose_provenance() as u64).next_multiple_of(size_of::<Line>() as u64);
    (lines, Region { start, bytes })
}

impl<'a> Room<'a> {
    /// `workspace`: eight zeroed words that all blocks of a cooperative launch share.
    pub fn new(
        kernel: &Arc<Kernel>,
        launch: &Launch,
        environment: &Environment<'a>,
        workspace: Region,
        compiled: Option<&Compiled>,
        order: Option<Shuffle>,
    ) -> Room<'a> {
        let threads: u32 = launch.block.iter().product();
        let warps = threads.div_ceil(LANES as u32);
        let user_shared = kernel.static_shared.next_multiple_of(16) + u64::from(launch.dynamic_shared);
        let reserved_shared = user_shared.next_multiple_of(16);
        let shared_bytes = match kernel.uses_reserved_shared {
            true => reserved_shared + u64::from(RESERVED_SHARED),
            false => user_shared,
        };
        let stack_bytes = kernel.stack_bytes.next_multiple_of(16);
        let (shared, shared_region) = lines(shared_bytes);
        let (local, local_region) = lines(stack_bytes * u64::from(warps) * LANES as u64);
        let (parameters, parameter_region) = lines(launch.parameters.len() as u64);
        // SAFETY: the room was just made for as many bytes.
        unsafe {
            let target = parameter_region.start as *mut u8;
            std::ptr::copy_nonoverlapping(launch.parameters.as_ptr(), target, launch.parameters.len());
        }
        let (start, end) = (environment.window.start, environment.window.end);
        let memory = Memory {
            window: Region { start, bytes: end - start },
            shared: shared_region,
            local: local_region,
            parameters: parameter_region,
            workspace: if launch.cooperative { workspace } else { Region::default() },
            stack_bytes,
            dynamic_shared: launch.dynamic_shared,
            user_shared: user_shared as u32,
            reserved_shared: reserved_shared as u32,
            grid: launch.grid,
            size: launch.block,
            index: [0; 3],
            print: environment.print,
            watch: None,
        };
        let watch = environment
            .watch
            .filter(|_| kernel.is_watched)
            .map(|watch| watch.block(kernel, layout(kernel, &memory)));
        let memory = Memory { watch: watch.map(RefCell::new), ..memory };
        let mut all: Vec<Warp<'a>> = (0..warps).map(|index| Warp::new(kernel, index, launch.block)).collect();
        Room {
            native: compiled.map(|compiled| (Native::new(compiled, &memory, &mut all), false)),
            memory: Box::new(memory),
            warps: all,
            order: order.map(|mut shuffle| {
                let list = shuffle.permutation(warps as usize);
                (shuffle, list)
            }),
            barriers: Barriers { all: Default::default(), live: vec![0; warps as usize] },
            _shared: shared,
            _local: local,
            _parameters: parameters,
        }
    }

    /// Puts all threads of a block at the kernel's start.
    /// `count`: blocks in a row, in x, that this room runs one after the other; one if there is no compiled code.
    pub fn start(&mut self, index: [u32; 3], count: u32) {
        self.memory.index = index;
        if let Some(watch) = &mut self.memory.watch {
            watch.get_mut().start(index);
        }
        let threads: u32 = self.memory.size.iter().product();
        self.barriers.clear();
        if let Some((native, runs)) = &mut self.native {
            *runs = true;
            native.start(index, count);
        }
        if self.native.is_some() {
            // Warps are told what they need when the interpreter takes them over.
            return self.warps.iter_mut().for_each(|warp| warp.memory = &raw const *self.memory);
        }
        for (warp, live) in self.warps.iter_mut().zip(&mut self.barriers.live) {
            let left = threads - warp.index * LANES as u32;
            *live = if left >= LANES as u32 { FULL } else { (1 << left) - 1 };
            warp.start(&raw const *self.memory, *live);
        }
    }

    /// Makes ready for another launch of the kernel, in the same environment; `false` if that needs another room.
    pub fn renew(&mut self, launch: &Launch, workspace: Region) -> bool {
        let memory = &mut self.memory;
        let is_alike = memory.size == launch.block
            && memory.dynamic_shared == launch.dynamic_shared
            && memory.parameters.bytes == launch.parameters.len() as u64;
        if !is_alike || memory.watch.is_some() || self.order.is_some() {
            return false;
        }
        // SAFETY: the room has as many bytes, and nobody runs in it.
        unsafe {
            let target = memory.parameters.start as *mut u8;
            std::ptr::copy_nonoverlapping(launch.parameters.as_ptr(), target, launch.parameters.len());
        }
        memory.grid = launch.grid;
        memory.workspace = if launch.cooperative { workspace } else { Region::default() };
        self.warps.iter_mut().for_each(Warp::forget_launch);
        if let Some((native, _)) = &mut self.native {
            native.set_grid(launch.grid);
        }
        true
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let registers: usize = self.warps.iter().map(Warp::register_bytes).sum();
        (self.memory.shared.bytes + self.memory.local.bytes) as usize + registers
    }

    /// Ends with its launch: what the next one of the kernel can use is kept.
    pub fn retire(self, kernel: &Kernel) {
        if self.native.is_some() {
            kernel.spare.keep(self.warps);
        }
    }

    /// The block that is running.
    pub fn index(&self) -> &[u32; 3] {
        match &self.native {
            Some((native, true)) => native.index(),
            _ => &self.memory.index,
        }
    }

    /// Blocks of the row behind the one that is running, which are somebody else's from now on.
    pub fn give_up_rest(&mut self) -> u32 {
        self.native.as_mut().map_or(0, |(native, _)| native.give_up_rest())
    }

    /// Runs each warp until it waits, ends or has run for long.
    pub fn run(&mut self, kernel: &Kernel, compiled: Option<&Compiled>) -> Result<Progress, Fault> {
        let _flush = (kernel.flush == Flush::Whole).then(FlushAll::begin);
        // Warps of compiled code are prepared when the interpreter takes them over.
        if self.native.is_none() {
            self.warps.iter_mut().for_each(|warp| warp.prepare(kernel));
        }
        loop {
            let progress = self.run_block(kernel, compiled)?;
            let Some((native, runs @ false)) = &mut self.native else { return Ok(progress) };
            if progress != Progress::Done || !native.next_block() {
                return Ok(progress);
            }
            // The interpreter has ended a block of the row; code goes on with the next one.
            *runs = true;
            self.memory.index = *native.index();
            self.barriers.clear();
        }
    }

    fn run_block(&mut self, kernel: &Kernel, compiled: Option<&Compiled>) -> Result<Progress, Fault> {
        if let (Some(compiled), Some((native, runs @ true))) = (compiled, &mut self.native) {
            let ran = native.run(compiled, &raw mut *self.memory, &mut self.warps, &mut self.barriers);
            if let Ran::Done = ran {
                return Ok(Progress::Done);
            }
            *runs = false;
            self.memory.index = *native.index();
            if let Some(number) = self.warps.iter().position(|warp| warp.fault.is_some()) {
                let found = self.warps[number].fault.take();
                return Err(found.map_or_else(|| self.deadlock(kernel), |it| self.locate(kernel, number, it)));
            }
            for (number, warp) in self.warps.iter().enumerate() {
                self.barriers.live[number] = warp.live;
            }
        }
        loop {
            let mut ran = false;
            let mut yielded = false;
            if let Some((shuffle, list)) = &mut self.order {
                shuffle.shuffle(list);
            }
            for turn in 0..self.warps.len() {
                let number = self.order.as_ref().map_or(turn, |(_, list)| list[turn] as usize);
                if self.warps[number].pending.is_empty() {
                    continue;
                }
                ran = true;
                yielded |= run_warp(kernel, &mut self.warps[number], &mut self.barriers);
                if let Some(found) = self.warps[number].fault.take() {
                    return Err(self.locate(kernel, number, found));
                }
                self.barriers.live[number] = self.warps[number].live;
            }
            self.release();
            if self.warps.iter().all(|warp| warp.live == 0) {
                return Ok(Progress::Done);
            }
            if yielded {
                return Ok(Progress::Yielded);
            }
            if !ran && self.warps.iter().all(|warp| warp.pending.is_empty()) {
                return Err(self.deadlock(kernel));
            }
        }
    }

    /// Lets lanes go on whose barrier is complete.
    fn release(&mut self) {
        for number in 0..BARRIERS {
            if self.barriers.all[number].lanes.is_empty() || !self.barriers.is_complete(number) {
                continue;
            }
            let done = std::mem::take(&mut self.barriers.all[number]);
            if self.memory.watch.is_some() {
                tell_completed(&mut self.memory, number, &done);
            }
            for waiting in done.waiting {
                let warp = &mut self.warps[waiting.warp];
                let Fragment { frame, block, mask, .. } = waiting.fragment;
                let mask = mask & warp.live;
                warp.enter(Fragment { mask, ..waiting.fragment });
                match waiting.kind {
                    BarrierKind::Sync | BarrierKind::Arrive => {}
                    BarrierKind::Count { result, .. } => warp.fill(result, done.held),
                    BarrierKind::All { result, .. } => {
                        warp.set_predicate(result, if done.failed { 0 } else { FULL })
                    }
                    BarrierKind::Any { result, .. } => {
                        warp.set_predicate(result, if done.held == 0 { 0 } else { FULL })
                    }
                }
                warp.send(frame, block, mask);
            }
        }
    }

    fn deadlock(&self, kernel: &Kernel) -> Fault {
        let waiting = self.barriers.all.iter().flat_map(|barrier| &barrier.waiting).next();
        let mut fault = plain_fault(kernel, FaultKind::Deadlock);
        fault.block = self.memory.index;
        if let Some(waiting) = waiting {
            fault.thread = self.position(waiting.warp, waiting.fragment.mask.trailing_zeros());
        }
        fault
    }

    fn position(&self, warp: usize, lane: u32) -> [u32; 3] {
        let linear = warp as u32 * LANES as u32 + lane;
        let [x, y, _] = self.memory.size;
        [linear % x, linear / x % y, linear / x / y]
    }

    fn locate(&self, kernel: &Kernel, warp: usize, found: WarpFault) -> Fault {
        let (instruction, line) = kernel.origin(found.origin);
        Fault {
            kind: found.kind,
            kernel: kernel.name.to_string(),
            instruction,
            line,
            block: self.memory.index,
            thread: self.position(warp, found.lane),
            address: found.address,
        }
    }
}

/// How the shared memory of a launch's blocks is laid out.
fn layout(kernel: &Kernel, memory: &Memory) -> Layout {
    Layout {
        grid: memory.grid,
        block: memory.size,
        static_shared: kernel.static_shared,
        dynamic_shared: (kernel.static_shared.next_multiple_of(16), memory.dynamic_shared.into()),
        reserved_shared: memory.reserved_shared.into(),
        shared: memory.shared.bytes,
    }
}

/// Tells whoever watches a warp's block.
#[cold]
fn tell(w: &Warp, tell: impl FnOnce(&mut dyn WatchBlock)) {
    if let Some(mut watch) = watch_of(w) {
        tell(watch.as_mut());
    }
}

/// Tells of a barrier, and of those that waited at it.
#[cold]
fn tell_completed(memory: &mut Memory, number: usize, done: &Arrivals) {
    let Some(watch) = memory.watch.as_mut().map(RefCell::get_mut) else { return };
    let for_all = done.threads.is_none();
    done.waiting.iter().for_each(|waiting| watch.leaves(waiting.warp as u32, number, for_all));
    watch.completed(number);
}

/// Runs a warp until all its lanes wait or have ended, or until it has run for long (`true`).
pub(crate) fn run_warp(kernel: &Kernel, w: &mut Warp, barriers: &mut Barriers) -> bool {
    while let Some(fragment) = w.next() {
        w.enter(fragment);
        let blocks = &kernel.functions[w.frames[fragment.frame as usize].function as usize].blocks;
        let mut block = fragment.block;
        while let Some(next) = {
            let code = &blocks[block as usize];
            for operation in &code.operations {
                operation(w);
            }
            if w.fault.is_some() {
                return false;
            }
            end_block(kernel, w, barriers, block, &code.end)
        } {
            if next <= block {
                w.budget -= 1;
                if w.budget == 0 {
                    w.yield_turn(next);
                    return true;
                }
            }
            block = next;
            if w.must_give_way(block) {
                let (frame, mask) = (w.frame, w.mask);
                w.send(frame, block, mask);
                break;
            }
        }
        if w.fault.is_some() {
            return false;
        }
    }
    false
}

/// Where the running lanes go on; `None`: nowhere, they have been sent elsewhere or wait.
#[inline(always)]
fn end_block(
    kernel: &Kernel,
    w: &mut Warp,
    barriers: &mut Barriers,
    block: u32,
    end: &Terminator,
) -> Option<u32> {
    match end {
        Terminator::Next => Some(block + 1),
        Terminator::Jump(target) => Some(*target),
        Terminator::Branch { condition, target } => {
            let taken = w.mask & w.holds(*condition);
            if taken == w.mask {
                return Some(*target);
            }
            if taken == 0 {
                return Some(block + 1);
            }
            let (frame, rest) = (w.frame, w.mask & !taken);
            w.send(frame, *target, taken);
            w.send(frame, block + 1, rest);
            None
        }
        other => end_block_rarely(kernel, w, barriers, block, other),
    }
}

fn end_block_rarely(
    kernel: &Kernel,
    w: &mut Warp,
    barriers: &mut Barriers,
    block: u32,
    end: &Terminator,
) -> Option<u32> {
    match end {
        Terminator::Exit(condition) => {
            let ending = condition.map_or(w.mask, |condition| w.mask & w.holds(condition));
            if w.memory().watch.is_some() {
                tell(w, |watch| watch.ends(w.index));
            }
            w.end(ending);
            let rest = w.mask & !ending;
            w.set_mask(rest);
            (rest != 0).then_some(block + 1)
        }
        Terminator::Return(condition) => {
            split(w, *condition, block)?;
            give_results(kernel, w);
            let (frame, mask) = (w.frame, w.mask);
            let (parent, resume) = (w.frames[frame as usize].parent, w.frames[frame as usize].resume);
            w.leave(frame, mask);
            w.send(parent, resume, mask);
            None
        }
        Terminator::Table { index, targets } => {
            let frame = w.frame;
            for lane in w.active() {
                let choice = w.value(*index, lane) as usize;
                // An index beyond the table is undefined; the last entry is taken.
                w.send(frame, targets[choice.min(targets.len() - 1)], 1 << lane);
            }
            None
        }
        Terminator::Meet { members } => meet(w, *members, block),
        Terminator::Barrier(condition, barrier) => {
            split(w, *condition, block)?;
            arrive(w, barriers, block, barrier)
        }
        Terminator::Call(condition, call) => {
            split(w, *condition, block)?;
            enter_call(kernel, w, block, call);
            None
        }
        Terminator::Next | Terminator::Jump(_) | Terminator::Branch { .. } => {
            unreachable!("handled by the caller")
        }
    }
}

/// Keeps the lanes whose partners are all here; the others wait for theirs. `None`: no lane is left.
fn meet(w: &mut Warp, members: Reg<u32>, block: u32) -> Option<u32> {
    let (frame, all, live) = (w.frame, w.mask, w.live);
    if all == live {
        return Some(block + 1);
    }
    let (mut rest, mut together) = (all, 0);
    while rest != 0 {
        let (lanes, members) = w.alike(rest, members);
        if members & live & !all == 0 {
            together |= lanes;
        } else {
            w.send_when(frame, block + 1, lanes, members);
        }
        rest &= !lanes;
    }
    if together != all {
        w.set_mask(together);
    }
    (together != 0).then_some(block + 1)
}

/// Keeps the lanes for which a condition holds and sends the others to the next block; `None`: no lane is left.
fn split(w: &mut Warp, condition: Option<Condition>, block: u32) -> Option<()> {
    let Some(condition) = condition else { return Some(()) };
    let (frame, mask) = (w.frame, w.mask);
    let here = mask & w.holds(condition);
    w.send(frame, block + 1, mask & !here);
    w.set_mask(here);
    (here != 0).then_some(())
}

fn arrive(w: &mut Warp, barriers: &mut Barriers, block: u32, what: &crate::code::Barrier) -> Option<u32> {
    let lane = w.first();
    let number = w.value(what.number, lane) as usize % BARRIERS;
    let warps = barriers.live.len();
    let barrier = &mut barriers.all[number];
    barrier.lanes.resize(warps, 0);
    barrier.lanes[w.index as usize] |= w.mask;
    if w.memory().watch.is_some() {
        tell(w, |watch| watch.arrives(w.index, number));
    }
    barrier.threads = what.threads.map(|threads| w.value(threads, lane));
    let condition = match what.kind {
        BarrierKind::Sync | BarrierKind::Arrive => None,
        BarrierKind::Count { of, .. } | BarrierKind::All { of, .. } | BarrierKind::Any { of, .. } => Some(of),
    };
    if let Some(condition) = condition {
        let held = w.holds(condition) & w.mask;
        barrier.held += held.count_ones();
        barrier.failed |= held != w.mask;
    }
    if matches!(what.kind, BarrierKind::Arrive) {
        return Some(block + 1);
    }
    let fragment = Fragment { mask: w.mask, ..w.fragment(w.frame, block + 1) };
    barrier.waiting.push(Waiting { warp: w.index as usize, fragment, kind: what.kind });
    None
}

/// Sends the running lanes into the functions they call.
fn enter_call(kernel: &Kernel, w: &mut Warp, block: u32, call: &Call) {
    match &call.target {
        Callee::Function(function) => enter_function(kernel, w, block, call, *function),
        Callee::Pointer(pointer) => {
            let (all, frame) = (w.mask, w.frame);
            let mut left = all;
            while left != 0 {
                let token = w.value(*pointer, left.trailing_zeros() as usize);
                let same = lanes_of(left)
                    .filter(|lane| w.value(*pointer, *lane) == token)
                    .fold(0, |mask, lane| mask | 1 << lane);
                left &= !same;
                w.set_mask(same);
                match kernel.pointed(token) {
                    Ok(function) => enter_function(kernel, w, block, call, function),
                    Err(kind) => {
                        let lane = w.first();
                        return w.fail(kind, token, lane, call.origin);
                    }
                }
                debug_assert_eq!(w.frame, frame);
            }
        }
    }
}

fn enter_function(kernel: &Kernel, w: &mut Warp, block: u32, call: &Call, function: u32) {
    let callee = &kernel.functions[function as usize];
    let caller = &kernel.functions[w.frames[w.frame as usize].function as usize];
    let room = caller.local_bytes.next_multiple_of(16);
    let stack = w.frames[w.frame as usize].stack + room;
    let lane = w.first();
    if stack + callee.local_bytes > w.memory().stack_bytes {
        let text = format!("the stack of a thread ends in `{}`", callee.name);
        return w.fail(FaultKind::InvalidCall(text), 0, lane, call.origin);
    }
    // numba-cuda declares C functions without a result as having one, and never reads it: what the function does not give
    // stays as it was.
    if callee.arguments.len() != call.arguments.len() {
        let text = format!("`{}` takes {} parameters", callee.name, callee.arguments.len());
        return w.fail(FaultKind::InvalidCall(text), 0, lane, call.origin);
    }
    for lane in w.active() {
        for (from, (to, size)) in call.arguments.iter().zip(&callee.arguments) {
            copy_local(w, lane, *from, room + to, *size);
        }
    }
    let (mask, results) = (w.mask, call.results.clone());
    let frame = w.call(kernel, function, CallFrame { resume: block + 1, lanes: mask, stack, results });
    w.send(frame, 0, mask);
}

/// Copies the running function's results to where its caller wants them.
fn give_results(kernel: &Kernel, w: &mut Warp) {
    let frame = &w.frames[w.frame as usize];
    let callee = &kernel.functions[frame.function as usize];
    let above = frame.stack - w.frames[frame.parent as usize].stack;
    let places: Vec<_> = frame.results.iter().copied().zip(callee.results.iter().copied()).collect();
    for lane in w.active() {
        for (to, (from, size)) in &places {
            copy_local(w, lane, *from, to.wrapping_sub(above), *size);
        }
    }
}

fn copy_local(w: &Warp, lane: usize, from: u64, to: u64, size: u64) {
    let (from, to) = (local_address(w, lane, from), local_address(w, lane, 0).wrapping_add(to));
    // SAFETY: both lie in this thread's stack, whose room was checked when the function was entered; frames do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, size as usize) };
}
