//! PTX: a module that is taken can be printed, and what is printed is taken again and is the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ptx::Module;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(module) = Module::parse(text) else { return };
    for variable in module.variables() {
        let _ = module.initial_elements(variable);
    }
    for function in module.functions().iter().filter(|function| function.is_defined()) {
        let _ = (function.parameter_layout(), module.body(function).map(|body| body.verify().is_ok()));
    }
    let Ok(printed) = module.print() else { return };
    let again = Module::parse(printed.as_str()).unwrap_or_else(|error| panic!("{error} in\n{printed}"));
    assert_eq!(again.print().expect("it was printed before"), printed);
});
