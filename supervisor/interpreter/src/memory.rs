//! What a block can touch, and how 32 lanes touch it at once.
//!
//! Every access is checked before the first byte moves: all active lanes' bytes lie in one of the regions that the kernel may
//! use, and are aligned. Lanes that read or write neighbours in order, or all the same place, are served by one copy.

use std::arch::x86_64::*;
use std::cell::RefCell;

use crate::code::Origin;
use crate::launch::FaultKind;
use crate::registers::{FULL, LANES, Lane, Reg, Word};
use crate::warp::Warp;
use crate::watch::WatchBlock;

/// Bytes from an address on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Region {
    pub start: u64,
    pub bytes: u64,
}

impl Region {
    /// A power of two of bytes from a multiple of it on, as the window of device memory is.
    #[inline(always)]
    fn is_round(self) -> bool {
        self.bytes.is_power_of_two() && self.start & (self.bytes - 1) == 0
    }

    #[inline(always)]
    pub fn holds(self, address: u64, size: u64) -> bool {
        size <= self.bytes && address.wrapping_sub(self.start) <= self.bytes - size
    }
}

/// Bytes of shared memory, behind what a kernel declares, for the system's use: cooperative groups keep barriers there. A
/// kernel that never asks where they are does not have them.
pub(crate) const RESERVED_SHARED: u32 = 1024;

/// The memory of a block, and the numbers that its special registers show.
pub(crate) struct Memory<'a> {
    /// Device memory.
    pub window: Region,
    pub shared: Region,
    /// Local memory of all threads of the block.
    pub local: Region,
    /// The launch's parameters; they may be read through pointers.
    pub parameters: Region,
    /// What blocks of a cooperative launch meet through.
    pub workspace: Region,
    /// Bytes of local memory of one thread.
    pub stack_bytes: u64,
    pub dynamic_shared: u32,
    /// Bytes of static and dynamic shared memory.
    pub user_shared: u32,
    /// Where in shared memory that part begins which belongs to the system ([`RESERVED_SHARED`]).
    pub reserved_shared: u32,
    pub grid: [u32; 3],
    pub size: [u32; 3],
    pub index: [u32; 3],
    pub print: &'a (dyn Fn(&str) + Sync),
    /// Who is told of what is touched, if the kernel is watched.
    pub watch: Option<RefCell<Box<dyn WatchBlock + 'a>>>,
}

impl Memory<'_> {
    /// Whether a kernel may touch these bytes.
    pub fn allows(&self, address: u64, size: u64) -> bool {
        [self.window, self.shared, self.local, self.parameters, self.workspace]
            .iter()
            .any(|region| region.holds(address, size))
    }

    /// What is wrong with an access to an address that a region is meant for. A generic address may lie in any region, one of
    /// shared memory in shared memory only: the bytes behind it may be somebody else's.
    #[inline(always)]
    pub fn fault(&self, address: u64, (size, align): (u64, u64), region: Region) -> Option<FaultKind> {
        let only_shared = region.start == self.shared.start;
        let allowed = if only_shared { region.holds(address, size) } else { self.allows(address, size) };
        match (allowed, address & (align - 1) == 0) {
            (true, true) => None,
            (true, false) => Some(FaultKind::MisalignedAddress),
            (false, _) => Some(FaultKind::IllegalAddress),
        }
    }
}

/// How the active lanes' addresses lie.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pattern {
    /// All 32 in a row, each one access behind the one before, from this address on.
    Row(u64),
    /// All 32 at this address.
    Same(u64),
    /// Anyhow.
    Any,
}

/// Finds how addresses lie, and checks them; `None`: a fault was recorded. Those in local memory become the lane's own
/// ([`own_local`]).
#[inline(always)]
pub(crate) fn check(
    w: &mut Warp,
    at: &mut [u64; LANES],
    size: u64,
    region: Region,
    origin: Origin,
) -> Option<Pattern> {
    if w.mask == FULL {
        let first = at[0];
        let distance = at[LANES - 1].wrapping_sub(first);
        // The last lane tells most others from a row without a look at them.
        if distance == 0 || distance == (LANES as u64 - 1) * size {
            let aligned = first & (size - 1) == 0;
            let (row, same) = neighbours(at, size);
            if row && aligned && region.holds(first, LANES as u64 * size) {
                return Some(Pattern::Row(first));
            }
            if same && aligned && region.holds(first, size) {
                return Some(Pattern::Same(first));
            }
        }
        if all_inside(at, size, region) {
            return Some(Pattern::Any);
        }
    }
    check_each(w, at, size, region, origin).then_some(Pattern::Any)
}

