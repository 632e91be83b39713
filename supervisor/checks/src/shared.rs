//! A block's shared memory: what of it there is, and which bytes were written.

use interpreter::watch::Layout;

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
        for place in offset..offset.saturating_add(size) {
            if let Some(word) = self.written.get_mut((place / 64) as usize) {
                *word |= 1 << (place % 64);
            }
        }
    }

    /// The first byte of a range that was never written.
    pub fn unwritten(&self, offset: u64, size: u64) -> Option<u64> {
        let is_clear = |place: &u64| {
            self.written.get((place / 64) as usize).is_some_and(|word| word >> (place % 64) & 1 == 0)
        };
        (offset..offset.saturating_add(size)).find(is_clear)
    }
}
