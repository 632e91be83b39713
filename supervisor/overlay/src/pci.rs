//! What `/sys/bus/pci/devices` says of a card: the files that NVIDIA's libraries and hwloc read, as a driver on Linux 6.18 has them.
//!
//! ```text
//!   root port (bus 0) ──link──▶ card (its own bus)
//! ```
//!
//! What the host can do is the port's to say: libraries look for the bridge whose secondary bus is the card's.

use wire::device::link;

use crate::DriverFile;

/// A card in its slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Domain, bus and device.
    pub place: [u32; 3],
    /// Device << 16 | vendor.
    pub device: u32,
    /// The same of the board.
    pub subsystem: u32,
    /// Of its interrupt.
    pub irq: u32,
    /// Address and length of its registers, its memory, and what drivers use for themselves.
    pub bars: [[u64; 2]; 3],
    /// Generation and width of its link.
    pub link: [u32; 2],
    /// Processors that are near it, all there are: `0-15`.
    pub processors: String,
}

/// A 3D controller.
const CLASS: u32 = 0x03_02_00;
const REVISION: u8 = 0xa1;
/// A bridge between buses of PCI, of Red Hat's virtual machines: nobody has a driver of their own for it.
const BRIDGE: u32 = 0x06_04_00;
const PORT: u32 = 0x000c_1b36;
/// Places of bus 0 where machines seldom have anything.
const FIRST_PORT: u32 = 0x10;
/// Where the configuration space has the capability of PCI Express.
const EXPRESS: u8 = 0x60;
/// Registers are in the first base address, memory in the third, the rest in the fifth: each takes two.
const BASES: [usize; 3] = [0, 2, 4];

/// Its files, and those of the port above it.
pub fn files(slot: &Slot) -> Vec<DriverFile> {
    let mut files = card(slot);
    files.extend(port(slot));
    files
}

fn card(slot: &Slot) -> Vec<DriverFile> {
    let numbers = Numbers {
        device: slot.device,
        subsystem: slot.subsystem,
        class: CLASS,
        revision: REVISION,
        link: slot.link,
    };
    let mut texts = numbers.texts().to_vec();
    texts.extend([
        ("irq", slot.irq.to_string()),
        ("resource", resources(slot.bars)),
        ("modalias", alias(slot)),
        ("uevent", event(slot)),
    ]);
    texts.extend(place(slot));
    folder(slot.place, texts, configuration(slot))
}

/// The root port that the card is plugged into. On bus 0 there is nothing above a card.
fn port(slot: &Slot) -> Vec<DriverFile> {
    let [domain, bus, _] = slot.place;
    if bus == 0 {
        return Vec::new();
    }
    let numbers = Numbers { device: PORT, subsystem: PORT, class: BRIDGE, revision: 0, link: slot.link };
    let mut texts = numbers.texts().to_vec();
    texts.extend([
        ("secondary_bus_number", bus.to_string()),
        ("subordinate_bus_number", bus.to_string()),
        ("resource", resources([[0; 2]; 3])),
    ]);
    texts.extend(place(slot));
    folder([domain, 0, FIRST_PORT + bus % 16], texts, port_configuration(slot))
}

