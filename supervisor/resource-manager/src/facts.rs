//! What a kind of card says of itself beyond the device model, as rows of a text file.
//!
//! ```text
//! info GROUP INDEX VALUE                  an entry of the lists that `…_GET_INFO` controls answer from; VALUE: a number, a figure
//!                                         of the model (=NAME), or a status (!57); INDEX `else`: any other
//! classes NUMBER…                         classes that the card has, in RM's order
//! engines NUMBER…                         NV2080_ENGINE_TYPE_…, in RM's order
//! runlist ENGINE NUMBER                   the queue of an engine
//! gpc CHIPLET MASK                        a graphics processing cluster: its place on the chip, its texture processing clusters
//! tpc GPC TPC VIRTUAL MIGRATABLE PARTITION CPC VIRTUAL-TPC
//!                                         a texture processing cluster of two multiprocessors, in the order of multiprocessors
//! inforom NAME VERSION SUBVERSION         an object of the board's InfoROM
//! answer CONTROL [?AT=HEX]… [@AT HEX…]… [!STATUS]
//!                                         what a control writes at which offsets, if the parameters hold what ? says; a value is
//!                                         as long as its digits, a figure (=NAME, 4 bytes, =NAME:2, 2 bytes), or "text"; besides
//!                                         what a handler writes
//! set CONTROL [?AT=HEX]… SETTING [@AT[:2][/DIVISOR] [@AT[:2][/DIVISOR]]]
//!                                         a control without a name that sets something (`wire::settings`) to what its parameters hold
//!                                         there, in 4 bytes or 2, if they hold what ? says; without a place: to what the card comes with
//! reset CONTROL [?AT=HEX]…                a control without a name that resets the card
//! ```
//!
//! A line that begins with a blank continues the one before. What stands behind `#` is for the reader.

use std::collections::HashMap;

use wire::settings::Setting;

/// A card's rows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    info: HashMap<(String, Option<u32>), Value>,
    /// In RM's order.
    pub classes: Vec<u32>,
    /// In RM's order.
    pub engines: Vec<u32>,
    /// Graphics processing clusters, in the order of their numbers.
    pub gpcs: Vec<GraphicsCluster>,
    /// In the order of multiprocessors.
    pub clusters: Vec<Cluster>,
    inforom: HashMap<String, (u8, u8)>,
    run_lists: HashMap<u32, u32>,
    answers: HashMap<u32, Vec<Answer>>,
    sets: HashMap<u32, Vec<Set>>,
    resets: HashMap<u32, Conditions>,
}

/// A number of 4 bytes: the row's own, or one of the device model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As the row says.
    Number(u32),
    /// As the model says.
    Figure(String),
    /// None: an error.
    Status(u32),
}

/// A graphics processing cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphicsCluster {
    /// Its place on the chip.
    pub chiplet: u32,
    /// A bit for each texture processing cluster that works.
    pub mask: u32,
}

/// A texture processing cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Graphics processing cluster that it is part of.
    pub gpc: u16,
    /// Its place there.
    pub tpc: u16,
    /// The graphics processing cluster as programs count.
    pub virtual_gpc: u16,
    /// Its place in a migratable group.
    pub migratable: u16,
    /// The half of the card.
    pub partition: u16,
    /// Compute processing cluster within the graphics processing cluster.
    pub cpc: u16,
    /// Its place as programs count.
    pub virtual_tpc: u16,
}

/// What a control answers.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    conditions: Conditions,
    /// Where, and what.
    pub writes: Vec<(usize, Written)>,
    /// `NV_STATUS`.
    pub status: u32,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The row's own.
    Bytes(Vec<u8>),
    /// So many bytes of the model's.
    Figure(String, usize),
}

/// Bytes that parameters have to hold, and where.
type Conditions = Vec<(usize, Vec<u8>)>;

/// What a control sets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    conditions: Conditions,
    setting: Setting,
    /// None: as the card comes.
    values: Vec<Place>,
}

/// A value among a control's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    at: usize,
    length: usize,
    /// How many of its units are one of the setting's.
    divisor: u32,
}

