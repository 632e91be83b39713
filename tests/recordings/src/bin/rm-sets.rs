//! Sets what can be set on a card, in turn through its nodes and through NVML, and prints what both tell of it. Root's, then nobody's.
//!
//! ```text
//! rm-sets
//!     compute mode: nodes 2: 0, told 2 2       set through the nodes: RM's status; what the nodes and NVML tell afterwards
//!     compute mode: NVML 0: 0, told 0 0        the same through NVML
//!     compute mode: nobody 2: 0x1b, told 0 0
//!     locked clocks: nodes 1500: 0x0, runs at 1500
//!     reset: nodes: 0x0, power limit 700000
//! ```

use anyhow::{Result, bail};
use recordings::library::Library;
use recordings::rm::{get, put};
use recordings::tree::{DEVICE, SUBDEVICE, Tree};

/// Something that can be set. Values are NVML's.
struct Thing {
    name: &'static str,
    /// One that it does not come with, and the one that it comes with.
    values: [u32; 2],
    node: Control,
    nvml: Functions,
}

/// Controls that set it and tell it: object, number, size of the parameters.
struct Control {
    object: Object,
    set: (u32, usize),
    /// Fills the parameters.
    fill: fn(&mut [u8], u32),
    tell: (u32, usize),
    /// What is asked for, and where the answer is.
    ask: fn(&mut [u8]),
    answer: fn(&[u8]) -> u32,
}

#[derive(Clone, Copy)]
enum Object {
    /// Parameters begin with the card's id.
    Client,
    /// The same, and NVML wants the card's place.
    Placed,
    Device,
    Subdevice,
}

