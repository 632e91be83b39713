//! BLAS's level 3, and cuBLAS's additions to it.

use wire::blas::Routine;

use super::element::Number;
use super::operand::{Operand, Task, View, multiply};
use super::solvers::solve;
use super::triangle::{Kind, Storage, Triangle};
use crate::work::Refusal;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// `gemm`
pub fn product<T: Number>(task: &Task) -> Result<(), Refusal> {
    let [m, n, k] = task.extent();
    let (_a, a) = task.transposable::<T>(A, m, k)?;
    let (_b, b) = task.transposable::<T>(B, k, n)?;
    let c = task.matrix::<T>(C, m, n)?;
    multiply(c.view, a, b, task.scalar(0)?, task.scalar(1)?, task.conjugates(), task.threads);
    c.store();
    Ok(())
}

/// `symm`, `hemm`
pub fn symmetric<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let on_left = task.order.side == 0;
    let size = if on_left { m } else { n };
    let kind = if routine == Routine::Hemm { Kind::Hermitian } else { Kind::Symmetric };
    let mut dense = Triangle::<T>::load(task, Storage::Full, size)?.dense(kind, false);
    let a = View::of(&mut dense, size, size);
    let (b, c) = (task.matrix::<T>(B, m, n)?, task.matrix::<T>(C, m, n)?);
    let (left, right) = if on_left { (a, b.view) } else { (b.view, a) };
    multiply(c.view, left, right, task.scalar(0)?, task.scalar(1)?, [false; 2], task.threads);
    c.store();
    Ok(())
}

/// `syrk`, `herk`, `syr2k`, `her2k`, `syrkx`, `herkx`: one triangle of C = alpha · A · Bᵀ (+ its mirror image) + beta · C.
pub fn rank_update<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    use Routine::*;
    let [_, n, k] = task.extent();
    let hermitian = matches!(routine, Herk | Her2k | Herkx);
    let two = matches!(routine, Syr2k | Her2k);
    let transposed = task.order.transpose[0] != 0;
    let rectangle = |place| -> Result<(Operand<T>, View<T>), Refusal> {
        let operand =
            if transposed { task.matrix::<T>(place, k, n)? } else { task.matrix::<T>(place, n, k)? };
        let view = if transposed { operand.view.transposed() } else { operand.view };
        Ok((operand, view))
    };
    let (_a, a) = rectangle(A)?;
    let (_b, b) = if matches!(routine, Syrk | Herk) {
        (None, a)
    } else {
        rectangle(B).map(|(b, view)| (Some(b), view))?
    };
    let (alpha, beta) = (task.scalar::<T>(0)?, task.scalar::<T>(1)?);
    // op(A)ᴴ is the first factor where `trans` says so, the second one elsewhere.
    let conjugate = [hermitian && transposed, hermitian && !transposed];
    let mut sums = vec![T::real(0.0); n * n];
    let target = View::of(&mut sums, n, n);
    multiply(target, a, b.transposed(), alpha, T::real(0.0), conjugate, task.threads);
    if two {
        let alpha = if hermitian { alpha.conjugate() } else { alpha };
        multiply(target, b, a.transposed(), alpha, T::real(1.0), conjugate, task.threads);
    }
    let c = task.matrix::<T>(C, n, n)?;
    for column in 0..n {
        let rows = if task.order.uplo == 1 { 0..column + 1 } else { column..n };
        for row in rows {
            let before = if beta == T::real(0.0) { beta } else { beta * c.view.get(row, column) };
            let value = target.get(row, column) + before;
            let is_real = hermitian && row == column;
            c.view.set(row, column, if is_real { T::real(value.parts().0) } else { value });
        }
    }
    c.store();
    Ok(())
}

