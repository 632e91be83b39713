//! Keys of the live view, in what a terminal sends.
//!
//! `crossterm` could read them, but waits for edges: when a key comes with a change of the window's size, it tells of the size and has
//! forgotten that there is a key, until the next one is pressed (0.29, `src/event/source/unix/mio.rs`).

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `q`, Escape, Ctrl-C.
    End,
    /// The arrow, `k`.
    Up,
    /// The arrow, `j`.
    Down,
}

const ESCAPE: u8 = 0x1b;
const CTRL_C: u8 = 3;

/// The keys that mean something here, in their order.
pub fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        let (key, length) = first(bytes);
        keys.extend(key);
        bytes = &bytes[length..];
    }
    keys
}

/// The first key, if it means something, and how many bytes it has.
fn first(bytes: &[u8]) -> (Option<Key>, usize) {
    match bytes {
        [b'q' | CTRL_C, ..] | [ESCAPE] => (Some(Key::End), 1),
        [b'k', ..] => (Some(Key::Up), 1),
        [b'j', ..] => (Some(Key::Down), 1),
        [ESCAPE, b'[' | b'O', b'A', ..] => (Some(Key::Up), 3),
        [ESCAPE, b'[' | b'O', b'B', ..] => (Some(Key::Down), 3),
        // Parameters come before the byte that says what it is.
        [ESCAPE, b'[', rest @ ..] => {
            let parameters = rest.iter().take_while(|byte| !(0x40..=0x7e).contains(*byte)).count();
            (None, (2 + parameters + 1).min(bytes.len()))
        }
        [ESCAPE, _, ..] => (None, 2),
        _ => (None, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_among_others() {
        use Key::{Down, End, Up};
        for (sent, expected) in [
            (&b"q"[..], &[End][..]),
            (b"\x1b", &[End]),
            (b"\x03", &[End]),
            (b"c", &[]),
            (b"jk\x1b[A\x1b[B\x1bOA", &[Down, Up, Up, Down, Up]),
            (b"x\x1b[5~\x1b[1;5Bq", &[End]),
            (b"\x1bq\x1b[", &[]),
            ("\u{e4}q".as_bytes(), &[End]),
        ] {
            assert_eq!(keys(sent), expected, "{sent:?}");
        }
    }
}
