//! BLAS's level 1.

use wire::blas::Routine;

use super::element::{Number, Stored};
use super::operand::Task;
use crate::work::Refusal;

const X: usize = 1;
const Y: usize = 2;

/// Routines that change vectors.
pub fn update<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    let mut x = task.vector::<T>(X, n)?;
    match routine {
        Routine::Scal => {
            let alpha = task.scalar::<T>(0)?;
            x.iter_mut().for_each(|value| *value = alpha * *value);
            return task.set_vector(X, &x);
        }
        Routine::Copy => return task.set_vector(Y, &x),
        _ => {}
    }
    let mut y = task.vector::<T>(Y, n)?;
    match routine {
        Routine::Axpy => {
            let alpha = task.scalar::<T>(0)?;
            y.iter_mut().zip(&x).for_each(|(y, x)| *y = alpha * *x + *y);
        }
        Routine::Swap => std::mem::swap(&mut x, &mut y),
        _ => {
            let (cosine, sine) = (task.scalar::<T>(0)?, task.scalar::<T>(1)?);
            for (x, y) in x.iter_mut().zip(&mut y) {
                (*x, *y) = (cosine * *x + sine * *y, cosine * *y - sine.conjugate() * *x);
            }
        }
    }
    if routine != Routine::Axpy {
        task.set_vector(X, &x)?;
    }
    task.set_vector(Y, &y)
}

/// Routines that make one number of vectors. Sums are kept in `f64`.
pub fn reduce<T: Number>(routine: Routine, task: &Task) -> Result<(), Refusal> {
    let n = task.extent()[1];
    let x = task.vector::<T>(X, n)?;
    match routine {
        Routine::Dotu | Routine::Dotc => {
            let y = task.vector::<T>(Y, n)?;
            let (real, imaginary) = dot(&x, &y, routine == Routine::Dotc);
            task.tell(T::from_parts(real, imaginary))
        }
        Routine::Nrm2 => task.tell(f64::sqrt(x.iter().map(|value| square(*value)).sum())),
        Routine::Asum => task.tell(x.iter().map(|value| value.magnitude()).sum::<f64>()),
        _ => task.tell(extreme(&x, routine == Routine::Iamax) as f64),
    }
}

fn square<T: Stored>(value: T) -> f64 {
    let (real, imaginary) = value.parts();
    real * real + imaginary * imaginary
}

fn dot<T: Number>(x: &[T], y: &[T], conjugated: bool) -> (f64, f64) {
    x.iter().zip(y).fold((0.0, 0.0), |(real, imaginary), (x, y)| {
        let ((a, b), (c, d)) = (x.parts(), y.parts());
        let b = if conjugated { -b } else { b };
        (real + a * c - b * d, imaginary + a * d + b * c)
    })
}

/// The first place of the largest or smallest magnitude, counted from 1; 0 where there is none.
fn extreme<T: Number>(x: &[T], largest: bool) -> usize {
    let mut found = 0;
    for (index, value) in x.iter().enumerate() {
        let magnitude = value.magnitude();
        let better = |best: f64| if largest { magnitude > best } else { magnitude < best };
        if found == 0 || better(x[found - 1].magnitude()) {
            found = index + 1;
        }
    }
    found
}
