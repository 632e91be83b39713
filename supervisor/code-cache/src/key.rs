//! What an object is found by.

use std::fmt;

use sha2::{Digest, Sha256};

/// A digest of everything that an object depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) [u8; 32]);

impl Key {
    /// The key of these facts, in this order: what is compiled, for what, by what.
    pub fn of(facts: &[&[u8]]) -> Key {
        let mut digest = Sha256::new();
        for fact in facts {
            // With its length, so that no two lists of facts give the same bytes.
            digest.update((fact.len() as u64).to_le_bytes());
            digest.update(fact);
        }
        Key(digest.finalize().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_borders_of_facts_count() {
        let keys = [
            Key::of(&[b"ab", b"c"]),
            Key::of(&[b"a", b"bc"]),
            Key::of(&[b"c", b"ab"]),
            Key::of(&[b"abc"]),
            Key::of(&[b"ab", b"c", b""]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        assert_eq!(keys[0], Key::of(&[b"ab", b"c"]));
    }
}
