//! Operands: views of numbers, and how they come from device memory and go back.

use wire::blas::{Blas, Element, Place};

use super::element::{Number, Stored, with_element};
use super::refused;
use crate::transfer::Memory;
use crate::work::Refusal;

/// One member of an order's batch.
pub struct Task<'a> {
    pub order: &'a Blas,
    pub memory: &'a Memory<'a>,
    pub threads: usize,
    pub member: u64,
}

/// A matrix somewhere: element (i, j) lies at `pointer + i * row + j * column`, in elements.
#[derive(Clone, Copy)]
pub struct View<T> {
    pub pointer: *mut T,
    pub rows: usize,
    pub columns: usize,
    pub row: isize,
    pub column: isize,
}

impl<T: Copy> View<T> {
    /// A matrix in a buffer, column by column.
    pub fn of(buffer: &mut [T], rows: usize, columns: usize) -> View<T> {
        assert!(rows * columns <= buffer.len(), "{rows} x {columns} in {} elements", buffer.len());
        View { pointer: buffer.as_mut_ptr(), rows, columns, row: 1, column: rows as isize }
    }

    pub fn transposed(self) -> View<T> {
        View { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
    }

    /// Rows and columns in the opposite order.
    pub fn reversed(self) -> View<T> {
        let last_row = self.rows.saturating_sub(1) as isize * self.row;
        let last_column = self.columns.saturating_sub(1) as isize * self.column;
        // Addresses inside the matrix, or its start where it is empty.
        let pointer = self.pointer.wrapping_offset(last_row + last_column);
        View { pointer, row: -self.row, column: -self.column, ..self }
    }

    /// Rows and columns in the opposite order, rows only.
    pub fn upside_down(self) -> View<T> {
        let last_row = self.rows.saturating_sub(1) as isize * self.row;
        View { pointer: self.pointer.wrapping_offset(last_row), row: -self.row, ..self }
    }

    /// The block that begins at (`row`, `column`).
    pub fn block(self, row: usize, column: usize, rows: usize, columns: usize) -> View<T> {
        assert!(row + rows <= self.rows && column + columns <= self.columns, "the block is not all inside");
        let offset = row as isize * self.row + column as isize * self.column;
        View { pointer: self.pointer.wrapping_offset(offset), rows, columns, ..self }
    }

    fn place(&self, row: usize, column: usize) -> *mut T {
        debug_assert!(row < self.rows && column < self.columns);
        self.pointer.wrapping_offset(row as isize * self.row + column as isize * self.column)
    }

    /// An element.
    pub fn get(&self, row: usize, column: usize) -> T {
        assert!(row < self.rows && column < self.columns, "({row}, {column}) is outside");
        // SAFETY: a view's elements are readable: it is made from a buffer that outlives it or from checked device memory, and
        // the element is inside.
        unsafe { self.place(row, column).read() }
    }

    /// Writes an element.
    pub fn set(&self, row: usize, column: usize, value: T) {
        assert!(row < self.rows && column < self.columns, "({row}, {column}) is outside");
        // SAFETY: as `get`; a view's elements are writable as well.
        unsafe { self.place(row, column).write(value) };
    }
}

/// `c` = `alpha` · `a` · `b` + `beta` · `c`; the flags conjugate `a` and `b`.
pub fn multiply<T: Number>(
    c: View<T>,
    a: View<T>,
    b: View<T>,
    alpha: T,
    beta: T,
    conjugate: [bool; 2],
    threads: usize,
) {
    assert!(c.rows == a.rows && c.columns == b.columns && a.columns == b.rows, "extents of a product");
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let work = c.rows * c.columns * a.columns;
    let parallelism = if threads > 1 && work > 1 << 16 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: every element of the three views is readable, and of `c` writable; BLAS forbids that C overlaps A or B.
    unsafe {
        gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.pointer,
            c.column,
            c.row,
            beta != T::real(0.0),
            a.pointer,
            a.column,
            a.row,
            b.pointer,
            b.column,
            b.row,
            beta,
            alpha,
            false,
            conjugate[0],
            conjugate[1],
            parallelism,
        )
    };
}

/// A matrix of device memory in the type of the arithmetic: in place, or a widened copy.
pub struct Operand<T> {
    pub view: View<T>,
    /// The copy behind the view, and where it came from.
    widened: Option<(Vec<T>, Home)>,
}

/// Columns in device memory.
struct Home {
    address: *mut u8,
    element: Element,
    leading: usize,
}

