//! `drain`: whether a card lets nobody new in. It is named by its place, as a card that is drained is not listed any more.

use crate::nvml::{Answer, Place};

/// What is to be done, in the order of the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `-m`
    Set(bool),
    /// `-q`
    Tell,
}

/// What is printed of it.
pub fn carry_out(place: &Place, order: Order) -> Answer<String> {
    let word = |on| if on { "draining" } else { "not draining" };
    let id = place.id();
    Ok(match order {
        Order::Set(on) => {
            place.set_draining(on)?;
            format!("Successfully set GPU {id} drain state to: {}.\n", word(on))
        }
        Order::Tell => format!("The current drain state of GPU {id} is: {}.\n", word(place.is_draining()?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_domains_or_not() {
        for text in ["01:00.0", "0000:01:00.0", "00000000:01:00.0"] {
            assert_eq!(
                Place::parse(text).map(|place| place.id()).as_deref(),
                Some("00000000:01:00.0"),
                "{text}"
            );
        }
        for text in ["", "1", "01:00", "01:00.1", "x:01:00.0", "0:0:01:00.0"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
