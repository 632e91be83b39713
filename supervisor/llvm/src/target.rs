//! For which processor code is made, and how.

use std::sync::Once;

use crate::ffi;
use crate::text::Message;

/// The passes of a [`Target`] unless told otherwise, in the syntax of `opt -passes=…`.
///
/// Short: the lowering has done what it knows better than LLVM. Of 200 kernels with 58 KB of text on average, compiling takes 47 ms
/// each with these passes, 45 with none but `sroa`, 57 with `default<O1>` and 64 with `default<O2>`; parsing and verifying are 2 of
/// that, the code generator nearly all the rest. `no-verify-fixpoint`, as instcombine otherwise takes a module
/// that needs a second round for a fatal error when it is named in a text.
pub const PASSES: &str = "function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,\
    loop-mssa(loop-rotate,licm),gvn,dse,instcombine<no-verify-fixpoint>,simplifycfg)";

/// A processor, passes, and how much time the code generator may take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    cpu: String,
    features: String,
    passes: String,
    level: Level,
}

/// How hard the code generator tries. At `None` it is another one, FastISel, which is quick and writes poor code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Level {
    /// `-O0`.
    None,
    /// `-O1`.
    Less,
    /// `-O2`.
    Default,
    /// `-O3`.
    Aggressive,
}

impl Target {
    /// This machine's processor, with all that it has but what LLVM 19 makes wrong code for.
    pub fn host() -> Target {
        // SAFETY: both return a string that is ours to free, which `Message` does.
        let (cpu, features) = unsafe {
            (Message::from_raw(ffi::LLVMGetHostCPUName()), Message::from_raw(ffi::LLVMGetHostCPUFeatures()))
        };
        Target::new(&cpu.to_string(), &without_faulty(&features.to_string()))
    }

    /// What every machine has on which the engine runs: AVX2, FMA, F16C, BMI, BMI2, POPCNT and LZCNT. It is also the level at which
    /// benchmarks compare.
    pub fn avx2() -> Target {
        Target::new("x86-64-v3", "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+lzcnt")
    }

    // Not public: a processor or feature that LLVM does not know it reports on standard error, and goes on.
    fn new(cpu: &str, features: &str) -> Target {
        Target { cpu: cpu.into(), features: features.into(), passes: PASSES.into(), level: Level::Default }
    }

    /// With other passes, in the syntax of `opt -passes=…`. An empty text is no pass.
    pub fn with_passes(self, passes: &str) -> Target {
        Target { passes: passes.into(), ..self }
    }

    /// With another level of the code generator.
    pub fn with_level(self, level: Level) -> Target {
        Target { level, ..self }
    }

    /// The passes that are run.
    pub fn passes(&self) -> &str {
        &self.passes
    }

    /// The level of the code generator.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The processor's name, as LLVM has it.
    pub fn cpu(&self) -> &str {
        &self.cpu
    }

    /// Features in LLVM's notation: `+avx2,-avx512f`.
    pub fn features(&self) -> &str {
        &self.features
    }

    /// All that an object depends on besides its text, in words: two targets with the same make the same code of a text.
    pub fn identity(&self) -> String {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: writes three numbers.
        unsafe { ffi::LLVMGetVersion(&mut major, &mut minor, &mut patch) };
        let Target { cpu, features, passes, level } = self;
        format!("LLVM {major}.{minor}.{patch} {cpu} {features} {passes} {level:?}")
    }

    /// Whether code may use `feature`: `avx2`, `avx512vl`, `avx512vnni`, `avxvnni`.
    pub fn has(&self, feature: &str) -> bool {
        let named = |word: &&str| word.get(1..) == Some(feature);
        self.features.split(',').rfind(named).is_some_and(|word| word.starts_with('+'))
    }
}

/// Features of a processor but `avx512fp16`: there LLVM 19 swaps what a masked comparison compares, and not the comparison
/// (llvm/llvm-project#159723, mended in 22). Of a feature that is named twice LLVM believes the last.
fn without_faulty(features: &str) -> String {
    format!("{features},-avx512fp16")
}

/// Tells LLVM that there is x86.
pub fn register() {
    static REGISTERED: Once = Once::new();
    // SAFETY: these fill LLVM's table of targets, once, before anybody here looks into it.
    REGISTERED.call_once(|| unsafe {
        ffi::LLVMInitializeX86TargetInfo();
        ffi::LLVMInitializeX86Target();
        ffi::LLVMInitializeX86TargetMC();
        ffi::LLVMInitializeX86AsmPrinter();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_arithmetic_is_not_the_processors() {
        let target = Target::new("sapphirerapids", &without_faulty("+avx2,+avx512fp16,-amx-fp16"));
        assert!(target.has("avx2") && !target.has("avx512fp16") && !target.has("amx-fp16"));
        assert!(!Target::host().has("avx512fp16"));
        // The name alone stands for it: LLVM must have read the last word.
        let ir = "define i32 @k(ptr %a, ptr %b) {\n %x = load <32 x half>, ptr %a\n %y = load <32 x half>, ptr %b\n \
                  %c = fcmp uge <32 x half> %x, %y\n %w = bitcast <32 x i1> %c to i32\n ret i32 %w\n}\n";
        let plain = crate::compile(ir, &target).expect("an object");
        let native = crate::compile(ir, &Target::new("sapphirerapids", "+avx512fp16")).expect("an object");
        // An instruction for all lanes, or conversions before one for half of them.
        assert!(native.len() < plain.len(), "{} and {} bytes", native.len(), plain.len());
    }
}
