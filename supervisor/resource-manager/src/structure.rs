//! Structures of the interface, by the names of their fields.

use nvidia_abi::Row;

/// The bytes of a structure and the row that says what is where.
pub struct Structure<'a> {
    row: &'a Row,
    bytes: &'a mut [u8],
}

impl<'a> Structure<'a> {
    /// Bytes as that row describes them.
    pub fn new(row: &'a Row, bytes: &'a mut [u8]) -> Self {
        Self { row, bytes }
    }

    /// A field; 0 if this release lacks it.
    pub fn get(&self, field: &str) -> u64 {
        self.row.read(self.bytes, field).unwrap_or(0)
    }

    /// A field of 32 bits.
    pub fn word(&self, field: &str) -> u32 {
        self.get(field) as u32
    }

    /// Sets a field, if this release has it.
    pub fn set(&mut self, field: &str, value: impl Into<u64>) {
        self.row.write(self.bytes, field, value.into());
    }

    /// An element of an array.
    pub fn element(&self, field: &str, index: usize) -> u32 {
        self.row.field(field).and_then(|field| field.read(self.bytes, index)).unwrap_or(0) as u32
    }

    /// Sets an element of an array.
    pub fn set_element(&mut self, field: &str, index: usize, value: impl Into<u64>) {
        if let Some(field) = self.row.field(field) {
            field.write(self.bytes, index, value.into());
        }
    }

    /// How many elements an array has.
    pub fn len(&self, field: &str) -> usize {
        self.row.field(field).map_or(0, nvidia_abi::Field::len)
    }

    /// Sets an array of bytes, the rest of it to zero.
    pub fn set_bytes(&mut self, field: &str, value: &[u8]) {
        for index in 0..self.len(field) {
            self.set_element(field, index, value.get(index).copied().unwrap_or(0));
        }
    }

    /// Sets an array of words to these and `rest`.
    pub fn set_words(&mut self, field: &str, values: &[u32], rest: u32) {
        for index in 0..self.len(field) {
            self.set_element(field, index, values.get(index).copied().unwrap_or(rest));
        }
    }
}
