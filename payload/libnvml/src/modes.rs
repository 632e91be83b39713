//! What is switched on, what the host's processors have to do with a card.

use std::ffi::{c_char, c_void};

use crate::door::*;
use crate::figures::{fixed, kept};
use crate::session;
use wire::device::feature;
use wire::settings::Setting;

/// Bits of an affinity mask's word.
const WORD: usize = u64::BITS as usize;

/// Every processor is as near to the card as any other.
unsafe fn affinity(handle: usize, words: u32, mask: *mut u64, processors: usize) -> Nvml {
    session::check(handle)?;
    if mask.is_null() || words == 0 {
        return Err(Error::INVALID_ARGUMENT);
    }
    for word in 0..words as usize {
        let bits = processors.saturating_sub(word * WORD).min(WORD);
        let value = if bits == WORD { u64::MAX } else { (1 << bits) - 1 };
        // SAFETY: the caller's mask has that many words, by its own word.
        unsafe { mask.add(word).write(value) };
    }
    Ok(())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

unsafe fn none<T>(count: *mut T, handle: usize, wanted: u32) -> Nvml
where
    T: From<u8>,
{
    // SAFETY: the caller's place.
    unsafe { fixed(count, handle, |device| with_feature(device, wanted).map(|()| 0.into())) }
}

exports! {
    fn nvmlDeviceGetAPIRestriction(handle: usize, kind: u32, target: *mut u32) {
        /// `NVML_RESTRICTED_API_SET_AUTO_BOOSTED_CLOCKS`: anybody may, as cards come.
        const AUTO_BOOST: u32 = 1;
        kept(target, handle, |_, settings| match kind {
            0 => Err(Error::NOT_SUPPORTED),
            AUTO_BOOST => Ok(settings.value(Setting::AutoBoostRestriction).unwrap_or(0)),
            _ => Err(Error::INVALID_ARGUMENT),
        })
    }

    fn nvmlDeviceGetAdaptiveClockInfoStatus(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(1))
    }

    fn nvmlDeviceGetAddressingMode(handle: usize, target: *mut [u32; 2]) {
        let version = versioned(target.cast(), 0x0100_0008)?;
        fixed(target, handle, |_| Ok([version, 0]))
    }

    fn nvmlDeviceGetCapabilities(handle: usize, target: *mut [u32; 2]) {
        let version = versioned(target.cast(), 0x0100_0008)?;
        fixed(target, handle, |_| Ok([version, 0]))
    }

    fn nvmlDeviceGetC2cModeInfoV(handle: usize, target: *mut u32) {
        fixed(target, handle, |_| Ok(0))
    }

    fn nvmlDeviceGetMigMode(handle: usize, current: *mut u32, pending: *mut u32) {
        none(current, handle, feature::MIG)?;
        kept(pending, handle, |_, settings| Ok(settings.value(Setting::MigMode).unwrap_or(0)))
    }

    fn nvmlDeviceGetMaxMigDeviceCount(handle: usize, target: *mut u32) {
        none(target, handle, 0)
    }

    fn nvmlDeviceGetMigDeviceHandleByIndex(handle: usize, _index: u32, _target: *mut usize) {
        session::with(|session| with_feature(session.device(handle)?.1, feature::MIG))?;
        Err(Error::NOT_FOUND)
    }

    fn nvmlDeviceIsMigDeviceHandle(handle: usize, target: *mut u32) {
        none(target, handle, 0)
    }

    fn nvmlDeviceGetEncoderCapacity(handle: usize, kind: u32, target: *mut u32) {
        /// Per cent, of H.264 and HEVC.
        const ALL: u32 = 100;
        fixed(target, handle, |_| if kind < 2 { Ok(ALL) } else { Err(Error::NOT_SUPPORTED) })
    }

    fn nvmlDeviceGetEncoderSessions(handle: usize, count: *mut u32, _list: *mut c_void) {
        none(count, handle, 0)
    }

    fn nvmlDeviceGetEncoderStats(handle: usize, sessions: *mut u32, frames: *mut u32, latency: *mut u32) {
        none(sessions, handle, 0)?;
        none(frames, handle, 0)?;
        none(latency, handle, 0)
    }

    fn nvmlDeviceGetFBCSessions(handle: usize, count: *mut u32, _list: *mut c_void) {
        none(count, handle, 0)
    }

    fn nvmlDeviceGetFBCStats(handle: usize, target: *mut [u32; 3]) {
        fixed(target, handle, |_| Ok([0; 3]))
    }

    fn nvmlDeviceGetConfComputeProtectedMemoryUsage(handle: usize, target: *mut [u64; 3]) {
        fixed(target, handle, |_| Ok([0; 3]))
    }

    fn nvmlDeviceGetConfComputeMemSizeInfo(handle: usize, target: *mut [u64; 2]) {
        // Protected, unprotected; KiB.
        fixed(target, handle, |device| Ok([0, device.total_memory >> 10]))
    }

    fn nvmlDeviceGetPowerSource(handle: usize, target: *mut u32) {
        none(target, handle, 0)
    }

    fn nvmlDeviceGetCpuAffinity(handle: usize, words: u32, mask: *mut u64) {
        affinity(handle, words, mask, processors())
    }

    fn nvmlDeviceGetCpuAffinityWithinScope(handle: usize, words: u32, mask: *mut u64, _scope: u32) {
        affinity(handle, words, mask, processors())
    }

    fn nvmlDeviceGetMemoryAffinity(handle: usize, words: u32, mask: *mut u64, _scope: u32) {
        affinity(handle, words, mask, 1)
    }

    fn nvmlDeviceGetTopologyNearestGpus(handle: usize, _level: u32, count: *mut u32, _list: *mut usize) {
        none(count, handle, 0)
    }

    fn nvmlDeviceGetP2PStatus(one: usize, other: usize, _index: u32, target: *mut u32) {
        const NVML_P2P_STATUS_NOT_SUPPORTED: u32 = 5;
        session::check(other)?;
        fixed(target, one, |_| Ok(NVML_P2P_STATUS_NOT_SUPPORTED))
    }

    fn nvmlGetExcludedDeviceCount(count: *mut u32) {
        *out(count)? = 0;
        Ok(())
    }

    fn nvmlGetBlacklistDeviceCount(count: *mut u32) {
        *out(count)? = 0;
        Ok(())
    }

    fn nvmlSystemGetConfComputeCapabilities(target: *mut [u32; 2]) {
        *out(target)? = [0, 1];
        Ok(())
    }

    fn nvmlSystemGetConfComputeState(target: *mut [u32; 3]) {
        *out(target)? = [0; 3];
        Ok(())
    }

    fn nvmlSystemGetConfComputeGpusReadyState(target: *mut u32) {
        *out(target)? = 0;
        Ok(())
    }

    fn nvmlSystemGetNvlinkBwMode(target: *mut u32) {
        *out(target)? = 0;
        Ok(())
    }

    fn nvmlSystemGetHicVersion(count: *mut u32, _list: *mut c_void) {
        *out(count)? = 0;
        Ok(())
    }

    fn nvmlDeviceGetHostname_v1(handle: usize, _target: *mut c_char) {
        session::check(handle)?;
        Err(Error::NOT_SUPPORTED)
    }
}
