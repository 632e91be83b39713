//! `NV_ESC_RM_CONTROL`: commands to objects.
//!
//! ```text
//!   number ─▶ HANDLERS (client.rs, device.rs, subdevice.rs, …) and a row of facts ─▶ neither: NV_ERR_NOT_SUPPORTED, noted
//!                settings.rs ──▶ Caller::order ◀── a row `set`
//! ```
//!
//! For the next command: its number, size and fields are `nvidia-abi`'s (from `ctrl/ctrlXXXX/*.h`); if it always answers the same on
//! a kind of card, a row in `cards/` is enough; if it depends on the model or on objects, a function here and a row in its
//! file's `HANDLERS`.

mod channel;
mod client;
mod confidential;
mod device;
mod figures;
mod information;
mod settings;
mod subdevice;
mod topology;

use nvidia_abi::{Abi, Access, Row, class, control, status};

use crate::card::Card;
use crate::facts::{Facts, Written};
use crate::object::{Client, Handle, Object};
use crate::structure::Structure;
use crate::{Caller, Errno, FileId, Order, ResourceManager};

/// A command on its way.
struct Command<'a> {
    abi: &'a Abi,
    cards: &'a mut [Card],
    client: &'a mut Client,
    /// Whom it is for.
    handle: Handle,
    object: Object,
    parameters: Structure<'a>,
    caller: &'a mut dyn Caller,
}

type Handler = fn(&mut Command) -> Result<(), u32>;

/// Every handler, with the number that it answers.
fn handler(number: u32) -> Option<Handler> {
    let tables = [
        client::HANDLERS,
        device::HANDLERS,
        subdevice::HANDLERS,
        settings::HANDLERS,
        information::HANDLERS,
        topology::HANDLERS,
        channel::HANDLERS,
        confidential::HANDLERS,
        figures::HANDLERS,
    ];
    tables.into_iter().flatten().find(|(control, _)| *control == number).map(|(_, handler)| *handler)
}

/// FINN-serialised parameters: a second way to say the same, which no library of NVIDIA's uses on Linux.
const FLAG_SERIALISED: u32 = 4;
/// `NV…_CTRL_CMD_NULL`, which every object has.
const NOTHING: u32 = 0;
/// Commands without a public name that programs without privileges may not give.
const PRIVILEGED: u32 = 0xc000;
/// Answers that RM keeps for the whole card: once it has one, any object of the card gets it, through whichever file.
const KEPT: &[u32] = &[control::NV2080_CTRL_CMD_GPU_GET_NAME_STRING];

/// What RM takes at most.
const LARGEST: usize = 1 << 20;

impl ResourceManager {
    pub(crate) fn control(
        &mut self,
        file: FileId,
        outer: &mut Structure,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let (address, size) = (outer.get("params"), outer.word("paramsSize") as usize);
        if outer.word("cmd") == NOTHING {
            outer.set("status", status::NV_OK);
            return Ok(());
        }
        if size > LARGEST || (address == 0) != (size == 0) || outer.word("flags") & FLAG_SERIALISED != 0 {
            outer.set("status", status::NV_ERR_INVALID_ARGUMENT);
            return Ok(());
        }
        let mut parameters = vec![0; size];
        if !caller.read(address, &mut parameters) {
            outer.set("status", status::NV_ERR_INVALID_ARGUMENT);
            return Ok(());
        }
        let result = self.command(file, outer, &mut parameters, caller);
        outer.set("status", crate::escape::status_of(result));
        if result.is_ok() && !caller.write(address, &parameters) {
            outer.set("status", status::NV_ERR_INVALID_ADDRESS);
        }
        Ok(())
    }

