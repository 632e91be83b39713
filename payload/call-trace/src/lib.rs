//! Calls of exported functions as `vgpu-run trace` shows them.
//!
//! Every payload library declares its functions by a macro (`exports!` in its `door.rs`), and the macro passes each through
//! [`through!`], which knows name, arguments and their types: so there is no list of functions here. What a type looks like in a
//! trace is said once, by [`Argument`]:
//!
//! - a number is a number, and `usize` and `u64` are left to the reader to tell sizes from addresses by the argument's name;
//! - behind `*mut T` lies what the call writes: shown when it has succeeded;
//! - behind `*const T` lies what it is given: shown for texts and structures, while lists are addresses;
//! - [`fields!`] declares what of a structure is shown, [`opaque!`] that nothing is.
//!
//! Nothing is ever read by a plain load: a program may pass any address, and a trace must not crash it.
//!
//! Without a trace a call costs one load and one branch.

mod argument;
mod memory;

use client::trace;
use wire::control::Caller;

pub use argument::{Argument, Shown};
#[doc(hidden)]
pub use client::trace::may_be_on;
#[doc(hidden)]
pub use wire::trace::value::Writer;

/// A library, and how its results are called.
pub struct Library {
    /// As the supervisor knows it.
    pub caller: Caller,
    /// Name of a result; empty: unknown.
    pub result: fn(u32) -> &'static str,
}

/// An argument and its name.
pub type Given<'a> = (&'static str, &'a dyn Argument);

/// Runs a call and writes down that it came, and what came of it.
#[cold]
#[inline(never)]
pub fn traced(library: &Library, name: &str, arguments: &[Given], run: &mut dyn FnMut() -> u32) -> u32 {
    let name = plain(name);
    let call = trace::call(library.caller, name, |to| {
        arguments.iter().for_each(|(name, argument)| argument.given(to, argument_name(name)));
    });
    let result = run();
    if let Some(call) = call {
        call.returns(result, (library.result)(result), |to| {
            if result == 0 {
                arguments.iter().for_each(|(name, argument)| argument.told(to, argument_name(name)));
            }
        });
    }
    result
}

/// `abi12_name` is a form of `name`.
fn plain(name: &str) -> &str {
    match name.strip_prefix("abi").and_then(|rest| rest.split_once('_')) {
        Some((major, plain)) if major.bytes().all(|digit| digit.is_ascii_digit()) => plain,
        _ => name,
    }
}

/// Arguments that we do not use begin with a line.
fn argument_name(name: &str) -> &str {
    name.trim_start_matches('_')
}

/// The body of an exported function: runs `$run`, and if calls are traced writes it down under `$name`.
#[macro_export]
macro_rules! through {
    ($library:expr, $name:ident ($($argument:ident: $type:ty),* $(,)?) $run:expr) => {{
        // In functions of their own, so that the arguments of a call that nobody traces stay in registers.
        #[allow(unused_unsafe, reason = "some bodies are safe")]
        #[inline]
        unsafe fn untraced_call($($argument: $type),*) -> u32 {
            $run
        }
        #[cold]
        #[inline(never)]
        unsafe fn traced_call($($argument: $type),*) -> u32 {
            let arguments: &[$crate::Given] = &[$((stringify!($argument), &$argument)),*];
            // SAFETY: the exported function's own arguments.
            let mut run = || unsafe { untraced_call($($argument),*) };
            $crate::traced(&$library, stringify!($name), arguments, &mut run)
        }
        // SAFETY: the exported function's own arguments.
        unsafe { if $crate::may_be_on() { traced_call($($argument),*) } else { untraced_call($($argument),*) } }
    }};
}

/// What of a structure is shown: `fields!(Type { field, … })`.
#[macro_export]
macro_rules! fields {
    ($($structure:ty { $($field:ident),* $(,)? })*) => {$(
        impl $crate::Shown for $structure {
            const IS_WHOLE: bool = true;
            fn show(&self, to: &mut $crate::Writer, name: &str) {
                to.fields(name, [$(stringify!($field)),*].len());
                $($crate::Shown::show(&self.$field, to, stringify!($field));)*
            }
        }
        $crate::by_value!($structure);
    )*};
}

/// Structures that are not looked into.
#[macro_export]
macro_rules! opaque {
    ($($structure:ty),* $(,)?) => {$(
        impl $crate::Shown for $structure {
            fn show(&self, to: &mut $crate::Writer, name: &str) {
                to.opaque(name);
            }
        }
        $crate::by_value!($structure);
    )*};
}

/// A type that is an argument as it is.
#[doc(hidden)]
#[macro_export]
macro_rules! by_value {
    ($type:ty) => {
        impl $crate::Argument for $type {
            fn given(&self, to: &mut $crate::Writer, name: &str) {
                $crate::Shown::show(self, to, name);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_name_are_shown_by_the_name() {
        assert_eq!(plain("abi12_cudaGetDeviceProperties"), "cudaGetDeviceProperties");
        assert_eq!(plain("cuMemAlloc_v2"), "cuMemAlloc_v2");
        assert_eq!(argument_name("_flags"), "flags");
    }

    static LIBRARY: Library = Library { caller: Caller::Driver, result: |_| "NAME" };

    /// # Safety
    /// None is needed.
    unsafe fn exported(a: u32, place: *mut u32) -> u32 {
        through!(LIBRARY, exported(a: u32, place: *mut u32) a + u32::from(place.is_null()))
    }

    #[test]
    fn call_that_nobody_traces_runs_and_is_not_asked_about_again() {
        for _ in 0..2 {
            // SAFETY: nothing is dereferenced.
            assert_eq!(unsafe { exported(4, std::ptr::null_mut()) }, 5);
        }
        assert!(!may_be_on(), "no supervisor answers here");
    }
}
