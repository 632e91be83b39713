//! Which of this machine's cards a session has.
//!
//! A *hidden* card is one that it does not have. What keeps its programs off is the driver: it wants whoever uses a card to have it open,
//! and the processes that execute calls open none of the hidden ones. So that they never have one open, calls that name a descriptor of
//! it are refused; and UVM, which asks for no descriptor, is not told of it. The rest is that nothing names a hidden card:
//!
//! ```text
//!   NV_ESC_CARD_INFO                      elements without it
//!   lists of identifiers in answers       shortened; what is free at the end is as the driver leaves it
//!   an identifier, a UUID in a question   what the driver says where there is no such card
//! ```
//!
//! Masks of RM's device instances (`GPU_GET_DEVICE_IDS`), and what a card tells of its neighbours on NVLink, are left as they are.

use std::fs;
use std::path::Path;

use nvidia_abi::Row;

/// A card, as the driver's files tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The number of its node.
    pub minor: u32,
    /// As in `GPU-01234567-89ab-cdef-0123-456789abcdef`.
    pub uuid: [u8; 16],
    /// Its place on the bus, the name of its directory.
    pub place: String,
    /// Its product's name.
    pub model: String,
}

/// Which cards a session is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// So many, in the order in which tools count them.
    First(usize),
    /// Those of these indices and UUIDs.
    Named(Vec<String>),
}

/// Why there is no such choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchCards {
    /// More than there are.
    #[error("there are {there} of the {asked} cards")]
    TooFew {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        there: usize,
    },
    /// Neither an index nor a UUID, or none of this machine's.
    #[error("there is no card `{0}`")]
    Unknown(String),
}

/// The cards of a session that does not have all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    cards: Vec<Card>,
    /// What RM calls them, once it was asked.
    ids: Vec<u32>,
    /// Places of all others.
    hidden_places: Vec<String>,
}

/// `NV0000_CTRL_GPU_INVALID_ID`: the end of a list.
const NO_ID: u32 = u32::MAX;
/// A list in the answer of a control.
struct List {
    control: u32,
    ids: &'static str,
    /// Arrays beside it.
    beside: &'static [&'static str],
    /// The field that says how long it is, where no element ends it.
    count: Option<&'static str>,
}

/// `NV0000_CTRL_CMD_GPU_`: GET_ATTACHED_IDS, GET_PROBED_IDS, GET_ACTIVE_DEVICE_IDS.
const LISTS: [List; 4] = [
    List { control: 0x201, ids: "gpuIds", beside: &[], count: None },
    List { control: 0x214, ids: "gpuIds", beside: &["gpuFlags"], count: None },
    List { control: 0x214, ids: "excludedGpuIds", beside: &[], count: None },
    List {
        control: 0x288,
        ids: "devices.gpuId",
        beside: &["devices.gpuInstanceId", "devices.computeInstanceId"],
        count: Some("numDevices"),
    },
];
/// `NV0000_CTRL_CMD_GPU_GET_UUID_INFO`: here the identifier is the answer.
const GET_UUID_INFO: u32 = 0x274;
/// Fields of questions about cards, and the fields that say how many there are. A list without ends early with [`NO_ID`].
const QUESTIONS: [(&str, Option<&str>); 4] = [
    ("gpuId", None),
    ("gpuIds", Some("gpuCount")),
    ("gpuIdGrpA", Some("grpACount")),
    ("gpuIdGrpB", Some("grpBCount")),
];

/// This machine's cards that have a node, in the order of their places, which is the order of indices.
pub fn all() -> Vec<Card> {
    cards_in(Path::new("/proc/driver/nvidia/gpus"), Path::new("/dev"))
}

fn cards_in(directory: &Path, nodes: &Path) -> Vec<Card> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let card = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("information")).ok()?;
        card(entry.file_name().to_str()?, &text)
    };
    let mut cards: Vec<Card> = entries.filter_map(card).collect();
    cards.retain(|card| nodes.join(format!("nvidia{}", card.minor)).exists());
    cards.sort_by(|one, other| (one.place.len(), &one.place).cmp(&(other.place.len(), &other.place)));
    cards
}

fn card(place: &str, information: &str) -> Option<Card> {
    let fields = || information.lines().filter_map(|line| line.split_once(':'));
    let field = |wanted| fields().find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim());
    let (uuid, minor) = (uuid(field("GPU UUID")?)?, field("Device Minor")?.parse().ok()?);
    let model = field("Model").unwrap_or_default().to_owned();
    Some(Card { minor, uuid, place: place.to_owned(), model })
}

