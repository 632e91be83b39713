//! Takes what identifies a machine and a card out of a recording: the same made-up values for the same real ones.

use std::collections::BTreeMap;

use crate::event::Ioctl;

/// Replaces byte strings by others of the same length, both in text and in the hexadecimal fields of a recording.
#[derive(Default)]
pub struct Scrubber {
    replacements: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Scrubber {
    /// `real` becomes `made_up` wherever it stands; both of one length.
    pub fn replace(&mut self, real: &[u8], made_up: &[u8]) {
        assert_eq!(real.len(), made_up.len(), "a replacement must not move what follows it");
        if real.len() >= 4 {
            self.replacements.insert(real.to_vec(), made_up.to_vec());
            let (real, made_up) = (hex::encode(real), hex::encode(made_up));
            self.replacements.insert(real.into_bytes(), made_up.into_bytes());
        }
    }

    /// A text, and the same in 16-bit characters.
    pub fn replace_text(&mut self, real: &str, made_up: &str) {
        self.replace(real.as_bytes(), made_up.as_bytes());
    }

    /// A UUID as NVIDIA writes it (`GPU-8-4-4-4-12`): the text, its digits, and its sixteen bytes.
    pub fn replace_uuid(&mut self, real: &str, made_up: &str) {
        let digits = |text: &str| text.chars().filter(char::is_ascii_hexdigit).collect::<String>();
        let tail = |text: &str| text.split_once('-').map_or(String::new(), |(_, tail)| tail.to_owned());
        self.replace_text(&tail(real), &tail(made_up));
        if let (Ok(real), Ok(made_up)) =
            (hex::decode(digits(&tail(real))), hex::decode(digits(&tail(made_up))))
        {
            self.replace(&real, &made_up);
        }
    }

    /// A number: its decimal digits, its hexadecimal ones, and its eight bytes.
    pub fn replace_number(&mut self, real: u64, made_up: u64) {
        self.replace(&real.to_le_bytes(), &made_up.to_le_bytes());
        for (real, made_up) in [
            (real.to_string(), made_up.to_string()),
            (format!("{real:x}"), format!("{made_up:x}")),
            (format!("{real:X}"), format!("{made_up:X}")),
        ] {
            if real.len() == made_up.len() {
                self.replace_text(&real, &made_up);
            }
        }
    }

    /// `bytes` without any of the real values.
    pub fn scrub(&self, bytes: &[u8]) -> Vec<u8> {
        let mut scrubbed = bytes.to_vec();
        for (real, made_up) in &self.replacements {
            let mut from = 0;
            while let Some(found) = find(&scrubbed[from..], real) {
                scrubbed[from + found..from + found + real.len()].copy_from_slice(made_up);
                from += found + real.len();
            }
        }
        scrubbed
    }
}

/// `NV2080_CTRL_CMD_GPU_GET_INFO_V2`: its entries that a chip alone has, ECID_LO32, ECID_HI32, ECID_EXTENDED and the two words of the
/// per-device identifier, become the made-up ones.
pub fn scrub_chip_identity(ioctl: &mut Ioctl) {
    const GET_INFO: [u8; 4] = 0x2080_0102_u32.to_le_bytes();
    const MADE_UP: [(u32, u32); 5] =
        [(0x01, 0), (0x02, 0), (0x1b, 0), (0x23, 0x1234_5678), (0x24, 0xc0ff_ee00)];
    if ioctl.outer_before.get(8..12) != Some(&GET_INFO) {
        return;
    }
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
    for parameters in [&mut ioctl.parameters_before, &mut ioctl.parameters_after] {
        let Some((count, entries)) = parameters.split_at_mut_checked(4) else { continue };
        for entry in entries.chunks_exact_mut(8).take(word(count) as usize) {
            let made_up = MADE_UP.iter().find(|(index, _)| *index == word(&entry[..4]));
            if let Some((_, value)) = made_up.filter(|_| word(&entry[4..]) != 0) {
                entry[4..].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_chips_identity_go() {
        let mut outer = vec![0; 32];
        outer[8..12].copy_from_slice(&0x2080_0102_u32.to_le_bytes());
        let list = |datum: u8| [2, 0, 0, 0, 1, 0, 0, 0, datum, 9, 9, 9, 7, 0, 0, 0, 5, 0, 0, 0].to_vec();
        let mut ioctl = Ioctl {
            outer_before: outer,
            parameters_before: list(0),
            parameters_after: list(9),
            ..Ioctl::default()
        };
        scrub_chip_identity(&mut ioctl);
        assert_eq!(ioctl.parameters_after, [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0]);
    }

    #[test]
    fn a_uuid_goes_in_every_form() {
        let (real, made_up) =
            ("GPU-01020304-0506-0708-090a-0b0c0d0e0f10", "GPU-c0ffee00-1234-5678-9abc-def012345678");
        let mut scrubber = Scrubber::default();
        scrubber.replace_uuid(real, made_up);
        let text = format!(
            "UUID: {real}, \"in\":\"00{}ff\", \"pin\":\"{}\"",
            "0102030405060708090a0b0c0d0e0f10",
            hex::encode(&real[4..])
        );
        let scrubbed = String::from_utf8(scrubber.scrub(text.as_bytes())).unwrap();
        assert_eq!(
            scrubbed,
            format!(
                "UUID: {made_up}, \"in\":\"00{}ff\", \"pin\":\"{}\"",
                "c0ffee00123456789abcdef012345678",
                hex::encode(&made_up[4..])
            )
        );
    }
}
