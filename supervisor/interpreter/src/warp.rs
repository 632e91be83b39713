//! The state of a warp: registers, mask, and the lanes that wait elsewhere.

use std::ffi::c_void;

use crate::launch::FaultKind;

/// Lanes of a warp.
pub(crate) const LANES: usize = 32;
/// All lanes.
pub(crate) const FULL: u32 = u32::MAX;

/// 32 values side by side.
pub(crate) type V32 = [u32; LANES];
/// 32 wide values side by side.
pub(crate) type V64 = [u64; LANES];

/// What all warps of a block share.
pub(crate) struct BlockContext<'a> {
    pub parameters: &'a [u8],
    pub shared: Vec<u64>,
    pub shared_bytes: u64,
    pub local: Vec<u64>,
    /// Bytes of local memory of one thread.
    pub local_bytes: u64,
    pub window: (u64, u64),
    pub grid: [u32; 3],
    pub size: [u32; 3],
    pub index: [u32; 3],
    pub print: &'a (dyn Fn(&str) + Sync),
}

impl BlockContext<'_> {
    pub fn shared_base(&self) -> u64 {
        self.shared.as_ptr() as u64
    }

    pub fn local_base(&self) -> u64 {
        self.local.as_ptr() as u64
    }

    /// Whether a kernel may touch these bytes.
    pub fn allows(&self, address: u64, size: u64) -> bool {
        let inside =
            |low: u64, bytes: u64| address.wrapping_sub(low) <= bytes.wrapping_sub(size) && size <= bytes;
        inside(self.window.0, self.window.1 - self.window.0)
            || inside(self.shared_base(), self.shared_bytes)
            || inside(self.local_base(), self.local.len() as u64 * 8)
    }
}

/// What went wrong, and where.
#[derive(Clone, Debug)]
pub(crate) struct WarpFault {
    pub kind: FaultKind,
    pub address: u64,
    pub lane: u32,
    pub origin: u32,
}

/// A warp while it runs.
pub(crate) struct Warp<'a> {
    /// Narrow registers.
    pub narrow: Vec<V32>,
    /// 64-bit registers.
    pub wide: Vec<V64>,
    /// Predicates, a bit per lane.
    pub predicates: Vec<u32>,
    /// Lanes that execute now.
    pub mask: u32,
    /// Lanes that have not ended.
    pub live: u32,
    /// Blocks with waiting lanes, highest first.
    pub waiting: Vec<(u32, u32)>,
    /// Lanes that wait at a barrier, and where they go on.
    pub at_barrier: Vec<(u32, u32)>,
    pub context: *const BlockContext<'a>,
    pub index: u32,
    pub fault: Option<WarpFault>,
    /// Carry flags, a bit per lane.
    pub carry: u32,
}

impl<'a> Warp<'a> {
    pub fn context(&self) -> &BlockContext<'a> {
        // SAFETY: the block's context outlives its warps, and nobody writes it while they run.
        unsafe { &*self.context }
    }

    pub fn set32(&mut self, register: usize, values: &V32) {
        let target = &mut self.narrow[register];
        if self.mask == FULL {
            *target = *values;
        } else {
            for lane in 0..LANES {
                let keep = (self.mask >> lane & 1).wrapping_sub(1);
                target[lane] = target[lane] & keep | values[lane] & !keep;
            }
        }
    }

    pub fn set64(&mut self, register: usize, values: &V64) {
        let target = &mut self.wide[register];
        if self.mask == FULL {
            *target = *values;
        } else {
            for lane in 0..LANES {
                if self.mask >> lane & 1 != 0 {
                    target[lane] = values[lane];
                }
            }
        }
    }

    pub fn set_predicate(&mut self, register: usize, bits: u32) {
        let target = &mut self.predicates[register];
        *target = *target & !self.mask | bits & self.mask;
    }

    /// Records a fault; nothing more of this warp has an effect.
    pub fn fail(&mut self, kind: FaultKind, address: u64, lane: usize, origin: u32) {
        if self.fault.is_none() {
            self.fault = Some(WarpFault { kind, address, lane: lane as u32, origin });
        }
        self.mask = 0;
    }

    /// Sends lanes to a block.
    pub fn send(&mut self, block: u32, mask: u32) {
        if mask == 0 {
            return;
        }
        match self.waiting.binary_search_by(|(known, _)| block.cmp(known)) {
            Ok(place) => self.waiting[place].1 |= mask,
            Err(place) => self.waiting.insert(place, (block, mask)),
        }
    }

    /// Checks `size` bytes at each active lane's address; on a fault nothing stays active.
    pub fn check(&mut self, addresses: &V64, size: u64, origin: u32) -> bool {
        let mut bad = None;
        for (lane, address) in addresses.iter().enumerate() {
            if self.mask >> lane & 1 != 0
                && (!self.context().allows(*address, size) || address & (size - 1) != 0)
            {
                bad = Some(lane);
                break;
            }
        }
        let Some(lane) = bad else { return true };
        let address = addresses[lane];
        let kind = if self.context().allows(address, size) {
            FaultKind::MisalignedAddress
        } else {
            FaultKind::IllegalAddress
        };
        self.fail(kind, address, lane, origin);
        false
    }
}

