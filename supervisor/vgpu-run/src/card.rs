//! Which card the session announces.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use broker::Announcement;
use device::{Host, Profile};
use overlay::driver_text::{DeviceText, driver_files};
use overlay::pci::Slot;
use overlay::{DriverFile, Reason, Seen};
use replay::{Place, Player};
use resource_manager::Unit;
use wire::device::{Description, gpu_uuid_text, unpadded};

use crate::cli::{Engine, Gpus, Session};
use crate::failure::Failure;

/// The user's choice, and what `auto` looks at: the libraries that the tree has opened by the time a program
/// first asks for a device.
#[derive(Clone)]
pub struct Card {
    profile: Option<&'static Profile>,
    request: device::Request,
    /// Of a recording that answers: where its cards were.
    places: Rc<[Place]>,
    /// The driver's.
    release: Rc<str>,
    /// By their paths as programs gave them.
    libraries: Rc<RefCell<HashMap<Vec<u8>, Library>>>,
    chosen: Rc<RefCell<Option<&'static Profile>>>,
}

/// A library that was looked for.
#[derive(Clone, Copy)]
struct Library {
    /// A thread that did.
    tid: i32,
    source: Source,
}

/// Where the file comes from, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// From us.
    Payload,
    /// Should come from us, but we lack it. NVIDIA's own does not work here.
    Lacking,
    /// From the disk.
    Disk,
}

impl Source {
    fn of(seen: Option<&Seen>) -> Source {
        match seen {
            Some(Seen::Given { .. }) => Source::Payload,
            Some(Seen::Left { reason: Reason::NotInPayload, .. }) => Source::Lacking,
            _ => Source::Disk,
        }
    }
}

impl Card {
    /// From the options, and from a recording that answers.
    pub fn new(session: &Session, recording: Option<&Player>) -> Result<Self, Failure> {
        let places = recording.map_or(&[][..], Player::places);
        let profile = match session.gpu.as_str() {
            "auto" if recording.is_some() => Some(recorded(places)?),
            // Nobody's kernels tell which one they are for.
            "auto" if session.engine == Engine::Nodes => {
                let failure = Failure::new("an emulated driver for NVIDIA's own libraries needs a card");
                return Err(failure.hint("name one that has been recorded: `--gpu h100`"));
            }
            "auto" => None,
            name => Some(device::by_name(name).ok_or_else(|| unknown(name))?),
        };
        if let (Engine::Cpu | Engine::Nodes, Some(Gpus::Named(_))) = (session.engine, &session.gpus) {
            let failure =
                Failure::new("`--gpus` names cards, and those that are announced have no names yet");
            return Err(failure
                .hint("say how many: `--gpus 2`")
                .hint("for cards of this machine: `--engine host`"));
        }
        let request = device::Request {
            count: session.announced(),
            // Of a recorded card nothing has to be backed.
            memory: session.memory.or(profile.filter(|_| recording.is_some()).map(|it| it.memory)),
            few_multiprocessors: profile.is_none(),
        };
        let (places, release) =
            (places.into(), recording.map_or(device::DRIVER_VERSION, Player::version).into());
        Ok(Self { profile, request, places, release, libraries: Rc::default(), chosen: Rc::default() })
    }

    /// A library was looked for that may carry device code, or be needed by one that does. Called for every library,
    /// so it must cost nothing.
    pub fn note_library(&self, tid: i32, path: &[u8], seen: Option<&Seen>) {
        if self.profile.is_none() && self.chosen.borrow().is_none() {
            let mut libraries = self.libraries.borrow_mut();
            if !libraries.contains_key(path) {
                libraries.insert(path.to_vec(), Library { tid, source: Source::of(seen) });
            }
        }
    }

