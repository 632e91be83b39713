//! How a card could be parted into instances (MIG). None is: the mode that would allow it stays pending, see `sets`.
//!
//! What a card could be parted into are rows of `PROFILES`; the rest follows from there being no instance.

use std::ffi::c_void;

use crate::door::*;
use crate::session;
use wire::device::{Description, feature};

/// A kind of instance.
struct Profile {
    /// What it is called.
    name: &'static str,
    /// `NVML_GPU_INSTANCE_PROFILE_…`: how it is asked for.
    number: u32,
    /// What NVML calls it then.
    id: u32,
    /// Parts of the card's seven, and of its memory's eight.
    slices: [u32; 2],
    /// Parts of the memory at which one can begin.
    starts: &'static [u32],
    /// At most at a time.
    count: u32,
    multiprocessors: u32,
    copy_engines: u32,
    decoders: u32,
    jpeg: u32,
    optical_flow: u32,
    /// MiB.
    memory: u64,
}

const ALL: &[u32] = &[0, 1, 2, 3, 4, 5, 6];

/// By the card's PCI device id.
#[rustfmt::skip]
const PROFILES: &[(u32, &[Profile])] = &[
    // Recorded on an H100 80GB HBM3 (driver 580.159.04): DESCRIBE_PARTITIONS, GET_PARTITION_CAPACITY; ids and names: MIG user guide.
    (0x2330_10de, &[
        Profile { name: "MIG 1g.10gb", number: 0, id: 19, slices: [1, 1], starts: ALL, count: 7, multiprocessors: 16, copy_engines: 1, decoders: 1, jpeg: 1, optical_flow: 0, memory: 9984 },
        Profile { name: "MIG 1g.10gb+me", number: 7, id: 20, slices: [1, 1], starts: ALL, count: 1, multiprocessors: 16, copy_engines: 1, decoders: 1, jpeg: 1, optical_flow: 1, memory: 9984 },
        Profile { name: "MIG 1g.20gb", number: 9, id: 15, slices: [1, 2], starts: &[0, 2, 4, 6], count: 4, multiprocessors: 26, copy_engines: 1, decoders: 1, jpeg: 1, optical_flow: 0, memory: 20096 },
        Profile { name: "MIG 2g.20gb", number: 1, id: 14, slices: [2, 2], starts: &[0, 2, 4], count: 3, multiprocessors: 32, copy_engines: 2, decoders: 2, jpeg: 2, optical_flow: 0, memory: 20096 },
        Profile { name: "MIG 3g.40gb", number: 2, id: 9, slices: [3, 4], starts: &[0, 4], count: 2, multiprocessors: 60, copy_engines: 3, decoders: 3, jpeg: 3, optical_flow: 0, memory: 40448 },
        Profile { name: "MIG 4g.40gb", number: 3, id: 5, slices: [4, 4], starts: &[0], count: 1, multiprocessors: 64, copy_engines: 4, decoders: 4, jpeg: 4, optical_flow: 0, memory: 40448 },
        Profile { name: "MIG 7g.80gb", number: 4, id: 0, slices: [7, 8], starts: &[0], count: 1, multiprocessors: 132, copy_engines: 8, decoders: 7, jpeg: 7, optical_flow: 1, memory: 81152 },
    ]),
    // MIG user guide, `nvidia-smi mig -lgip` and `-lgipp` on an A100-SXM4-40GB.
    (0x20b0_10de, &[
        Profile { name: "MIG 1g.5gb", number: 0, id: 19, slices: [1, 1], starts: ALL, count: 7, multiprocessors: 14, copy_engines: 1, decoders: 0, jpeg: 0, optical_flow: 0, memory: 4864 },
        Profile { name: "MIG 1g.5gb+me", number: 7, id: 20, slices: [1, 1], starts: ALL, count: 1, multiprocessors: 14, copy_engines: 1, decoders: 1, jpeg: 1, optical_flow: 1, memory: 4864 },
        Profile { name: "MIG 1g.10gb", number: 9, id: 15, slices: [1, 2], starts: &[0, 2, 4, 6], count: 4, multiprocessors: 14, copy_engines: 1, decoders: 1, jpeg: 0, optical_flow: 0, memory: 9856 },
        Profile { name: "MIG 2g.10gb", number: 1, id: 14, slices: [2, 2], starts: &[0, 2, 4], count: 3, multiprocessors: 28, copy_engines: 2, decoders: 1, jpeg: 0, optical_flow: 0, memory: 9856 },
        Profile { name: "MIG 3g.20gb", number: 2, id: 9, slices: [3, 4], starts: &[0, 4], count: 2, multiprocessors: 42, copy_engines: 3, decoders: 2, jpeg: 0, optical_flow: 0, memory: 19968 },
        Profile { name: "MIG 4g.20gb", number: 3, id: 5, slices: [4, 4], starts: &[0], count: 1, multiprocessors: 56, copy_engines: 4, decoders: 2, jpeg: 0, optical_flow: 0, memory: 19968 },
        Profile { name: "MIG 7g.40gb", number: 4, id: 0, slices: [7, 8], starts: &[0], count: 1, multiprocessors: 98, copy_engines: 7, decoders: 5, jpeg: 1, optical_flow: 1, memory: 40192 },
    ]),
];

