//! What is not compared, as a table.

use std::ops::Range;

/// Why bytes are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Clocks.
    Time,
    /// Readings of power.
    Power,
    /// Readings of use.
    Utilisation,
    /// Addresses that the driver chose.
    Address,
    /// How much memory is free.
    Memory,
    /// Readings of temperature.
    Temperature,
    /// Numbers that count since the driver was loaded.
    Count,
    /// What the driver leaves as it was.
    Leftover,
}

impl Category {
    /// Whether it is one of those that nobody can expect to be equal.
    pub fn is_reading(self) -> bool {
        matches!(self, Self::Time | Self::Power | Self::Utilisation)
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "time" => Self::Time,
            "power" => Self::Power,
            "utilisation" => Self::Utilisation,
            "address" => Self::Address,
            "memory" => Self::Memory,
            "temperature" => Self::Temperature,
            "count" => Self::Count,
            "leftover" => Self::Leftover,
            _ => return None,
        })
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Control(u32),
    Class(u32),
    Buffer(u32),
    Escape(u32),
    UnifiedMemory(u32),
}

/// The table.
pub struct Mask(Vec<Row>);

struct Row {
    subject: Subject,
    bytes: Range<usize>,
    category: Category,
    /// Only where the structure holds this word there.
    condition: Option<(usize, u32)>,
}

impl Mask {
    /// The rows of `mask.txt`.
    pub fn embedded() -> Self {
        Self::parse(include_str!("mask.txt")).unwrap_or_else(|line| panic!("mask.txt: {line}"))
    }

    /// Reads rows; an error is the line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(|line| Row::parse(line).ok_or_else(|| line.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// The category of a byte, if it is masked.
    pub(crate) fn category(&self, subject: Subject, byte: usize, structure: &[u8]) -> Option<Category> {
        let row = self
            .0
            .iter()
            .find(|row| row.subject == subject && row.bytes.contains(&byte) && row.is_meant(structure))?;
        Some(row.category)
    }
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (kind, number) = (words.next()?, u32::from_str_radix(words.next()?, 16).ok()?);
        let subject = match kind {
            "control" => Subject::Control(number),
            "class" => Subject::Class(number),
            "buffer" => Subject::Buffer(number),
            "escape" => Subject::Escape(number),
            "uvm" => Subject::UnifiedMemory(number),
            _ => return None,
        };
        let (from, to) = words.next()?.split_once("..")?;
        let category = Category::parse(words.next()?)?;
        let mut reason = words.next()?;
        let mut condition = None;
        if let Some((at, value)) = reason.strip_prefix('?').and_then(|condition| condition.split_once('=')) {
            condition = Some((at.parse().ok()?, u32::from_str_radix(value, 16).ok()?));
            reason = words.next()?;
        }
        let bytes = from.parse().ok()?..to.parse().ok()?;
        (!reason.is_empty()).then_some(Self { subject, bytes, category, condition })
    }

    fn is_meant(&self, structure: &[u8]) -> bool {
        self.condition.is_none_or(|(at, value)| structure.get(at..at + 4) == Some(&value.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_bytes_and_a_reason() {
        let mask = Mask::parse("control 20800406 8..264 time clocks\n# no row\n").unwrap();
        assert_eq!(mask.category(Subject::Control(0x2080_0406), 263, &[]), Some(Category::Time));
        assert_eq!(mask.category(Subject::Control(0x2080_0406), 264, &[]), None);
        let mask = Mask::parse("control 20801303 8..12 memory ?4=16 free").unwrap();
        let category = |index| mask.category(Subject::Control(0x2080_1303), 8, &[1, 0, 0, 0, index, 0, 0, 0]);
        assert_eq!((category(0x16), category(0x17)), (Some(Category::Memory), None));
        assert!(Mask::parse("control 20800406 8..264 time").is_err(), "no reason");
        assert!(Mask::parse("control 20800406 8..264 mood bad").is_err(), "no category");
        Mask::embedded();
    }
}
