//! Fields of bits that are put together, kept from a mistake of LLVM 19 in code for AVX-512.
//!
//! `x & C | y & !C` becomes an instruction with a truth table there. Where a mask leaves some lanes what they had, and that is one
//! of the operands, the operands are reordered, and two of the six reorderings have each other's table if `C` comes from memory
//! (llvm/llvm-project#157929, mended in July 2026). LLVM takes that way only where it sees that both masks are constants, when it
//! generates code: so one of them is loaded from a constant's place, into which it does not look.

use crate::ffi;

/// Hides one mask of each pair in a module.
///
/// # Safety
///
/// The module must live, and nobody else may look at it meanwhile.
pub unsafe fn hide_masks(module: *mut ffi::Module) {
    // SAFETY: functions, blocks and instructions are the module's, and alive: nothing is removed. Operands are asked of instructions
    // that have them. What is inserted stands before the instruction that is looked at.
    unsafe {
        let builder = ffi::LLVMCreateBuilderInContext(ffi::LLVMGetModuleContext(module));
        let mut function = ffi::LLVMGetFirstFunction(module);
        while !function.is_null() {
            let mut block = ffi::LLVMGetFirstBasicBlock(function);
            while !block.is_null() {
                let mut instruction = ffi::LLVMGetFirstInstruction(block);
                while !instruction.is_null() {
                    if let Some(masked) = first_of_pair(instruction) {
                        hide_mask(module, builder, masked);
                    }
                    instruction = ffi::LLVMGetNextInstruction(instruction);
                }
                block = ffi::LLVMGetNextBasicBlock(block);
            }
            function = ffi::LLVMGetNextFunction(function);
        }
        ffi::LLVMDisposeBuilder(builder);
    }
}

/// The first of two vectors under constant masks that an instruction puts together. A sum and a difference of bits of which no two
/// meet are taken for the same.
unsafe fn first_of_pair(instruction: *mut ffi::Value) -> Option<*mut ffi::Value> {
    // SAFETY: each of these instructions has two operands.
    unsafe {
        let joins = [ffi::OR, ffi::XOR, ffi::ADD].contains(&ffi::LLVMGetInstructionOpcode(instruction));
        if !joins || ffi::LLVMGetTypeKind(ffi::LLVMTypeOf(instruction)) != ffi::VECTOR_TYPE {
            return None;
        }
        let [first, second] = [0, 1].map(|operand| masked(ffi::LLVMGetOperand(instruction, operand)));
        first.filter(|_| second.is_some())
    }
}

/// What a value is behind reinterpretations, if that is an `and` with a constant.
unsafe fn masked(mut value: *mut ffi::Value) -> Option<*mut ffi::Value> {
    // SAFETY: only instructions are asked for their kind, and these have the operands that they are asked for.
    unsafe {
        while !ffi::LLVMIsAInstruction(value).is_null() {
            match ffi::LLVMGetInstructionOpcode(value) {
                ffi::BIT_CAST => value = ffi::LLVMGetOperand(value, 0),
                ffi::AND => {
                    let is_masked = ffi::LLVMIsConstant(ffi::LLVMGetOperand(value, 1)) != 0;
                    return is_masked.then_some(value);
                }
                _ => return None,
            }
        }
        None
    }
}

/// Loads an `and`'s mask.
unsafe fn hide_mask(module: *mut ffi::Module, builder: *mut ffi::Builder, masked: *mut ffi::Value) {
    // SAFETY: the constant is the initial value of a variable of its type; the load stands before its user.
    unsafe {
        let mask = ffi::LLVMGetOperand(masked, 1);
        let ty = ffi::LLVMTypeOf(mask);
        let place = ffi::LLVMAddGlobal(module, ty, c"mask".as_ptr());
        ffi::LLVMSetInitializer(place, mask);
        ffi::LLVMSetGlobalConstant(place, 1);
        ffi::LLVMSetUnnamedAddress(place, ffi::GLOBAL_UNNAMED_ADDRESS);
        ffi::LLVMSetLinkage(place, ffi::PRIVATE_LINKAGE);
        ffi::LLVMPositionBuilderBefore(builder, masked);
        let load = ffi::LLVMBuildLoad2(builder, ty, place, c"".as_ptr());
        ffi::LLVMSetOperand(masked, 1, load);
    }
}