/// Whether the addresses are one access apart from each other, and whether they are all the same.
#[inline(always)]
fn neighbours(at: &[u64; LANES], size: u64) -> (bool, bool) {
    let (first, size) = (at[0] as i64, size as i64);
    // SAFETY: four addresses are a vector; decoding has checked that the processor has AVX2.
    unsafe {
        let start = _mm256_set1_epi64x(first);
        let mut expected = _mm256_add_epi64(start, _mm256_set_epi64x(3 * size, 2 * size, size, 0));
        let step = _mm256_set1_epi64x(4 * size);
        let (mut row, mut same) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for four in vectors(at) {
            row = _mm256_or_si256(row, _mm256_xor_si256(four, expected));
            same = _mm256_or_si256(same, _mm256_xor_si256(four, start));
            expected = _mm256_add_epi64(expected, step);
        }
        (_mm256_testz_si256(row, row) != 0, _mm256_testz_si256(same, same) != 0)
    }
}

/// Whether all accesses lie in a region and are aligned.
#[inline(always)]
fn all_inside(at: &[u64; LANES], size: u64, region: Region) -> bool {
    if region.is_round() {
        return all_below(at, size, region);
    }
    let Some(most) = region.bytes.checked_sub(size) else { return false };
    // Comparison is signed: of a region so large, only the lower half is found here, and the rest lane by lane.
    let most = most.min(i64::MAX as u64);
    // SAFETY: as in `neighbours`.
    unsafe {
        let start = _mm256_set1_epi64x(region.start as i64);
        let most = _mm256_set1_epi64x(most as i64);
        let (mut outside, mut crooked) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for four in vectors(at) {
            let place = _mm256_sub_epi64(four, start);
            // Negative, or too far.
            outside = _mm256_or_si256(outside, _mm256_or_si256(place, _mm256_cmpgt_epi64(place, most)));
            crooked = _mm256_or_si256(crooked, four);
        }
        let inside = _mm256_movemask_pd(_mm256_castsi256_pd(outside)) == 0;
        inside && _mm256_testz_si256(crooked, _mm256_set1_epi64x(size as i64 - 1)) != 0
    }
}

/// [`all_inside`] for a round region, whose places differ from its start in low bits only. An aligned access that begins
/// inside ends inside.
#[inline(always)]
fn all_below(at: &[u64; LANES], size: u64, region: Region) -> bool {
    // SAFETY: as in `neighbours`.
    unsafe {
        let start = _mm256_set1_epi64x(region.start as i64);
        let differing = vectors(at).into_iter().fold(_mm256_setzero_si256(), |differing, four| {
            _mm256_or_si256(differing, _mm256_xor_si256(four, start))
        });
        let wrong = !(region.bytes - 1) | (size - 1);
        size <= region.bytes && _mm256_testz_si256(differing, _mm256_set1_epi64x(wrong as i64)) != 0
    }
}

/// The addresses, four at a time.
#[inline(always)]
fn vectors(at: &[u64; LANES]) -> [__m256i; LANES / 4] {
    // SAFETY: 32 addresses are eight vectors.
    unsafe { std::mem::transmute::<[u64; LANES], [__m256i; LANES / 4]>(*at) }
}

/// Checks lane by lane.
fn check_each(w: &mut Warp, at: &mut [u64; LANES], size: u64, region: Region, origin: Origin) -> bool {
    for lane in w.active() {
        at[lane] = own_local(w, lane, at[lane]);
        if let Some(kind) = w.memory().fault(at[lane], (size, size), region) {
            w.fail(kind, at[lane], lane, origin);
            return false;
        }
    }
    true
}

