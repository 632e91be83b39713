//! Copies that need not wait, and the barrier objects that tell when they are done: `cp.async`, `mbarrier`.
//!
//! A copy is done at once, which is one of the orders that a program must bear; so waiting for groups of copies is nothing to
//! do, and a barrier object hears of a copy's bytes as soon as the copy is asked for.

use ptx::{Mnemonic, Modifier, Op, Operand, Space, Type};

use super::memory::{Addresses, space};
use super::operands::{Decoded, Decoder};
use super::watch::Watched;
use crate::code::Origin;
use crate::launch::FaultKind;
use crate::memory::check;
use crate::registers::{Condition, Reg};
use crate::warp::Warp;
use crate::watch::{Access, Deed, tell};

/// How many bytes a copy takes of those that its source has; the rest of the target becomes zero.
#[derive(Clone, Copy)]
enum Taken {
    Bytes(Reg<u32>),
    /// None where the condition holds.
    Unless(Condition),
}

impl Taken {
    #[inline(always)]
    fn of(self, w: &Warp, size: u64, lane: usize) -> u64 {
        match self {
            Taken::Bytes(register) => size.min(w.value(register, lane).into()),
            Taken::Unless(condition) => size * u64::from(w.holds(condition) >> lane & 1 == 0),
        }
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn asynchronous(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        let has = |modifier| mnemonic.has(modifier);
        match mnemonic.op {
            Op::Mbarrier => self.barrier_object(mnemonic, operands),
            // The policy of a cache that is not there.
            Op::Createpolicy => {
                let d = self.target::<u64>(&operands[0])?;
                self.push(move |w| w.fill(d, 0));
                Ok(())
            }
            _ if has(CommitGroup) || has(WaitGroup) || has(WaitAll) => Ok(()),
            _ if has(Modifier::Tensor) || has(Reduce) => {
                Err("copies of tensors and reductions are not implemented".into())
            }
            _ if has(PrefetchCopy) => Ok(()),
            _ if has(Modifier::Mbarrier) => self.arrive_behind_copies(mnemonic, operands),
            _ if has(Bulk) => self.copy_bulk(mnemonic, operands),
            _ => self.copy_asynchronously(mnemonic, operands),
        }
    }

    /// `cp.async [shared], [global], size{, taken or ignored}{, policy}`.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn copy_asynchronously(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let to = self.addresses(&operands[0], Some(Space::Shared))?;
        let from = self.addresses(&operands[1], None)?;
        let size = self.known(&operands[2], Type::U32).ok_or("a copy of unknown size")?;
        if !matches!(size, 4 | 8 | 16) {
            return Err(format!("a copy of {size} bytes"));
        }
        let hinted = usize::from(mnemonic.has(Modifier::L2CacheHint));
        let taken = match &operands[3..operands.len() - hinted.min(operands.len() - 3)] {
            [] => None,
            // A number is one of bytes, though it could be a predicate too.
            [given @ Operand::Constant(_), ..] => Some(Taken::Bytes(self.source::<u32>(given)?)),
            [given, ..] => Some(match self.condition(given) {
                Ok(condition) => Taken::Unless(condition),
                Err(_) => Taken::Bytes(self.source::<u32>(given)?),
            }),
        };
        self.watch_copy(mnemonic, (to, from), (size, taken));
        let origin = self.origin();
        match taken {
            None => self.push(move |w| copy_whole(w, to, from, size, origin)),
            Some(taken) => self.push(move |w| copy_parts(w, (to, from), (size, taken), origin)),
        }
        Ok(())
    }

    /// Tells of both halves of a copy. A source of which nothing is taken is not touched.
    fn watch_copy(
        &mut self,
        mnemonic: &Mnemonic,
        (to, from): (Addresses, Addresses),
        (size, taken): (u64, Option<Taken>),
    ) {
        self.watch(mnemonic, Watched { deed: Deed::Write, addresses: to, size, align: size });
        let read = Watched { deed: Deed::Read, addresses: from, size, align: size };
        let Some(taken) = taken.filter(|_| self.is_watched()) else { return self.watch(mnemonic, read) };
        let access = self.access(mnemonic, &read);
        self.push(move |w| {
            for lane in w.active() {
                let access = Access { size: taken.of(w, size, lane), ..access };
                if access.size != 0 {
                    tell(w, &access, 1 << lane, &from.of(w), None);
                }
            }
        });
    }

