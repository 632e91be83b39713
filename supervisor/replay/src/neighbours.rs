//! What other programs had of a card when a recording was made: the state that the recorded program found, and did not make.
//!
//! It is taken from what the recording's program was told *first*: whether somebody had a device of the card before it had one itself,
//! which processes computed and what they held, how much memory and how much of the window onto it was left. Every later answer has to
//! agree with that.

use std::collections::BTreeMap;

use nvidia_abi::{Abi, Row, class, control, escape, status};
use recording::{Event, Ioctl};
use resource_manager::{Card, Load, ResourceManager};

use crate::bytes::word;

/// Indices of `NV2080_CTRL_CMD_FB_GET_INFO_V2`.
const WINDOW_FREE: u32 = 0x1d;
const FREE: u32 = 0x16;
/// In use, of `NV0000_CTRL_CMD_GPU_GET_ID_INFO`.
const IN_USE: u64 = 1;

/// Sets the first card to what others had of it when `events` were recorded. Nothing, if nobody had anything.
pub fn set(manager: &mut ResourceManager, events: &[Event]) -> Option<Load> {
    let found = Found::of(events, manager.abi());
    if !found.somebody_has_it && found.processes.is_empty() {
        return None;
    }
    let card = manager.card(0)?;
    let less = |figure: &str, left: Option<u32>| left.map_or(0, |left| missing(card, figure, left));
    let mut load = Load {
        has_devices: true,
        window: less("bar1_free_kib", found.window_free),
        processes: found.processes.into_iter().collect(),
        ..Load::default()
    };
    load.usage.used = less("free_kib", found.free);
    load.usage.processes = load.processes.len() as u32;
    manager.set_load(0, load.clone());
    Some(load)
}

/// Bytes that are left less than nobody's having any.
fn missing(card: &Card, figure: &str, left: u32) -> u64 {
    u64::from(card.figure(figure).unwrap_or(0).saturating_sub(left)) * 1024
}

/// What the program was told first of each thing.
#[derive(Default)]
struct Found {
    somebody_has_it: bool,
    processes: BTreeMap<u32, u64>,
    window_free: Option<u32>,
    free: Option<u32>,
}

impl Found {
    fn of(events: &[Event], abi: &Abi) -> Self {
        let mut found = Self::default();
        let mut has_own = false;
        let ioctls = events.iter().filter_map(|event| match event {
            Event::Ioctl(ioctl) if ioctl.dev != "/dev/nvidia-uvm" => Some(ioctl),
            _ => None,
        });
        for ioctl in ioctls {
            match ioctl.nr {
                escape::NV_ESC_RM_ALLOC => has_own |= word(&ioctl.outer_before, 12) == class::NV01_DEVICE_0,
                escape::NV_ESC_RM_CONTROL if word(&ioctl.outer_after, 28) == status::NV_OK => {
                    let number = word(&ioctl.outer_before, 8);
                    if let Some(row) = abi.control(number) {
                        found.learn(number, row, ioctl, has_own);
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn learn(&mut self, number: u32, row: &Row, ioctl: &Ioctl, has_own: bool) {
        let told = Told { row, bytes: &ioctl.parameters_after };
        match number {
            control::NV0000_CTRL_CMD_GPU_GET_ID_INFO | control::NV0000_CTRL_CMD_GPU_GET_ID_INFO_V2 => {
                self.somebody_has_it |= !has_own && told.number("gpuFlags", 0) & IN_USE != 0;
            }
            control::NV2080_CTRL_CMD_GPU_GET_PIDS => {
                for at in 0..told.number("pidTblCount", 0) as usize {
                    self.processes.entry(told.number("pidTbl", at) as u32).or_default();
                }
            }
            control::NV2080_CTRL_CMD_GPU_GET_PID_INFO => {
                for at in 0..told.number("pidInfoListCount", 0) as usize {
                    let held = told.number("pidInfoList.data.vidMemUsage.memSharedOwned", at);
                    let process = told.number("pidInfoList.pid", at) as u32;
                    self.processes.entry(process).and_modify(|bytes| *bytes = (*bytes).max(held));
                }
            }
            control::NV2080_CTRL_CMD_FB_GET_INFO_V2 => {
                for at in 0..told.number("fbInfoListSize", 0) as usize {
                    let value = Some(told.number("fbInfoList.data", at) as u32);
                    match told.number("fbInfoList.index", at) as u32 {
                        WINDOW_FREE => self.window_free = self.window_free.or(value),
                        FREE => self.free = self.free.or(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// An answer by its fields.
struct Told<'a> {
    row: &'a Row,
    bytes: &'a [u8],
}

impl Told<'_> {
    /// An element of a field; 0 if there is none.
    fn number(&self, field: &str, at: usize) -> u64 {
        self.row.field(field).and_then(|field| field.read(self.bytes, at)).unwrap_or(0)
    }
}
