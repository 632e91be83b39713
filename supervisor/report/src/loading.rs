//! Whether the system's loader finds all that a file needs.
//!
//! The loader itself says so, in its mode that lists: asked to bind at once and to warn, it maps the file and all that it needs,
//! resolves every symbol as `dlopen(RTLD_NOW)` does, and runs nothing of them. `vgpu-run` has it do that as a program of a tree
//! like any other, so it meets our libraries where a program would.

use std::path::Path;

/// What has the loader list instead of run, and name each symbol that nothing defines. Its option `--list` would end at the first
/// library that is not found, and say nothing of symbols. vgpu-run itself is static, and heeds none of them.
pub const VARIABLES: [(&str, &str); 3] =
    [("LD_TRACE_LOADED_OBJECTS", "1"), ("LD_BIND_NOW", "1"), ("LD_WARN", "yes")];

/// The loader of glibc programs, for libraries, which name none.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// What the loader said of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Libraries that it looked for, those of libraries too, and where they were found.
    pub libraries: Vec<(String, Option<String>)>,
    /// Symbols that nothing defines.
    pub undefined: Vec<Undefined>,
    /// Everything else that would fail, in the loader's words.
    pub errors: Vec<String>,
}

/// A symbol that nothing defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undefined {
    /// Its name.
    pub symbol: String,
    /// The version that is wanted.
    pub version: Option<String>,
    /// The file that wants it.
    pub file: String,
}

impl Loading {
    /// Reads what the loader printed on its standard output and error.
    pub fn parse(output: &str, complaints: &str) -> Self {
        let mut loading = Self {
            libraries: output.lines().filter_map(library).collect(),
            undefined: complaints.lines().filter_map(undefined).collect(),
            errors: complaints.lines().filter_map(error).collect(),
        };
        // Each library complains of a version by itself, and again of each symbol in it.
        loading.errors.dedup();
        loading
    }

    /// Where a library was found: `None` if the loader did not look for it.
    pub fn place(&self, library: &str) -> Option<Option<&str>> {
        let found = self.libraries.iter().find(|(name, _)| name == library);
        found.map(|(_, place)| place.as_deref())
    }

    /// Libraries that were not found.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.libraries.iter().filter(|(_, place)| place.is_none()).map(|(name, _)| name.as_str())
    }
}

/// `\tlibc.so.6 => /lib/libc.so.6 (0x…)`, or `\tlibx.so => not found`.
fn library(line: &str) -> Option<(String, Option<String>)> {
    let (name, place) = line.strip_prefix('\t')?.split_once(" => ")?;
    let place = place.rsplit_once(" (0x").map(|(path, _)| path.to_owned());
    Some((name.to_owned(), place))
}

/// `undefined symbol: name, version node\t(file)`.
fn undefined(line: &str) -> Option<Undefined> {
    let (symbol, file) = line.strip_prefix("undefined symbol: ")?.split_once('\t')?;
    let (symbol, version) = symbol
        .split_once(", version ")
        .map_or((symbol, None), |(symbol, version)| (symbol, Some(version.to_owned())));
    let file = file.strip_prefix('(')?.strip_suffix(')')?;
    Some(Undefined { symbol: symbol.to_owned(), version, file: file.to_owned() })
}

/// Versions that a library lacks, and files that are no libraries.
fn error(line: &str) -> Option<String> {
    let of_version = line.contains(": version `") && line.contains("' not found (required by ");
    let of_file = line.split_once(": error while loading shared libraries: ");
    of_file.map(|(_, error)| error).or(of_version.then_some(line)).map(str::to_owned)
}

/// Programs that define symbols which their extensions leave open, by how these begin.
const HOSTS: [(&str, &str); 7] = [
    ("Py", "Python"),
    ("_Py", "Python"),
    ("napi_", "Node.js"),
    ("node_api_", "Node.js"),
    ("_ZN2v8", "Node.js"),
    ("_ZNK2v8", "Node.js"),
    ("lua", "Lua"),
];

/// The program that brings this symbol with it when it loads an extension.
pub fn host(symbol: &str) -> Option<&'static str> {
    HOSTS.iter().find(|(prefix, _)| symbol.starts_with(prefix)).map(|(_, host)| *host)
}

/// The loader to ask about a file with this interpreter; `None` if that is none of glibc's.
pub fn loader(interpreter: Option<&str>) -> Option<&Path> {
    let loader = interpreter.unwrap_or(LOADER);
    loader.contains("/ld-linux-x86-64.so").then_some(Path::new(loader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_prints_is_understood() {
        let output = "\tlinux-vdso.so.1 (0x00007f7c261ae000)\n\
             \tlibcudart.so.12 => /a cache/libcudart.so.12 (0x00007f7c260f9000)\n\
             \tlibcufft.so.11 => not found\n\
             \t/lib64/ld-linux-x86-64.so.2 (0x00007f7c261b0000)\n";
        let wrong = "./d.so: /x/libcudart.so.12: version `libcudart.so.99' not found (required by ./d.so)";
        let complaints = format!(
            "{wrong}\n{wrong}\nundefined symbol: cuNewer\t(./d.so)\n\
             undefined symbol: cudaFree, version libcudart.so.99\t(./d.so)\nerror: something of vgpu-run's\n"
        );
        let loading = Loading::parse(output, &complaints);
        let [cuda, version] = &loading.undefined[..] else { panic!("{loading:?}") };
        assert_eq!((cuda.symbol.as_str(), cuda.version.as_deref()), ("cuNewer", None));
        assert_eq!((version.symbol.as_str(), version.file.as_str()), ("cudaFree", "./d.so"));
        assert_eq!(version.version.as_deref(), Some("libcudart.so.99"));
        assert_eq!(loading.errors, [wrong]);
        assert_eq!(loading.missing().collect::<Vec<_>>(), ["libcufft.so.11"]);
        assert_eq!(loading.place("libcudart.so.12"), Some(Some("/a cache/libcudart.so.12")));
        assert_eq!(loading.place("libcufft.so.11"), Some(None));
        assert_eq!(loading.place("linux-vdso.so.1"), None);
    }

    #[test]
    fn files_that_are_no_libraries_are_told() {
        let said = "/x.so: error while loading shared libraries: /x.so: invalid ELF header\n";
        assert_eq!(Loading::parse("", said).errors, ["/x.so: invalid ELF header"]);
    }

    #[test]
    fn extensions_leave_symbols_to_their_host() {
        assert_eq!(host("PyLong_FromLong"), Some("Python"));
        assert_eq!(host("napi_create_function"), Some("Node.js"));
        assert_eq!(host("shim_log"), None);
    }
}
