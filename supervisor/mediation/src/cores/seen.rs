//! What clients do with channel groups, as the mediator sees it.

use std::sync::Arc;

use nvidia_abi::{Abi, Row};

use super::groups::DisableChannels;
use super::{Pacer, TimeShare, TimeUsed};
use crate::calls::{Call, object};
use crate::copies::Copies;
use crate::ledger::Object;
use crate::numbers::*;
use crate::{Caller, Mediator};

impl Mediator {
    /// The session may have such a part of the cards' time. To be said before any client comes.
    pub fn pace(&mut self, share: TimeShare) {
        self.pacer =
            Some(Pacer::new(share, Box::new(DisableChannels::new(Arc::clone(&self.abi), self.kernel))));
    }

    /// From now on another share of the cards' time; false if none was given at the start.
    pub fn set_cores(&mut self, share: TimeShare) -> bool {
        self.pacer.as_ref().map(|pacer| pacer.set_share(share)).is_some()
    }

    /// What has been used of the cards' time, if that is limited.
    pub fn time_used(&self) -> Option<TimeUsed> {
        self.pacer.as_ref().map(Pacer::used)
    }

    /// Channels that could not be switched since this was last asked, and why not, in words.
    pub fn take_unpaced(&mut self) -> Vec<String> {
        self.pacer.as_ref().map(Pacer::take_failed).unwrap_or_default()
    }

    /// Whether a control would undo what the pacer does.
    pub(crate) fn disturbs_pacer(&self, command: u32, object: Object) -> bool {
        let Some(pacer) = &self.pacer else { return false };
        match command {
            DISABLE_CHANNELS => true,
            SCHEDULE_CHANNEL => self.ledger.parent(object).is_some_and(|group| pacer.knows(group)),
            _ => false,
        }
    }

    /// Lets the pacer hear of a call that went through.
    pub(crate) fn tell_pacer(
        &mut self,
        number: u32,
        row: &Row,
        copies: &Copies,
        call: &Call,
        caller: &dyn Caller,
    ) {
        let Some(pacer) = &mut self.pacer else { return };
        let outer = copies.part(0);
        if row.read(&outer.bytes, "status").unwrap_or(0) != 0 {
            return;
        }
        let said = |name| outer.read(row, name) as u32;
        let [client, parent, new] = ["hRoot", "hObjectParent", "hObjectNew"].map(said);
        match number {
            ALLOCATE if said("hClass") == SUBDEVICE => pacer.has_subdevice((client, parent), new),
            ALLOCATE if said("hClass") == CHANNEL_GROUP && is_for_kernels(&self.abi, row, copies) => {
                let file = call.file.try_clone();
                let place = ((client, parent), new);
                let made = file.and_then(|file| pacer.made(place, caller.process(), file, &self.cards));
                if let Err(error) = made {
                    tracing::error!("channel group {new:#x} has all of the cards' time: {error}");
                }
            }
            ALLOCATE if is_channel(&self.abi, said("hClass")) => pacer.has_channel((client, parent), new),
            CONTROL if said("cmd") == SCHEDULE_GROUP => {
                let group = object(&outer.bytes, [0, 4]);
                let parameters = behind(row, copies, "params");
                let row = self.abi.control(SCHEDULE_GROUP);
                let enables = row.zip(parameters).map(|(row, part)| copies.part(part).read(row, "bEnable"));
                pacer.scheduled(group, enables.unwrap_or(0) != 0);
            }
            FREE => pacer.keep(|group| self.ledger.knows(group)),
            _ => {}
        }
    }
}

fn is_for_kernels(abi: &Abi, row: &Row, copies: &Copies) -> bool {
    let parameters = behind(row, copies, "pAllocParms");
    let group = abi.class(CHANNEL_GROUP).zip(parameters);
    group.is_some_and(|(row, part)| KERNEL_ENGINES.contains(&copies.part(part).read(row, "engineType")))
}

fn is_channel(abi: &Abi, class: u32) -> bool {
    abi.class(class).and_then(|class| class.name).is_some_and(|name| name.contains("CHANNEL_GPFIFO"))
}

fn behind(row: &Row, copies: &Copies, field: &str) -> Option<usize> {
    row.field(field).and_then(|field| copies.behind(0, field.offset))
}
