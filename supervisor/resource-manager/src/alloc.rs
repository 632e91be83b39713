//! `NV_ESC_RM_ALLOC`: objects by their classes.
//!
//! `nvidia-abi` says what may be whose parent and how large the parameters are; a class that does more than exist has a row in
//! [`MAKERS`].

use nvidia_abi::{Row, class, status};

use crate::object::{Memory, Object, Space};
use crate::structure::Structure;
use crate::{Caller, Errno, FileId, ResourceManager};

/// Where a program writes to tell the card of new work, on cards since Turing.
const USER_MODE_REGISTERS: Space = Space::Registers { offset: 0xbb_0000 };
const USER_MODE_LENGTH: u64 = 64 << 10;
/// The structure of figures that the driver keeps for a client to read.
const SHARED_DATA_LENGTH: u64 = 4096;

/// What an object is made of.
struct Making<'a> {
    parameters: Structure<'a>,
    /// `NVOS64_PARAMETERS` came with parameters.
    has_parameters: bool,
}

type Maker = fn(&mut Making) -> Result<Option<Memory>, u32>;

/// Classes whose parameters are looked at, or written.
const MAKERS: &[(u32, Maker)] = &[
    (class::NV20_SUBDEVICE_0, make_subdevice),
    (class::NV04_DISPLAY_COMMON, refuse_display),
    (class::FERMI_VASPACE_A, make_address_space),
    (class::NV50_MEMORY_VIRTUAL, make_virtual_memory),
    (class::RM_USER_SHARED_DATA, make_shared_data),
    (class::HOPPER_USERMODE_A, make_user_mode),
];

impl ResourceManager {
    pub(crate) fn alloc(
        &mut self,
        file: FileId,
        outer: &mut Structure,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let class = outer.word("hClass");
        if matches!(class, class::NV01_ROOT | class::NV01_ROOT_NON_PRIV | class::NV01_ROOT_CLIENT) {
            let client = self.clients.make(file, class::NV01_ROOT_CLIENT);
            outer.set("hClass", class::NV01_ROOT_CLIENT);
            outer.set("hObjectNew", client);
            outer.set("status", status::NV_OK);
            return Ok(());
        }
        let Some(row) = self.abi.class(class).cloned() else {
            outer.set("status", status::NV_ERR_INVALID_CLASS);
            return Ok(());
        };
        let address = outer.get("pAllocParms");
        let mut parameters = vec![0; row.size];
        if address != 0 && !caller.read(address, &mut parameters) {
            return Err(Errno::Fault);
        }
        match self.make(file, outer, &row, &mut parameters, caller) {
            Ok(handle) => {
                outer.set("hObjectNew", handle);
                outer.set("status", status::NV_OK);
            }
            Err(error) => outer.set("status", error),
        }
        if address != 0 && !caller.write(address, &parameters) {
            return Err(Errno::Fault);
        }
        Ok(())
    }

    fn make(
        &mut self,
        file: FileId,
        outer: &Structure,
        row: &Row,
        parameters: &mut [u8],
        caller: &mut dyn Caller,
    ) -> Result<u32, u32> {
        let client = self.clients.find(outer.word("hRoot"), file)?;
        let parent_handle = outer.word("hObjectParent");
        let parent = client.object(parent_handle).map_err(|_| status::NV_ERR_INVALID_OBJECT_PARENT)?.clone();
        let handle = client.handle_for(outer.word("hObjectNew"))?;
        let above =
            self.abi.class(parent.class).and_then(|row| row.place.as_ref()).map(|place| place.internal);
        if let Some(place) = &row.place
            && !place.any_parent
            && !above.is_some_and(|above| place.parents.contains(&above))
        {
            return Err(status::NV_ERR_INVALID_OBJECT_PARENT);
        }
        if row.access == Some(nvidia_abi::Access::Admin) && !caller.is_administrator() {
            return Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS);
        }
        let parameters = Structure::new(row, parameters);
        let card = match row.number {
            class::NV01_DEVICE_0 => Some(self.device(&parameters, caller)?),
            _ => parent.card,
        };
        let mut making = Making { parameters, has_parameters: outer.get("pAllocParms") != 0 };
        let maker = MAKERS.iter().find(|(class, _)| *class == row.number);
        let memory = maker.map_or(Ok(None), |(_, make)| make(&mut making))?;
        let client = self.clients.find(outer.word("hRoot"), file)?;
        client.insert(handle, row.number, parent_handle, card, memory);
        Ok(handle)
    }

    /// A device stands for a card that the process has opened.
    fn device(&self, parameters: &Structure, caller: &mut dyn Caller) -> Result<usize, u32> {
        let card = parameters.word("deviceId") as usize;
        if card >= self.cards.len() {
            return Err(status::NV_ERR_INVALID_CLASS);
        }
        if caller.has_open(card) { Ok(card) } else { Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS) }
    }

    /// An object is gone.
    pub(crate) fn give_back(&mut self, object: &Object) {
        if let (Some(card), Some(Memory { space: Space::Video, length })) = (object.card, object.memory)
            && object.class == class::NV01_MEMORY_LOCAL_USER
        {
            let used = &mut self.cards[card].used;
            *used = used.saturating_sub(length);
        }
    }
}

fn make_subdevice(making: &mut Making) -> Result<Option<Memory>, u32> {
    match making.parameters.word("subDeviceId") {
        0 => Ok(None),
        _ => Err(status::NV_ERR_INVALID_ARGUMENT),
    }
}

/// A card for computing has none.
fn refuse_display(_: &mut Making) -> Result<Option<Memory>, u32> {
    Err(status::NV_ERR_NOT_SUPPORTED)
}

/// What is left above the address where the program lets it begin.
fn make_address_space(making: &mut Making) -> Result<Option<Memory>, u32> {
    const END: u64 = 1 << 57;
    let parameters = &mut making.parameters;
    if parameters.get("vaSize") == 0 {
        parameters.set("vaSize", END - parameters.get("vaBase").min(END));
    }
    Ok(None)
}

/// NVOS32: what RM makes of attributes that the program leaves open.
fn make_virtual_memory(making: &mut Making) -> Result<Option<Memory>, u32> {
    /// Pages of any size, wherever RM likes.
    const ATTRIBUTES: u32 = 0x1600_0000;
    const ATTRIBUTES2: u32 = 0x0010_0005;
    const FORMAT: u32 = 6;
    /// The first address that programs get.
    const FIRST: u64 = 0x500_0000;
    let parameters = &mut making.parameters;
    parameters.set("attr", parameters.word("attr") | ATTRIBUTES);
    parameters.set("attr2", parameters.word("attr2") | ATTRIBUTES2);
    parameters.set("format", FORMAT);
    parameters.set("rangeLo", FIRST);
    parameters.set("rangeHi", u64::from(u32::MAX));
    Ok(None)
}

fn make_shared_data(_: &mut Making) -> Result<Option<Memory>, u32> {
    Ok(Some(Memory { space: Space::System, length: SHARED_DATA_LENGTH }))
}

/// Through the registers, or, since Hopper, through a window onto them beside the memory's.
fn make_user_mode(making: &mut Making) -> Result<Option<Memory>, u32> {
    let beside_memory = making.has_parameters && making.parameters.get("bBar1Mapping") != 0;
    let space = if beside_memory { Space::Video } else { USER_MODE_REGISTERS };
    Ok(Some(Memory { space, length: USER_MODE_LENGTH }))
}
