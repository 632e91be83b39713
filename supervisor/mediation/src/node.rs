//! The driver of this machine and its nodes.

use std::fs;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/dev/nvidiactl`.
    Control,
    /// `/dev/nvidiaN`.
    Gpu(u32),
    /// `/dev/nvidia-uvm`.
    UnifiedMemory,
    /// A node of the driver whose calls are not known: `/dev/nvidia-modeset`, `/dev/nvidia-uvm-tools`.
    Other,
}

impl Node {
    /// Where it is, as a recording says it.
    pub fn path(self) -> String {
        match self {
            Self::Control => "/dev/nvidiactl".into(),
            Self::Gpu(minor) => format!("/dev/nvidia{minor}"),
            Self::UnifiedMemory => "/dev/nvidia-uvm".into(),
            Self::Other => "/dev/nvidia-modeset".into(),
        }
    }
}

/// The driver, as the kernel tells of it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its release.
    pub version: String,
    /// The device number of cards, and of the control node.
    major: u32,
    /// Numbers of its cards' nodes.
    pub cards: Vec<u32>,
    /// The device number of `/dev/nvidia-uvm` is not fixed.
    unified_memory: Option<u32>,
    /// Other files that stand for nodes, by their numbers; those that are no devices have none.
    stand_ins: Vec<((u32, u32), Node)>,
}

/// `NV_MAJOR_DEVICE_NUMBER`
const MAJOR: u32 = 195;
/// `NV_CONTROL_DEVICE_MINOR`, and of the node for displays.
const CONTROL: u32 = 255;
pub const DISPLAYS: u32 = 254;

impl Machine {
    /// This machine's; or why there is none, in words.
    pub fn look() -> Result<Self, String> {
        let file = "/sys/module/nvidia/version";
        let version = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?.trim().to_owned();
        let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
        let (unified_memory, stand_ins) = (major(&devices, "nvidia-uvm"), Vec::new());
        Ok(Self { version, major: MAJOR, cards: cards(), unified_memory, stand_ins })
    }

    /// One whose nodes are other files.
    #[cfg(any(test, feature = "stand-in"))]
    pub fn of_files(version: &str, stand_ins: Vec<((u32, u32), Node)>) -> Self {
        let card = |(_, node): &_| if let Node::Gpu(minor) = node { Some(*minor) } else { None };
        let cards = stand_ins.iter().filter_map(card).collect();
        Self { version: version.to_owned(), major: MAJOR, cards, unified_memory: None, stand_ins }
    }

    /// Which of its nodes an open file is.
    pub fn node_of(&self, file: &OwnedFd) -> Option<Node> {
        // SAFETY: the descriptor is open, and is not closed here.
        let file = ManuallyDrop::new(unsafe { fs::File::from_raw_fd(file.as_raw_fd()) }).metadata().ok()?;
        if self.stand_ins.is_empty() && !file.file_type().is_char_device() {
            return None;
        }
        let number = std::os::unix::fs::MetadataExt::rdev(&file);
        self.node(libc::major(number), libc::minor(number))
    }

    fn node(&self, major: u32, minor: u32) -> Option<Node> {
        let stands_for = |(number, _): &&((u32, u32), Node)| *number == (major, minor);
        match (major, minor) {
            _ if !self.stand_ins.is_empty() => self.stand_ins.iter().find(stands_for).map(|(_, node)| *node),
            (major, CONTROL) if major == self.major => Some(Node::Control),
            (major, DISPLAYS) if major == self.major => Some(Node::Other),
            (major, minor) if major == self.major => Some(Node::Gpu(minor)),
            (major, 0) if Some(major) == self.unified_memory => Some(Node::UnifiedMemory),
            (major, _) if Some(major) == self.unified_memory => Some(Node::Other),
            _ => None,
        }
    }
}

fn cards() -> Vec<u32> {
    let names = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("nvidia")?.parse().ok();
    let mut cards: Vec<u32> = names.filter_map(number).collect();
    cards.sort_unstable();
    cards
}

/// Of a driver, as `/proc/devices` lists it.
fn major(devices: &str, name: &str) -> Option<u32> {
    let mut lines = devices.lines().filter_map(|line| line.trim().split_once(' '));
    lines.find(|(_, driver)| *driver == name)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_told_by_their_numbers() {
        let devices =
            "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n238 nvidia-uvm\n239 nvidia-caps\n";
        let unified_memory = major(devices, "nvidia-uvm");
        let machine = Machine { unified_memory, ..Machine::of_files("", vec![]) };
        let nodes = [(195, 255), (195, 3), (195, 254), (238, 0), (238, 1), (239, 1), (1, 3)]
            .map(|(major, minor)| machine.node(major, minor));
        let expected = [
            Some(Node::Control),
            Some(Node::Gpu(3)),
            Some(Node::Other),
            Some(Node::UnifiedMemory),
            Some(Node::Other),
            None,
            None,
        ];
        assert_eq!(nodes, expected);
    }
}
