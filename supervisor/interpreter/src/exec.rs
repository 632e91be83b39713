//! Running one block: its warps in turn, from barrier to barrier.

use crate::decode::{Kernel, Terminator};
use crate::launch::{Environment, Fault, FaultKind, Launch};
use crate::warp::{BlockContext, FULL, LANES, V32, V64, Warp};

/// Most bytes of shared memory that a block may have.
const MAX_SHARED: u64 = 256 << 10;

/// Whether a launch fits the kernel.
pub(crate) fn check(kernel: &Kernel, launch: &Launch) -> Result<(), Fault> {
    let threads: u64 = launch.block.iter().map(|size| u64::from(*size)).product();
    let refuse = |text: String| Err(plain_fault(kernel, FaultKind::InvalidLaunch(text)));
    if threads == 0 || threads > 1024 || launch.grid.contains(&0) {
        return refuse(format!("{threads} threads in a block, grid {:?}", launch.grid));
    }
    if kernel.static_shared + u64::from(launch.dynamic_shared) > MAX_SHARED {
        return refuse(format!(
            "{} bytes of shared memory",
            kernel.static_shared + u64::from(launch.dynamic_shared)
        ));
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

/// A worker's memory for the blocks of one launch.
pub(crate) struct Room<'a> {
    context: BlockContext<'a>,
    warps: Vec<Warp<'a>>,
}

impl<'a> Room<'a> {
    pub fn new(kernel: &Kernel, launch: &Launch<'a>, environment: &Environment<'a>) -> Room<'a> {
        let threads: u32 = launch.block.iter().product();
        let warps = threads.div_ceil(LANES as u32);
        let shared_bytes = kernel.static_shared.next_multiple_of(16) + u64::from(launch.dynamic_shared);
        let local_bytes = kernel.local_bytes.next_multiple_of(16);
        let context = BlockContext {
            parameters: launch.parameters,
            // Two words more: device code reads vectors at the end.
            shared: vec![0; shared_bytes.div_ceil(8) as usize + 2],
            shared_bytes,
            local: vec![0; (local_bytes * u64::from(warps) * LANES as u64 / 8) as usize],
            local_bytes,
            window: (environment.window.start, environment.window.end),
            grid: launch.grid,
            size: launch.block,
            index: [0; 3],
            print: environment.print,
        };
        let warp = |index| Warp {
            narrow: kernel.constants.iter().map(|value| [*value; LANES]).collect(),
            wide: kernel.wide_constants.iter().map(|value| [*value; LANES]).collect(),
            predicates: vec![0; kernel.predicates],
            mask: 0,
            live: 0,
            waiting: Vec::new(),
            at_barrier: Vec::new(),
            context: std::ptr::null(),
            index,
            fault: None,
            carry: 0,
        };
        Room { context, warps: (0..warps).map(warp).collect() }
    }
}

/// Runs one block to its end.
pub(crate) fn run_block(
    kernel: &Kernel,
    launch: &Launch,
    room: &mut Room,
    index: [u32; 3],
) -> Result<(), Fault> {
    room.context.index = index;
    let threads: u32 = launch.block.iter().product();
    let context: *const BlockContext = &room.context;
    for warp in &mut room.warps {
        let left = threads - warp.index * LANES as u32;
        let live = if left >= LANES as u32 { FULL } else { (1 << left) - 1 };
        warp.context = context.cast();
        (warp.live, warp.mask, warp.fault) = (live, 0, None);
        warp.waiting.clear();
        warp.at_barrier.clear();
        warp.send(0, live);
    }
    let _flush = kernel.flushes.then(Flush::begin);
    loop {
        for warp in &mut room.warps {
            run_warp(kernel, warp);
            if let Some(found) = warp.fault.take() {
                return Err(locate(kernel, launch, warp, found, index));
            }
        }
        let mut resumed = false;
        for warp in &mut room.warps {
            for (block, mask) in std::mem::take(&mut warp.at_barrier) {
                warp.send(block, mask & warp.live);
                resumed = true;
            }
        }
        if !resumed {
            return Ok(());
        }
    }
}

