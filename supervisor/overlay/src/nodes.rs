//! The driver's device nodes.

use crate::Answer;

/// A device node of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/dev/nvidiactl`, the rendezvous of payload and supervisor.
    Control,
    /// Any other node below `/dev/nvidia*` that a machine with our devices would have. Only NVIDIA's own libraries and
    /// programs that speak to the kernel module directly open these, and we do not emulate that interface.
    Raw(String),
}

impl Node {
    /// What an open of the node gets. A raw node must not look usable: ENXIO is what a node without a device answers.
    pub fn answer(&self) -> Answer {
        match self {
            Node::Control => Answer::ControlNode,
            Node::Raw(_) => Answer::Errno(libc::ENXIO),
        }
    }
}

/// Cheap test of a path's last component.
pub fn may_be_ours(last: &[u8]) -> bool {
    last.starts_with(b"nvidia")
}

/// The node at an absolute path.
pub fn node(path: &[u8], devices: u32) -> Option<Node> {
    let name = std::str::from_utf8(path).ok()?.strip_prefix("/dev/")?;
    if name == "nvidiactl" {
        return Some(Node::Control);
    }
    let known = match name.strip_prefix("nvidia")? {
        "-uvm" | "-uvm-tools" | "-modeset" => true,
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse::<u32>().is_ok_and(|minor| minor < devices)
        }
        other => other.starts_with("-caps/"),
    };
    known.then(|| Node::Raw(format!("/dev/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_the_devices_are_known() {
        assert_eq!(node(b"/dev/nvidiactl", 0), Some(Node::Control));
        assert_eq!(node(b"/dev/nvidia0", 1), Some(Node::Raw("/dev/nvidia0".into())));
        assert_eq!(node(b"/dev/nvidia-uvm", 1), Some(Node::Raw("/dev/nvidia-uvm".into())));
        assert_eq!(node(b"/dev/nvidia1", 1), None);
        assert_eq!(node(b"/dev/nvidia", 1), None);
        assert_eq!(node(b"/tmp/nvidiactl", 1), None);
    }

    #[test]
    fn raw_nodes_do_not_look_usable() {
        assert!(matches!(Node::Raw("/dev/nvidia0".into()).answer(), Answer::Errno(libc::ENXIO)));
        assert!(matches!(Node::Control.answer(), Answer::ControlNode));
    }
}
