//! The objects that every client of the resource manager begins with.

use anyhow::{Context, Result, bail};
use nvidia_abi::escape;

use crate::rm::{Node, put};

/// The driver's node.
pub const CONTROL_NODE: &str = "/dev/nvidiactl";
/// The first card's.
pub const GPU_NODE: &str = "/dev/nvidia0";

/// `NV01_ROOT_CLIENT`
pub const CLASS_ROOT: u32 = 0x41;
/// `NV01_DEVICE_0`
pub const CLASS_DEVICE: u32 = 0x80;
/// `NV20_SUBDEVICE_0`
pub const CLASS_SUBDEVICE: u32 = 0x2080;

/// Handles, as this client chooses them.
pub const DEVICE: u32 = 0x5c00_0001;
/// The same.
pub const SUBDEVICE: u32 = 0x5c00_0002;

/// A client with a device and a subdevice.
pub struct Tree {
    /// `/dev/nvidiactl`
    pub control: Node,
    /// `/dev/nvidia0`
    pub gpu: Node,
    /// Its handle.
    pub client: u32,
}

impl Tree {
    /// As a library starts.
    pub fn new() -> Result<Self> {
        let control = Node::open(CONTROL_NODE).context(CONTROL_NODE)?;
        let client = root(&control)?;
        let mut ids = [0; 132];
        put(&mut ids, 0, 0xffff);
        control.control(client, client, 0x215, &mut ids);
        let gpu = Node::open(GPU_NODE).context(GPU_NODE)?;
        gpu.escape(escape::NV_ESC_WAIT_OPEN_COMPLETE, &mut [0; 8]);
        let mut fd = control.fd().to_le_bytes();
        gpu.escape(escape::NV_ESC_REGISTER_FD, &mut fd);
        let tree = Self { control, gpu, client };
        for (what, answer) in [
            ("device", tree.control.alloc(client, client, DEVICE, CLASS_DEVICE, &mut [0; 56])),
            ("subdevice", tree.control.alloc(client, DEVICE, SUBDEVICE, CLASS_SUBDEVICE, &mut [0; 4])),
        ] {
            if (answer.0, answer.1) != (0, 0) {
                bail!("{what}: {answer:x?}");
            }
        }
        Ok(tree)
    }
}

/// A client of the resource manager: its handle.
pub fn root(control: &Node) -> Result<u32> {
    let (error, status, client) = control.alloc(0, 0, 0, CLASS_ROOT, &mut []);
    if (error, status) != (0, 0) {
        bail!("no client: error {error}, status {status:#x}");
    }
    Ok(client)
}
