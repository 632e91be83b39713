//! Routines against their definitions, on device memory that is this process's own.

use wire::blas::{Blas, Element, Matmul, Place, Routine, Scalar, epilogue};

use super::{matmul, run};
use crate::area::SharedArea;
use crate::grants::Grants;
use crate::transfer::Memory;

/// Makes a buffer device memory. Routines write to it behind the compiler's back, hence `mut`.
fn granted<T>(grants: &Grants, buffer: &mut [T]) {
    grants.insert(buffer.as_mut_ptr() as u64, size_of_val(buffer) as u64);
}

fn host(value: f64) -> Scalar {
    Scalar { bits: [value.to_bits(), 0f64.to_bits()], ..Scalar::default() }
}

fn place<T>(buffer: &mut [T], step: i64) -> Place {
    Place { address: buffer.as_mut_ptr() as u64, step, stride: 0 }
}

fn order(routine: Routine, element: Element, extent: [i64; 3]) -> Blas {
    let [m, n, k] = extent;
    Blas {
        routine: routine as u32,
        elements: [element as u32; 4],
        extent: [m, n, k, 0, 0],
        scalars: [host(2.0), host(1.0)],
        batch: 1,
        result_element: element as u32,
        ..Blas::default()
    }
}

fn perform(order: &Blas, grants: &Grants) {
    run(order, &Memory { area: SharedArea::for_test(), grants, checker: None }, 1).expect("granted");
}

#[test]
fn product_equals_the_definition_for_every_transposition() {
    let [rows, columns, inner] = [5usize, 4, 7];
    let mut a: Vec<f32> = (0..rows * inner).map(|i| (i % 11) as f32 - 5.0).collect();
    let mut b: Vec<f32> = (0..inner * columns).map(|i| (i % 7) as f32 - 3.0).collect();
    for transpose in [[0, 0], [1, 0], [0, 1], [1, 1]] {
        let mut c: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let expected: Vec<f32> = (0..rows * columns)
            .map(|index| {
                let (row, column) = (index % rows, index / rows);
                let at = |i: usize| if transpose[0] == 0 { a[i * rows + row] } else { a[row * inner + i] };
                let bt = |i: usize| {
                    if transpose[1] == 0 { b[column * inner + i] } else { b[i * columns + column] }
                };
                c[index] + 2.0 * (0..inner).map(|i| at(i) * bt(i)).sum::<f32>()
            })
            .collect();
        let grants = Grants::default();
        [&mut a, &mut b, &mut c].into_iter().for_each(|buffer| granted(&grants, buffer));
        let leading = [
            if transpose[0] == 0 { rows } else { inner },
            if transpose[1] == 0 { inner } else { columns },
            rows,
        ];
        let mut order = order(Routine::Gemm, Element::F32, [rows as i64, columns as i64, inner as i64]);
        order.transpose = transpose;
        order.places = [
            place(&mut a, leading[0] as i64),
            place(&mut b, leading[1] as i64),
            place(&mut c, leading[2] as i64),
        ];
        perform(&order, &grants);
        assert_eq!(c, expected, "transposition {transpose:?}");
    }
}

