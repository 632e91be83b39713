//! Triangular systems, and LU decompositions of batches.

use wire::blas::{Element, Routine};

use super::element::Number;
use super::operand::{Task, View, multiply, read_number, write_number};
use crate::work::Refusal;

/// Below this extent a triangle is solved element by element; above, its halves are, with a product between them.
const SMALL: usize = 32;

/// Solves `a` · X = B, where X takes the place of B and `a` is triangular.
pub fn solve<T: Number>(a: View<T>, upper: bool, x: View<T>, threads: usize) {
    // Backwards an upper triangle is a lower one.
    if upper { forward(a.reversed(), x.upside_down(), threads) } else { forward(a, x, threads) }
}

/// Solves with a lower triangle, first rows first.
fn forward<T: Number>(a: View<T>, x: View<T>, threads: usize) {
    let n = a.rows;
    if n > SMALL {
        let half = n / 2;
        let (top, bottom) = (x.block(0, 0, half, x.columns), x.block(half, 0, n - half, x.columns));
        forward(a.block(0, 0, half, half), top, threads);
        let left = a.block(half, 0, n - half, half);
        multiply(bottom, left, top, -T::real(1.0), T::real(1.0), [false; 2], threads);
        forward(a.block(half, half, n - half, n - half), bottom, threads);
        return;
    }
    for column in 0..x.columns {
        for row in 0..n {
            let mut sum = x.get(row, column);
            for before in 0..row {
                sum = sum - a.get(row, before) * x.get(before, column);
            }
            x.set(row, column, sum / a.get(row, row));
        }
    }
}

/// The batched routines around LU: `getrf`, `getri`, `getrs`, `matinv`. Pivots are counted from 1.
pub fn run<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    let a = task.matrix::<T>(0, n, n)?;
    match routine {
        Routine::Getrf => {
            let mut pivots: Vec<usize> = (0..n).collect();
            let info = factor(a.view, (task.order.result != 0).then_some(&mut pivots));
            a.store();
            set_pivots(task, &pivots)?;
            tell_info(task, info)
        }
        Routine::Getri => invert_into(task, a.view, &pivots(task, n)?),
        Routine::Getrs => {
            let pivots = pivots(task, n)?;
            let right = task.matrix::<T>(2, n, task.extent()[2])?;
            solve_factored(a.view, &pivots, task.order.transpose[0], right.view, task.threads);
            right.store();
            Ok(())
        }
        _ => {
            let mut copy: Vec<T> = (0..n * n).map(|index| a.view.get(index % n, index / n)).collect();
            let mut pivots: Vec<usize> = (0..n).collect();
            let view = View::of(&mut copy, n, n);
            match factor(view, Some(&mut pivots)) {
                0 => invert_into(task, view, &pivots),
                singular => tell_info(task, singular),
            }
        }
    }
}

/// LU with partial pivoting, in place; without pivots, rows stay where they are. The result is 0, or the first place (from 1)
/// where the diagonal is zero.
fn factor<T: Number>(a: View<T>, mut pivots: Option<&mut Vec<usize>>) -> i32 {
    let (n, mut info) = (a.rows, 0);
    for step in 0..n {
        if let Some(pivots) = pivots.as_deref_mut() {
            let best = (step..n).fold(step, |best, row| {
                if a.get(row, step).magnitude() > a.get(best, step).magnitude() { row } else { best }
            });
            pivots[step] = best;
            swap_rows(a, step, best);
        }
        let diagonal = a.get(step, step);
        if diagonal == T::real(0.0) {
            info = if info == 0 { step as i32 + 1 } else { info };
            continue;
        }
        (step + 1..n).for_each(|row| a.set(row, step, a.get(row, step) / diagonal));
        let rest = n - step - 1;
        let (left, top) = (a.block(step + 1, step, rest, 1), a.block(step, step + 1, 1, rest));
        let below = a.block(step + 1, step + 1, rest, rest);
        multiply(below, left, top, -T::real(1.0), T::real(1.0), [false; 2], 1);
    }
    info
}

fn swap_rows<T: Number>(a: View<T>, first: usize, second: usize) {
    if first != second {
        for column in 0..a.columns {
            let (upper, lower) = (a.get(first, column), a.get(second, column));
            a.set(first, column, lower);
            a.set(second, column, upper);
        }
    }
}

/// Solves with the factors of `factor`.
fn solve_factored<T: Number>(lu: View<T>, pivots: &[usize], transpose: u32, right: View<T>, threads: usize) {
    let n = lu.rows;
    let part = |upper: bool| -> Vec<T> {
        let value = |row: usize, column: usize| match (row == column, (row < column) == upper) {
            (true, _) => {
                if upper {
                    lu.get(row, row)
                } else {
                    T::real(1.0)
                }
            }
            (_, true) => lu.get(row, column),
            _ => T::real(0.0),
        };
        let conjugated = |value: T| if transpose == 2 { value.conjugate() } else { value };
        (0..n * n).map(|index| conjugated(value(index % n, index / n))).collect()
    };
    let (mut lower, mut upper) = (part(false), part(true));
    let (lower, upper) = (View::of(&mut lower, n, n), View::of(&mut upper, n, n));
    if transpose == 0 {
        pivots.iter().enumerate().for_each(|(row, other)| swap_rows(right, row, *other));
        solve(lower, false, right, threads);
        solve(upper, true, right, threads);
    } else {
        solve(upper.transposed(), false, right, threads);
        solve(lower.transposed(), true, right, threads);
        pivots.iter().enumerate().rev().for_each(|(row, other)| swap_rows(right, row, *other));
    }
}

/// The inverse of a factored matrix into the third place; a status of 0, or where the matrix is singular.
fn invert_into<T: Number>(task: &Task, lu: View<T>, pivots: &[usize]) -> Result<(), Refusal> {
    let n = lu.rows;
    if let Some(zero) = (0..n).find(|index| lu.get(*index, *index) == T::real(0.0)) {
        return tell_info(task, zero as i32 + 1);
    }
    let target = task.matrix::<T>(2, n, n)?;
    for index in 0..n * n {
        target.view.set(index % n, index / n, T::real(if index % n == index / n { 1.0 } else { 0.0 }));
    }
    solve_factored(lu, pivots, 0, target.view, task.threads);
    target.store();
    tell_info(task, 0)
}

/// This member's pivots, counted from 0; in place where the caller has none.
fn pivots(task: &Task, n: usize) -> Result<Vec<usize>, Refusal> {
    if task.order.result == 0 {
        return Ok((0..n).collect());
    }
    let read = |index: usize| -> Result<usize, Refusal> {
        let pivot = read_number::<f64>(task.memory, pivot_place(task, n, index), Element::I32, "pivots")?;
        Ok((pivot as usize).clamp(1, n) - 1)
    };
    (0..n).map(read).collect()
}

fn set_pivots(task: &Task, pivots: &[usize]) -> Result<(), Refusal> {
    if task.order.result == 0 {
        return Ok(());
    }
    for (index, pivot) in pivots.iter().enumerate() {
        let place = pivot_place(task, pivots.len(), index);
        write_number(task.memory, place, Element::I32, *pivot as f64 + 1.0, "pivots")?;
    }
    Ok(())
}

fn pivot_place(task: &Task, n: usize, index: usize) -> u64 {
    task.order.result + 4 * (task.member * n as u64 + index as u64)
}

fn tell_info(task: &Task, info: i32) -> Result<(), Refusal> {
    if task.order.info == 0 {
        return Ok(());
    }
    let place = task.order.info + 4 * task.member;
    write_number(task.memory, place, Element::I32, f64::from(info), "the status of a batch")
}
