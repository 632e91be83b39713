//! Channel groups for kernels, and how they are let on a card and taken off.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nvidia_abi::Abi;

use crate::kernel::{Handed, Kernel};
use crate::ledger::Object;
use crate::numbers::{CONTROL, DISABLE_CHANNELS};

/// A group that a client has made.
#[derive(Clone)]
pub struct Group {
    /// The RM client that it belongs to, and its handle.
    pub object: Object,
    /// The client's file: only through it can the group be spoken of.
    pub file: Arc<OwnedFd>,
    /// An object of the client's that stands for the card.
    pub subdevice: u32,
    /// Handles of its channels.
    pub channels: Vec<u32>,
    /// The client has scheduled it; before, it does not run.
    pub is_scheduled: bool,
}

/// Whoever switches groups.
pub trait Switch: Send {
    /// Lets a group on its card, or takes it off.
    fn switch(&self, group: &Group, on: bool) -> Result<(), SwitchError>;
}

/// Why a group is not switched.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The call failed.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// The driver does not want to.
    #[error("the driver says {0:#x}")]
    Status(u32),
}

/// The driver, asked by `NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS`.
pub struct DisableChannels {
    abi: Arc<Abi>,
    kernel: Kernel,
}

impl DisableChannels {
    /// That of this release.
    pub fn new(abi: Arc<Abi>, kernel: Kernel) -> Self {
        Self { abi, kernel }
    }

    fn control(&self, group: &Group, parameters: &[u8]) -> Result<(), SwitchError> {
        let row = self.abi.escape(CONTROL).ok_or_else(missing)?;
        let mut bytes = vec![0u8; row.size];
        bytes.extend(parameters);
        // They lie right behind it.
        let start = bytes.as_mut_ptr().expose_provenance() as u64;
        let fields = [
            ("hClient", group.object.0.into()),
            ("hObject", group.subdevice.into()),
            ("cmd", DISABLE_CHANNELS.into()),
            ("params", start + row.size as u64),
            ("paramsSize", parameters.len() as u64),
        ];
        for (name, value) in fields {
            row.write(&mut bytes, name, value);
        }
        (self.kernel.ioctl)(&Handed {
            descriptor: group.file.as_raw_fd(),
            // _IOWR('F', …)
            number: 0xc000_4600 | (row.size as u32) << 16 | CONTROL,
            argument: start,
            area: start..start + bytes.len() as u64,
        })?;
        match row.read(&bytes, "status") {
            Some(0) => Ok(()),
            status => Err(SwitchError::Status(status.unwrap_or(0) as u32)),
        }
    }
}

impl Switch for DisableChannels {
    fn switch(&self, group: &Group, on: bool) -> Result<(), SwitchError> {
        let row = self.abi.control(DISABLE_CHANNELS).ok_or_else(missing)?;
        let list = |name| row.field(name).ok_or_else(missing);
        let (clients, channels) = (list("hClientList")?, list("hChannelList")?);
        for some in group.channels.chunks(channels.len().max(1)) {
            let mut parameters = vec![0u8; row.size];
            row.write(&mut parameters, "bDisable", (!on).into());
            row.write(&mut parameters, "numChannels", some.len() as u64);
            for (index, channel) in some.iter().enumerate() {
                clients.write(&mut parameters, index, group.object.0.into());
                channels.write(&mut parameters, index, (*channel).into());
            }
            self.control(group, &parameters)?;
        }
        Ok(())
    }
}

/// The tables do not have it.
fn missing() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSYS)
}
