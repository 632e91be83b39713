//! One ioctl: structures of the tables, filled so that much of it makes sense, and spoiled.

use nvidia_abi::{Abi, Field, Form, Kind, Row, class, escape};

use crate::choices::Choices;
use crate::memory::{BASE, Memory};

/// Where the structures of a call lie.
const OUTER: u64 = BASE;
const PARAMETERS: u64 = BASE + 0x5000;
const BEHIND: u64 = BASE + 0xa000;

/// Rows by what they describe, in a fixed order.
pub struct Rows<'a> {
    pub escapes: Vec<&'a Row>,
    pub controls: Vec<&'a Row>,
    /// Those of them whose parameters lead elsewhere, by pointers or descriptors.
    pub leading: Vec<&'a Row>,
    pub classes: Vec<&'a Row>,
    pub uvm: Vec<&'a Row>,
}

impl<'a> Rows<'a> {
    pub fn of(abi: &'a Abi) -> Self {
        let of_kind = |kinds: &[Kind]| {
            let mut rows: Vec<&Row> = abi.rows().filter(|row| kinds.contains(&row.kind)).collect();
            rows.sort_by_key(|row| (row.kind, row.number));
            rows
        };
        let controls = of_kind(&[Kind::Control]);
        let leads = |row: &&&Row| row.pointers().next().is_some() || row.descriptors().next().is_some();
        Self {
            escapes: of_kind(&[Kind::Escape, Kind::Form]),
            leading: controls.iter().filter(leads).copied().collect(),
            controls,
            classes: of_kind(&[Kind::Class]),
            uvm: of_kind(&[Kind::Uvm]),
        }
    }
}

/// An object that was made, or a client, which is its own parent.
#[derive(Clone, Copy)]
pub struct Made {
    pub client: u32,
    pub handle: u32,
    pub class: u32,
}

/// What fields may name.
pub struct Known<'a> {
    pub abi: &'a Abi,
    /// Of the clients of the file.
    pub own: &'a [Made],
    /// Clients of the file.
    pub clients: &'a [u32],
    /// Of all clients and objects.
    pub handles: &'a [u32],
    pub descriptors: &'a [i32],
    /// Parameters of no size may have an address all the same.
    pub strays: bool,
    /// Ids of cards, and their UUIDs.
    pub cards: &'a [(u32, [u8; 16])],
}

/// An ioctl, its structures in the program's memory.
pub struct Call {
    pub request: u32,
    pub argument: u64,
}

/// What programs mostly make, in the order in which one does.
pub const CLASSES: [u32; 12] = [
    class::NV01_ROOT_CLIENT,
    class::NV01_DEVICE_0,
    class::NV20_SUBDEVICE_0,
    class::FERMI_VASPACE_A,
    class::NV01_MEMORY_LOCAL_USER,
    class::NV01_MEMORY_SYSTEM,
    class::KEPLER_CHANNEL_GROUP_A,
    class::HOPPER_CHANNEL_GPFIFO_A,
    class::HOPPER_COMPUTE_A,
    class::HOPPER_DMA_COPY_A,
    class::NV01_EVENT_OS_EVENT,
    class::RM_USER_SHARED_DATA,
];
const ESCAPES: [u32; 8] = [
    escape::NV_ESC_RM_ALLOC,
    escape::NV_ESC_RM_CONTROL,
    escape::NV_ESC_RM_FREE,
    escape::NV_ESC_REGISTER_FD,
    escape::NV_ESC_RM_DUP_OBJECT,
    escape::NV_ESC_RM_MAP_MEMORY,
    escape::NV_ESC_ALLOC_OS_EVENT,
    escape::NV_ESC_RM_ALLOC_MEMORY,
];

impl Call {
    /// Writes the structures of a call on a node into `memory`.
    pub fn make(
        choices: &mut Choices,
        rows: &Rows,
        known: &Known,
        is_uvm: bool,
        memory: &mut Memory,
    ) -> Self {
        if choices.seldom(16) {
            return Self { request: choices.number() as u32, argument: pointer(choices, OUTER, 64) };
        }
        match is_uvm {
            true => Self::uvm(choices, rows, known, memory),
            false => Self::escape(choices, rows, known, memory),
        }
    }

    fn uvm(choices: &mut Choices, rows: &Rows, known: &Known, memory: &mut Memory) -> Self {
        let row = choices.of(&rows.uvm).expect("rows");
        let mut bytes = filled(row, row.size, choices, known);
        if choices.seldom(3) {
            // Which card: a number of 16 bytes, whose field this may be.
            let uuid = known.cards[0].1;
            if let Some(field) = row.fields().iter().find(|field| field.name.ends_with("uuid.uuid")) {
                for (index, byte) in uuid.into_iter().enumerate() {
                    field.write(&mut bytes, index, byte.into());
                }
            }
        }
        let argument = pointer(choices, OUTER, bytes.len());
        memory.put(argument, &bytes);
        Self { request: row.number, argument }
    }

