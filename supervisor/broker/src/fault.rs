//! Faults that an operator orders, in words: `xid 13`, `ecc uncorrected 2 1`, `lost`, `thermal 95`, `clear`.
//!
//! The last number is the card where it is one more than the fault needs: `ecc uncorrected 2 1` is two errors of card 1.

use std::fmt;
use std::str::FromStr;

/// What can be ordered, for hints.
pub const WORDS: &str =
    "xid N [GPU], ecc corrected|uncorrected [N [GPU]], lost [GPU], thermal [CELSIUS [GPU]], clear [GPU]";

/// A fault of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The driver tells of an error with this number.
    Xid(u32),
    /// So many errors of the card's memory.
    Ecc {
        /// Whether the card could correct them.
        corrected: bool,
        /// How many.
        count: u32,
    },
    /// The card does not answer any more.
    Lost,
    /// Its sensor shows so many °C; none: as many as make it slow down.
    Thermal(Option<u32>),
    /// All faults are over.
    Clear,
}

/// A fault, and of which card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is to happen.
    pub fault: Fault,
    /// To which card; none was named: the first one, or, of `clear`, each.
    pub card: Option<u32>,
}

/// Words that are no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(String);

/// Greatest number of an Xid that is taken; NVIDIA's catalogue ends long before.
const MOST_XID: u32 = 999;
/// Errors that one order can bring.
const MOST_ERRORS: u32 = 1_000_000;
/// What the sensor can show.
const MOST_CELSIUS: u32 = 200;

impl FromStr for Order {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Order, Mistake> {
        let mut words = text.split_whitespace();
        let fault = fault(&mut words)?;
        let card = optional(&mut words, "GPU", 0..=u32::MAX)?;
        match words.next() {
            None => Ok(Order { fault, card }),
            Some(word) => Err(Mistake(format!("`{word}` is a word too many"))),
        }
    }
}

fn fault<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<Fault, Mistake> {
    match words.next() {
        Some("xid") => {
            let xid = optional(words, "Xid", 1..=MOST_XID)?;
            xid.map(Fault::Xid).ok_or_else(|| Mistake("`xid` needs a number".to_owned()))
        }
        Some("ecc") => {
            let corrected = match words.next() {
                Some("corrected") => true,
                Some("uncorrected") => false,
                _ => return Err(Mistake("`ecc` needs `corrected` or `uncorrected`".to_owned())),
            };
            let count = optional(words, "number of errors", 1..=MOST_ERRORS)?.unwrap_or(1);
            Ok(Fault::Ecc { corrected, count })
        }
        Some("lost") => Ok(Fault::Lost),
        Some("thermal") => Ok(Fault::Thermal(optional(words, "temperature", 1..=MOST_CELSIUS)?)),
        Some("clear") => Ok(Fault::Clear),
        Some(word) => Err(Mistake(format!("there is no fault `{word}`"))),
        None => Err(Mistake("no fault is named".to_owned())),
    }
}

/// The next word, if there is one: a number.
fn optional<'w>(
    words: &mut impl Iterator<Item = &'w str>,
    what: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, Mistake> {
    let Some(word) = words.next() else { return Ok(None) };
    let number = word.parse().ok().filter(|number| range.contains(number));
    let mistake = || match *range.end() {
        u32::MAX => Mistake(format!("`{word}` is no {what}")),
        most => Mistake(format!("`{word}` is no {what} from {} to {most}", range.start())),
    };
    number.map(Some).ok_or_else(mistake)
}

/// As reports tell it.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Xid(number) => match xid(*number) {
                Some(Xid { name, .. }) => write!(out, "Xid {number}, {name}"),
                None => write!(out, "Xid {number}"),
            },
            Fault::Ecc { corrected, count } => {
                let (kind, plural) = (if *corrected { "" } else { "un" }, if *count == 1 { "" } else { "s" });
                write!(out, "{count} {kind}corrected ECC error{plural}")
            }
            Fault::Lost => write!(out, "it is lost"),
            Fault::Thermal(Some(celsius)) => write!(out, "{celsius} °C"),
            Fault::Thermal(None) => write!(out, "as hot as makes it slow down"),
            Fault::Clear => write!(out, "it is as new"),
        }
    }
}