impl<T: Number> Operand<T> {
    /// A matrix of `rows` and `columns` at an address.
    pub fn load(
        memory: &Memory,
        address: u64,
        element: Element,
        (rows, columns, leading): (usize, usize, usize),
        what: &str,
    ) -> Result<Operand<T>, Refusal> {
        let span = if rows == 0 || columns == 0 { 0 } else { (columns - 1) * leading + rows };
        let pointer = memory.operand(address, span as u64 * element.size(), what)?;
        if element == T::ELEMENT && (address as usize).is_multiple_of(align_of::<T>()) {
            let view = View { pointer: pointer.cast(), rows, columns, row: 1, column: leading as isize };
            return Ok(Operand { view, widened: None });
        }
        let mut values = vec![T::real(0.0); rows * columns];
        with_element!(element, Kind => {
            for column in 0..columns {
                // SAFETY: `span` elements are granted memory, and the column lies inside.
                unsafe { read_row::<Kind, T>(pointer, column * leading, &mut values[column * rows..][..rows]) };
            }
        });
        let view = View::of(&mut values, rows, columns);
        Ok(Operand { view, widened: Some((values, Home { address: pointer, element, leading })) })
    }

    /// Puts a widened copy back, rounded. Rows between the matrix's and the leading dimension are left alone.
    pub fn store(&self) {
        let Some((values, home)) = &self.widened else { return };
        let (rows, columns) = (self.view.rows, self.view.columns);
        with_element!(home.element, Kind => {
            for column in 0..columns {
                // SAFETY: `load` has checked the whole span.
                unsafe { write_row::<Kind, T>(home.address, column * home.leading, &values[column * rows..][..rows]) };
            }
        });
    }
}

/// # Safety
/// As many elements as `target` has, from `start` on, must be readable at `base`.
unsafe fn read_row<K: Stored, T: Number>(base: *const u8, start: usize, target: &mut [T]) {
    for (index, value) in target.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let (real, imaginary) = unsafe { base.cast::<K>().add(start + index).read_unaligned() }.parts();
        *value = T::from_parts(real, imaginary);
    }
}

/// # Safety
/// As many elements as `source` has, from `start` on, must be writable at `base`.
unsafe fn write_row<K: Stored, T: Number>(base: *mut u8, start: usize, source: &[T]) {
    for (index, value) in source.iter().enumerate() {
        let (real, imaginary) = value.parts();
        // SAFETY: the caller's promise.
        unsafe { base.cast::<K>().add(start + index).write_unaligned(K::from_parts(real, imaginary)) };
    }
}

/// Reads one number of device memory.
pub fn read_number<T: Number>(
    memory: &Memory,
    address: u64,
    element: Element,
    what: &str,
) -> Result<T, Refusal> {
    let place = memory.operand(address, element.size(), what)?;
    let mut value = [T::real(0.0)];
    // SAFETY: one element is granted memory.
    with_element!(element, Kind => unsafe { read_row::<Kind, T>(place, 0, &mut value) });
    Ok(value[0])
}

/// Writes one number to device memory.
pub fn write_number<T: Number>(
    memory: &Memory,
    address: u64,
    element: Element,
    value: T,
    what: &str,
) -> Result<(), Refusal> {
    let place = memory.operand(address, element.size(), what)?;
    // SAFETY: one element is granted memory.
    with_element!(element, Kind => unsafe { write_row::<Kind, T>(place, 0, &[value]) });
    Ok(())
}

/// The names of the three places, for messages.
const NAMES: [&str; 3] = ["matrix A", "second operand", "third operand"];

