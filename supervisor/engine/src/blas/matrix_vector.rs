//! BLAS's level 2.

use wire::blas::Routine;

use super::element::Number;
use super::operand::{Task, View, multiply};
use super::solvers::solve;
use super::triangle::{Kind, Storage, Triangle};
use crate::work::Refusal;

const A: usize = 0;
const X: usize = 1;
const Y: usize = 2;

/// y = alpha · `matrix` · x + beta · y
fn apply<T: Number>(task: &Task, matrix: View<T>, conjugated: bool) -> Result<(), Refusal> {
    let mut x = task.vector::<T>(X, matrix.columns)?;
    let beta = task.scalar::<T>(1)?;
    // With beta 0 what is there does not matter, not even a NaN.
    let mut y = task.vector::<T>(Y, matrix.rows)?;
    let (x, target) = (View::of(&mut x, matrix.columns, 1), View::of(&mut y, matrix.rows, 1));
    multiply(target, matrix, x, task.scalar(0)?, beta, [conjugated, false], task.threads);
    task.set_vector(Y, &y)
}

/// `gemv`
pub fn general<T: Number>(task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let operand = task.matrix::<T>(A, m, n)?;
    let transpose = task.order.transpose[0];
    let view = if transpose == 0 { operand.view } else { operand.view.transposed() };
    apply(task, view, transpose == 2)
}

/// `gbmv`: the band made dense.
pub fn banded<T: Number>(task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let [below, above] = [task.order.extent[3], task.order.extent[4]].map(|count| count.max(0) as usize);
    let band = task.matrix::<T>(A, below + above + 1, n)?;
    let mut dense = vec![T::real(0.0); m * n];
    for column in 0..n {
        for row in column.saturating_sub(above)..(column + below + 1).min(m) {
            dense[row + column * m] = band.view.get(above + row - column, column);
        }
    }
    let view = View::of(&mut dense, m, n);
    let transpose = task.order.transpose[0];
    apply(task, if transpose == 0 { view } else { view.transposed() }, transpose == 2)
}

fn storage(routine: Routine, task: &Task) -> Storage {
    match routine {
        Routine::Sbmv | Routine::Hbmv | Routine::Tbmv | Routine::Tbsv => Storage::Banded(task.extent()[2]),
        Routine::Spmv
        | Routine::Hpmv
        | Routine::Tpmv
        | Routine::Tpsv
        | Routine::Spr
        | Routine::Hpr
        | Routine::Spr2
        | Routine::Hpr2 => Storage::Packed,
        _ => Storage::Full,
    }
}

/// `symv`, `hemv` and their banded and packed forms.
pub fn symmetric<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    let kind = match routine {
        Routine::Hemv | Routine::Hbmv | Routine::Hpmv => Kind::Hermitian,
        _ => Kind::Symmetric,
    };
    let mut dense = Triangle::<T>::load(task, storage(routine, task), n)?.dense(kind, false);
    apply(task, View::of(&mut dense, n, n), false)
}

/// `ger`: A = alpha · x · yᵀ + A
pub fn outer<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let (mut x, mut y) = (task.vector::<T>(X, m)?, task.vector::<T>(Y, n)?);
    let a = task.matrix::<T>(A, m, n)?;
    let (x, y) = (View::of(&mut x, m, 1), View::of(&mut y, 1, n));
    let conjugate = [false, routine == Routine::Gerc];
    multiply(a.view, x, y, task.scalar(0)?, T::real(1.0), conjugate, task.threads);
    a.store();
    Ok(())
}

/// `syr`, `her`, `syr2`, `her2` and their packed forms: a rank-1 or rank-2 update of one triangle.
pub fn outer_triangle<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    use Routine::*;
    let n = task.extent()[1];
    let hermitian = matches!(routine, Her | Hpr | Her2 | Hpr2);
    let two = matches!(routine, Syr2 | Her2 | Spr2 | Hpr2);
    let x = task.vector::<T>(X, n)?;
    let y = if two { task.vector::<T>(Y, n)? } else { x.clone() };
    let alpha = task.scalar::<T>(0)?;
    let mirror = |value: T| if hermitian { value.conjugate() } else { value };
    let triangle = Triangle::<T>::load(task, storage(routine, task), n)?;
    for (row, column) in triangle.places() {
        let mut update = alpha * x[row] * mirror(y[column]);
        if two {
            update = update + mirror(alpha) * y[row] * mirror(x[column]);
        }
        let mut value = triangle.get(row, column) + update;
        if hermitian && row == column {
            value = T::real(value.parts().0);
        }
        triangle.set(row, column, value);
    }
    triangle.store();
    Ok(())
}

/// `trmv`, `trsv` and their banded and packed forms.
pub fn triangular<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    let triangle = Triangle::<T>::load(task, storage(routine, task), n)?;
    let mut dense = triangle.dense(Kind::Triangular, task.order.unit == 1);
    let transpose = task.order.transpose[0];
    if transpose == 2 {
        dense.iter_mut().for_each(|value| *value = value.conjugate());
    }
    let view = View::of(&mut dense, n, n);
    let (view, upper) =
        if transpose == 0 { (view, triangle.upper) } else { (view.transposed(), !triangle.upper) };
    let mut x = task.vector::<T>(X, n)?;
    if matches!(routine, Routine::Trmv | Routine::Tbmv | Routine::Tpmv) {
        let mut product = vec![T::real(0.0); n];
        let (source, target) = (View::of(&mut x, n, 1), View::of(&mut product, n, 1));
        multiply(target, view, source, T::real(1.0), T::real(0.0), [false; 2], task.threads);
        return task.set_vector(X, &product);
    }
    solve(view, upper, View::of(&mut x, n, 1), task.threads);
    task.set_vector(X, &x)
}
