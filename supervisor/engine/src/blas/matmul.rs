//! cuBLASLt's matrix product: four layouts, scales of 8-bit floats, and what follows the sums (epilogues).

use gemm::{c32, c64};
use wire::blas::{Element, Layout, Matmul, epilogue};

use super::element::Number;
use super::operand::{Operand, View, multiply, read_number, read_scalar, write_number};
use super::{arithmetic, refused};
use crate::transfer::Memory;
use crate::work::Refusal;

/// Runs a product on every member of its batch.
pub fn run(order: &Matmul, memory: &Memory, threads: usize) -> Result<(), Refusal> {
    let mut largest = 0.0f64;
    for member in 0..order.batch {
        let job = Job { order, memory, threads, member: member as i64 };
        let of_member = match arithmetic(order.arithmetic)? {
            Element::F64 | Element::I32 => job.perform::<f64>()?,
            Element::C32 => job.perform::<c32>()?,
            Element::C64 => job.perform::<c64>()?,
            _ => job.perform::<f32>()?,
        };
        largest = largest.max(of_member);
    }
    if order.largest != 0 {
        write_number(memory, order.largest, Element::F32, largest, "the largest magnitude of D")?;
    }
    Ok(())
}

struct Job<'a> {
    order: &'a Matmul,
    memory: &'a Memory<'a>,
    threads: usize,
    member: i64,
}

impl Job<'_> {
    /// The largest magnitude of this member's D, before D's scale.
    fn perform<T: Number>(&self) -> Result<f64, Refusal> {
        let [m, n, k] = self.order.extent.map(|extent| extent as usize);
        let [a_layout, b_layout, c_layout, d_layout] = &self.order.layouts;
        let [(_a, a), (_b, b)] =
            [self.factor::<T>(a_layout, 0, (m, k))?, self.factor::<T>(b_layout, 1, (k, n))?];
        let conjugate = self.order.transpose.map(|transpose| transpose == 2);
        let mut buffer = vec![T::real(0.0); m * n];
        let sums = View::of(&mut buffer, m, n);
        multiply(sums, a, b, T::real(1.0), T::real(0.0), conjugate, self.threads);

        let scales = self.scale::<T>(a_layout)? * self.scale::<T>(b_layout)?;
        let alpha = self.alpha::<T>(m)?;
        let beta = read_scalar::<T>(self.memory, &self.order.scalars[1])?;
        let beta = beta * self.scale::<T>(c_layout)?;
        let c = if beta == T::real(0.0) { None } else { Some(self.matrix::<T>(c_layout, (m, n))?) };
        let mut after = Epilogue::load(self, m, n)?;
        let (d_scale, mut largest) = (self.scale::<T>(d_layout)?, 0.0f64);
        for column in 0..n {
            for (row, alpha) in alpha.iter().enumerate() {
                let mut value = *alpha * scales * sums.get(row, column);
                if let Some((_, c)) = &c {
                    value = value + beta * c.get(row, column);
                }
                let value = after.apply(value, row, column);
                largest = largest.max(value.magnitude());
                sums.set(row, column, value * d_scale);
            }
        }
        // C and D may be the same memory: D is written when C is not needed any more.
        let (target, d) = self.matrix::<T>(d_layout, (m, n))?;
        (0..m * n).for_each(|index| d.set(index % m, index / m, sums.get(index % m, index / m)));
        target.store();
        after.store(self)?;
        Ok(largest)
    }

    /// A matrix as its layout says.
    fn matrix<T: Number>(
        &self,
        layout: &Layout,
        (rows, columns): (usize, usize),
    ) -> Result<(Operand<T>, View<T>), Refusal> {
        let element = Element::of(layout.element)
            .ok_or_else(|| refused(format!("a matrix of element type {}", layout.element)))?;
        let step = layout.stride.wrapping_mul(self.member).wrapping_mul(element.size() as i64);
        let address = layout.address.wrapping_add_signed(step);
        let leading = layout.leading.max(0) as usize;
        let by_rows = layout.row_major == 1;
        let shape = if by_rows { (columns, rows, leading) } else { (rows, columns, leading) };
        let operand = Operand::load(self.memory, address, element, shape, "a matrix of a product")?;
        let view = if by_rows { operand.view.transposed() } else { operand.view };
        Ok((operand, view))
    }

    /// A or B as the product sees it.
    fn factor<T: Number>(
        &self,
        layout: &Layout,
        which: usize,
        (rows, columns): (usize, usize),
    ) -> Result<(Operand<T>, View<T>), Refusal> {
        if self.order.transpose[which] == 0 {
            return self.matrix(layout, (rows, columns));
        }
        let (operand, view) = self.matrix(layout, (columns, rows))?;
        Ok((operand, view.transposed()))
    }

    fn scale<T: Number>(&self, layout: &Layout) -> Result<T, Refusal> {
        match layout.scale {
            0 => Ok(T::real(1.0)),
            address => read_number(self.memory, address, Element::F32, "a scale"),
        }
    }

    /// `alpha`, once per row.
    fn alpha<T: Number>(&self, rows: usize) -> Result<Vec<T>, Refusal> {
        let scalar = self.order.scalars[0];
        if self.order.alpha_by_row == 0 {
            return Ok(vec![read_scalar(self.memory, &scalar)?; rows]);
        }
        let element = Element::of(scalar.element)
            .ok_or_else(|| refused(format!("a vector of element type {}", scalar.element)))?;
        let at = |row: usize| scalar.bits[0] + row as u64 * element.size();
        (0..rows).map(|row| read_number(self.memory, at(row), element, "the vector alpha")).collect()
    }
}