/// `CUresult` values that clients see (CUDA driver API reference, "Data types used by CUDA driver").
pub mod result {
    /// `CUDA_ERROR_ECC_UNCORRECTABLE`
    pub const ECC_UNCORRECTABLE: u32 = 214;
    /// `CUDA_ERROR_ILLEGAL_ADDRESS`
    pub const ILLEGAL_ADDRESS: u32 = 700;
    /// `CUDA_ERROR_LAUNCH_TIMEOUT`
    pub const LAUNCH_TIMEOUT: u32 = 702;
    /// `CUDA_ERROR_LAUNCH_FAILED`
    pub const LAUNCH_FAILED: u32 = 719;
    /// `CUDA_ERROR_UNKNOWN`: what programs see of a card that has fallen off the bus.
    pub const UNKNOWN: u32 = 999;
}

/// An Xid that ends contexts.
pub struct Xid {
    number: u32,
    /// What it tells of.
    pub name: &'static str,
    /// What the card's clients see.
    pub error: u32,
}

/// Of a card that does not answer any more.
pub const FALLEN_OFF_THE_BUS: u32 = 79;
/// Of an error that the card could not correct.
pub const DOUBLE_BIT_ERROR: u32 = 48;
/// Of a row or page that is to be replaced, and of one that could not be.
pub const REPLACED: u32 = 63;
/// See `REPLACED`.
pub const NOT_REPLACED: u32 = 64;

/// Xids after which a card's contexts are gone (NVIDIA, "XID Errors", its catalogue: docs.nvidia.com/deploy/xid-errors). Which error
/// a program sees the catalogue does not tell: it is the one whose description fits. All others are told and end nothing.
const ENDING: &[Xid] = &[
    Xid { number: 8, name: "GPU stopped processing", error: result::LAUNCH_TIMEOUT },
    Xid { number: 13, name: "graphics engine exception", error: result::LAUNCH_FAILED },
    Xid { number: 31, name: "GPU memory page fault", error: result::ILLEGAL_ADDRESS },
    Xid { number: 43, name: "GPU stopped processing", error: result::LAUNCH_FAILED },
    Xid { number: 45, name: "preemptive cleanup", error: result::LAUNCH_FAILED },
    Xid { number: DOUBLE_BIT_ERROR, name: "double-bit ECC error", error: result::ECC_UNCORRECTABLE },
    Xid { number: 94, name: "contained ECC error", error: result::ECC_UNCORRECTABLE },
    Xid { number: 95, name: "uncontained ECC error", error: result::ECC_UNCORRECTABLE },
    Xid { number: 109, name: "context switch timeout", error: result::LAUNCH_FAILED },
    Xid { number: 119, name: "GSP RPC timeout", error: result::LAUNCH_FAILED },
    Xid { number: 120, name: "GSP error", error: result::LAUNCH_FAILED },
];

/// What is known of an Xid that ends contexts.
pub fn xid(number: u32) -> Option<&'static Xid> {
    ENDING.iter().find(|xid| xid.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_with_and_without_a_card() {
        let parse = |text: &str| text.parse::<Order>().map(|order| (order.fault, order.card));
        let ecc = |corrected, count| Fault::Ecc { corrected, count };
        for (text, expected) in [
            ("xid 79", (Fault::Xid(79), None)),
            ("xid 13 1", (Fault::Xid(13), Some(1))),
            ("ecc corrected", (ecc(true, 1), None)),
            ("ecc  uncorrected 3", (ecc(false, 3), None)),
            ("ecc uncorrected 1 2", (ecc(false, 1), Some(2))),
            ("lost", (Fault::Lost, None)),
            ("lost 1", (Fault::Lost, Some(1))),
            ("thermal", (Fault::Thermal(None), None)),
            ("thermal 95 1", (Fault::Thermal(Some(95)), Some(1))),
            ("clear", (Fault::Clear, None)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let mistake = |text: &str| text.parse::<Order>().unwrap_err().to_string();
        assert_eq!(mistake(""), "no fault is named");
        assert_eq!(mistake("fire"), "there is no fault `fire`");
        assert_eq!(mistake("xid"), "`xid` needs a number");
        assert_eq!(mistake("xid 0"), "`0` is no Xid from 1 to 999");
        assert_eq!(mistake("ecc 3"), "`ecc` needs `corrected` or `uncorrected`");
        assert_eq!(mistake("ecc corrected many"), "`many` is no number of errors from 1 to 1000000");
        assert_eq!(mistake("thermal 900"), "`900` is no temperature from 1 to 200");
        assert_eq!(mistake("lost x"), "`x` is no GPU");
        assert_eq!(mistake("lost 1 2"), "`2` is a word too many");
    }
}
