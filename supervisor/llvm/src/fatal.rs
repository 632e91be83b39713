//! LLVM's fatal errors, turned into results.
//!
//! When LLVM can't go on it calls a handler, and ends the process when that returns. Unwinding or jumping out of it would
//! leave C++ frames without their destructors run, which its authors warn of. So the compilation has a thread of its own:
//! the handler sends the reason to whoever waits, and the thread sleeps for ever. It costs the memory of one compilation,
//! for an error that is a bug of LLVM or of the lowering. LLVM calls the handler without holding its own lock.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::io;
use std::sync::Once;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::{Error, ffi};

type Outcome<T> = Result<T, Error>;
type Report = Box<dyn Fn(String)>;

thread_local! {
    /// Who waits for this thread.
    static REPORT: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Runs `work` on a new thread, where a fatal error is an error of the work.
pub fn guarded<T: Send + 'static>(
    name: &str,
    stack: usize,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    install();
    let (sender, receiver) = channel::<Outcome<T>>();
    thread::Builder::new().name(name.to_owned()).stack_size(stack).spawn(move || {
        report_to(sender.clone());
        // One who no longer waits needs no answer.
        let _ = sender.send(work());
    })?;
    let silent = |_| Error::Thread(io::Error::other("the thread ended without an answer"));
    receiver.recv().map_err(silent)?
}

fn report_to<T: 'static>(sender: Sender<Outcome<T>>) {
    REPORT.set(Some(Box::new(move |reason| {
        let _ = sender.send(Err(Error::Fatal(reason)));
    })));
}

fn install() {
    static INSTALLED: Once = Once::new();
    // SAFETY: LLVM takes a handler once, and `Once` keeps a second call from that assertion; the function lives for ever.
    INSTALLED.call_once(|| unsafe { ffi::LLVMInstallFatalErrorHandler(on_fatal_error) });
}

extern "C" fn on_fatal_error(reason: *const c_char) {
    // SAFETY: LLVM passes a string that ends with zero and outlives this call.
    let reason = unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned();
    let reported =
        REPORT.with_borrow(|report| report.as_ref().map(|report| report(reason.clone())).is_some());
    if !reported {
        // LLVM is entered by `guarded` only, but for questions about the processor; it ends the process when we return.
        eprintln!("fatal error of LLVM: {reason}");
        return;
    }
    loop {
        thread::park();
    }
}