impl Facts {
    /// Reads the rows. An error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut facts = Self::default();
        for line in logical_lines(text) {
            facts.row(&line).ok_or_else(|| format!("not a row: {line}"))?;
        }
        Ok(facts)
    }

    /// These rows, where `others` do not say otherwise.
    pub fn with(&self, others: Self) -> Self {
        let mut all = self.clone();
        all.info.extend(others.info);
        all.inforom.extend(others.inforom);
        all.run_lists.extend(others.run_lists);
        all.answers.extend(others.answers);
        all.sets.extend(others.sets);
        all.resets.extend(others.resets);
        for (list, other) in [(&mut all.classes, others.classes), (&mut all.engines, others.engines)] {
            if !other.is_empty() {
                *list = other;
            }
        }
        if !others.gpcs.is_empty() {
            all.gpcs = others.gpcs;
        }
        if !others.clusters.is_empty() {
            all.clusters = others.clusters;
        }
        all
    }

    /// An entry of an information list.
    pub fn info(&self, group: &str, index: u32) -> Option<&Value> {
        // A key of borrowed parts would need a type of its own for a map of a hundred entries.
        let find = |index| self.info.get(&(group.to_owned(), index));
        find(Some(index)).or_else(|| find(None))
    }

    /// Version and subversion of an object of the InfoROM.
    pub fn inforom(&self, name: &str) -> Option<(u8, u8)> {
        self.inforom.get(name).copied()
    }

    /// The queue of an engine.
    pub fn run_list(&self, engine: u32) -> Option<u32> {
        self.run_lists.get(&engine).copied()
    }

    /// What `control` answers to these parameters; none: nothing is known.
    pub fn answer(&self, control: u32, parameters: &[u8]) -> Option<&Answer> {
        self.answers.get(&control)?.iter().find(|answer| answer.fits(parameters))
    }

    /// What `control` sets with these parameters, and to which values (none: as the card comes); none: it is not known to set anything.
    pub fn set(&self, control: u32, parameters: &[u8]) -> Option<(Setting, Option<[u32; 2]>)> {
        let set = self.sets.get(&control)?.iter().find(|set| hold(parameters, &set.conditions))?;
        let mut values = [0; 2];
        for (value, place) in values.iter_mut().zip(&set.values) {
            let bytes = parameters.get(place.at..place.at + place.length)?;
            *value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)) / place.divisor;
        }
        Some((set.setting, (!set.values.is_empty()).then_some(values)))
    }

    /// Whether `control` resets the card with these parameters.
    pub fn is_reset(&self, control: u32, parameters: &[u8]) -> bool {
        self.resets.get(&control).is_some_and(|conditions| hold(parameters, conditions))
    }

    /// Figures of the model that rows name.
    pub fn figures(&self) -> impl Iterator<Item = &str> {
        let of_answers =
            self.answers.values().flatten().flat_map(|answer| &answer.writes).filter_map(|(_, written)| {
                match written {
                    Written::Figure(name, _) => Some(name.as_str()),
                    Written::Bytes(_) => None,
                }
            });
        let of_lists = self.info.values().filter_map(|value| match value {
            Value::Figure(name) => Some(name.as_str()),
            Value::Number(_) | Value::Status(_) => None,
        });
        of_answers.chain(of_lists)
    }

    fn row(&mut self, line: &str) -> Option<()> {
        let words = words(line);
        let mut words = words.iter().map(String::as_str);
        match words.next()? {
            "info" => {
                let (group, index, value) = (words.next()?, words.next()?, words.next()?);
                let index = if index == "else" { None } else { Some(number(index)?) };
                let value = match value.split_at(1) {
                    ("=", figure) => Value::Figure(figure.to_owned()),
                    ("!", status) => Value::Status(hexadecimal(status)?),
                    _ => Value::Number(number(value)?),
                };
                self.info.insert((group.to_owned(), index), value);
            }
            "classes" => self.classes = words.map(hexadecimal).collect::<Option<_>>()?,
            "engines" => self.engines = words.map(hexadecimal).collect::<Option<_>>()?,
            "runlist" => {
                self.run_lists.insert(hexadecimal(words.next()?)?, number(words.next()?)?);
            }
            "gpc" => {
                let (chiplet, mask) = (number(words.next()?)?, hexadecimal(words.next()?)?);
                self.gpcs.push(GraphicsCluster { chiplet, mask });
            }
            "tpc" => {
                let numbers: Vec<u16> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
                let [gpc, tpc, virtual_gpc, migratable, partition, cpc, virtual_tpc] = numbers[..] else {
                    return None;
                };
                self.clusters.push(Cluster {
                    gpc,
                    tpc,
                    virtual_gpc,
                    migratable,
                    partition,
                    cpc,
                    virtual_tpc,
                });
            }
            "inforom" => {
                let name = words.next()?.to_owned();
                let versions = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                self.inforom.insert(name, versions);
            }
            "answer" => {
                let control = hexadecimal(words.next()?)?;
                self.answers.entry(control).or_default().push(Answer::parse(words)?);
            }
            "set" => {
                let control = hexadecimal(words.next()?)?;
                self.sets.entry(control).or_default().push(Set::parse(words)?);
            }
            "reset" => {
                let control = hexadecimal(words.next()?)?;
                let conditions =
                    words.map(|word| condition(word.strip_prefix('?')?)).collect::<Option<_>>()?;
                self.resets.insert(control, conditions);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Answer {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut answer = Self::default();
        let mut at = None;
        for word in words {
            if let Some(text) = word.strip_prefix('?') {
                answer.conditions.push(condition(text)?);
            } else if let Some(offset) = word.strip_prefix('@') {
                at = Some(offset.parse().ok()?);
            } else if let Some(status) = word.strip_prefix('!') {
                answer.status = hexadecimal(status)?;
            } else {
                let place: &mut usize = at.as_mut()?;
                let (written, length) = match word.strip_prefix('=') {
                    Some(figure) => {
                        let (name, length) = sized(figure)?;
                        (Written::Figure(name.to_owned(), length), length)
                    }
                    None => {
                        let bytes = match word.strip_prefix('"') {
                            Some(text) => text.as_bytes().to_vec(),
                            None => little_endian(word)?,
                        };
                        let length = bytes.len();
                        (Written::Bytes(bytes), length)
                    }
                };
                answer.writes.push((*place, written));
                *place += length;
            }
        }
        Some(answer)
    }

    fn fits(&self, parameters: &[u8]) -> bool {
        hold(parameters, &self.conditions)
    }
}

impl Set {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut words = words.peekable();
        let mut conditions = Vec::new();
        while let Some(word) = words.next_if(|word| word.starts_with('?')) {
            conditions.push(condition(&word[1..])?);
        }
        let name = words.next()?;
        let setting = Setting::ALL.iter().copied().find(|setting| format!("{setting:?}") == name)?;
        let values: Vec<_> = words.map(Place::parse).collect::<Option<_>>()?;
        (values.len() <= 2).then_some(Self { conditions, setting, values })
    }
}

impl Place {
    fn parse(word: &str) -> Option<Self> {
        let (place, divisor) = word.split_once('/').unwrap_or((word, "1"));
        let (at, length) = sized(place.strip_prefix('@')?)?;
        let divisor = divisor.parse().ok().filter(|&divisor| divisor > 0)?;
        Some(Self { at: at.parse().ok()?, length, divisor })
    }
}

/// `AT=HEX`
fn condition(text: &str) -> Option<(usize, Vec<u8>)> {
    let (at, value) = text.split_once('=')?;
    Some((at.parse().ok()?, little_endian(value)?))
}

/// Whether parameters hold these bytes at these places.
fn hold(parameters: &[u8], conditions: &[(usize, Vec<u8>)]) -> bool {
    conditions.iter().all(|(at, value)| parameters.get(*at..*at + value.len()) == Some(value))
}

/// A word and the bytes that it stands for: 4, or as many as a number behind it says.
fn sized(word: &str) -> Option<(&str, usize)> {
    match word.split_once(':') {
        None => Some((word, 4)),
        Some((word, "2")) => Some((word, 2)),
        Some(_) => None,
    }
}

/// Lines without remarks, continuations joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let meant = line.split('#').next().unwrap_or_default().trim_end();
        match lines.last_mut() {
            _ if meant.is_empty() => {}
            Some(last) if meant.starts_with(char::is_whitespace) => last.push_str(meant),
            _ => lines.push(meant.to_owned()),
        }
    }
    lines
}