/// What happens to each sum.
struct Epilogue {
    flags: u32,
    bias: Vec<f64>,
    /// Sums of rows, for the bias's gradient.
    gradient: Vec<f64>,
    /// What goes into a unit, by columns; as a bit mask where the unit is ReLU.
    auxiliary: Option<Operand<f64>>,
    mask: Option<*mut u8>,
    mask_leading: usize,
}

impl Epilogue {
    fn load(job: &Job, m: usize, n: usize) -> Result<Epilogue, Refusal> {
        let order = job.order;
        let flags = order.epilogue;
        let has = |flag| flags & flag != 0;
        let mut made = Epilogue {
            flags,
            bias: Vec::new(),
            gradient: vec![0.0; m],
            auxiliary: None,
            mask: None,
            mask_leading: order.auxiliary.leading.max(0) as usize,
        };
        if has(epilogue::BIAS) {
            let bias = bias(job);
            let vector = Operand::<f64>::load(job.memory, bias.0, bias.1?, (m, 1, m), "the bias")?;
            made.bias = (0..m).map(|row| vector.view.get(row, 0)).collect();
        }
        if has(epilogue::AUXILIARY) && has(epilogue::RELU | epilogue::DRELU) {
            let bytes = (made.mask_leading * n).div_ceil(8) as u64;
            // A batch's stride of the mask is in elements, that is in bits.
            let step = order.auxiliary.stride.wrapping_mul(job.member) / 8;
            let address = order.auxiliary.address.wrapping_add_signed(step);
            made.mask = Some(job.memory.operand(address, bytes, "the mask of ReLU")?);
        } else if has(epilogue::AUXILIARY) {
            made.auxiliary = Some(job.matrix::<f64>(&order.auxiliary, (m, n))?.0);
        }
        Ok(made)
    }

    fn apply<T: Number>(&mut self, value: T, row: usize, column: usize) -> T {
        if self.flags == 0 {
            return value;
        }
        let (mut value, imaginary) = value.parts();
        let has = |flag| self.flags & flag != 0;
        if has(epilogue::BIAS) {
            value += self.bias[row];
        }
        if has(epilogue::RELU) {
            self.set_mask(row, column, value > 0.0);
            value = value.max(0.0);
        }
        if has(epilogue::GELU) {
            if let Some(auxiliary) = &self.auxiliary {
                auxiliary.view.set(row, column, value);
            }
            value = gelu(value);
        }
        if has(epilogue::DRELU) && !self.mask(row, column) {
            value = 0.0;
        }
        if let (true, Some(auxiliary)) = (has(epilogue::DGELU), &self.auxiliary) {
            value *= gelu_slope(auxiliary.view.get(row, column));
        }
        self.gradient[row] += value;
        T::from_parts(value, imaginary)
    }

    fn mask(&self, row: usize, column: usize) -> bool {
        let bit = column * self.mask_leading + row;
        // SAFETY: `load` has checked the whole mask.
        self.mask.is_some_and(|mask| unsafe { mask.add(bit / 8).read() } >> (bit % 8) & 1 == 1)
    }

    fn set_mask(&self, row: usize, column: usize, value: bool) {
        let Some(mask) = self.mask else { return };
        let bit = column * self.mask_leading + row;
        // SAFETY: as above.
        unsafe {
            let byte = mask.add(bit / 8);
            byte.write(byte.read() & !(1 << (bit % 8)) | u8::from(value) << (bit % 8));
        }
    }

    fn store(&self, job: &Job) -> Result<(), Refusal> {
        if let Some(auxiliary) = &self.auxiliary {
            auxiliary.store();
        }
        if self.flags & epilogue::BIAS_GRADIENT != 0 {
            let (address, element) = bias(job);
            let element = element?;
            for (row, sum) in self.gradient.iter().enumerate() {
                let place = address + row as u64 * element.size();
                write_number(job.memory, place, element, *sum, "the bias's gradient")?;
            }
        }
        Ok(())
    }
}

/// Address and element type of this member's bias.
fn bias(job: &Job) -> (u64, Result<Element, Refusal>) {
    let number = job.order.bias_element;
    let element = Element::of(number).ok_or_else(|| refused(format!("a bias of element type {number}")));
    let size = element.as_ref().map_or(0, |element| element.size()) as i64;
    (job.order.bias.wrapping_add_signed(job.order.bias_stride * job.member * size), element)
}

/// √(2/π)
const FACTOR: f64 = 0.797_884_560_802_865_4;
const CUBE: f64 = 0.044_715;

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + (FACTOR * (x + CUBE * x * x * x)).tanh())
}

fn gelu_slope(x: f64) -> f64 {
    let tanh = (FACTOR * (x + CUBE * x * x * x)).tanh();
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * FACTOR * (1.0 + 3.0 * CUBE * x * x)
}
