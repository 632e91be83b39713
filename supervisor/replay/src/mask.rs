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
    /// What one copy of a card has alone.
    Identity,
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
            "identity" => Self::Identity,
            _ => return None,
        })
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Control(u32),
    Class(u32),
    Escape(u32),
    UnifiedMemory(u32),
}

/// The table.
pub struct Mask(Vec<Row>);

struct Row {
    subject: Subject,
    bytes: Range<usize>,
    category: Category,
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
    pub(crate) fn category(&self, subject: Subject, byte: usize) -> Option<Category> {
        self.0.iter().find(|row| row.subject == subject && row.bytes.contains(&byte)).map(|row| row.category)
    }
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (kind, number) = (words.next()?, u32::from_str_radix(words.next()?, 16).ok()?);
        let subject = match kind {
            "control" => Subject::Control(number),
            "class" => Subject::Class(number),
            "escape" => Subject::Escape(number),
            "uvm" => Subject::UnifiedMemory(number),
            _ => return None,
        };
        let (from, to) = words.next()?.split_once("..")?;
        let category = Category::parse(words.next()?)?;
        // The reason.
        words.next()?;
        Some(Self { subject, bytes: from.parse().ok()?..to.parse().ok()?, category })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_bytes_and_a_reason() {
        let mask = Mask::parse("control 20800406 8..264 time clocks\n# no row\n").unwrap();
        assert_eq!(mask.category(Subject::Control(0x2080_0406), 263), Some(Category::Time));
        assert_eq!(mask.category(Subject::Control(0x2080_0406), 264), None);
        assert!(Mask::parse("control 20800406 8..264 time").is_err(), "no reason");
        assert!(Mask::parse("control 20800406 8..264 mood bad").is_err(), "no category");
        Mask::embedded();
    }
}
