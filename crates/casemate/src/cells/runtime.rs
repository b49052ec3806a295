//! The program of a server, and what has to be seen for it to run: the installation that it is part of.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casemate_sandbox::{CellSpec, environment};

use super::Refused;

/// Links, interpreters and environments that lead on from one program. More is a loop.
const HOPS_MAX: usize = 32;
/// How much of a program is looked at for the name of its interpreter; the kernel looks at as much.
const FIRST_LINE_BYTES: u64 = 256;

/// What of the host a program needs to run.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    /// The program's path, as it is to be started. What is above its file name has no links in it.
    pub(super) program: PathBuf,
    /// Files and folders to be shown, without links.
    pub(super) shown: Vec<PathBuf>,
    /// Links to be shown as links.
    pub(super) links: Vec<PathBuf>,
    /// Where it finds other programs, besides the fixed `PATH`: of the user's folders, those that it sees.
    pub(super) search: Vec<PathBuf>,
}

impl Runtime {
    /// Finds a program as its server would: a name in the user's folders and in the fixed `PATH`, a relative path from the
    /// working directory.
    pub(super) fn find(program: &Path, cwd: Option<&Path>, search: &[PathBuf]) -> Result<Runtime, Refused> {
        let found = locate(program, cwd, search)?;
        let mut runtime = Runtime { program: plain(&found).unwrap_or(found), ..Runtime::default() };
        runtime.follow(search);
        runtime.search = search.iter().filter(|folder| runtime.sees(folder)).cloned().collect();
        Ok(runtime)
    }

    /// Follows the program through its links and interpreters, and shows what each is part of.
    fn follow(&mut self, search: &[PathBuf]) {
        let mut ahead = VecDeque::from([self.program.clone()]);
        for _ in 0..HOPS_MAX {
            let Some(path) = ahead.pop_front() else { return };
            match path.read_link() {
                Ok(to) => {
                    let folder = path.parent().unwrap_or(Path::new("/"));
                    self.show_link(&path);
                    ahead.extend(plain(&folder.join(to)));
                }
                Err(_) => {
                    self.show(installation(&path).unwrap_or_else(|| path.clone()));
                    ahead.extend(interpreter(&path, search).and_then(|path| plain(&path)));
                }
            }
        }
    }

    fn show(&mut self, path: PathBuf) {
        if !is_everywhere(&path) && !self.shown.iter().any(|shown| path.starts_with(shown)) {
            self.shown.retain(|shown| !shown.starts_with(&path));
            self.shown.push(path);
        }
    }

    /// A link that lies in an installation is shown with it: a virtual environment is told by the link to its interpreter.
    fn show_link(&mut self, link: &Path) {
        match installation(link) {
            Some(installation) => self.show(installation),
            None if is_everywhere(link) => {}
            None => self.links.push(link.to_owned()),
        }
    }

    fn sees(&self, folder: &Path) -> bool {
        let shown = self.shown.iter().any(|shown| folder.starts_with(shown) || shown.starts_with(folder));
        shown || is_everywhere(folder) || self.links.iter().any(|link| link.starts_with(folder))
    }
}

/// Whether every cell shows it.
fn is_everywhere(path: &Path) -> bool {
    CellSpec::RUNTIME.iter().any(|runtime| path.starts_with(runtime))
}

/// The path with every link resolved but one in its last part.
fn plain(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

fn locate(program: &Path, cwd: Option<&Path>, search: &[PathBuf]) -> Result<PathBuf, Refused> {
    let is_path = program.as_os_str().as_encoded_bytes().contains(&b'/');
    if is_path {
        let path = cwd.unwrap_or(Path::new("/")).join(program);
        return match path.metadata() {
            Ok(found) if found.is_file() && is_executable(&found) => Ok(path),
            Ok(_) => Err(Refused::new(
                format!("{} is no program", path.display()),
                "name a file that has execute permission for this user (chmod +x)",
            )),
            Err(error) => Err(Refused::new(
                format!("the program {} cannot be found: {error}", path.display()),
                "check the path; a relative one starts at the working directory",
            )),
        };
    }
    let fixed = std::env::split_paths(environment::PATH);
    let mut candidates = search.iter().cloned().chain(fixed).map(|folder| folder.join(program));
    candidates
        .find(|path| path.metadata().is_ok_and(|found| found.is_file() && is_executable(&found)))
        .ok_or_else(|| {
            Refused::new(
                format!("no program is called {:?}", program.display().to_string()),
                "install it, or give its absolute path; a server does not see the PATH of your shell",
            )
        })
}

fn is_executable(found: &std::fs::Metadata) -> bool {
    found.permissions().mode() & 0o111 != 0
}

/// The folder of the installation that a program is part of, when it is one that holds nothing else: a virtual
/// environment, a version of node or python, a `node_modules`. A program that merely lies in a person's `bin` is none.
fn installation(program: &Path) -> Option<PathBuf> {
    if let Some(modules) = outermost(program, "node_modules") {
        return Some(modules);
    }
    let folder = program.parent()?;
    let prefix = folder.parent()?;
    let is_personal =
        prefix.file_name().is_none_or(|name| name == ".local") || CellSpec::fault(prefix).is_some();
    if is_personal || is_everywhere(prefix) {
        return None;
    }
    let is_one = match folder.file_name()?.to_str()? {
        "bin" => MARKS.iter().any(|mark| prefix.join(mark).exists()) || has_python(prefix),
        "shims" => prefix.join("versions").is_dir(),
        _ => false,
    };
    is_one.then(|| prefix.to_owned())
}

/// What an installation has, and a person's home has not.
const MARKS: [&str; 6] =
    ["pyvenv.cfg", "lib/node_modules", "include/node", "conda-meta", "lib/modules", "lib/ruby"];

/// Whether the folder of a python's modules is there, whose name has the version in it.
fn has_python(prefix: &Path) -> bool {
    let entries = std::fs::read_dir(prefix.join("lib")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("python3."))
}

/// The outermost folder of a name that a path lies in.
fn outermost(path: &Path, name: &str) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .filter(|folder| folder.file_name().is_some_and(|found| found == name))
        .last()
        .map(Path::to_owned)
}

/// What a script names in its first line, and for a virtual environment the installation that it was made from.
fn interpreter(program: &Path, search: &[PathBuf]) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(FIRST_LINE_BYTES).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let named = Path::new(words.next()?);
    if named.file_name()? != "env" {
        return Some(named.to_owned());
    }
    // Options of env, and variables that it sets, come before the program.
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    locate(Path::new(program), None, search).ok()
}

#[cfg(test)]
mod tests;