/// `GPU-` and 32 digits, with dashes anywhere.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.strip_prefix("GPU-")?.chars().filter(|letter| *letter != '-').collect();
    let is_whole = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_whole.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(u128::to_be_bytes)
}

impl Choice {
    /// The cards that are meant, each once.
    pub fn of(&self, all: &[Card]) -> Result<Visible, NoSuchCards> {
        let cards = match self {
            Self::First(asked) if *asked > all.len() => {
                return Err(NoSuchCards::TooFew { asked: *asked, there: all.len() });
            }
            Self::First(count) => all[..*count].to_vec(),
            Self::Named(names) => {
                let named: Vec<&Card> =
                    names.iter().map(|name| named(name, all)).collect::<Result<_, _>>()?;
                all.iter().filter(|card| named.contains(card)).cloned().collect()
            }
        };
        let hidden = all.iter().filter(|card| !cards.contains(card));
        let hidden_places = hidden.map(|card| card.place.clone()).collect();
        Ok(Visible { cards, ids: Vec::new(), hidden_places })
    }
}

fn named<'a>(name: &str, all: &'a [Card]) -> Result<&'a Card, NoSuchCards> {
    let by_index = name.parse().ok().and_then(|index: usize| all.get(index));
    let by_uuid = || uuid(name).and_then(|uuid| all.iter().find(|card| card.uuid == uuid));
    by_index.or_else(by_uuid).ok_or_else(|| NoSuchCards::Unknown(name.to_owned()))
}

impl Visible {
    /// Numbers of their nodes.
    pub fn minors(&self) -> impl Iterator<Item = u32> {
        self.cards.iter().map(|card| card.minor)
    }

    /// Whether a card's node is among theirs.
    pub fn has_node(&self, minor: u32) -> bool {
        self.minors().any(|other| other == minor)
    }

    /// Whether a card with this UUID is one of them.
    pub fn has_uuid(&self, uuid: &[u8]) -> bool {
        self.cards.iter().any(|card| card.uuid == *uuid)
    }

    /// Whether RM's identifier of a card is one of theirs.
    pub fn has_id(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    /// Whether a file's name is that of a hidden card's node, or of what the driver tells of one.
    pub fn hides(&self, path: &[u8]) -> bool {
        let Ok(path) = std::str::from_utf8(path) else { return false };
        let minor = ["/dev/nvidia", "/dev/char/195:"].iter().find_map(|start| path.strip_prefix(start));
        if let Some(minor) = minor.and_then(|digits| digits.parse().ok()) {
            return minor < crate::node::DISPLAYS && !self.has_node(minor);
        }
        let place = path.strip_prefix("/proc/driver/nvidia/gpus/").and_then(|rest| rest.split('/').next());
        place.is_some_and(|place| self.hidden_places.iter().any(|hidden| hidden == place))
    }

    /// What `NV_ESC_CARD_INFO` answers is where RM's identifiers come from.
    pub fn learn_ids(&mut self, row: &Row, answer: &[u8]) {
        let infos = answer.chunks_exact(row.size);
        let is_ours = |info: &&[u8]| is_valid(row, info) && self.has_node(minor(row, info));
        let ids = infos.filter(is_ours).filter_map(|info| row.read(info, "gpu_id")).map(|id| id as u32);
        self.ids = ids.collect();
    }

    /// Leaves the hidden ones out of an answer of `NV_ESC_CARD_INFO`.
    pub fn shorten_infos(&self, row: &Row, answer: &mut [u8]) {
        let kept: Vec<u8> = answer
            .chunks_exact(row.size)
            .filter(|info| is_valid(row, info) && self.has_node(minor(row, info)))
            .flatten()
            .copied()
            .collect();
        answer.fill(0);
        answer[..kept.len()].copy_from_slice(&kept);
    }

    /// Whether a question of RM's root object is about a hidden card.
    pub fn is_asked_of_hidden(&self, row: &Row, parameters: &[u8]) -> bool {
        let is_answer = row.number == GET_UUID_INFO || LISTS.iter().any(|list| list.control == row.number);
        let is_of_root = row.number >> 16 == 0;
        is_of_root
            && !is_answer
            && QUESTIONS.iter().any(|question| self.names_hidden(row, parameters, *question))
    }

    fn names_hidden(&self, row: &Row, parameters: &[u8], (ids, count): (&str, Option<&str>)) -> bool {
        let Some(field) = row.field(ids) else { return false };
        let count =
            count.and_then(|count| row.read(parameters, count)).map_or(usize::MAX, |count| count as usize);
        let ids = (0..field.len().min(count)).map_while(|index| field.read(parameters, index));
        ids.map(|id| id as u32).take_while(|id| *id != NO_ID).any(|id| !self.has_id(id))
    }

    /// Leaves the hidden ones out of a control's answer; false if it is about nothing else.
    pub fn shorten(&self, row: &Row, parameters: &mut [u8]) -> bool {
        for list in LISTS.iter().filter(|list| list.control == row.number) {
            self.shorten_list(list, row, parameters);
        }
        row.number != GET_UUID_INFO || row.read(parameters, "gpuId").is_some_and(|id| self.has_id(id as u32))
    }

    fn shorten_list(&self, list: &List, row: &Row, parameters: &mut [u8]) {
        let Some(ids) = row.field(list.ids) else { return };
        let said = list.count.and_then(|count| row.read(parameters, count));
        let length = ids.len().min(said.map_or(usize::MAX, |count| count as usize));
        let id = |index| ids.read(parameters, index).map_or(NO_ID, |id| id as u32);
        let kept: Vec<usize> = (0..length).filter(|index| self.has_id(id(*index))).collect();
        let columns = std::iter::once((list.ids, NO_ID)).chain(list.beside.iter().map(|name| (*name, 0)));
        for (name, filler) in columns {
            let Some(column) = row.field(name) else { continue };
            let values: Vec<u64> = kept.iter().filter_map(|index| column.read(parameters, *index)).collect();
            for index in 0..length {
                let value = values.get(index).copied().unwrap_or(filler.into());
                column.write(parameters, index, value);
            }
        }
        if let Some(count) = list.count {
            row.write(parameters, count, kept.len() as u64);
        }
    }
}

fn is_valid(row: &Row, info: &[u8]) -> bool {
    row.read(info, "valid").is_some_and(|valid| valid != 0)
}

fn minor(row: &Row, info: &[u8]) -> u32 {
    row.read(info, "minor_number").map_or(u32::MAX, |minor| minor as u32)
}

/// `NV_ESC_CARD_INFO`
pub const CARD_INFO: u32 = 0xc8;
/// `NV_MAX_GPUS`, for which it has to have room.
pub const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use nvidia_abi::Abi;

