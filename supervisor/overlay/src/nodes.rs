//! The driver's device nodes.

use crate::Answer;

/// A device node of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/dev/nvidiactl`, the rendezvous of payload and supervisor.
    Control,
    /// `/dev/nvidiaN`. Only NVIDIA's own libraries and programs that speak to the kernel module directly open it.
    Gpu(u32),
    /// `/dev/nvidia-uvm`, likewise.
    UnifiedMemory,
    /// `/dev/nvidia-caps/nvidia-capN`: who can open it may configure (1) or watch (2) parts of cards. There is nothing else to it.
    Capability(u32),
    /// Any other node below `/dev/nvidia*` that a machine with our devices would have, and one whose interface is not emulated.
    Raw(String),
}

impl Node {
    /// What an open of the node gets. A raw node must not look usable: ENXIO is what a node without a device answers.
    pub fn answer(&self) -> Answer {
        match self {
            Node::Raw(_) => Answer::Errno(libc::ENXIO),
            node => Answer::Node(node.clone()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> String {
        match self {
            Node::Control => "/dev/nvidiactl".to_owned(),
            Node::Gpu(minor) => format!("/dev/nvidia{minor}"),
            Node::UnifiedMemory => "/dev/nvidia-uvm".to_owned(),
            Node::Capability(number) => format!("/dev/nvidia-caps/nvidia-cap{number}"),
            Node::Raw(path) => path.clone(),
        }
    }
}

/// Where nodes of capabilities are.
pub const CAPABILITIES: &str = "/dev/nvidia-caps";

/// Cheap test of a path's last component.
pub fn may_be_ours(last: &[u8]) -> bool {
    last.starts_with(b"nvidia")
}

/// The node at an absolute path.
pub fn node(path: &[u8], devices: u32) -> Option<Node> {
    let name = std::str::from_utf8(path).ok()?.strip_prefix("/dev/")?;
    match name.strip_prefix("nvidia")? {
        "ctl" => Some(Node::Control),
        "-uvm" => Some(Node::UnifiedMemory),
        "-uvm-tools" | "-modeset" => Some(Node::Raw(format!("/dev/{name}"))),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            let minor =
                number.parse::<u32>().ok().filter(|minor| *minor < devices && minor.to_string() == number);
            minor.map(Node::Gpu)
        }
        "-caps/nvidia-cap1" => Some(Node::Capability(1)),
        "-caps/nvidia-cap2" => Some(Node::Capability(2)),
        other => other.starts_with("-caps/").then(|| Node::Raw(format!("/dev/{name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_the_devices_are_known() {
        for (path, expected) in [
            ("/dev/nvidiactl", Some(Node::Control)),
            ("/dev/nvidia0", Some(Node::Gpu(0))),
            ("/dev/nvidia-uvm", Some(Node::UnifiedMemory)),
            ("/dev/nvidia-uvm-tools", Some(Node::Raw("/dev/nvidia-uvm-tools".into()))),
            ("/dev/nvidia-caps/nvidia-cap1", Some(Node::Capability(1))),
            ("/dev/nvidia-caps/nvidia-cap3", Some(Node::Raw("/dev/nvidia-caps/nvidia-cap3".into()))),
            ("/dev/nvidia1", None),
            ("/dev/nvidia", None),
            ("/tmp/nvidiactl", None),
        ] {
            let found = node(path.as_bytes(), 1);
            assert_eq!(found, expected, "{path}");
            assert!(found.is_none_or(|node| node.path() == path), "{path}");
        }
    }

    #[test]
    fn raw_nodes_do_not_look_usable() {
        assert!(matches!(Node::Raw("/dev/nvidia-modeset".into()).answer(), Answer::Errno(libc::ENXIO)));
        assert!(matches!(Node::Control.answer(), Answer::Node(Node::Control)));
    }
}