#[test]
fn triangular_systems_of_every_form_are_solved() {
    // Larger than what is solved element by element, so that the halves meet.
    let (n, columns) = (70usize, 3usize);
    let mut a: Vec<f64> = (0..n * n)
        .map(|i| if i % n == i / n { 4.0 } else { ((i * 7 + i / n) % 5) as f64 / n as f64 - 0.02 })
        .collect();
    let wanted: Vec<f64> = (0..n * columns).map(|i| (i % 13) as f64 - 6.0).collect();
    for uplo in [0u32, 1] {
        for transpose in [0u32, 1] {
            for unit in [0u32, 1] {
                let at = |row: usize, column: usize| {
                    let (row, column) = if transpose == 0 { (row, column) } else { (column, row) };
                    let stored = if uplo == 1 { row <= column } else { row >= column };
                    if row == column && unit == 1 {
                        1.0
                    } else if stored {
                        a[row + column * n]
                    } else {
                        0.0
                    }
                };
                let mut b: Vec<f64> = (0..n * columns)
                    .map(|index| (0..n).map(|i| at(index % n, i) * wanted[i + index / n * n]).sum())
                    .collect();
                let grants = Grants::default();
                [&mut a, &mut b].into_iter().for_each(|buffer| granted(&grants, buffer));
                let mut order = order(Routine::Trsm, Element::F64, [n as i64, columns as i64, 0]);
                (order.uplo, order.transpose, order.unit) = (uplo, [transpose, 0], unit);
                order.scalars[0] = host(1.0);
                order.places = [place(&mut a, n as i64), place(&mut b, n as i64), Place::default()];
                perform(&order, &grants);
                let worst = b.iter().zip(&wanted).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-9, "uplo {uplo}, transposition {transpose}, unit {unit}: {worst}");
            }
        }
    }
}

#[test]
fn vectors_are_walked_backwards_with_a_negative_step() {
    let (mut x, mut y) = ([1f32, 0.0, 2.0, 0.0, 3.0], [10f32, 20.0, 30.0]);
    let grants = Grants::default();
    granted(&grants, &mut x);
    granted(&grants, &mut y);
    let mut order = order(Routine::Axpy, Element::F32, [0, 3, 0]);
    order.places = [Place::default(), place(&mut x, -2), place(&mut y, 1)];
    perform(&order, &grants);
    assert_eq!(y, [16.0, 24.0, 32.0]);
}

#[test]
fn memory_that_is_not_granted_is_refused() {
    let mut x = [1f32; 4];
    let mut order = order(Routine::Scal, Element::F32, [0, 4, 0]);
    order.places[1] = place(&mut x, 1);
    let outcome =
        run(&order, &Memory { area: SharedArea::for_test(), grants: &Grants::default(), checker: None }, 1);
    assert!(outcome.unwrap_err().text.contains("not all device memory"));
    assert_eq!(x, [1.0; 4]);
}

#[test]
fn epilogue_adds_the_bias_before_relu_and_keeps_the_mask() {
    // Identity times B: D = relu(B + bias by rows), 2 x 3.
    let (mut a, mut b) = ([1f32, 0.0, 0.0, 1.0], [1f32, -5.0, -2.0, 4.0, 0.5, -0.5]);
    let (mut bias, mut mask, mut d) = ([1f32, 2.0], [0u8; 48], [9f32; 6]);
    let grants = Grants::default();
    granted(&grants, &mut a);
    granted(&grants, &mut b);
    granted(&grants, &mut bias);
    granted(&grants, &mut mask);
    granted(&grants, &mut d);
    let mut order = Matmul {
        extent: [2, 3, 2],
        epilogue: epilogue::RELU | epilogue::BIAS | epilogue::AUXILIARY,
        scalars: [host(1.0), host(0.0)],
        batch: 1,
        bias: bias.as_mut_ptr() as u64,
        ..Matmul::default()
    };
    let addresses = [a.as_mut_ptr(), b.as_mut_ptr(), d.as_mut_ptr(), d.as_mut_ptr()];
    for (layout, address) in order.layouts.iter_mut().zip(addresses) {
        (layout.address, layout.leading) = (address as u64, 2);
    }
    (order.auxiliary.address, order.auxiliary.leading) = (mask.as_mut_ptr() as u64, 128);
    matmul(&order, &Memory { area: SharedArea::for_test(), grants: &grants, checker: None }, 1)
        .expect("granted");
    assert_eq!(d, [2.0, 0.0, 0.0, 6.0, 1.5, 1.5]);
    assert_eq!([mask[0], mask[16], mask[32]], [0b01, 0b10, 0b11]);
}