    /// The profile, once it has been needed.
    pub fn chosen(&self) -> Option<&'static Profile> {
        *self.chosen.borrow()
    }

    /// Whether it is clear which card it is: named by the user, or chosen already.
    pub fn is_settled(&self) -> bool {
        self.profile.is_some() || self.chosen().is_some()
    }

    /// The driver's text files; those of the devices are there once these are known, which they are at once if the user named them.
    pub fn files(&self) -> Vec<DriverFile> {
        let texts = self.chosen().or(self.profile).map_or_else(Vec::new, |profile| {
            let devices = device::announce(profile, &self.request, &Host::probe());
            let processors = processors();
            let text = |(index, device)| text_of(device, self.unit(device, index), &processors);
            devices.iter().enumerate().map(text).collect()
        });
        driver_files(&self.release, &texts)
    }

    /// Whether a recording answers for it.
    pub fn is_recorded(&self) -> bool {
        !self.places.is_empty()
    }

    /// Where a card is plugged in.
    pub fn unit(&self, device: &Description, index: usize) -> Unit {
        let unit = Unit::emulated(device, index as u32);
        match self.places.get(index) {
            None => unit,
            Some(Place { pci, irq, bars: [registers, memory], uuid, .. }) => {
                Unit { pci: *pci, irq: *irq, bars: [*registers, *memory, unit.bars[2]], uuid: *uuid, ..unit }
            }
        }
    }

    /// Chooses, for the rest of the session, unless that has been done.
    pub fn announce(&self) -> Announcement {
        let profile = self.chosen().or(self.profile).unwrap_or_else(|| self.automatic());
        *self.chosen.borrow_mut() = Some(profile);
        Announcement {
            devices: device::announce(profile, &self.request, &Host::probe()),
            cuda_version: device::CUDA_VERSION,
            driver_version: device::DRIVER_VERSION.to_owned(),
        }
    }

    fn automatic(&self) -> &'static Profile {
        let libraries = self.libraries.borrow();
        let from_disk = libraries.iter().filter(|(_, library)| library.source == Source::Disk);
        let files = from_disk.map(|(path, library)| find(library.tid, path));
        // Builds lie beside each other, so each leads to all; each is read once.
        let mut met = BTreeSet::new();
        let mut capabilities_of = |file: &Path| {
            let facts = file.metadata().ok()?;
            let code =
                met.insert((facts.dev(), facts.ino())).then(|| report::inspect::device_code(file))??;
            // One that can't be loaded does not vote.
            report::inspect::needed(file).iter().all(|name| may_be_met(&libraries, name)).then_some(code.ptx)
        };
        // Files of one name are builds of one library, of which a program tries one after the other: it is enough if the
        // card suits one of them.
        let mut libraries_by_name: BTreeMap<OsString, BTreeSet<u32>> = BTreeMap::new();
        for file in files {
            let (Some(name), Some(own)) = (file.file_name(), capabilities_of(&file)) else { continue };
            let all = libraries_by_name.entry(name.to_owned()).or_default();
            all.extend(own);
            all.extend(other_builds(&file).iter().filter_map(|build| capabilities_of(build)).flatten());
        }
        let capabilities: Vec<Vec<u32>> =
            libraries_by_name.into_values().map(|all| all.into_iter().collect()).collect();
        device::automatic(capabilities.iter().map(Vec::as_slice))
    }
}

/// Files of the same name in the directories beside the file's own, where programs keep other builds (Ollama: `cuda_v12` and
/// `cuda_v13`) and may get to them only after they have asked for a device.
fn other_builds(file: &Path) -> Vec<PathBuf> {
    const DIRECTORIES: usize = 64;
    let (Some(name), Some(own)) = (file.file_name(), file.parent()) else { return Vec::new() };
    let Some(beside) = own.parent().and_then(|parent| parent.read_dir().ok()) else { return Vec::new() };
    beside
        .take(DIRECTORIES)
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|directory| directory != own)
        .map(|directory| directory.join(name))
        .filter(|build| build.is_file())
        .collect()
}

