//! What objects are made of, class by class.

use std::sync::Arc;

use nvidia_abi::{class, status};

use crate::card::Numbers;
use crate::event::Listener;
use crate::facts::Facts;
use crate::object::{Client, Handle, Memory, Object, Space};
use crate::structure::Structure;
use crate::{channel, memory};

/// Where a program writes to tell the card of new work, on cards since Turing.
const USER_MODE_REGISTERS: Space = Space::Registers { offset: 0xbb_0000 };
const USER_MODE_LENGTH: u64 = 64 << 10;

/// `clcbca.h`
const NV_COUNTER_COLLECTION_UNIT: u32 = 0xcbca;
/// What its `SUBSCRIBE` tells.
const COUNTERS_LENGTH: u64 = 0x4015;

/// An object that is being made.
pub(crate) struct Making<'a> {
    pub parameters: Structure<'a>,
    /// `NVOS64_PARAMETERS` came with parameters.
    pub has_parameters: bool,
    pub parent_handle: Handle,
    pub parent: Object,
    pub client: &'a Client,
    /// Of the card above it.
    pub facts: Option<Arc<Facts>>,
    /// Numbers that the card gives to its objects.
    pub numbers: &'a mut Numbers,
    /// Bytes of the page of figures.
    pub shared_data_length: u64,
}

/// What is special about it.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub memory: Option<Memory>,
    /// NV2080_ENGINE_TYPE_…
    pub engine: Option<u32>,
    /// A channel's number.
    pub channel: Option<u32>,
    /// A subdevice's.
    pub subdevice: Option<u32>,
    /// Figures that are asked for.
    pub polled: u64,
    /// An event's.
    pub listener: Option<Listener>,
}

type Maker = fn(&mut Making) -> Result<Made, u32>;

/// Classes whose parameters are looked at, or written.
const MAKERS: &[(u32, Maker)] = &[
    (class::NV20_SUBDEVICE_0, subdevice),
    (class::NV04_DISPLAY_COMMON, no_display),
    (class::FERMI_VASPACE_A, address_space),
    (class::NV01_EVENT_OS_EVENT, event),
    (class::NV50_MEMORY_VIRTUAL, memory::virtual_memory),
    (class::NV01_MEMORY_LOCAL_USER, memory::video_memory),
    (class::NV01_MEMORY_SYSTEM, memory::system_memory),
    (class::RM_USER_SHARED_DATA, shared_data),
    (class::HOPPER_USERMODE_A, user_mode),
    (NV_COUNTER_COLLECTION_UNIT, counters),
    (class::KEPLER_CHANNEL_GROUP_A, channel::group),
    (class::FERMI_CONTEXT_SHARE_A, channel::subcontext),
    (class::HOPPER_CHANNEL_GPFIFO_A, channel::channel),
    (class::HOPPER_COMPUTE_A, channel::compute),
    (class::HOPPER_DMA_COPY_A, channel::copy),
];

/// Makes an object of that class.
pub(crate) fn make(class: u32, making: &mut Making) -> Result<Made, u32> {
    match MAKERS.iter().find(|(of, _)| *of == class) {
        Some((_, maker)) => maker(making),
        None => Ok(Made::default()),
    }
}

/// A device has room for some, whether or not there is a card behind each; a client takes each once.
fn subdevice(making: &mut Making) -> Result<Made, u32> {
    const MOST: u32 = 8;
    let number = making.parameters.word("subDeviceId");
    if number >= MOST {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    if making.client.children(making.parent_handle).any(|child| child.subdevice == Some(number)) {
        return Err(status::NV_ERR_INSUFFICIENT_RESOURCES);
    }
    Ok(Made { subdevice: Some(number), ..Made::default() })
}

/// A card for computing has none.
fn no_display(_: &mut Making) -> Result<Made, u32> {
    Err(status::NV_ERR_NOT_SUPPORTED)
}

/// What is left above the address where the program lets it begin.
fn address_space(making: &mut Making) -> Result<Made, u32> {
    const END: u64 = 1 << 57;
    let parameters = &mut making.parameters;
    if parameters.get("vaSize") == 0 {
        parameters.set("vaSize", END - parameters.get("vaBase").min(END));
    }
    Ok(Made::default())
}

/// Its descriptor must have been announced. The driver also tells an address of its own in the kernel: there is none here.
fn event(making: &mut Making) -> Result<Made, u32> {
    /// `NV01_EVENT_WITHOUT_EVENT_DATA`
    const WITHOUT_DATA: u32 = 1 << 28;
    const INDEX: u32 = 0xffff;
    let parameters = &mut making.parameters;
    let through = making.client.os_event(parameters.word("data")).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)?;
    if parameters.word("hSrcResource") == 0 {
        parameters.set("hSrcResource", making.parent_handle);
    }
    let notify = parameters.word("notifyIndex");
    let listener = Listener { index: notify & INDEX, through, with_data: notify & WITHOUT_DATA == 0 };
    Ok(Made { listener: Some(listener), ..Made::default() })
}

fn shared_data(making: &mut Making) -> Result<Made, u32> {
    let polled = making.parameters.get("polledDataMask");
    making.numbers.polled.objects += 1;
    making.numbers.polled.change(0, polled);
    Ok(Made { polled, ..mapped(Space::Figures, making.shared_data_length) })
}

/// Through the registers, or, since Hopper, through a window onto them beside the memory's.
fn user_mode(making: &mut Making) -> Result<Made, u32> {
    let beside_memory = making.has_parameters && making.parameters.get("bBar1Mapping") != 0;
    Ok(mapped(if beside_memory { Space::Window } else { USER_MODE_REGISTERS }, USER_MODE_LENGTH))
}

/// Counters of performance, which stay 0.
fn counters(_: &mut Making) -> Result<Made, u32> {
    Ok(mapped(Space::Collected, COUNTERS_LENGTH))
}

fn mapped(space: Space, length: u64) -> Made {
    Made { memory: Some(Memory { space, length }), ..Made::default() }
}
