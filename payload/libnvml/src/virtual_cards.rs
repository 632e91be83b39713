//! Virtual cards (vGPU) and their licences, and confidential machines: there are none. Recorded on an H100.

use std::ffi::c_void;

use crate::door::*;
use crate::session;

/// Two words in front of the features that could be licensed: whether any can, and how many are.
type Licences = [u32; 2];

/// `nvmlVgpuVersion_t`: least and greatest.
type Versions = [u32; 2];

unsafe fn no_licences(handle: usize, target: *mut Licences) -> Nvml {
    session::check(handle)?;
    // SAFETY: the caller's place.
    *unsafe { out(target) }? = [0, 0];
    Ok(())
}

/// An answer to what comes in one version.
unsafe fn always(target: *mut c_void, version: u32, error: Error) -> Nvml {
    // SAFETY: the caller's structure begins with its version.
    unsafe { versioned(target.cast(), version) }?;
    session::with(|_| Err(error))
}

exports! {
    fn nvmlDeviceGetGridLicensableFeatures(handle: usize, target: *mut Licences) {
        no_licences(handle, target)
    }

    fn nvmlDeviceGetGridLicensableFeatures_v2(handle: usize, target: *mut Licences) {
        no_licences(handle, target)
    }

    fn nvmlDeviceGetGridLicensableFeatures_v3(handle: usize, target: *mut Licences) {
        no_licences(handle, target)
    }

    fn nvmlDeviceGetGridLicensableFeatures_v4(handle: usize, target: *mut Licences) {
        no_licences(handle, target)
    }

    fn nvmlGetVgpuVersion(supported: *mut Versions, current: *mut Versions) {
        /// Of driver 580.159.04.
        const RANGE: Versions = [0x0012_0001, 0x001a_0001];
        session::with(|_| {
            (*out(supported)?, *out(current)?) = (RANGE, RANGE);
            Ok(())
        })
    }

    fn nvmlDeviceGetVgpuInstancesUtilizationInfo(handle: usize, target: *mut c_void) {
        session::check(handle)?;
        always(target, 0x0100_0020, Error::NOT_SUPPORTED)
    }

    fn nvmlVgpuInstanceGetPlacementId(_instance: u32, target: *mut c_void) {
        always(target, 0x0100_0008, Error::NOT_FOUND)
    }

    fn nvmlVgpuTypeGetBAR1Info(_kind: u32, target: *mut c_void) {
        always(target, 0x0100_0010, Error::INVALID_ARGUMENT)
    }

    fn nvmlSystemGetConfComputeSettings(target: *mut [u32; 5]) {
        // Environment, feature, tools, several cards.
        let version = versioned(target.cast(), 0x0100_0014)?;
        session::with(|_| {
            *out(target)? = [version, 0, 0, 0, 0];
            Ok(())
        })
    }

    fn nvmlSystemGetConfComputeKeyRotationThresholdInfo(target: *mut [u64; 2]) {
        let version = versioned(target.cast(), 0x0100_0010)?;
        session::with(|_| {
            *out(target)? = [version.into(), 0];
            Ok(())
        })
    }
}