/// Whether a loader that needs a library of this name may have got one. Of a name that nobody looked for we know nothing.
fn may_be_met(libraries: &HashMap<Vec<u8>, Library>, needed: &str) -> bool {
    let is_it = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next() == Some(needed.as_bytes());
    let mut found = libraries.iter().filter(|(path, _)| is_it(path)).peekable();
    found.peek().is_none()
        || found.any(|(path, library)| match library.source {
            Source::Payload => true,
            Source::Lacking => false,
            Source::Disk => find(library.tid, path).exists(),
        })
}

/// The profile of a recording's cards. One that tells of none asks for nothing that depends on it.
fn recorded(places: &[Place]) -> Result<&'static Profile, Failure> {
    const RECORDED_FIRST: &str = "h100";
    let Some(place) = places.first() else {
        return device::by_name(RECORDED_FIRST).ok_or_else(|| unknown(RECORDED_FIRST));
    };
    let is_it = |profile: &&Profile| profile.describe(0, profile.memory, 1).pci_device_id == place.device;
    device::profiles().iter().find(is_it).ok_or_else(|| {
        let [vendor, device] = [place.device & 0xffff, place.device >> 16];
        Failure::new(format!("the recording's card, PCI {vendor:04x}:{device:04x}, is none that is known"))
            .hint("name one that is like it: `--gpu NAME`, of `vgpu-run profiles`")
    })
}

fn text_of(device: &Description, unit: Unit, processors: &str) -> DeviceText {
    DeviceText {
        name: unpadded(&device.name),
        uuid: gpu_uuid_text(&unit.uuid.unwrap_or(device.uuid)),
        slot: Slot {
            place: unit.pci,
            device: device.pci_device_id,
            subsystem: device.pci_subsystem_id,
            irq: unit.irq,
            bars: unit.bars,
            link: device.pcie,
            processors: processors.to_owned(),
        },
        video_bios: unpadded(&device.vbios),
    }
}

/// The machine's, as the kernel lists them.
fn processors() -> String {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online");
    list.map_or_else(|_| "0".to_owned(), |list| list.trim().to_owned())
}

/// The file that a thread meant: through its root or current directory while it lives, else the same path here.
fn find(tid: i32, path: &[u8]) -> PathBuf {
    let given = Path::new(OsStr::from_bytes(path));
    let seen = match given.strip_prefix("/") {
        Ok(below_root) => Path::new(&format!("/proc/{tid}/root")).join(below_root),
        Err(_) => Path::new(&format!("/proc/{tid}/cwd")).join(given),
    };
    if seen.exists() { seen } else { given.to_owned() }
}

fn unknown(name: &str) -> Failure {
    let names: Vec<_> = device::profiles().iter().map(|profile| profile.key).collect();
    Failure::new(format!("there is no profile `{name}`"))
        .hint(format!("use `auto` or one of: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_library_is_met_by_us_or_by_the_disk_and_unmet_where_we_lack_it() {
        let own = std::env::current_exe().unwrap();
        let on_disk = own.as_os_str().as_bytes();
        let places: [(&[u8], Source); 5] = [
            (b"/nowhere/libcudart.so.12", Source::Payload),
            (b"/nowhere/libcudart.so.13", Source::Lacking),
            (b"/nowhere/libfft.so.3", Source::Disk),
            (b"/nowhere/else/libfft.so.3", Source::Disk),
            (on_disk, Source::Disk),
        ];
        let tid = std::process::id() as i32;
        let libraries =
            places.into_iter().map(|(path, source)| (path.to_vec(), Library { tid, source })).collect();
        let present = own.file_name().unwrap().to_str().unwrap();
        for (name, expected) in [
            ("libcudart.so.12", true),
            ("libcudart.so.13", false),
            ("libfft.so.3", false),
            (present, true),
            ("libnobody-asked.so", true),
        ] {
            assert_eq!(may_be_met(&libraries, name), expected, "{name}");
        }
    }
}