    use super::*;

    const INFORMATION: &str = "Model: \t\t NVIDIA H100 80GB HBM3\nGPU UUID: \t GPU-c0ffee00-1234-5678-9abc-def012345678\n\
                               Bus Location: \t 0000:00:06.0\nDevice Minor: \t 1\nGPU Excluded:\t No\n";

    fn cards() -> Vec<Card> {
        let card = |minor: u32| Card {
            minor,
            uuid: [minor as u8; 16],
            place: format!("0000:0{minor}:00.0"),
            model: String::new(),
        };
        (0..4).map(card).collect()
    }

    /// Of cards 0 to 3, which RM calls 0x100, 0x200 …, the second and the last.
    fn visible() -> Visible {
        let visible = Choice::Named(vec!["3".into(), "1".into()]).of(&cards()).expect("there are four");
        Visible { ids: vec![0x200, 0x400], ..visible }
    }

    fn abi() -> Abi {
        Abi::of("580.159.04").expect("known")
    }

    #[test]
    fn a_card_is_what_the_driver_tells_of_it() {
        let card = card("0000:00:06.0", INFORMATION).expect("a card");
        assert_eq!((card.minor, card.uuid[0], card.uuid[15]), (1, 0xc0, 0x78));
        assert_eq!(super::card("0000:00:06.0", "Device Minor: 1\n"), None);
    }

    #[test]
    fn cards_are_named_by_index_and_uuid_and_counted_from_the_first() {
        let minors =
            |choice: &Choice| choice.of(&cards()).map(|visible| visible.minors().collect::<Vec<_>>());
        let named =
            |names: &[&str]| minors(&Choice::Named(names.iter().map(|&name| name.to_owned()).collect()));
        assert_eq!(minors(&Choice::First(2)), Ok(vec![0, 1]));
        assert_eq!(minors(&Choice::First(5)), Err(NoSuchCards::TooFew { asked: 5, there: 4 }));
        assert_eq!(named(&["GPU-03030303-0303-0303-0303-030303030303", "1", "1"]), Ok(vec![1, 3]));
        for wrong in ["4", "GPU-3", "", "-1"] {
            assert_eq!(named(&["0", wrong]), Err(NoSuchCards::Unknown(wrong.into())));
        }
    }