/// `trmm` (C = alpha · op(A) · B) and `trsm` (op(A) · X = alpha · B, in place of B), with A on either side.
pub fn triangular<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let on_left = task.order.side == 0;
    let size = if on_left { m } else { n };
    let triangle = Triangle::<T>::load(task, Storage::Full, size)?;
    let mut dense = triangle.dense(Kind::Triangular, task.order.unit == 1);
    let transpose = task.order.transpose[0];
    if transpose == 2 {
        dense.iter_mut().for_each(|value| *value = value.conjugate());
    }
    let view = View::of(&mut dense, size, size);
    let (a, upper) =
        if transpose == 0 { (view, triangle.upper) } else { (view.transposed(), !triangle.upper) };
    let (b, alpha) = (task.matrix::<T>(B, m, n)?, task.scalar::<T>(0)?);
    if routine == Routine::Trsm {
        scale(b.view, alpha);
        // X · A = B is Aᵀ · Xᵀ = Bᵀ.
        let (a, upper, x) =
            if on_left { (a, upper, b.view) } else { (a.transposed(), !upper, b.view.transposed()) };
        solve(a, upper, x, task.threads);
        b.store();
        return Ok(());
    }
    // B may be C.
    let mut copy: Vec<T> = entries(b.view).map(|(row, column)| b.view.get(row, column)).collect();
    let source = View::of(&mut copy, m, n);
    let c = task.matrix::<T>(C, m, n)?;
    let (left, right) = if on_left { (a, source) } else { (source, a) };
    multiply(c.view, left, right, alpha, T::real(0.0), [false; 2], task.threads);
    c.store();
    Ok(())
}

/// Rows and columns of a view, column by column.
fn entries<T>(view: View<T>) -> impl Iterator<Item = (usize, usize)> {
    let (rows, columns) = (view.rows, view.columns);
    (0..columns).flat_map(move |column| (0..rows).map(move |row| (row, column)))
}

fn scale<T: Number>(view: View<T>, factor: T) {
    for (row, column) in entries(view) {
        let value = if factor == T::real(0.0) { factor } else { factor * view.get(row, column) };
        view.set(row, column, value);
    }
}

/// An operand of a sum and its view; `None` where its factor is zero, since then it may be missing.
type Term<T> = Option<(Operand<T>, View<T>)>;

/// `geam`: C = alpha · op(A) + beta · op(B)
pub fn sum<T: Number>(task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let (alpha, beta) = (task.scalar::<T>(0)?, task.scalar::<T>(1)?);
    let zero = T::real(0.0);
    let term = |place: usize, factor: T| -> Result<Term<T>, Refusal> {
        if factor == zero { Ok(None) } else { task.transposable(place, m, n).map(Some) }
    };
    let (a, b) = (term(A, alpha)?, term(B, beta)?);
    let conjugates = task.conjugates();
    let value = |term: &Term<T>, factor: T, conjugate: bool, row, column| match term {
        None => zero,
        Some((_, view)) if conjugate => factor * view.get(row, column).conjugate(),
        Some((_, view)) => factor * view.get(row, column),
    };
    let c = task.matrix::<T>(C, m, n)?;
    for (row, column) in entries(c.view) {
        let first = value(&a, alpha, conjugates[0], row, column);
        c.view.set(row, column, first + value(&b, beta, conjugates[1], row, column));
    }
    c.store();
    Ok(())
}

/// `dgmm`: C = diag(x) · A or A · diag(x)
pub fn diagonal<T: Number>(task: &Task) -> Result<(), Refusal> {
    let [m, n, _] = task.extent();
    let on_left = task.order.side == 0;
    let x = task.vector::<T>(B, if on_left { m } else { n })?;
    let (a, c) = (task.matrix::<T>(A, m, n)?, task.matrix::<T>(C, m, n)?);
    for (row, column) in entries(c.view) {
        c.view.set(row, column, a.view.get(row, column) * x[if on_left { row } else { column }]);
    }
    c.store();
    Ok(())
}

/// `tpttr`, `trttp`: a triangle from packed to full storage and back. The source is in place 0, the target in place 2.
pub fn repack<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    if routine == Routine::Tpttr {
        let (source, target) = (Triangle::<T>::load(task, Storage::Packed, n)?, task.matrix::<T>(C, n, n)?);
        source.places().for_each(|(row, column)| target.view.set(row, column, source.get(row, column)));
        target.store();
        return Ok(());
    }
    let source = Triangle::<T>::load(task, Storage::Full, n)?;
    let packed: Vec<T> = source.places().map(|(row, column)| source.get(row, column)).collect();
    task.set_vector(C, &packed)
}
