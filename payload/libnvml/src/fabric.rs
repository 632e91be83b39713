//! What joins cards: NVLink, the fabric of switches, and the board that they sit on. Cards of ours share nothing but the host.

use std::ffi::c_void;

use crate::door::*;
use crate::figures::fixed;
use crate::session;
use wire::device::Description;

/// `nvmlGpuFabricInfo_t`: the cluster's UUID, a status, the clique, `nvmlGpuFabricState_t`.
type FabricInfo = [u32; 7];

/// `nvmlPlatformInfo_v1_t`, `…_v2_t`: two names of 16 bytes, then places by one byte each, the last of which is the module.
#[repr(C)]
pub struct PlatformInfo {
    version: u32,
    names: [u8; 32],
    places: [u8; 4],
    module: u8,
    padding: [u8; 3],
}

call_trace::fields! { PlatformInfo { version } }

/// `NVML_DEVICE_ARCH_HOPPER`: the first that can be part of a fabric.
const HOPPER: u32 = 9;

/// `NVML_GPU_FABRIC_STATE_NOT_SUPPORTED`, which is 0 as all else is.
fn no_fabric<T: Default>(device: &Description) -> Nvml<T> {
    if device.architecture >= HOPPER { Ok(T::default()) } else { Err(Error::NOT_SUPPORTED) }
}

exports! {
    fn nvmlDeviceGetGpuFabricInfo(handle: usize, target: *mut FabricInfo) {
        fixed(target, handle, no_fabric)
    }

    fn nvmlDeviceGetGpuFabricInfoV(handle: usize, target: *mut u32) {
        /// Versions, with the words behind the version: those of the first form, and health.
        const VERSIONS: [(u32, usize); 2] = [(0x0200_0024, 8), (0x0300_0028, 9)];
        let version = *out(target)?;
        let (_, words) = VERSIONS.into_iter().find(|(known, _)| *known == version).ok_or(Error::VERSION_MISMATCH)?;
        session::with(|session| no_fabric::<()>(session.device(handle)?.1))?;
        // By its own word the caller's structure is that long.
        std::slice::from_raw_parts_mut(target.add(1), words).fill(0);
        Ok(())
    }

    fn nvmlDeviceGetNvLinkInfo(handle: usize, target: *mut c_void) {
        /// The versions that the driver has.
        const VERSIONS: [u32; 2] = [0x0100_0008, 0x0200_064c];
        session::check(handle)?;
        let version = *out(target.cast::<u32>())?;
        Err(if VERSIONS.contains(&version) { Error::NOT_SUPPORTED } else { Error::VERSION_MISMATCH })
    }

    fn nvmlDeviceGetPlatformInfo(handle: usize, target: *mut PlatformInfo) {
        /// Of other versions nothing is told, and no error either (recorded).
        const VERSIONS: [u32; 2] = [0x0100_002c, 0x0200_002c];
        let version = *out(target.cast::<u32>())?;
        session::with(|session| {
            let (index, device) = session.device(handle)?;
            no_fabric::<()>(device)?;
            if VERSIONS.contains(&version) {
                let (names, places, padding) = ([0; 32], [0; 4], [0; 3]);
                target.write(PlatformInfo { version, names, places, module: index as u8, padding });
            }
            Ok(())
        })
    }

    fn nvmlSystemGetTopologyGpuSet(_processor: u32, count: *mut u32, list: *mut usize) {
        // Every card is as near to a processor as to any other.
        session::with(|session| {
            let handles = session.listed().iter().map(|index| session.handle(*index)).collect::<Nvml<Vec<_>>>()?;
            let room = std::mem::replace(out(count)?, handles.len() as u32) as usize;
            if list.is_null() {
                return Ok(());
            }
            if room < handles.len() {
                return Err(Error::INSUFFICIENT_SIZE);
            }
            std::ptr::copy_nonoverlapping(handles.as_ptr(), list, handles.len());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!((size_of::<FabricInfo>(), size_of::<PlatformInfo>()), (28, 44));
    }
}