    fn escape(choices: &mut Choices, rows: &Rows, known: &Known, memory: &mut Memory) -> Self {
        let common = if choices.seldom(4) { None } else { choices.of(&ESCAPES) };
        let common = common.and_then(|number| rows.escapes.iter().find(|row| row.number == number).copied());
        let row = common.or_else(|| choices.of(&rows.escapes)).expect("rows");
        let mut outer = filled(row, row.size, choices, known);
        match row.number {
            escape::NV_ESC_RM_CONTROL => {
                let some = if choices.seldom(4) { &rows.leading } else { &rows.controls };
                let control = choices.of(some).expect("rows");
                row.write(&mut outer, "cmd", control.number.into());
                let flags = if choices.seldom(16) { choices.number() & 7 } else { 0 };
                row.write(&mut outer, "flags", flags);
                let takes = |made: &Made| known.abi.takes(made.class, control.number) != Some(false);
                aim(row, &mut outer, ["hClient", "hObject"], choices, known, takes);
                parameters(row, &mut outer, ("params", control), choices, known, memory);
            }
            escape::NV_ESC_RM_ALLOC => {
                let common = CLASSES.get(choices.below(CLASSES.len() + 4)).copied();
                let class = common.and_then(|number| known.abi.class(number));
                let class = class.or_else(|| choices.of(&rows.classes)).expect("rows");
                allocation(row, class, &mut outer, choices, known, memory);
            }
            escape::NV_ESC_RM_ALLOC_MEMORY => {
                row.write(&mut outer, "params.hClass", class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR.into());
            }
            _ => {}
        }
        spoil(&mut outer, choices);
        let argument = pointer(choices, OUTER, outer.len());
        memory.put(argument, &outer);
        // Type and direction are nobody's business, sizes are.
        let top = if choices.seldom(16) { choices.number() as u32 & 0xc000_ff00 } else { 0xc000_4600 };
        let request = |number: u32, size: usize| top | (size as u32 & 0x3fff) << 16 | number;
        if choices.seldom(8) {
            return Self::inside_another(choices, rows, memory, row.number, outer.len(), argument);
        }
        Self { request: request(row.number, outer.len()), argument }
    }

    /// An ordinary allocation.
    pub fn alloc(number: u32, known: &Known, memory: &mut Memory) -> Self {
        let choices = &mut Choices::new(&[]);
        let row = known.abi.escape(escape::NV_ESC_RM_ALLOC).expect("a row");
        let class = known.abi.class(number).expect("a row");
        let mut outer = vec![0; row.size];
        allocation(row, class, &mut outer, choices, known, memory);
        memory.put(OUTER, &outer);
        Self { request: 0xc000_4600 | (row.size as u32) << 16 | row.number, argument: OUTER }
    }

    fn inside_another(
        choices: &mut Choices,
        rows: &Rows,
        memory: &mut Memory,
        number: u32,
        size: usize,
        argument: u64,
    ) -> Self {
        let around = rows.escapes.iter().find(|row| row.number == escape::NV_ESC_IOCTL_XFER_CMD);
        let around = around.expect("a row");
        let mut bytes = vec![0; around.size];
        let number = if choices.seldom(8) { choices.number() } else { number.into() };
        let size = if choices.seldom(8) { choices.odd_number() } else { size as u64 };
        for (field, value) in [("cmd", number), ("size", size), ("ptr", argument)] {
            around.write(&mut bytes, field, value);
        }
        let argument = pointer(choices, BEHIND, bytes.len());
        memory.put(argument, &bytes);
        Self { request: 0xc000_4600 | (around.size as u32) << 16 | around.number, argument }
    }
}

fn allocation(
    row: &Row,
    class: &Row,
    outer: &mut [u8],
    choices: &mut Choices,
    known: &Known,
    memory: &mut Memory,
) {
    row.write(outer, "hClass", class.number.into());
    let is_parent = |made: &Made| {
        let above = known.abi.class(made.class).and_then(|row| row.place.as_ref());
        class.place.as_ref().zip(above).is_some_and(|(place, above)| place.parents.contains(&above.internal))
    };
    aim(row, outer, ["hRoot", "hObjectParent"], choices, known, is_parent);
    parameters(row, outer, ("pAllocParms", class), choices, known, memory);
}

