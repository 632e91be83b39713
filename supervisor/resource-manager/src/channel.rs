//! Channels: the queues through which programs give work to a card, told of but not run. Work goes through our own libraries.
//!
//! ```text
//!   group (an engine) ── channel (a number) ── compute, copy (an engine each)
//!         └── subcontext
//! ```

use nvidia_abi::{class, status};

use crate::make::{Made, Making};

/// NV2080_ENGINE_TYPE_…
pub(crate) const GRAPHICS: u32 = 1;
const FIRST_COPY: u32 = 9;

/// Channels of one engine.
pub(crate) fn group(making: &mut Making) -> Result<Made, u32> {
    making.numbers.work();
    Ok(Made { engine: Some(making.parameters.word("engineType")), ..Made::default() })
}

/// A set of channels with an address space of its own; a program may leave its number to RM.
pub(crate) fn subcontext(making: &mut Making) -> Result<Made, u32> {
    const ASYNCHRONOUS: u32 = 1;
    const LAST: u32 = 63;
    if making.parameters.word("flags") & 3 == ASYNCHRONOUS {
        making.parameters.set("subctxId", LAST);
    }
    Ok(Made::default())
}

/// The lowest number that is free; the first ones are the driver's own.
pub(crate) fn channel(making: &mut Making) -> Result<Made, u32> {
    /// NVOS04_FLAGS_…: RM keeps account of its notifications.
    const ANSWERED: u32 = 0x20;
    let engine = match making.parent.class {
        class::KEPLER_CHANNEL_GROUP_A => making.parent.engine,
        _ => Some(making.parameters.word("engineType")),
    };
    let number = making.numbers.channel().ok_or(status::NV_ERR_INSUFFICIENT_RESOURCES)?;
    making.parameters.set("flags", making.parameters.word("flags") | ANSWERED);
    making.parameters.set("cid", making.numbers.work());
    Ok(Made { engine, channel: Some(number), ..Made::default() })
}

/// Compute runs where graphics would.
pub(crate) fn compute(making: &mut Making) -> Result<Made, u32> {
    match making.parent.engine {
        Some(GRAPHICS) => Ok(Made { engine: Some(GRAPHICS), ..Made::default() }),
        _ => Err(status::NV_ERR_INVALID_CLASS),
    }
}

/// The copy engine that the program names.
pub(crate) fn copy(making: &mut Making) -> Result<Made, u32> {
    let exists = |engine: &u32| making.facts.as_ref().is_some_and(|facts| facts.engines.contains(engine));
    let engine = FIRST_COPY.checked_add(making.parameters.word("engineType")).filter(exists);
    engine
        .map(|engine| Made { engine: Some(engine), ..Made::default() })
        .ok_or(status::NV_ERR_INVALID_ARGUMENT)
}