/// The functions, and how many words each answers; the last is what is meant.
struct Functions {
    set: (&'static str, fn(u32) -> [u64; 2]),
    get: (&'static str, &'static [u64], usize),
}

fn one(value: u32) -> [u64; 2] {
    [value.into(), 0]
}

fn nothing(_: &mut [u8]) {}

/// As NVML asks for it.
const LIMIT_OF_THE_CARD: u32 = 0xfe01;

const THINGS: &[Thing] = &[
    Thing {
        name: "compute mode",
        values: [2, 0],
        node: Control {
            object: Object::Subdevice,
            set: (0x2080_0130, 8),
            fill: |bytes, value| put(bytes, 0, value),
            tell: (0x2080_0131, 4),
            ask: nothing,
            answer: |bytes| get(bytes, 0),
        },
        nvml: Functions { set: ("nvmlDeviceSetComputeMode", one), get: ("nvmlDeviceGetComputeMode", &[], 1) },
    },
    Thing {
        name: "persistence",
        values: [0, 1],
        node: Control {
            object: Object::Device,
            set: (0x0080_0287, 4),
            fill: |bytes, value| put(bytes, 0, 1 - value),
            tell: (0x0080_0288, 4),
            ask: nothing,
            answer: |bytes| 1 - get(bytes, 0),
        },
        nvml: Functions {
            set: ("nvmlDeviceSetPersistenceMode", one),
            get: ("nvmlDeviceGetPersistenceMode", &[], 1),
        },
    },
    Thing {
        name: "accounting",
        values: [1, 0],
        node: Control {
            object: Object::Client,
            set: (0xb01, 12),
            fill: |bytes, value| put(bytes, 8, 1 - value),
            tell: (0xb02, 12),
            ask: nothing,
            answer: |bytes| 1 - get(bytes, 8),
        },
        nvml: Functions {
            set: ("nvmlDeviceSetAccountingMode", one),
            get: ("nvmlDeviceGetAccountingMode", &[], 1),
        },
    },
    Thing {
        name: "drain state",
        values: [1, 0],
        node: Control {
            object: Object::Placed,
            set: (0x278, 12),
            fill: |bytes, value| put(bytes, 4, value),
            tell: (0x279, 12),
            ask: nothing,
            answer: |bytes| get(bytes, 4),
        },
        nvml: Functions {
            set: ("nvmlDeviceModifyDrainState", one),
            get: ("nvmlDeviceQueryDrainState", &[], 1),
        },
    },
    Thing {
        name: "pending ECC",
        values: [0, 1],
        node: Control {
            object: Object::Subdevice,
            set: (0x2080_0134, 4),
            fill: |bytes, value| put(bytes, 0, value),
            tell: (0x2080_0133, 8),
            ask: nothing,
            answer: |bytes| get(bytes, 0),
        },
        nvml: Functions { set: ("nvmlDeviceSetEccMode", one), get: ("nvmlDeviceGetEccMode", &[], 2) },
    },
    Thing {
        name: "pending MIG",
        values: [1, 0],
        node: Control {
            object: Object::Subdevice,
            set: (0x2080_0183, 4),
            fill: |bytes, value| put(bytes, 0, value),
            tell: (0x2080_0102, 564),
            // One entry, the mode's: 2 is off, 3 is pending.
            ask: |bytes| {
                put(bytes, 0, 1);
                put(bytes, 4, 0x2a);
            },
            answer: |bytes| get(bytes, 8) - 2,
        },
        nvml: Functions {
            set: ("nvmlDeviceSetMigMode", |value| [value.into(), SCRATCH.as_ptr() as u64]),
            get: ("nvmlDeviceGetMigMode", &[], 2),
        },
    },
    Thing {
        name: "application clock",
        values: [1500, 1980],
        node: Control {
            object: Object::Subdevice,
            set: (0x2080_e0a6, 34_720),
            fill: |bytes, value| {
                put(bytes, 44, 1 | value << 16);
                put(bytes, 48, value);
                put(bytes, 52, 2619 << 16);
                put(bytes, 56, 2619);
            },
            tell: (0x2080_a0a6, 34_720),
            ask: nothing,
            answer: |bytes| get(bytes, 44) >> 16,
        },
        nvml: Functions {
            set: ("nvmlDeviceSetApplicationsClocks", |value| [2619, value.into()]),
            get: ("nvmlDeviceGetApplicationsClock", &[0], 1),
        },
    },
    Thing {
        name: "power limit",
        values: [300_000, 700_000],
        node: Control {
            object: Object::Subdevice,
            set: (0x2080_e61e, 12),
            fill: |bytes, value| {
                put(bytes, 0, LIMIT_OF_THE_CARD);
                put(bytes, 4, value);
            },
            tell: (0x2080_a61d, 12),
            ask: |bytes| put(bytes, 0, LIMIT_OF_THE_CARD),
            answer: |bytes| get(bytes, 4),
        },
        nvml: Functions {
            set: ("nvmlDeviceSetPowerManagementLimit", one),
            get: ("nvmlDeviceGetPowerManagementLimit", &[], 1),
        },
    },
];

/// Where a setter tells what nobody asks.
static SCRATCH: [std::sync::atomic::AtomicU32; 2] = [const { std::sync::atomic::AtomicU32::new(0) }; 2];

/// Both ways to the card.
struct Card {
    tree: Tree,
    id: u32,
    library: Library,
    device: u64,
    /// `nvmlPciInfo_t`
    place: [u32; 17],
}

fn main() -> Result<()> {
    let card = Card::open()?;
    for thing in THINGS {
        let [new, old] = thing.values;
        card.say(thing, "nodes", new, format_args!("{:#x}", card.set_through_nodes(thing, new)));
        card.say(thing, "NVML", old, format_args!("{}", card.set_through_nvml(thing, old)));
    }
    card.lock(Some(1500));
    card.lock(None);
    card.reset();
    // SAFETY: takes numbers. The nodes stay open.
    if unsafe { libc::setresuid(65534, 65534, 65534) } != 0 {
        bail!("this user cannot become another");
    }
    for thing in THINGS {
        let new = thing.values[0];
        card.say(thing, "nobody", new, format_args!("{:#x}", card.set_through_nodes(thing, new)));
    }
    card.lock(Some(1500));
    card.reset();
    Ok(())
}

impl Card {
    fn open() -> Result<Self> {
        let tree = Tree::new()?;
        let mut ids = [0; 128];
        tree.control.control(tree.client, tree.client, 0x201, &mut ids);
        let library = Library::open("libnvidia-ml.so.1")?;
        let (mut device, mut place) = (0_u64, [0; 17]);
        // SAFETY: the functions take these arguments; `device` is as large as a handle, `place` as the structure.
        let result = unsafe {
            library.call("nvmlInit_v2", &[]);
            library.call("nvmlDeviceGetHandleByIndex_v2", &[0, &raw mut device as u64]);
            library.call("nvmlDeviceGetPciInfo_v3", &[device, &raw mut place as u64])
        };
        if result != 0 {
            bail!("NVML: {result}");
        }
        Ok(Self { tree, id: get(&ids, 0), library, device, place })
    }