impl Task<'_> {
    /// `m`, `n`, `k`.
    pub fn extent(&self) -> [usize; 3] {
        let [m, n, k, _, _] = self.order.extent;
        [m, n, k].map(|extent| extent.max(0) as usize)
    }

    /// Whether the first and the second matrix are conjugated, where transposition is what views do.
    pub fn conjugates(&self) -> [bool; 2] {
        self.order.transpose.map(|transpose| transpose >= 2)
    }

    /// Where this member's operand begins.
    pub fn address(&self, place: usize) -> Result<u64, Refusal> {
        let Place { address, stride, .. } = self.order.places[place];
        if self.order.pointer_arrays == 1 {
            let entry =
                self.memory.operand(address + 8 * self.member, 8, "an array of addresses of operands")?;
            // SAFETY: eight granted bytes.
            return Ok(unsafe { entry.cast::<u64>().read_unaligned() });
        }
        let size = self.element(place)?.size() as i64;
        Ok(address.wrapping_add_signed(stride.wrapping_mul(self.member as i64).wrapping_mul(size)))
    }

    pub fn element(&self, place: usize) -> Result<Element, Refusal> {
        let number = self.order.elements[place];
        Element::of(number).ok_or_else(|| refused(format!("{} of element type {number}", NAMES[place])))
    }

    /// Elements from column to column.
    pub fn leading(&self, place: usize) -> usize {
        self.order.places[place].step.max(0) as usize
    }

    /// The matrix of a place.
    pub fn matrix<T: Number>(
        &self,
        place: usize,
        rows: usize,
        columns: usize,
    ) -> Result<Operand<T>, Refusal> {
        let shape = (rows, columns, self.leading(place));
        Operand::load(self.memory, self.address(place)?, self.element(place)?, shape, NAMES[place])
    }

    /// The matrix of a place as `trans` says: `rows` and `columns` are what the product sees.
    pub fn transposable<T: Number>(
        &self,
        place: usize,
        rows: usize,
        columns: usize,
    ) -> Result<(Operand<T>, View<T>), Refusal> {
        let operand = match self.order.transpose[place] {
            0 | 3 => self.matrix(place, rows, columns)?,
            _ => self.matrix(place, columns, rows)?,
        };
        let view = match self.order.transpose[place] {
            0 | 3 => operand.view,
            _ => operand.view.transposed(),
        };
        Ok((operand, view))
    }

    /// The numbers of a vector in their logical order.
    pub fn vector<T: Number>(&self, place: usize, length: usize) -> Result<Vec<T>, Refusal> {
        let mut values = vec![T::real(0.0); length];
        let (base, first, step) = self.walk(place, length)?;
        with_element!(self.element(place)?, Kind => {
            for (index, value) in values.iter_mut().enumerate() {
                let offset = first + index as isize * step;
                // SAFETY: `walk` has checked all `length` of them.
                let (real, imaginary) = unsafe { base.cast::<Kind>().offset(offset).read_unaligned() }.parts();
                *value = T::from_parts(real, imaginary);
            }
        });
        Ok(values)
    }

    /// Writes the numbers of a vector.
    pub fn set_vector<T: Number>(&self, place: usize, values: &[T]) -> Result<(), Refusal> {
        let (base, first, step) = self.walk(place, values.len())?;
        with_element!(self.element(place)?, Kind => {
            for (index, value) in values.iter().enumerate() {
                let (real, imaginary) = value.parts();
                let offset = first + index as isize * step;
                // SAFETY: `walk` has checked all of them.
                unsafe { base.cast::<Kind>().offset(offset).write_unaligned(Kind::from_parts(real, imaginary)) };
            }
        });
        Ok(())
    }

    /// Base address of a vector, offset of its first element, and from one to the next: with a negative step BLAS begins at
    /// the far end.
    fn walk(&self, place: usize, length: usize) -> Result<(*mut u8, isize, isize), Refusal> {
        let step = self.order.places[place].step as isize;
        let reach = length.saturating_sub(1) * step.unsigned_abs();
        let span = if length == 0 { 0 } else { reach as u64 + 1 };
        let base =
            self.memory.operand(self.address(place)?, span * self.element(place)?.size(), NAMES[place])?;
        Ok((base, if step < 0 { reach as isize } else { 0 }, step))
    }

    /// `alpha` (0) or `beta` (1).
    pub fn scalar<T: Number>(&self, index: usize) -> Result<T, Refusal> {
        read_scalar(self.memory, &self.order.scalars[index])
    }

    /// Writes the routine's result.
    pub fn tell<T: Number>(&self, value: T) -> Result<(), Refusal> {
        let number = self.order.result_element;
        let element =
            Element::of(number).ok_or_else(|| refused(format!("a result of element type {number}")))?;
        write_number(self.memory, self.order.result, element, value, "the result of a reduction")
    }
}

/// A scalar operand, wherever it is.
pub fn read_scalar<T: Number>(memory: &Memory, scalar: &wire::blas::Scalar) -> Result<T, Refusal> {
    if scalar.on_device == 0 {
        let [real, imaginary] = scalar.bits.map(f64::from_bits);
        return Ok(T::from_parts(real, imaginary));
    }
    let element = Element::of(scalar.element)
        .ok_or_else(|| refused(format!("a scalar of element type {}", scalar.element)))?;
    read_number(memory, scalar.bits[0], element, "a scalar in device memory")
}