/// What card and port have in common.
fn place(slot: &Slot) -> [(&'static str, String); 5] {
    [
        ("enable", "1".to_owned()),
        ("numa_node", "-1".to_owned()),
        ("local_cpulist", slot.processors.clone()),
        ("local_cpus", mask_of(&slot.processors)),
        ("power_state", "D0".to_owned()),
    ]
}

/// What a function of either kind says of itself.
struct Numbers {
    device: u32,
    subsystem: u32,
    class: u32,
    revision: u8,
    link: [u32; 2],
}

impl Numbers {
    fn texts(&self) -> [(&'static str, String); 10] {
        let hexadecimal = |number: u32| format!("{:#06x}", number & 0xffff);
        let [generation, width] = self.link;
        let speed = speed(generation);
        [
            ("vendor", hexadecimal(self.device)),
            ("device", hexadecimal(self.device >> 16)),
            ("subsystem_vendor", hexadecimal(self.subsystem)),
            ("subsystem_device", hexadecimal(self.subsystem >> 16)),
            ("class", format!("{:#08x}", self.class)),
            ("revision", format!("{:#04x}", self.revision)),
            ("current_link_speed", speed.to_owned()),
            ("max_link_speed", speed.to_owned()),
            ("current_link_width", width.to_string()),
            ("max_link_width", width.to_string()),
        ]
    }
}

/// The files of a function at that place.
fn folder(
    [domain, bus, device]: [u32; 3],
    texts: Vec<(&'static str, String)>,
    configuration: Vec<u8>,
) -> Vec<DriverFile> {
    let folder = format!("/sys/bus/pci/devices/{domain:04x}:{bus:02x}:{device:02x}.0");
    let file = |name: &str, content: Vec<u8>| DriverFile { path: format!("{folder}/{name}").into(), content };
    let mut files: Vec<_> =
        texts.into_iter().map(|(name, text)| file(name, format!("{text}\n").into_bytes())).collect();
    files.push(file("config", configuration));
    files
}

/// As the kernel words it.
fn speed(generation: u32) -> &'static str {
    match generation {
        1 => "2.5 GT/s PCIe",
        2 => "5.0 GT/s PCIe",
        3 => "8.0 GT/s PCIe",
        4 => "16.0 GT/s PCIe",
        5 => "32.0 GT/s PCIe",
        _ => "64.0 GT/s PCIe",
    }
}

/// First and last address and kind of each base address, then of the ROM.
fn resources(bars: [[u64; 2]; 3]) -> String {
    /// Memory, 64 bits wide, that may be read ahead.
    const KIND: u64 = 0x14_220c;
    let mut lines = [[0; 3]; 7];
    for (at, [address, length]) in BASES.into_iter().zip(bars).filter(|(_, [_, length])| *length > 0) {
        lines[at] = [address, address + length - 1, KIND];
    }
    let line = |[first, last, kind]: &[u64; 3]| format!("{first:#018x} {last:#018x} {kind:#018x}");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn alias(slot: &Slot) -> String {
    let (low, high) = (|number: u32| number & 0xffff, |number: u32| number >> 16);
    format!(
        "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc03sc02i00",
        low(slot.device),
        high(slot.device),
        low(slot.subsystem),
        high(slot.subsystem)
    )
}

fn event(slot: &Slot) -> String {
    let [domain, bus, device] = slot.place;
    let pair = |number: u32| format!("{:04X}:{:04X}", number & 0xffff, number >> 16);
    format!(
        "DRIVER=nvidia\nPCI_CLASS={CLASS:X}\nPCI_ID={}\nPCI_SUBSYS_ID={}\nPCI_SLOT_NAME={domain:04x}:{bus:02x}:{device:02x}.0\n\
         MODALIAS={}",
        pair(slot.device),
        pair(slot.subsystem),
        alias(slot)
    )
}

/// The configuration space: the header, and the capability of PCI Express.
fn configuration(slot: &Slot) -> Vec<u8> {
    /// Memory and bus master are on; there are capabilities.
    const COMMAND: u32 = 0x0010_0406;
    /// 64 bits wide, may be read ahead.
    const WIDE: u32 = 0xc;
    const ENDPOINT: u32 = 0;
    let mut words = vec![
        (0x00, slot.device),
        (0x04, COMMAND),
        (0x08, CLASS << 8 | u32::from(REVISION)),
        (0x2c, slot.subsystem),
        (0x34, EXPRESS.into()),
        (0x3c, 0x1ff),
    ];
    for (base, [address, _]) in BASES.into_iter().zip(slot.bars) {
        words.extend([(0x10 + 4 * base, address as u32 | WIDE), (0x14 + 4 * base, (address >> 32) as u32)]);
    }
    words.extend(express(ENDPOINT, slot.link));
    space(&words)
}

/// The same of a bridge: its second kind of header, and the buses on both sides.
fn port_configuration(slot: &Slot) -> Vec<u8> {
    /// Memory, bus master; there are capabilities.
    const COMMAND: u32 = 0x0010_0006;
    const OF_A_BRIDGE: u32 = 1 << 16;
    const ROOT_PORT: u32 = 4;
    let [_, bus, _] = slot.place;
    let mut words = vec![
        (0x00, PORT),
        (0x04, COMMAND),
        (0x08, BRIDGE << 8),
        (0x0c, OF_A_BRIDGE),
        (0x18, bus << 16 | bus << 8),
        (0x34, EXPRESS.into()),
    ];
    words.extend(express(ROOT_PORT, slot.link));
    space(&words)
}

/// The capability, in its second version: what the function is, what its link can do, and what it does.
fn express(kind: u32, both: [u32; 2]) -> [(usize, u32); 4] {
    let at = usize::from(EXPRESS);
    let [generation, _] = both;
    [
        (at, 0x0002_0010 | kind << 20),
        (at + 0x0c, link::capabilities(both)),
        (at + 0x10, link::control_and_status(both)),
        (at + 0x2c, ((1 << (generation.min(6) + 1)) - 2) & 0xff),
    ]
}

/// A configuration space with these words.
fn space(words: &[(usize, u32)]) -> Vec<u8> {
    let mut space = vec![0_u8; 256];
    for (at, word) in words {
        space[*at..*at + 4].copy_from_slice(&word.to_le_bytes());
    }
    space
}

/// `0-3,8` as a mask, in hexadecimal words of 32 bits.
fn mask_of(list: &str) -> String {
    let mut words = vec![0_u32; 1];
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>()) else {
            continue;
        };
        /// More than any machine has.
        const MOST: usize = 1 << 16;
        for number in first..=last.min(MOST) {
            words.resize(words.len().max(number / 32 + 1), 0);
            words[number / 32] |= 1 << (number % 32);
        }
    }
    let mut text = format!("{:x}", words.last().copied().unwrap_or(0));
    for word in words.iter().rev().skip(1) {
        text += &format!(",{word:08x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The card whose files were read.
    fn h100() -> Slot {
        Slot {
            place: [0, 0, 6],
            device: 0x2330_10de,
            subsystem: 0x16c1_10de,
            irq: 41,
            bars: [[0x1020_0200_0000, 16 << 20], [0x1000_0000_0000, 128 << 30], [0x1020_0000_0000, 32 << 20]],
            link: [5, 16],
            processors: "0-15".into(),
        }
    }

    fn text(name: &str) -> String {
        let found = files(&h100()).into_iter().find(|file| file.path.ends_with(name)).expect("a file");
        String::from_utf8(found.content).expect("a text")
    }

    #[test]
    fn files_say_what_a_real_cards_say() {
        for (name, expected) in [
            ("vendor", "0x10de\n"),
            ("device", "0x2330\n"),
            ("subsystem_device", "0x16c1\n"),
            ("class", "0x030200\n"),
            ("revision", "0xa1\n"),
            ("local_cpus", "ffff\n"),
            ("max_link_speed", "32.0 GT/s PCIe\n"),
            ("modalias", "pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00\n"),
        ] {
            assert_eq!(text(name), expected, "{name}");
        }
        assert!(text("uevent").starts_with("DRIVER=nvidia\nPCI_CLASS=30200\nPCI_ID=10DE:2330\nPCI_SUBSYS_ID=10DE:16C1\nPCI_SLOT_NAME=0000:00:06.0\n"));
        let resource = text("resource");
        let lines: Vec<_> = resource.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[0], "0x0000102002000000 0x0000102002ffffff 0x000000000014220c");
        assert_eq!(lines[1], "0x0000000000000000 0x0000000000000000 0x0000000000000000");
    }

    #[test]
    fn the_header_is_a_real_cards() {
        let space = configuration(&h100());
        let real = [
            0xde, 0x10, 0x30, 0x23, 0x06, 0x04, 0x10, 0x00, 0xa1, 0x00, 0x02, 0x03, 0, 0, 0, 0, 0x0c, 0, 0,
            0x02, 0x20, 0x10, 0, 0, 0x0c, 0, 0, 0, 0, 0x10, 0, 0, 0x0c, 0, 0, 0, 0x20, 0x10, 0, 0, 0, 0, 0,
            0, 0xde, 0x10, 0xc1, 0x16,
        ];
        assert_eq!(space[..real.len()], real);
        assert_eq!(space[0x6c..0x70], [0x05, 0x79, 0x45, 0x00]);
        assert_eq!(space[0x72..0x74], [0x05, 0x11]);
    }

    #[test]
    fn a_card_on_a_bus_of_its_own_has_a_port_above_it() {
        let in_a_slot = Slot { place: [0, 1, 0], ..h100() };
        let port: Vec<_> = files(&in_a_slot)
            .into_iter()
            .filter(|file| file.path.starts_with("/sys/bus/pci/devices/0000:00:11.0"))
            .collect();
        let content = |name: &str| {
            let file = port.iter().find(|file| file.path.ends_with(name)).expect("a file");
            file.content.clone()
        };
        assert_eq!(content("class"), b"0x060400\n");
        assert_eq!(content("max_link_speed"), b"32.0 GT/s PCIe\n");
        let space = content("config");
        // Class, kind of header; primary, secondary and last bus below; the capability: a root port, 16 lanes of the fifth generation.
        assert_eq!((&space[9..12], space[0x0e]), (&[0, 4, 6][..], 1));
        assert_eq!(space[0x18..0x1b], [0, 1, 1]);
        assert_eq!(
            (space[0x34], space[0x60], space[0x62] >> 4, &space[0x6c..0x6e]),
            (0x60, 0x10, 4, &[5, 0x79][..])
        );
        assert!(files(&h100()).iter().all(|file| file.path.starts_with("/sys/bus/pci/devices/0000:00:06.0")));
    }

    #[test]
    fn processors_are_words_of_a_mask() {
        assert_eq!((mask_of("0-1"), mask_of("0,2-3"), mask_of("")), ("3".into(), "d".into(), "0".into()));
        assert_eq!(mask_of("0-35"), "f,ffffffff");
    }
}