/// `nvmlGpuInstanceProfileInfo_t`
#[repr(C)]
pub struct ProfileInfo {
    id: u32,
    is_p2p_supported: u32,
    slices: u32,
    count: u32,
    multiprocessors: u32,
    copy_engines: u32,
    decoders: u32,
    encoders: u32,
    jpeg: u32,
    optical_flow: u32,
    memory: u64,
}

call_trace::fields! { ProfileInfo { id, slices, count, multiprocessors, copy_engines, memory } }

/// `nvmlGpuInstanceProfileInfo_v2_t`
#[repr(C)]
pub struct ProfileInfo2 {
    version: u32,
    first: ProfileInfoWords,
    memory: u64,
    name: [u8; 96],
}

/// What both hold in front of the memory.
type ProfileInfoWords = [u32; 10];

/// `nvmlGpuInstanceProfileInfo_v3_t`
#[repr(C)]
pub struct ProfileInfo3 {
    version: u32,
    id: u32,
    slices: u32,
    count: u32,
    multiprocessors: u32,
    copy_engines: u32,
    decoders: u32,
    encoders: u32,
    jpeg: u32,
    optical_flow: u32,
    memory: u64,
    name: [u8; 96],
    capabilities: u32,
}

/// `nvmlGpuInstancePlacement_t`
#[repr(C)]
pub struct Placement {
    start: u32,
    size: u32,
}

call_trace::fields! { Placement { start, size } }

const VERSION_2: u32 = 0x0200_0098;
const VERSION_3: u32 = 0x0300_0098;

impl From<&Profile> for ProfileInfo {
    fn from(profile: &Profile) -> Self {
        Self {
            id: profile.id,
            is_p2p_supported: 0,
            slices: profile.slices[0],
            count: profile.count,
            multiprocessors: profile.multiprocessors,
            copy_engines: profile.copy_engines,
            decoders: profile.decoders,
            encoders: 0,
            jpeg: profile.jpeg,
            optical_flow: profile.optical_flow,
            memory: profile.memory,
        }
    }
}

impl From<&Profile> for ProfileInfo2 {
    fn from(profile: &Profile) -> Self {
        let it = ProfileInfo::from(profile);
        Self {
            version: VERSION_2,
            first: [
                it.id,
                it.is_p2p_supported,
                it.slices,
                it.count,
                it.multiprocessors,
                it.copy_engines,
                it.decoders,
                it.encoders,
                it.jpeg,
                it.optical_flow,
            ],
            memory: it.memory,
            name: wire::device::padded(profile.name),
        }
    }
}

impl From<&Profile> for ProfileInfo3 {
    fn from(profile: &Profile) -> Self {
        let it = ProfileInfo::from(profile);
        Self {
            version: VERSION_3,
            id: it.id,
            slices: it.slices,
            count: it.count,
            multiprocessors: it.multiprocessors,
            copy_engines: it.copy_engines,
            decoders: it.decoders,
            encoders: it.encoders,
            jpeg: it.jpeg,
            optical_flow: it.optical_flow,
            memory: it.memory,
            name: wire::device::padded(profile.name),
            capabilities: 0,
        }
    }
}

/// What a card could be parted into.
fn profiles(device: &Description) -> Nvml<&'static [Profile]> {
    with_feature(device, feature::MIG)?;
    let rows = PROFILES.iter().find(|(id, _)| *id == device.pci_device_id);
    rows.map(|(_, profiles)| *profiles).ok_or(Error::NOT_SUPPORTED)
}

