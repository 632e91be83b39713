//! Symmetric, Hermitian and triangular matrices made dense, whatever their storage.

use super::element::Number;
use super::operand::{Operand, Task, View};
use crate::work::Refusal;

/// How a square matrix lies in memory.
#[derive(Clone, Copy)]
pub enum Storage {
    /// All of it; one triangle is looked at.
    Full,
    /// The main diagonal and this many others, each in a row.
    Banded(usize),
    /// One triangle, column after column.
    Packed,
}

/// What the other triangle is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The mirror image.
    Symmetric,
    /// The mirror image, conjugated; the diagonal is real.
    Hermitian,
    /// Zeros; with `unit` the diagonal is ones.
    Triangular,
}

/// Where element (i, j) of the stored triangle lies, if it is stored.
fn place(
    storage: Storage,
    upper: bool,
    n: usize,
    leading: usize,
    row: usize,
    column: usize,
) -> Option<usize> {
    let (above, below) = (column.saturating_sub(row), row.saturating_sub(column));
    if if upper { below > 0 } else { above > 0 } {
        return None;
    }
    match storage {
        Storage::Full => Some(row + column * leading),
        Storage::Banded(k) if above.max(below) > k => None,
        Storage::Banded(k) if upper => Some(k - above + column * leading),
        Storage::Banded(_) => Some(below + column * leading),
        Storage::Packed if upper => Some(row + column * (column + 1) / 2),
        Storage::Packed => Some(row + column * (2 * n - column - 1) / 2),
    }
}

/// The stored elements of a square matrix, from the place with index 0.
pub struct Triangle<T> {
    pub n: usize,
    pub upper: bool,
    storage: Storage,
    leading: usize,
    stored: Operand<T>,
}

impl<T: Number> Triangle<T> {
    pub fn load(task: &Task, storage: Storage, n: usize) -> Result<Triangle<T>, Refusal> {
        let (rows, columns, leading) = match storage {
            Storage::Full => (n, n, task.leading(0)),
            Storage::Banded(k) => (k + 1, n, task.leading(0)),
            Storage::Packed => (n * (n + 1) / 2, 1, n * (n + 1) / 2),
        };
        let (address, element) = (task.address(0)?, task.element(0)?);
        let stored = Operand::load(task.memory, address, element, (rows, columns, leading), "matrix A")?;
        // In a widened copy columns lie together.
        let leading = stored.view.column as usize;
        Ok(Triangle { n, upper: task.order.uplo == 1, storage, leading, stored })
    }

    /// An element of the stored triangle; zero outside of a band.
    pub fn get(&self, row: usize, column: usize) -> T {
        let place = place(self.storage, self.upper, self.n, self.leading, row, column);
        place.map_or(T::real(0.0), |offset| self.at(offset).get(0, 0))
    }

    /// Writes an element of the stored triangle.
    pub fn set(&self, row: usize, column: usize, value: T) {
        if let Some(offset) = place(self.storage, self.upper, self.n, self.leading, row, column) {
            self.at(offset).set(0, 0, value);
        }
    }

    fn at(&self, offset: usize) -> View<T> {
        let view = self.stored.view;
        let (row, column) = match self.storage {
            Storage::Packed => (offset, 0),
            _ => (offset % self.leading, offset / self.leading),
        };
        view.block(row, column, 1, 1)
    }

    /// Every (row, column) of the stored triangle.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let (n, upper) = (self.n, self.upper);
        (0..n).flat_map(move |column| {
            let rows = if upper { 0..column + 1 } else { column..n };
            rows.map(move |row| (row, column))
        })
    }

    /// The whole matrix, column by column.
    pub fn dense(&self, kind: Kind, unit: bool) -> Vec<T> {
        let mut dense = vec![T::real(0.0); self.n * self.n];
        for (row, column) in self.places() {
            let mut value = self.get(row, column);
            if row == column {
                value = match kind {
                    Kind::Hermitian => T::real(value.parts().0),
                    Kind::Triangular if unit => T::real(1.0),
                    _ => value,
                };
            }
            dense[row + column * self.n] = value;
            let mirrored = match kind {
                Kind::Symmetric => value,
                Kind::Hermitian => value.conjugate(),
                Kind::Triangular => continue,
            };
            dense[column + row * self.n] = mirrored;
        }
        dense
    }

    /// Puts changes back.
    pub fn store(&self) {
        self.stored.store();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storages_put_the_same_element_where_blas_says() {
        // Packed: columns of the triangle one after another.
        let packed = |upper, row, column| place(Storage::Packed, upper, 4, 0, row, column);
        assert_eq!(
            [(0, 0), (0, 1), (1, 1), (0, 2)].map(|(i, j)| packed(true, i, j)),
            [Some(0), Some(1), Some(2), Some(3)]
        );
        assert_eq!(
            [(0, 0), (3, 0), (1, 1), (3, 3)].map(|(i, j)| packed(false, i, j)),
            [Some(0), Some(3), Some(4), Some(9)]
        );
        assert_eq!(packed(true, 2, 1), None);
        // Banded: the diagonal in the last row (upper) or the first (lower).
        assert_eq!(place(Storage::Banded(2), true, 4, 3, 1, 1), Some(2 + 3));
        assert_eq!(place(Storage::Banded(2), true, 4, 3, 0, 1), Some(1 + 3));
        assert_eq!(place(Storage::Banded(2), false, 4, 3, 3, 1), Some(2 + 3));
        assert_eq!(place(Storage::Banded(2), true, 4, 3, 0, 3), None);
    }
}
