//! Which card the session announces.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use broker::Announcement;
use device::{Host, Profile};
use overlay::DriverFile;
use overlay::driver_text::{DeviceText, driver_files};
use wire::device::Description;

use crate::cli::Session;
use crate::failure::Failure;

/// The user's choice, and what `auto` looks at: the libraries that the tree has opened by the time a program
/// first asks for a device.
#[derive(Clone)]
pub struct Card {
    profile: Option<&'static Profile>,
    request: device::Request,
    /// Paths as programs gave them, each with a thread that did.
    libraries: Rc<RefCell<HashMap<Vec<u8>, i32>>>,
    chosen: Rc<RefCell<Option<&'static Profile>>>,
}

impl Card {
    /// From the options.
    pub fn new(session: &Session) -> Result<Self, Failure> {
        let profile = match session.gpu.as_str() {
            "auto" => None,
            name => Some(device::by_name(name).ok_or_else(|| unknown(name))?),
        };
        let request = device::Request {
            count: session.gpus,
            memory: session.memory,
            few_multiprocessors: profile.is_none(),
        };
        Ok(Self { profile, request, libraries: Rc::default(), chosen: Rc::default() })
    }

    /// A library was opened that may carry device code. Called for every library, so it must cost nothing.
    pub fn note_library(&self, tid: i32, path: &[u8]) {
        if self.profile.is_none() && self.chosen.borrow().is_none() {
            let mut libraries = self.libraries.borrow_mut();
            if !libraries.contains_key(path) {
                libraries.insert(path.to_vec(), tid);
            }
        }
    }

    /// The profile, once it has been needed.
    pub fn chosen(&self) -> Option<&'static Profile> {
        *self.chosen.borrow()
    }

    /// The driver's text files; those of the devices are there once these are known.
    pub fn files(&self) -> Vec<DriverFile> {
        let texts = self.chosen().map_or_else(Vec::new, |profile| {
            let devices = device::announce(profile, &self.request, &Host::probe());
            devices.iter().map(text_of).collect()
        });
        driver_files(device::DRIVER_VERSION, &texts)
    }

    /// Chooses, for the rest of the session.
    pub fn announce(&self) -> Announcement {
        let profile = self.profile.unwrap_or_else(|| self.automatic());
        *self.chosen.borrow_mut() = Some(profile);
        Announcement {
            devices: device::announce(profile, &self.request, &Host::probe()),
            cuda_version: device::CUDA_VERSION,
            driver_version: device::DRIVER_VERSION.to_owned(),
        }
    }

    fn automatic(&self) -> &'static Profile {
        let libraries = self.libraries.borrow();
        let code = libraries.iter().filter_map(|(path, tid)| report::inspect::device_code(&find(*tid, path)));
        let capabilities: Vec<Vec<u32>> = code.map(|code| code.ptx.into_iter().collect()).collect();
        device::automatic(capabilities.iter().map(Vec::as_slice))
    }
}

fn text_of(device: &Description) -> DeviceText {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let digits: String = device.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    DeviceText {
        name: text(&device.name),
        uuid: format!("GPU-{}", parts.join("-")),
        pci: device.pci,
        video_bios: text(&device.vbios),
    }
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
