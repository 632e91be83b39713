//! PTX text: an error or a module, never a panic; the text that an accepted module is printed as is accepted too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(module) = ptx::Module::parse(text) else { return };
    for variable in module.variables() {
        let _ = module.initial_elements(variable);
    }
    for function in module.functions() {
        let _ = function.parameter_layout();
        if let Ok(body) = module.body(function) {
            let _ = body.verify();
        }
    }
    if let Ok(printed) = module.print() {
        assert!(ptx::Module::parse(printed.as_str()).is_ok(), "printed and not accepted:\n{printed}");
    }
});
