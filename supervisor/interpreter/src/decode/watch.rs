//! Operations that tell of accesses, in kernels that are watched ([`crate::watch`]); in others there are none.

use ptx::{Mnemonic, Modifier, Op};

use super::memory::Addresses;
use super::operands::Decoder;
use crate::registers::{LANES, Reg, Slot};
use crate::warp::Warp;
use crate::watch::{Access, Deed, Instruction, Written, tell, watch_of};

/// Addresses and bytes, where they are known when the instruction is decoded.
pub(super) struct Watched {
    pub deed: Deed,
    pub addresses: Addresses,
    pub size: u64,
    pub align: u64,
}

impl Decoder<'_> {
    /// Whether there is somebody to tell.
    pub(super) fn is_watched(&self) -> bool {
        self.image.is_watched
    }

    /// What is told of an access of the current instruction.
    pub(super) fn access(&self, mnemonic: &Mnemonic, watched: &Watched) -> Access {
        let Watched { deed, addresses, size, align } = *watched;
        let instruction = Instruction { origin: self.origin(), deed, is_strong: is_strong(mnemonic) };
        Access {
            instruction,
            only_shared: addresses.are_shared() || is_barrier_object(mnemonic),
            size,
            align,
            frame_bytes: self.frame_bytes,
        }
    }

    /// Tells that active lanes touch as many bytes each.
    pub(super) fn watch(&mut self, mnemonic: &Mnemonic, watched: Watched) {
        if !self.is_watched() || self.is_surely_inside(&watched) {
            return;
        }
        let (access, addresses) = (self.access(mnemonic, &watched), watched.addresses);
        self.push(move |w| tell(w, &access, w.mask, &addresses.of(w), None));
    }

    /// The same for lanes that write elements.
    pub(super) fn watch_written(
        &mut self,
        mnemonic: &Mnemonic,
        watched: Watched,
        (sources, element_bytes): (&[Slot], u64),
    ) {
        if !self.is_watched() || self.is_surely_inside(&watched) {
            return;
        }
        let (access, addresses) = (self.access(mnemonic, &watched), watched.addresses);
        let sources = sources.to_vec();
        self.push(move |w| {
            let elements: Vec<[u64; LANES]> = sources.iter().map(|source| w.slot_values(*source)).collect();
            let written = Written { elements: &elements, element_bytes };
            tell(w, &access, w.mask, &addresses.of(w), Some(&written));
        });
    }

    /// The same for a number of bytes that each lane has in a register, from `first` lane's on.
    pub(super) fn watch_sized(&mut self, mnemonic: &Mnemonic, watched: Watched, size: Reg<u32>) {
        if !self.is_watched() {
            return;
        }
        let (access, addresses) = (self.access(mnemonic, &watched), watched.addresses);
        self.push(move |w| {
            for lane in w.active() {
                let access = Access { size: w.value(size, lane).into(), ..access };
                tell(w, &access, 1 << lane, &addresses.of(w), None);
            }
        });
    }

    /// Tells that the active lanes of a warp are together at an instruction for which they have waited.
    pub(super) fn watch_meeting(&mut self) {
        if self.is_watched() {
            self.push(|w: &mut Warp| {
                let (index, lanes) = (w.index, w.mask);
                if let Some(mut watch) = watch_of(w) {
                    watch.meets(index, lanes);
                }
            });
        }
    }

    /// A variable of the function's own, as arguments of calls are: no check can find anything.
    fn is_surely_inside(&self, watched: &Watched) -> bool {
        let Addresses::Local(offset) = watched.addresses else { return false };
        offset.checked_add(watched.size).is_some_and(|end| end <= self.frame_bytes)
            && offset.is_multiple_of(watched.align)
    }
}

/// Whether an instruction works on a barrier object, which lies in shared memory also where its address is a generic one.
fn is_barrier_object(mnemonic: &Mnemonic) -> bool {
    mnemonic.op == Op::Mbarrier
}

/// Whether threads may do this at once, by the memory model: what makes an access "strong".
fn is_strong(mnemonic: &Mnemonic) -> bool {
    use Modifier::*;
    [Volatile, Relaxed, Acquire, Release, AcqRel, Mmio].into_iter().any(|word| mnemonic.has(word))
}