    /// `cp.async.bulk`: each lane as many bytes as it says, and a barrier object or a group to hear of it.
    fn copy_bulk(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        if [MulticastCluster, IgnoreOob, CpMask].into_iter().any(|word| mnemonic.has(word)) {
            return Err("this form of copy is not implemented".into());
        }
        // The order of the spaces says which way the copy goes: to the first.
        let spaces = mnemonic.order.iter().filter_map(|word| match word {
            Global => Some(None),
            Shared | SharedCta | SharedCluster => Some(Some(Space::Shared)),
            _ => None,
        });
        let spaces: Vec<Option<Space>> = spaces.collect();
        let [to_space, from_space] = spaces[..] else { return Err("a copy between unknown spaces".into()) };
        let to = self.addresses(&operands[0], to_space)?;
        let from = self.addresses(&operands[1], from_space)?;
        let size = self.source::<u32>(&operands[2])?;
        let barrier = match mnemonic.has(MbarrierBytes) {
            true => Some(self.addresses(&operands[3], Some(Space::Shared))?),
            false => None,
        };
        for (addresses, deed) in [(to, Deed::Write), (from, Deed::Read)] {
            self.watch_sized(mnemonic, Watched { deed, addresses, size: 0, align: 16 }, size);
        }
        if let Some(barrier) = barrier {
            self.watch(mnemonic, barrier_word(barrier, Deed::Atomic));
        }
        let origin = self.origin();
        self.push(move |w| {
            let (to_region, from_region) = (to.region(w.memory()), from.region(w.memory()));
            for lane in w.active() {
                let (to, from) = (to.of(w)[lane], from.of(w)[lane]);
                let bytes = u64::from(w.value(size, lane));
                for (place, region) in [(to, to_region), (from, from_region)] {
                    if let Some(kind) = w.memory().fault(place, (bytes, 16), region) {
                        return w.fail(kind, place, lane, origin);
                    }
                }
                if bytes % 16 != 0 {
                    return w.fail(FaultKind::MisalignedAddress, to, lane, origin);
                }
                // SAFETY: both ranges were checked; they may be the same memory.
                unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize) };
                if let Some(barrier) = barrier {
                    let change = |state: State| state.transferred(bytes as i64);
                    if change_state(w, barrier, lane, origin, change).is_none() {
                        return;
                    }
                }
            }
        });
        Ok(())
    }

    /// `cp.async.mbarrier.arrive`: copies are done, so lanes arrive now. Without `.noinc` the count of those to wait for is one
    /// higher for each, which comes to the same as if nobody had come.
    fn arrive_behind_copies(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let at = self.addresses(&operands[0], space(mnemonic))?;
        self.watch(mnemonic, barrier_word(at, Deed::Atomic));
        let (arrivals, origin) = (u32::from(mnemonic.has(Modifier::NoInc)), self.origin());
        self.push(move |w| {
            for lane in w.active() {
                if change_state(w, at, lane, origin, |state| state.arrived(arrivals)).is_none() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn barrier_object(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        let has = |modifier| mnemonic.has(modifier);
        if has(PendingCount) {
            let d = self.target::<u32>(&operands[0])?;
            let state = self.source_as::<u64>(&operands[1], Type::B64)?;
            self.push(move |w| w.write(d, |w, lane| State(w.value(state, lane)).pending()));
            return Ok(());
        }
        if has(TestWait) || has(TryWait) {
            return self.wait_for_phase(mnemonic, operands);
        }
        let origin = self.origin();
        let returns = has(Arrive) || has(ArriveDrop);
        let (result, rest) = operands.split_at(usize::from(returns));
        let at = self.addresses(&rest[0], space(mnemonic))?;
        let deed = if has(Init) { Deed::Write } else { Deed::Atomic };
        self.watch(mnemonic, barrier_word(at, deed));
        let number = match rest.get(1) {
            Some(operand) => self.source::<u32>(operand)?,
            None => self.constant(1u32),
        };
        let d = match result.first() {
            Some(Operand::Sink) | None => None,
            Some(operand) => Some(self.target::<u64>(operand)?),
        };
        let step: fn(State, u32) -> State = match () {
            _ if has(Init) => |_, count| State::begin(count),
            _ if has(Inval) => |_, _| State(0),
            _ if has(Arrive) && has(Expect) => |state, bytes| state.expecting(bytes.into()).arrived(1),
            _ if has(ArriveDrop) && has(Expect) => |state, bytes| state.expecting(bytes.into()).dropped(1),
            _ if has(Arrive) => State::arrived,
            _ if has(ArriveDrop) => State::dropped,
            _ if has(Expect) => |state, bytes| state.expecting(bytes.into()),
            _ if has(CompleteTx) => |state, bytes| state.transferred(bytes.into()),
            _ => return Err("not implemented".into()),
        };
        self.push(move |w| {
            for lane in w.active() {
                let number = w.value(number, lane);
                let Some(before) = change_state(w, at, lane, origin, |state| step(state, number)) else {
                    return;
                };
                if let Some(d) = d {
                    w.set_value(d, lane, before.0);
                }
            }
        });
        Ok(())
    }

    /// `test_wait` and `try_wait`: whether the phase of a state, or of a parity, is over.
    fn wait_for_phase(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target_predicate(&operands[0])?;
        let at = self.addresses(&operands[1], space(mnemonic))?;
        self.watch(mnemonic, barrier_word(at, Deed::Atomic));
        let by_parity = mnemonic.has(Modifier::Parity);
        let phase = if by_parity {
            let parity = self.source::<u32>(&operands[2])?;
            let wide = self.temporary::<u64>();
            self.push(move |w| w.write(wide, |w, lane| u64::from(w.value(parity, lane)) << PHASE));
            wide
        } else {
            self.source_as::<u64>(&operands[2], Type::B64)?
        };
        let origin = self.origin();
        self.push(move |w| {
            let mut over = 0u32;
            for lane in w.active() {
                let Some(now) = change_state(w, at, lane, origin, |state| state) else { return };
                let waited = w.value(phase, lane);
                over |= u32::from((now.0 ^ waited) >> PHASE & 1 != 0) << lane;
            }
            w.set_predicate(d, over);
            if over == 0 {
                // Whoever is waited for gets a turn at the next jump back.
                w.budget = 1;
            }
        });
        Ok(())
    }
}

/// A barrier object.
fn barrier_word(addresses: Addresses, deed: Deed) -> Watched {
    Watched { deed, addresses, size: 8, align: 8 }
}

/// Copies without parts.
#[inline(always)]
fn copy_whole(w: &mut Warp, to: Addresses, from: Addresses, size: u64, origin: Origin) {
    let (mut to_at, mut from_at) = (to.of(w), from.of(w));
    let (to_region, from_region) = (to.region(w.memory()), from.region(w.memory()));
    if check(w, &mut to_at, size, to_region, origin).is_none()
        || check(w, &mut from_at, size, from_region, origin).is_none()
    {
        return;
    }
    for lane in w.active() {
        // SAFETY: the active lanes' bytes were checked on both sides, alignment included.
        unsafe {
            match size {
                4 => (to_at[lane] as *mut u32).write((from_at[lane] as *const u32).read()),
                8 => (to_at[lane] as *mut u64).write((from_at[lane] as *const u64).read()),
                _ => (to_at[lane] as *mut u128).write((from_at[lane] as *const u128).read()),
            }
        }
    }
}

/// Copies parts, and fills up with zeros. A source of which nothing is taken is not looked at.
fn copy_parts(w: &mut Warp, (to, from): (Addresses, Addresses), (size, taken): (u64, Taken), origin: Origin) {
    let (mut to_at, from_at) = (to.of(w), from.of(w));
    let (to_region, from_region) = (to.region(w.memory()), from.region(w.memory()));
    if check(w, &mut to_at, size, to_region, origin).is_none() {
        return;
    }
    for lane in w.active() {
        let (to, from, taken) = (to_at[lane], from_at[lane], taken.of(w, size, lane));
        if taken != 0
            && let Some(kind) = w.memory().fault(from, (taken, size), from_region)
        {
            return w.fail(kind, from, lane, origin);
        }
        // SAFETY: the source was checked here, the target before; they may be the same memory.
        unsafe {
            std::ptr::copy(from as *const u8, to as *mut u8, taken as usize);
            std::ptr::write_bytes((to as *mut u8).add(taken as usize), 0, (size - taken) as usize);
        }
    }
}

/// Changes a barrier object; the answer is what it was before, nothing after a fault.
fn change_state(
    w: &mut Warp,
    at: Addresses,
    lane: usize,
    origin: Origin,
    change: impl FnOnce(State) -> State,
) -> Option<State> {
    let address = at.of(w)[lane];
    if let Some(kind) = w.memory().fault(address, (8, 8), w.memory().shared) {
        w.fail(kind, address, lane, origin);
        return None;
    }
    let place = address as *mut u64;
    // SAFETY: the word was checked. One thread runs a block and its shared memory, so nobody else changes it meanwhile.
    unsafe {
        let before = State(place.read());
        place.write(change(before).0);
        Some(before)
    }
}

/// The bits of a barrier object, which PTX leaves to us: arrivals that are missing in this phase, how many a phase takes, bytes
/// that are on their way (with a sign), and the phase's parity. A state that `arrive` gives is the word before.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State(u64);

/// Place of the phase's parity.
const PHASE: u32 = 63;
/// Bits of a count; that of bytes has one more.
const COUNT: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT) - 1;
const BYTES_MASK: u64 = (1 << (COUNT + 1)) - 1;

impl State {
    fn begin(count: u32) -> State {
        State::of(0, count.into(), count.into(), 0)
    }

    fn of(phase: u64, pending: u64, count: u64, bytes: i64) -> State {
        let bytes = (bytes as u64 & BYTES_MASK) << (2 * COUNT);
        State(phase << PHASE | bytes | (count & COUNT_MASK) << COUNT | pending & COUNT_MASK)
    }

    fn pending(self) -> u32 {
        (self.0 & COUNT_MASK) as u32
    }

    fn count(self) -> u64 {
        self.0 >> COUNT & COUNT_MASK
    }

    fn bytes(self) -> i64 {
        let unused = 63 - 3 * COUNT;
        ((self.0 << unused) as i64) >> (63 - COUNT)
    }

    fn phase(self) -> u64 {
        self.0 >> PHASE
    }

    /// The next phase, if this one is over.
    fn settled(self) -> State {
        if self.pending() == 0 && self.bytes() == 0 {
            return State::of(self.phase() ^ 1, self.count(), self.count(), 0);
        }
        self
    }

    fn arrived(self, count: u32) -> State {
        let pending = u64::from(self.pending()).saturating_sub(count.into());
        State::of(self.phase(), pending, self.count(), self.bytes()).settled()
    }

    fn dropped(self, count: u32) -> State {
        let less = self.count().saturating_sub(count.into());
        State::of(self.phase(), self.pending().into(), less, self.bytes()).arrived(count)
    }

    fn expecting(self, bytes: i64) -> State {
        State::of(self.phase(), self.pending().into(), self.count(), self.bytes() + bytes)
    }

    fn transferred(self, bytes: i64) -> State {
        self.expecting(-bytes).settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_ends_with_the_last_arrival_and_the_last_byte() {
        let state = State::begin(2).expecting(48).arrived(1);
        assert_eq!((state.pending(), state.count(), state.bytes(), state.phase()), (1, 2, 48, 0));
        let early = state.transferred(64);
        assert_eq!((early.bytes(), early.phase()), (-16, 0));
        let waiting = early.arrived(1);
        assert_eq!((waiting.pending(), waiting.phase()), (0, 0));
        let done = waiting.expecting(16).settled();
        assert_eq!((done.pending(), done.bytes(), done.phase()), (2, 0, 1));
        assert_eq!(done.dropped(1).arrived(1).count(), 1);
        assert_eq!(done.dropped(1).arrived(1).phase(), 0);
    }
}