    /// RM's status.
    fn set_through_nodes(&self, thing: &Thing, value: u32) -> u32 {
        let (number, size) = thing.node.set;
        self.control(&thing.node, number, size, |bytes| (thing.node.fill)(bytes, value)).0
    }

    fn control(
        &self,
        node: &Control,
        number: u32,
        size: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> (u32, Vec<u8>) {
        let mut parameters = vec![0; size];
        let object = match node.object {
            Object::Client | Object::Placed => {
                put(&mut parameters, 0, self.id);
                self.tree.client
            }
            Object::Device => DEVICE,
            Object::Subdevice => SUBDEVICE,
        };
        fill(&mut parameters);
        let (_, status) = self.tree.control.control(self.tree.client, object, number, &mut parameters);
        (status, parameters)
    }

    /// What NVML's functions for the thing take first.
    fn named(&self, thing: &Thing) -> u64 {
        match thing.node.object {
            Object::Placed => &raw const self.place as u64,
            _ => self.device,
        }
    }

    /// NVML's result.
    fn set_through_nvml(&self, thing: &Thing, value: u32) -> i32 {
        let (name, arguments) = thing.nvml.set;
        let [one, other] = arguments(value);
        // SAFETY: the setters take a device or a place, and one or two numbers, or where to write one.
        unsafe { self.library.call(name, &[self.named(thing), one, other]) }
    }

    /// Locks the graphics clock to so many MHz, or lets it go, and says what it is then: of a lock itself nobody tells.
    fn lock(&self, clock: Option<u32>) {
        /// Limits from below and from above, 316 bytes each.
        const LIMITS: [(usize, u32); 2] = [(8, 0x79), (324, 0x76)];
        const A_FREQUENCY: u32 = 2;
        let mut parameters = vec![0; 80_904];
        put(&mut parameters, 0, LIMITS.len() as u32);
        for (at, limit) in LIMITS {
            put(&mut parameters, at, limit);
            if let Some(clock) = clock {
                put(&mut parameters, at + 4, A_FREQUENCY);
                put(&mut parameters, at + 12, clock * 1000);
            }
        }
        let (_, status) =
            self.tree.control.control(self.tree.client, SUBDEVICE, 0x2080_e0af, &mut parameters);
        let mut now = 0_u32;
        // SAFETY: the getter takes a device, a kind of clock, and where to write a word.
        unsafe { self.library.call("nvmlDeviceGetClockInfo", &[self.device, 0, &raw mut now as u64]) };
        let asked = clock.map_or_else(|| "none".to_owned(), |clock| clock.to_string());
        println!("locked clocks: nodes {asked}: {status:#x}, runs at {now}");
    }

    /// Resets the card, which has another power limit then if this user may set one.
    fn reset(&self) {
        let mut limit = 0_u32;
        // SAFETY: a setter takes a device and a number, a getter a device and where to write one.
        unsafe { self.library.call("nvmlDeviceSetPowerManagementLimit", &[self.device, 300_000]) };
        let (_, status) =
            self.tree.control.control(self.tree.client, DEVICE, 0x80_0102, &mut 1_u32.to_le_bytes());
        // SAFETY: as above.
        unsafe {
            self.library.call("nvmlDeviceGetPowerManagementLimit", &[self.device, &raw mut limit as u64])
        };
        println!("reset: nodes: {status:#x}, power limit {limit}");
    }

    fn say(&self, thing: &Thing, who: &str, value: u32, answer: std::fmt::Arguments) {
        let (number, size) = thing.node.tell;
        let (_, parameters) = self.control(&thing.node, number, size, thing.node.ask);
        let by_nodes = (thing.node.answer)(&parameters);
        let mut words = [0_u32; 2];
        let (name, before, count) = thing.nvml.get;
        let places = words.iter_mut().take(count).map(|word| &raw mut *word as u64);
        let arguments: Vec<u64> =
            std::iter::once(self.named(thing)).chain(before.iter().copied()).chain(places).collect();
        // SAFETY: the getters take a device or a place, perhaps a number, and where to write so many words.
        unsafe { self.library.call(name, &arguments) };
        println!("{}: {who} {value}: {answer}, told {by_nodes} {}", thing.name, words[count - 1]);
    }
}