/// Lets a structure name an object that fits, the youngest first.
fn aim(
    row: &Row,
    outer: &mut [u8],
    fields: [&str; 2],
    choices: &mut Choices,
    known: &Known,
    fits: impl Fn(&Made) -> bool,
) {
    if choices.seldom(12) {
        return;
    }
    let fitting: Vec<Made> = known.own.iter().rev().copied().filter(fits).collect();
    if let Some(made) = choices.of(&fitting) {
        for (field, handle) in fields.into_iter().zip([made.client, made.handle]) {
            row.write(outer, field, handle.into());
        }
    }
}

/// What the outer structure points to, and that it does.
fn parameters(
    row: &Row,
    outer: &mut [u8],
    (field, of): (&str, &Row),
    choices: &mut Choices,
    known: &Known,
    memory: &mut Memory,
) {
    let size = match choices.byte() % 16 {
        15 => choices.odd_number() as usize,
        14 => of.size.wrapping_sub(1),
        13 => of.size + 1,
        12 => 0,
        _ => of.size,
    };
    let mut bytes = filled(of, of.size, choices, known);
    spoil(&mut bytes, choices);
    let has_none = (size == 0 || of.size == 0) && !(known.strays && choices.seldom(2));
    let address = if has_none { 0 } else { pointer(choices, PARAMETERS, size) };
    memory.put(address, &bytes);
    row.write(outer, field, address);
    row.write(outer, "paramsSize", size as u64);
}

/// A structure whose fields say something.
fn filled(row: &Row, size: usize, choices: &mut Choices, known: &Known) -> Vec<u8> {
    const WRITTEN: usize = 24;
    let mut bytes = vec![0; size];
    for field in row.fields().iter().take(WRITTEN) {
        let value = value(row, field, choices, known);
        field.write(&mut bytes, 0, value);
        // Lists: some more elements of the same.
        if field.len() > 1 && choices.seldom(4) {
            let value = if choices.seldom(2) { choices.odd_number() } else { value };
            if choices.seldom(4) {
                field.write(&mut bytes, 0, 0);
            }
            for index in 1..field.len().min(8) {
                field.write(&mut bytes, index, value);
            }
        }
    }
    bytes
}

fn value(row: &Row, field: &Field, choices: &mut Choices, known: &Known) -> u64 {
    match field.form {
        // A new object: mostly left to the driver, or a number of few.
        Form::Handle if field.name.ends_with("New") => u64::from(choices.byte() & 7),
        Form::Handle => match choices.byte() % 8 {
            7 => 0,
            6 => choices.odd_number(),
            _ if ["hRoot", "hClient"].iter().any(|end| field.name.ends_with(end)) && !choices.seldom(8) => {
                choices.of(known.clients).unwrap_or(0).into()
            }
            _ => choices.of(known.handles).unwrap_or(0).into(),
        },
        Form::Descriptor(_) => match choices.byte() % 8 {
            7 => choices.odd_number(),
            _ => choices.of(known.descriptors).unwrap_or(-1) as u32 as u64,
        },
        Form::Pointer(_) => pointer(choices, BEHIND, 64),
        _ if field.name.starts_with("gpuId") => known.cards[0].0.into(),
        _ if row.kind == Kind::Uvm && ["base", "requestedBase"].contains(&field.name) => {
            u64::from(choices.byte()) << 12
        }
        _ => choices.odd_number(),
    }
}

/// An address with so many bytes behind it, or too few, or none.
fn pointer(choices: &mut Choices, good: u64, length: usize) -> u64 {
    const KERNEL: u64 = 0xffff_8880_0000_0000;
    match choices.byte() % 24 {
        23 => 0,
        22 => KERNEL,
        21 => u64::MAX - (length as u64).min(64) / 2,
        // Into a hole, up to a hole, and across it.
        20 => BASE + 0x4000,
        19 => (BASE + 0x4000).wrapping_sub(length as u64),
        18 => (BASE + 0x4000).wrapping_sub(length as u64 / 2),
        17 => good + u64::from(choices.byte()),
        16 => choices.number(),
        15 => OUTER,
        _ => good,
    }
}

fn spoil(bytes: &mut Vec<u8>, choices: &mut Choices) {
    match choices.byte() % 16 {
        15 if !bytes.is_empty() => {
            let at = choices.below(bytes.len());
            bytes[at] = choices.byte();
        }
        14 => {
            bytes.pop();
        }
        13 => bytes.push(choices.byte()),
        12 => bytes.resize(choices.number() as usize & 0x3fff, 0xff),
        _ => {}
    }
}