/// One kind of instance of a card.
fn profile(handle: usize, is: impl Fn(&Profile) -> bool) -> Nvml<&'static Profile> {
    session::with(|session| {
        let profiles = profiles(session.device(handle)?.1)?;
        profiles.iter().find(|profile| is(profile)).ok_or(Error::NOT_SUPPORTED)
    })
}

/// Tells of a kind in the version that the caller's structure has.
unsafe fn tell(target: *mut c_void, of: impl FnOnce() -> Nvml<&'static Profile>) -> Nvml {
    // SAFETY: the caller's structure begins with its version.
    match *unsafe { out(target.cast::<u32>()) }? {
        // SAFETY: of that version, by its own word.
        VERSION_2 => unsafe { target.cast::<ProfileInfo2>().write(of()?.into()) },
        // SAFETY: the same.
        VERSION_3 => unsafe { target.cast::<ProfileInfo3>().write(of()?.into()) },
        // Recorded: not the usual error.
        _ => return Err(Error::INVALID_ARGUMENT),
    }
    Ok(())
}

/// Where instances could lie.
unsafe fn placements(profile: &Profile, list: *mut Placement, count: *mut u32) -> Nvml {
    let starts = profile.starts;
    // SAFETY: the caller's place.
    let room = std::mem::replace(unsafe { out(count) }?, starts.len() as u32) as usize;
    if list.is_null() {
        return Ok(());
    }
    if room < starts.len() {
        return Err(Error::INSUFFICIENT_SIZE);
    }
    for (place, start) in starts.iter().enumerate() {
        // SAFETY: the caller's list has room for that many, by its own word.
        unsafe { list.add(place).write(Placement { start: *start, size: profile.slices[1] }) };
    }
    Ok(())
}

exports! {
    fn nvmlDeviceGetGpuInstanceProfileInfo(handle: usize, number: u32, target: *mut ProfileInfo) {
        let profile = profile(handle, |profile| profile.number == number)?;
        *out(target)? = profile.into();
        Ok(())
    }

    fn nvmlDeviceGetGpuInstanceProfileInfoV(handle: usize, number: u32, target: *mut c_void) {
        tell(target, || profile(handle, |profile| profile.number == number))
    }

    fn nvmlDeviceGetGpuInstanceProfileInfoByIdV(handle: usize, id: u32, target: *mut c_void) {
        tell(target, || profile(handle, |profile| profile.id == id))
    }

    fn nvmlDeviceGetGpuInstancePossiblePlacements(handle: usize, id: u32, list: *mut Placement, count: *mut u32) {
        // The first form knows no kinds with a part that there is once (recorded).
        let profile = profile(handle, |profile| profile.id == id && !profile.name.ends_with("+me"))?;
        placements(profile, list, count)
    }

    fn nvmlDeviceGetGpuInstancePossiblePlacements_v2(handle: usize, id: u32, list: *mut Placement, count: *mut u32) {
        placements(profile(handle, |profile| profile.id == id)?, list, count)
    }

    fn nvmlDeviceGetGpuInstanceRemainingCapacity(handle: usize, id: u32, count: *mut u32) {
        *out(count)? = profile(handle, |profile| profile.id == id)?.count;
        Ok(())
    }

    fn nvmlDeviceGetGpuInstances(handle: usize, id: u32, _list: *mut c_void, count: *mut u32) {
        profile(handle, |profile| profile.id == id)?;
        *out(count)? = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!((size_of::<ProfileInfo>(), size_of::<Placement>()), (48, 8));
        assert_eq!((size_of::<ProfileInfo2>(), size_of::<ProfileInfo3>()), (152, 152));
    }

    #[test]
    fn instances_fit_their_card() {
        for (card, profiles) in PROFILES {
            for profile in *profiles {
                let ends = profile.starts.iter().map(|start| start + profile.slices[1]);
                assert!(ends.max() <= Some(8), "{card:x} {}", profile.name);
                assert!(profile.count as usize <= profile.starts.len(), "{card:x} {}", profile.name);
                let same = profiles.iter().filter(|it| it.id == profile.id || it.number == profile.number);
                assert_eq!(same.count(), 1, "{card:x} {}", profile.name);
            }
        }
    }
}