/// Device printf: formats with the arguments of one lane.
pub(crate) fn format(text: &str, arguments: u64) -> String {
    let mut out = String::new();
    let mut place = arguments;
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let tail = &rest[start + 1..];
        let end = tail
            .find(|letter: char| letter.is_ascii_alphabetic() && !"hlLzjt".contains(letter) || letter == '%');
        let Some(end) = end else {
            out.push('%');
            rest = tail;
            continue;
        };
        let (spec, conversion) = (&tail[..end], tail.as_bytes()[end]);
        rest = &tail[end + 1..];
        if conversion == b'%' {
            out.push('%');
            continue;
        }
        out.push_str(&convert(spec, conversion, &mut place));
    }
    out.push_str(rest);
    out
}

fn convert(spec: &str, conversion: u8, place: &mut u64) -> String {
    let flags: String = spec.chars().filter(|letter| !"hlLzjt".contains(*letter)).collect();
    let wide = spec.contains('l') || spec.contains('z') || spec.contains('j') || spec.contains('t');
    let eight =
        wide || matches!(conversion, b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b's' | b'p' | b'a' | b'A');
    let size = if eight { 8 } else { 4 };
    *place = place.next_multiple_of(size);
    // SAFETY: device code passed a buffer that holds the arguments of its format, in local memory of this thread.
    let value = unsafe {
        if eight { (*place as *const u64).read() } else { u64::from((*place as *const u32).read()) }
    };
    *place += size;
    let format =
        std::ffi::CString::new(format!("%{flags}{}{}", if eight { "ll" } else { "" }, conversion as char));
    let Ok(format) = format else { return String::new() };
    let mut buffer = [0u8; 512];
    // SAFETY: one conversion and one argument of its type; the buffer's length is given.
    let written = unsafe {
        match conversion {
            b's' => snprintf(buffer.as_mut_ptr(), 512, c"%s".as_ptr().cast(), value as *const c_void),
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
                let plain =
                    std::ffi::CString::new(format!("%{flags}{}", conversion as char)).unwrap_or_default();
                snprintf(buffer.as_mut_ptr(), 512, plain.as_ptr().cast(), f64::from_bits(value))
            }
            b'p' => snprintf(buffer.as_mut_ptr(), 512, c"%p".as_ptr().cast(), value as *const c_void),
            _ if eight => snprintf(buffer.as_mut_ptr(), 512, format.as_ptr().cast(), value),
            _ => snprintf(buffer.as_mut_ptr(), 512, format.as_ptr().cast(), value as u32),
        }
    };
    String::from_utf8_lossy(&buffer[..(written.max(0) as usize).min(511)]).into_owned()
}

unsafe extern "C" {
    fn snprintf(buffer: *mut u8, size: usize, format: *const u8, ...) -> i32;
}
