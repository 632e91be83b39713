//! The programs and libraries of one process, as its loader would see them.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use overlay::Seen;

use crate::inspect::{self, Facts, Import, inspect};
use crate::process::Process;

/// Facts of files, each read once.
#[derive(Debug, Default)]
pub struct Files {
    read: HashMap<PathBuf, Option<Rc<Facts>>>,
    ours: HashMap<&'static str, Option<Rc<Facts>>>,
}

impl Files {
    /// Facts of a file; `None` if it is no ELF file.
    pub fn facts(&mut self, path: &Path) -> Option<Rc<Facts>> {
        self.read.entry(path.to_owned()).or_insert_with(|| inspect(path).map(Rc::new)).clone()
    }

    /// Facts of a library of the payload.
    fn facts_of_ours(&mut self, library: &'static str, payload: &installation::Files) -> Option<Rc<Facts>> {
        let read = || inspect::read(&payload.read(library).ok()?).map(Rc::new);
        self.ours.entry(library).or_insert_with(read).clone()
    }
}

/// A program or library of a process.
#[derive(Clone, Debug)]
pub struct Object {
    /// The path that the process used.
    pub path: String,
    /// Its last component.
    pub name: String,
    /// What it says of itself.
    pub facts: Rc<Facts>,
    /// Whether we gave it.
    pub ours: bool,
}

/// All objects of a process, the program first, and the names that its loader looked for.
#[derive(Debug)]
pub struct Objects {
    /// In the order of their opens.
    pub all: Vec<Object>,
    probed: BTreeSet<String>,
}

/// What a loader can see when it resolves the symbols of one object.
#[derive(Debug)]
pub struct Scope<'a> {
    objects: Vec<&'a Object>,
    /// Needed libraries that were not found.
    pub missing: BTreeSet<&'a str>,
}

impl Objects {
    /// Reads the files of a process. `payload` has the libraries that we gave.
    pub fn of(process: &Process, payload: Option<&installation::Files>, files: &mut Files) -> Self {
        let mut objects = Self { all: Vec::new(), probed: BTreeSet::new() };
        // The kernel's link to the executable is a path from our root already.
        let program = process.executable.clone().unwrap_or_else(|| process.in_root(&process.program));
        objects.add(program.as_os_str().as_bytes(), files.facts(&program), false);
        let interpreter = objects.all.first().and_then(|program| program.facts.interpreter.clone());
        if let Some(interpreter) = interpreter {
            objects.add(
                interpreter.as_bytes(),
                files.facts(&process.in_root(Path::new(&interpreter))),
                false,
            );
        }
        for opened in &process.opened {
            let path = Path::new(OsStr::from_bytes(&opened.path));
            match (&opened.seen, payload) {
                (Some(Seen::Given { library, .. }), Some(payload)) => {
                    objects.add(&opened.path, files.facts_of_ours(library, payload), true)
                }
                _ => objects.add(&opened.path, files.facts(&process.in_root(path)), false),
            }
        }
        objects
    }

    /// The object that serves a needed library.
    pub fn serving(&self, needed: &str) -> Option<&Object> {
        let by_name = self.all.iter().find(|object| object.name == needed);
        by_name.or_else(|| self.all.iter().find(|object| object.facts.soname.as_deref() == Some(needed)))
    }

    /// Whether the loader looked for a file of this name.
    pub fn was_probed(&self, name: &str) -> bool {
        self.probed.contains(name)
    }

    /// The scope of an object: the program with all that it needs, then the object with all that it needs.
    pub fn scope<'a>(&'a self, object: &'a Object) -> Scope<'a> {
        let mut scope = Scope { objects: Vec::new(), missing: BTreeSet::new() };
        if let Some(program) = self.all.first() {
            self.add_needed(program, &mut scope);
        }
        scope.missing.clear();
        self.add_needed(object, &mut scope);
        scope
    }

    fn add(&mut self, path: &[u8], facts: Option<Rc<Facts>>, ours: bool) {
        let path = String::from_utf8_lossy(path).into_owned();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.probed.insert(name.clone());
        if let Some(facts) = facts {
            self.all.push(Object { path, name, facts, ours });
        }
    }

    fn add_needed<'a>(&'a self, object: &'a Object, scope: &mut Scope<'a>) {
        if scope.objects.iter().any(|known| std::ptr::eq(*known, object)) {
            return;
        }
        scope.objects.push(object);
        for needed in &object.facts.needed {
            match self.serving(needed) {
                Some(serving) => self.add_needed(serving, scope),
                None => drop(scope.missing.insert(needed)),
            }
        }
    }
}

impl Scope<'_> {
    /// Whether an import is satisfied.
    pub fn defines(&self, import: &Import) -> bool {
        self.objects.iter().any(|object| defines(object, import))
    }
}

/// Whether an object defines a symbol in a version that the import accepts. A library without version nodes serves any.
pub fn defines(object: &Object, import: &Import) -> bool {
    let Some(versions) = object.facts.exports.get(&import.name) else { return false };
    match &import.version {
        Some((_, node)) if !object.facts.nodes.is_empty() => {
            versions.iter().any(|version| version.as_ref() == Some(node))
        }
        _ => true,
    }
}
