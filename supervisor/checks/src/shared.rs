//! A block's shared memory: what of it there is, and which bytes were written.

use interpreter::watch::Layout;

use crate::bits::words;

/// A bit for each byte, for one block after the other.
pub struct Shared {
    layout: Layout,
    written: Vec<u64>,
}

impl Shared {
    /// `follow`: whether it is asked what was written.
    pub fn new(layout: Layout, follow: bool) -> Shared {
        let words = if follow { layout.shared.div_ceil(64) as usize } else { 0 };
        Shared { layout, written: vec![0; words] }
    }

    /// A block begins.
    pub fn start(&mut self) {
        self.written.fill(0);
    }

    /// Whether all of a range lies in a part that the kernel has.
    pub fn holds(&self, offset: u64, size: u64) -> bool {
        let Layout { static_shared, dynamic_shared: (dynamic, bytes), .. } = self.layout;
        let inside = |start: u64, end: u64| offset >= start && offset <= end && size <= end - offset;
        inside(0, static_shared) || inside(dynamic, dynamic + bytes) || self.is_reserved(offset, size)
    }

    /// Whether a range lies in the system's part.
    pub fn is_reserved(&self, offset: u64, size: u64) -> bool {
        let Layout { reserved_shared, shared, .. } = self.layout;
        offset >= reserved_shared && offset <= shared && size <= shared - offset && size != 0
    }

    /// What there is, for a reader.
    pub fn text(&self) -> String {
        let Layout { static_shared, dynamic_shared: (dynamic, bytes), .. } = self.layout;
        match (static_shared, bytes) {
            (0, 0) => "the block has no shared memory".into(),
            (_, 0) => format!("the block has {static_shared} bytes of static shared memory"),
            (0, _) => format!("the block has {bytes} bytes of dynamic shared memory"),
            _ => format!(
                "the block has {static_shared} bytes of static shared memory, and {bytes} of dynamic from byte {dynamic} on"
            ),
        }
    }

    pub fn write(&mut self, offset: u64, size: u64) {
        for (word, mask) in words(offset, size) {
            if let Some(written) = self.written.get_mut(word) {
                *written |= mask;
            }
        }
    }

    /// The first byte of a range that was never written.
    pub fn unwritten(&self, offset: u64, size: u64) -> Option<u64> {
        words(offset, size).find_map(|(word, mask)| {
            let clear = !self.written.get(word)? & mask;
            (clear != 0).then(|| word as u64 * 64 + u64::from(clear.trailing_zeros()))
        })
    }
}
