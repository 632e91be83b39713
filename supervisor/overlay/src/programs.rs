//! Programs that the driver's packages bring: `nvidia-smi`, for machines that have none.
//!
//! An open can be answered with another file, an exec cannot: whoever holds the call lets it execute a descriptor
//! (`programs` in the package `vgpu-run`). Here is decided which calls those are. Shells look with `stat` before they execute; that is
//! answered by `--overlay=full`, and by `PATH`, at whose end the launcher puts the directory that holds the program.

use std::os::fd::OwnedFd;

use crate::target::Target;
use crate::{Engine, OpenQuery, Overlay};

/// File name of the program, in the payload too.
pub const NVIDIA_SMI: &str = "nvidia-smi";

/// Where the driver's packages put it.
const DIRECTORIES: &[&str] = &["/usr/bin", "/bin"];

/// Where else a real one may lie, which then comes later in somebody's `PATH`: container runtimes, WSL, driver containers.
const OTHER_DIRECTORIES: &[&str] = &[
    "/usr/local/bin",
    "/usr/local/nvidia/bin",
    "/opt/bin",
    "/usr/lib/wsl/lib",
    "/run/nvidia/driver/usr/bin",
];

impl Overlay {
    /// What an exec of the path is to execute; `None` leaves it to the kernel.
    pub fn program(&mut self, query: &OpenQuery) -> Option<OwnedFd> {
        if self.engine == Engine::Host || crate::last_component(query.path)? != NVIDIA_SMI.as_bytes() {
            return None;
        }
        let path = String::from_utf8(Target::of(query).absolute()).ok()?;
        if !is_missing(query, &path) {
            return None;
        }
        Some(self.store.as_mut()?.open(NVIDIA_SMI).ok()??.0)
    }
}

/// The path is one where the program would be installed, and the machine has none.
pub(crate) fn is_missing(query: &OpenQuery, path: &str) -> bool {
    let at = |directory: &str| format!("{directory}/{NVIDIA_SMI}");
    DIRECTORIES.iter().any(|directory| at(directory) == path)
        && !DIRECTORIES
            .iter()
            .chain(OTHER_DIRECTORIES)
            .any(|directory| Target::of(&OpenQuery { path: at(directory).as_bytes(), ..*query }).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_places_of_an_installation_are_answered() {
        let query = OpenQuery { pid: std::process::id() as i32, dirfd: libc::AT_FDCWD, path: b"" };
        assert!(!is_missing(&query, "/opt/mine/nvidia-smi") && !is_missing(&query, "/usr/bin/nvidia-smi2"));
        if !std::path::Path::new("/usr/bin/nvidia-smi").exists() {
            assert!(is_missing(&query, "/usr/bin/nvidia-smi"));
        }
    }
}