/// Words of a row. A text in quotes is one, with the first quote as its mark.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_text = false;
    for character in line.chars() {
        match character {
            '"' if in_text => in_text = false,
            ' ' if !in_text => words.push(String::new()),
            _ => {
                in_text |= character == '"';
                words.last_mut().expect("there is always one").push(character);
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

fn hexadecimal(word: &str) -> Option<u32> {
    u32::from_str_radix(word, 16).ok()
}

/// `00010101` is the bytes 01 01 01 00: a number of as many bytes as it has pairs of digits.
fn little_endian(word: &str) -> Option<Vec<u8>> {
    if !matches!(word.len(), 2 | 4 | 8 | 16) {
        return None;
    }
    let number = u64::from_str_radix(word, 16).ok()?;
    Some(number.to_le_bytes()[..word.len() / 2].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_depend_on_what_is_asked() {
        let facts = Facts::parse(
            "answer 2080a084 ?0=00000001 @4 0000000d 0b  # of clocks\n  @12 =power =clock:2\nanswer 2080a084 !56",
        )
        .unwrap();
        let answer = facts.answer(0x2080_a084, &[1, 0, 0, 0]).unwrap();
        let expected = [
            (4, Written::Bytes(vec![0xd, 0, 0, 0])),
            (8, Written::Bytes(vec![0xb])),
            (12, Written::Figure("power".into(), 4)),
            (16, Written::Figure("clock".into(), 2)),
        ];
        assert_eq!(answer.writes, expected);
        assert_eq!(facts.answer(0x2080_a084, &[2, 0, 0, 0]).unwrap().status, 0x56);
        assert!(facts.answer(0x2080_a085, &[]).is_none());
    }

    #[test]
    fn texts_keep_their_blanks() {
        let facts = Facts::parse("answer 2080013f @4 \"H100 80GB HBM3\" @92 41").unwrap();
        let answer = facts.answer(0x2080_013f, &[]).unwrap();
        assert_eq!(answer.writes[0], (4, Written::Bytes(b"H100 80GB HBM3".to_vec())));
        assert_eq!(answer.writes[1], (92, Written::Bytes(vec![0x41])));
    }

    #[test]
    fn information_is_a_number_or_a_figure() {
        let facts =
            Facts::parse("info fb 0x8 =memory_kib TOTAL_RAM_SIZE\ninfo fb 11 5120 BUS_WIDTH").unwrap();
        assert_eq!(facts.info("fb", 8), Some(&Value::Figure("memory_kib".into())));
        assert_eq!(facts.info("fb", 11), Some(&Value::Number(5120)));
        assert_eq!(facts.info("gpu", 11), None);
    }

    #[test]
    fn a_control_sets_what_its_parameters_hold() {
        let facts =
            Facts::parse("set 2080e0a6 ApplicationClocks @4:2 @2:2\nset 2080e61e PowerLimit @0").unwrap();
        let parameters = [0xe0, 0x93, 4, 0, 0x3b, 0x0a];
        assert_eq!(facts.set(0x2080_e0a6, &parameters), Some((Setting::ApplicationClocks, Some([2619, 4]))));
        assert_eq!(facts.set(0x2080_e61e, &parameters), Some((Setting::PowerLimit, Some([300_000, 0]))));
        assert_eq!(facts.set(0x2080_e0a6, &parameters[..5]), None, "parameters that end before");
        assert_eq!(facts.set(0x2080_e0a7, &parameters), None);
        for wrong in [
            "set 1",
            "set 1 ?0=1 @0",
            "set 1 Nothing @0",
            "set 1 PowerLimit @0:3",
            "set 1 PowerLimit @0/0",
            "set 1 PowerLimit @0 @4 @8",
        ] {
            assert!(Facts::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_control_sets_can_depend_on_its_parameters_and_be_as_the_card_comes() {
        let rows = "set 2080e0af ?0=02 GraphicsClocks @2/1000 @6/1000\nset 2080e0af ?0=00 GraphicsClocks";
        let facts = Facts::parse(rows).unwrap();
        let set = |kind| facts.set(0x2080_e0af, &[kind, 0, 0xe0, 0x93, 4, 0, 0x60, 0xe3, 0x16, 0]);
        assert_eq!(set(2), Some((Setting::GraphicsClocks, Some([300, 1500]))));
        assert_eq!(set(0), Some((Setting::GraphicsClocks, None)));
        assert_eq!(set(1), None);
    }

    #[test]
    fn a_control_resets_the_card_if_its_parameters_say_so() {
        let facts = Facts::parse("reset 00800102 ?0=00000001").unwrap();
        assert!(facts.is_reset(0x80_0102, &[1, 0, 0, 0]));
        assert!(!facts.is_reset(0x80_0102, &[0, 0, 0, 0]) && !facts.is_reset(0x80_0102, &[1]));
        assert!(!facts.is_reset(0x80_0103, &[1, 0, 0, 0]) && Facts::parse("reset 1 0=01").is_err());
    }

    #[test]
    fn what_is_no_row_is_named() {
        assert!(Facts::parse("answer 1 @0 123").unwrap_err().contains("answer 1"));
        assert!(Facts::parse("nonsense").is_err());
    }
}