    #[test]
    fn names_of_hidden_cards_are_known_however_they_are_put() {
        for (path, is_hidden) in [
            ("/dev/nvidia0", true),
            ("/dev/nvidia1", false),
            ("/dev/nvidia9", true),
            ("/dev/nvidiactl", false),
            ("/dev/nvidia-uvm", false),
            ("/dev/char/195:2", true),
            ("/dev/char/195:255", false),
            ("/proc/driver/nvidia/gpus/0000:02:00.0/information", true),
            ("/proc/driver/nvidia/gpus/0000:03:00.0/information", false),
            ("/proc/driver/nvidia/version", false),
        ] {
            assert_eq!(visible().hides(path.as_bytes()), is_hidden, "{path}");
        }
    }

    #[test]
    fn infos_of_hidden_cards_are_left_out_and_the_others_tell_identifiers() {
        let abi = abi();
        let row = abi.escape(CARD_INFO).expect("known");
        let mut answer = vec![0; row.size * MOST];
        for (card, info) in answer.chunks_exact_mut(row.size).take(4).enumerate() {
            for (name, value) in
                [("valid", 1), ("gpu_id", (card as u64 + 1) << 8), ("minor_number", card as u64)]
            {
                assert!(row.write(info, name, value));
            }
        }
        let mut visible = Visible { ids: vec![], ..visible() };
        visible.learn_ids(row, &answer);
        assert_eq!(visible.ids, [0x200, 0x400]);
        visible.shorten_infos(row, &mut answer);
        let minors = answer.chunks_exact(row.size).map(|info| is_valid(row, info).then(|| minor(row, info)));
        assert_eq!(minors.take(3).collect::<Vec<_>>(), [Some(1), Some(3), None]);
    }

    #[test]
    fn lists_are_shortened_with_what_lies_beside_them() {
        let abi = abi();
        let row = abi.control(0x214).expect("known");
        let mut parameters = vec![0xff; row.size];
        let (ids, flags) = (row.field("gpuIds").expect("ids"), row.field("gpuFlags").expect("flags"));
        for index in 0..4 {
            ids.write(&mut parameters, index, (index as u64 + 1) << 8);
            flags.write(&mut parameters, index, index as u64);
        }
        assert!(visible().shorten(row, &mut parameters));
        let column =
            |field: &nvidia_abi::Field| [0, 1, 2].map(|index| field.read(&parameters, index).expect("there"));
        assert_eq!((column(ids), column(flags)), ([0x200, 0x400, NO_ID.into()], [1, 3, 0]));

        let row = abi.control(0x288).expect("known");
        let mut parameters = vec![0; row.size];
        row.write(&mut parameters, "numDevices", 2);
        let ids = row.field("devices.gpuId").expect("ids");
        ids.write(&mut parameters, 0, 0x100);
        ids.write(&mut parameters, 1, 0x400);
        assert!(visible().shorten(row, &mut parameters));
        assert_eq!((row.read(&parameters, "numDevices"), ids.read(&parameters, 0)), (Some(1), Some(0x400)));
    }

    #[test]
    fn questions_about_hidden_cards_are_known_wherever_they_name_one() {
        let abi = abi();
        let asks = |control, fields: &[(&str, usize, u64)]| {
            let row = abi.control(control).expect("known");
            let mut parameters = vec![0; row.size];
            for (name, index, value) in fields {
                assert!(row.field(name).expect("a field").write(&mut parameters, *index, *value), "{name}");
            }
            visible().is_asked_of_hidden(row, &parameters)
        };
        let [id_info, attach, peers] = [0x205, 0x215, 0x12b];
        assert!(asks(id_info, &[("gpuId", 0, 0x100)]) && !asks(id_info, &[("gpuId", 0, 0x200)]));
        assert!(asks(attach, &[("gpuIds", 0, 0x400), ("gpuIds", 1, 0x300)]));
        assert!(!asks(attach, &[("gpuIds", 0, 0x400), ("gpuIds", 1, NO_ID.into())]));
        let pair = |other| [("gpuIds", 0, 0x200), ("gpuIds", 1, other), ("gpuCount", 0, 2)];
        assert!(asks(peers, &pair(0x100)) && !asks(peers, &pair(0x400)));
    }

    #[test]
    fn a_uuid_leads_to_no_hidden_card() {
        let abi = abi();
        let row = abi.control(GET_UUID_INFO).expect("known");
        for (id, is_told) in [(0x100, false), (0x200, true)] {
            let mut parameters = vec![0; row.size];
            row.write(&mut parameters, "gpuId", id);
            assert_eq!(visible().shorten(row, &mut parameters), is_told);
        }
        assert!(visible().has_uuid(&[3; 16]) && !visible().has_uuid(&[2; 16]));
    }
}