fn locate(
    kernel: &Kernel,
    launch: &Launch,
    warp: &Warp,
    found: crate::warp::WarpFault,
    block: [u32; 3],
) -> Fault {
    let linear = warp.index * LANES as u32 + found.lane;
    let [x, y, _] = launch.block;
    let (instruction, line) = kernel.origin(found.origin);
    Fault {
        kind: found.kind,
        kernel: kernel.name.to_string(),
        instruction,
        line,
        block,
        thread: [linear % x, linear / x % y, linear / x / y],
        address: found.address,
    }
}

fn run_warp(kernel: &Kernel, warp: &mut Warp) {
    while let Some((mut block, mask)) = warp.waiting.pop() {
        warp.mask = mask & warp.live;
        while warp.mask != 0 {
            let code = &kernel.blocks[block as usize];
            for operation in &code.operations {
                operation(warp);
            }
            if warp.fault.is_some() {
                return;
            }
            let mask = warp.mask;
            match code.end {
                Terminator::Next => block += 1,
                Terminator::Jump(target) => {
                    if target <= block && !warp.waiting.is_empty() {
                        // Lanes that wait below the loop's head would starve otherwise.
                        warp.send(target, mask);
                        break;
                    }
                    block = target;
                }
                Terminator::Branch { predicate, negated, target } => {
                    let bits = warp.predicates[predicate as usize];
                    let taken = mask & if negated { !bits } else { bits };
                    if taken == mask && warp.waiting.is_empty() {
                        block = target;
                        continue;
                    }
                    if taken == 0 && warp.waiting.is_empty() {
                        block += 1;
                        continue;
                    }
                    warp.send(target, taken);
                    warp.send(block + 1, mask & !taken);
                    break;
                }
                Terminator::Exit(guard) => {
                    let bits = guard.map_or(FULL, |(predicate, negated)| {
                        let bits = warp.predicates[predicate as usize];
                        if negated { !bits } else { bits }
                    });
                    warp.live &= !(mask & bits);
                    warp.mask = mask & !bits;
                    block += 1;
                }
                Terminator::Barrier => {
                    warp.at_barrier.push((block + 1, mask));
                    break;
                }
            }
            // Others may wait at or below the place that these lanes have got to: the lowest goes first.
            if warp.waiting.last().is_some_and(|(lowest, _)| *lowest <= block) {
                let mask = warp.mask;
                warp.send(block, mask);
                break;
            }
        }
    }
}

/// Flushes subnormal numbers while it lives: kernels compiled with fast math ask for it in every instruction.
struct Flush(u32);

impl Flush {
    fn begin() -> Flush {
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        const SUBNORMALS_ARE_ZERO: u32 = 1 << 6;
        let old = control();
        set_control(old | FLUSH_TO_ZERO | SUBNORMALS_ARE_ZERO);
        Flush(old)
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        set_control(self.0);
    }
}

fn control() -> u32 {
    let mut value = 0u32;
    // SAFETY: stores the control word of this thread's vector unit into a word of ours.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack)) };
    value
}

fn set_control(value: u32) {
    // SAFETY: only the two flush bits differ from what the thread had; Rust code between begin and drop computes kernels' floats.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, readonly)) };
}

/// Lane numbers and positions in the block, for special registers.
pub(crate) fn thread_positions(warp: &Warp) -> [V32; 3] {
    let [x, y, _] = warp.context().size;
    let linear = |lane: usize| warp.index * LANES as u32 + lane as u32;
    [
        std::array::from_fn(|lane| linear(lane) % x),
        std::array::from_fn(|lane| linear(lane) / x % y),
        std::array::from_fn(|lane| linear(lane) / x / y),
    ]
}

/// Addresses of each lane's local memory.
pub(crate) fn local_addresses(warp: &Warp, offset: u64) -> V64 {
    let context = warp.context();
    let first = u64::from(warp.index) * LANES as u64;
    std::array::from_fn(|lane| context.local_base() + (first + lane as u64) * context.local_bytes + offset)
}