/// Reads a `T` per active lane, at its address plus `offset`, into a register.
///
/// # Safety
/// [`check`] answered the pattern for these addresses, and an access that ends behind `offset` and a `T`.
#[inline(always)]
pub(crate) unsafe fn load<T: Lane, D: Lane>(
    w: &mut Warp,
    d: Reg<D::Word>,
    at: &[u64; LANES],
    (pattern, offset, row): (Pattern, u64, bool),
    convert: impl Fn(T) -> D,
) {
    // SAFETY: the caller's promise; a GPU's memory may change under a load, so nothing may be read twice.
    let read = |address: u64| unsafe { convert((address as *const T).read_volatile()).word() };
    match pattern {
        Pattern::Same(address) => w.fill(d, read(address + offset)),
        // In a row, unless a vector's other elements lie between.
        Pattern::Row(address) if row => w.write_chunks(d, |_, first| {
            let place = (address as *const T).wrapping_add(first).cast::<[T; 8]>();
            // SAFETY: eight of the 32 values that were checked.
            unsafe { place.read() }.map(|value| convert(value).word())
        }),
        // Written as vectors, because the next instruction reads vectors: narrower stores could not be forwarded to it.
        _ if w.mask == FULL => w.write_chunks(d, |_, first| {
            std::array::from_fn(|lane| read(at[first + lane].wrapping_add(offset)))
        }),
        _ => {
            for lane in w.active() {
                w.set_value(d, lane, read(at[lane].wrapping_add(offset)));
            }
        }
    }
}

/// Writes a `T` per active lane, in lane order.
///
/// # Safety
/// As for [`load`].
#[inline(always)]
pub(crate) unsafe fn store<T: Copy, W: Word>(
    w: &Warp,
    a: Reg<W>,
    at: &[u64; LANES],
    (pattern, offset, row): (Pattern, u64, bool),
    convert: impl Fn(W) -> T,
) {
    match pattern {
        Pattern::Row(address) if row => {
            for first in (0..LANES).step_by(8) {
                let values: [T; 8] = std::array::from_fn(|lane| convert(w.value(a, first + lane)));
                // SAFETY: 32 values in a row were checked.
                unsafe { (address as *mut T).wrapping_add(first).cast::<[T; 8]>().write(values) };
            }
        }
        _ => {
            for lane in w.active() {
                let value = convert(w.value(a, lane));
                // SAFETY: the caller's promise.
                unsafe { (at[lane].wrapping_add(offset) as *mut T).write_volatile(value) };
            }
        }
    }
}

/// Positions of a warp's threads in the block: x, y, z. One division for the first of them: a launch asks for all of a block's.
pub(crate) fn thread_positions(index: u32, [x, y, _]: [u32; 3]) -> [[u32; LANES]; 3] {
    let first = index * LANES as u32;
    let mut place = [first % x, first / x % y, first / x / y];
    let mut positions = [[0; LANES]; 3];
    for lane in 0..LANES {
        for (dimension, list) in positions.iter_mut().enumerate() {
            list[lane] = place[dimension];
        }
        place[0] += 1;
        if place[0] == x {
            place = [0, place[1] + 1, place[2]];
        }
        if place[1] == y {
            place = [place[0], 0, place[2] + 1];
        }
    }
    positions
}

/// On a card the local memory of every thread has the same addresses, each thread's its own: a pointer to it that one thread gets
/// from another one means the same place in its own. GCC's OpenMP regions keep a warp's stack pointer in shared memory so.
fn own_local(w: &Warp, lane: usize, address: u64) -> u64 {
    let Memory { local, stack_bytes, .. } = *w.memory();
    if stack_bytes == 0 || !local.holds(address, 1) {
        return address;
    }
    let thread = u64::from(w.index) * LANES as u64 + lane as u64;
    local.start + thread * stack_bytes + (address - local.start) % stack_bytes
}

/// Address of a place in the running frame's local memory, for one lane.
#[inline(always)]
pub(crate) fn local_address(w: &Warp, lane: usize, offset: u64) -> u64 {
    let memory = w.memory();
    let thread = u64::from(w.index) * LANES as u64 + lane as u64;
    memory.local.start + thread * memory.stack_bytes + w.frames[w.frame as usize].stack + offset
}

/// The same for all lanes.
#[inline(always)]
pub(crate) fn local_addresses(w: &Warp, offset: u64) -> [u64; LANES] {
    let (first, step) = (local_address(w, 0, offset), w.memory().stack_bytes);
    std::array::from_fn(|lane| first + lane as u64 * step)
}
