//! Control groups that a process is in. Version 1 and 2 name the same things differently, and both can be there, with a controller in either.

use std::path::{Path, PathBuf};

/// Where they are mounted.
pub const MOUNTS: &str = "/sys/fs/cgroup";

/// Of which version a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// With a mount for each set of controllers.
    First,
    /// With one mount for all.
    Second,
}

/// A group's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its version.
    pub version: Version,
    /// Where its files are.
    pub directory: PathBuf,
}

/// The groups below `mounts` that may have a say in `controller` for a process whose `/proc/…/cgroup` is `membership`: its own and all around
/// it, of both versions. Groups around a container's own do not show in it. Not all of them need to be there.
pub fn groups(membership: &str, mounts: &Path, controller: &str) -> Vec<Group> {
    let hierarchies = membership.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (version, root) = match controllers {
            "" => (Version::Second, mounts.to_owned()),
            // Beside version 2 it may be a level below.
            _ if controllers.split(',').any(|one| one == controller) => {
                (Version::First, mounts.join(controllers))
            }
            _ => return None,
        };
        Some((version, root, path.trim_start_matches('/')))
    });
    let groups = hierarchies.flat_map(|(version, root, path)| {
        let around = Path::new(path).ancestors();
        around.map(|group| Group { version, directory: root.join(group) }).collect::<Vec<_>>()
    });
    groups.collect()
}