    fn command(
        &mut self,
        file: FileId,
        outer: &Structure,
        parameters: &mut [u8],
        caller: &mut dyn Caller,
    ) -> Result<(), u32> {
        let number = outer.word("cmd");
        let row = self.abi.control(number);
        let kept = |card: usize| KEPT.contains(&number) && self.cards[card].kept.contains(&number);
        let any_client = self.clients.find_by_any_file(outer.word("hClient"))?;
        let object = any_client.object(outer.word("hObject")).cloned();
        let is_kept = object.as_ref().is_ok_and(|object| object.card.is_some_and(kept));
        let client = match is_kept {
            true => any_client,
            false => self.clients.find(outer.word("hClient"), file)?,
        };
        let object = match (&object, is_kept) {
            (Ok(object), true) => object.as_if(class::NV20_SUBDEVICE_0),
            _ => object?,
        };
        check(&self.abi, row, number, &object, parameters.len(), caller)?;
        if object.card.is_some_and(|card| self.cards[card].load.is_lost) {
            return Err(status::NV_ERR_GPU_IS_LOST);
        }
        if let (Some(row), Some(handle)) = (row, handler(number)) {
            let fields = Structure::new(row, parameters);
            let card = object.card.unwrap_or(0);
            let mut command = Command {
                abi: &self.abi,
                cards: &mut self.cards,
                client,
                handle: outer.word("hObject"),
                object,
                parameters: fields,
                caller,
            };
            handle(&mut command)?;
            self.cards[card].kept.insert(number);
            return match answer(&self.cards[card], number, parameters) {
                None | Some(status::NV_OK) => Ok(()),
                Some(error) => Err(error),
            };
        }
        if let Some(card) = object.card
            && let Some(order) = ordered(&self.cards[card].facts, number, parameters)
        {
            return match caller.is_administrator() {
                true => caller.order(card, order),
                false => Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS),
            };
        }
        let name =
            row.and_then(|row| row.name).map_or_else(|| format!("control {number:#010x}"), str::to_owned);
        match answer(&self.cards[object.card.unwrap_or(0)], number, parameters) {
            Some(status::NV_OK) => Ok(()),
            Some(error) => Err(error),
            None => Err(self.note_unknown(name)),
        }
    }
}

/// Whether the command can be given to that object by that process with so many bytes.
fn check(
    abi: &Abi,
    row: Option<&Row>,
    number: u32,
    object: &Object,
    size: usize,
    caller: &dyn Caller,
) -> Result<(), u32> {
    let has_name = row.is_some_and(|row| row.access != Some(Access::Recorded));
    if !has_name && number & PRIVILEGED == PRIVILEGED && !caller.is_administrator() {
        return Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS);
    }
    if !takes(abi, object.class, number) {
        return Err(status::NV_ERR_NOT_SUPPORTED);
    }
    let Some(row) = row else { return Ok(()) };
    if size != row.size {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    if row.access == Some(Access::Admin) && !caller.is_administrator() {
        return Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS);
    }
    Ok(())
}

/// Whether objects of that class have the command.
fn takes(abi: &Abi, object: u32, number: u32) -> bool {
    let of_number = number >> 16;
    abi.takes(object, number).unwrap_or_else(|| {
        // The open module does not serve it. Commands of other classes are known under the number of the class that had
        // them first.
        let kinds = [class::NV01_ROOT, class::NV01_DEVICE_0, class::NV20_SUBDEVICE_0];
        let internal =
            |class: u32| abi.class(class).and_then(|row| row.place.as_ref()).map(|place| place.internal);
        internal(of_number) == internal(object)
            || !kinds.contains(&of_number) && !kinds.iter().any(|&kind| internal(kind) == internal(object))
    })
}

/// What a control without a name changes, by the facts about the card.
fn ordered(facts: &Facts, number: u32, parameters: &[u8]) -> Option<Order> {
    if facts.is_reset(number, parameters) {
        return Some(Order::Reset);
    }
    facts.set(number, parameters).map(|(setting, values)| Order::Set(setting, values))
}

/// What the facts about the card say.
fn answer(card: &Card, number: u32, parameters: &mut [u8]) -> Option<u32> {
    let answer = card.facts.answer(number, parameters)?;
    for (at, written) in &answer.writes {
        let bytes = match written {
            Written::Bytes(bytes) => bytes.clone(),
            Written::Figure(name, length) => card.figure(name)?.to_le_bytes()[..*length].to_vec(),
        };
        parameters.get_mut(*at..*at + bytes.len())?.copy_from_slice(&bytes);
    }
    Some(answer.status)
}

impl Command<'_> {
    /// The card that the object belongs to.
    fn card(&mut self) -> Result<&mut Card, u32> {
        let card = self.object.card.ok_or(status::NV_ERR_INVALID_OBJECT)?;
        self.cards.get_mut(card).ok_or(status::NV_ERR_INVALID_OBJECT)
    }

    /// The card that a parameter names by its id.
    fn card_of(&self, field: &str) -> Result<(usize, &Card), u32> {
        let id = self.parameters.word(field);
        let found = self.cards.iter().enumerate().find(|(_, card)| card.id() == id);
        found.ok_or(status::NV_ERR_INVALID_ARGUMENT)
    }
}
