//! The programs of a package: what its wheel has put into `bin`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::listing::normal;
use crate::asked::Asked;
use crate::error::Error;
use crate::shebang::Shebang;
use crate::shelf;

/// The largest list of a package's files that is read, in bytes. Those of the largest packages have a few megabytes.
const RECORD_BYTES_MAX: u64 = 32 << 20;

/// How many names of programs an error tells.
const TOLD_MAX: usize = 10;

/// How a program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Script {
    /// By the tree's Python.
    Python(PathBuf),
    /// By itself.
    Program(PathBuf),
}

/// Finds the program that an asked command is. Only packages that were asked for are looked at: what the others bring along
/// was not named by anybody.
pub(crate) fn find(tree: &Path, packages: &Path, asked: &Asked) -> Result<Script, Error> {
    let title = asked.packages.first().map(|package| package.name.clone()).unwrap_or_default();
    let command = asked.command.clone().unwrap_or_else(|| title.clone());
    let mut there = Vec::new();
    for package in &asked.packages {
        there.extend(programs(&tree.join(packages), &package.name)?);
    }
    let by_name = there.iter().find(|name| **name == command);
    // The package alone was named: then its program may be spelled otherwise, or be its only one.
    let is_title = command == title;
    let spelled = there.iter().find(|name| is_title && normal(name) == normal(&command));
    let only = there.first().filter(|_| is_title && there.len() == 1);
    let Some(name) = by_name.or(spelled).or(only) else {
        there.truncate(TOLD_MAX);
        return Err(Error::NoProgram { package: title, command, there });
    };
    let file = tree.join("bin").join(name);
    match is_python(&file).map_err(Error::file("read", &file))? {
        true => Ok(Script::Python(file)),
        false => Ok(Script::Program(file)),
    }
}

/// The files that a package has in `bin`, by the list that every installer writes
/// (<https://packaging.python.org/en/latest/specifications/recording-installed-packages/>).
fn programs(packages: &Path, name: &str) -> Result<Vec<String>, Error> {
    let file = |doing| Error::file(doing, packages);
    for entry in fs::read_dir(packages).map_err(file("look through"))? {
        let entry = entry.map_err(file("look through"))?;
        let folder = entry.file_name().to_string_lossy().into_owned();
        let owner = folder.strip_suffix(".dist-info").and_then(|owner| owner.rsplit_once('-'));
        if owner.is_some_and(|(owner, _)| normal(owner) == normal(name)) {
            let path = entry.path().join("RECORD");
            let text = shelf::read_at_most(&path, RECORD_BYTES_MAX).map_err(Error::file("read", &path))?;
            let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
            return Ok(text.lines().filter_map(program).map(str::to_owned).collect());
        }
    }
    Ok(Vec::new())
}

/// `x` of `../../../bin/x,sha256=…,226`
fn program(row: &str) -> Option<&str> {
    let path = row.trim_start_matches('"').trim_start_matches("../").strip_prefix("bin/")?;
    let name = path.split([',', '"']).next()?;
    (row.starts_with("../") && !name.contains('/') && !name.is_empty() && name != "..").then_some(name)
}

/// Whether Python runs it. Where the path of the interpreter is too long for the kernel, installers write a script for the
/// shell that is one for Python too.
fn is_python(file: &Path) -> io::Result<bool> {
    if Shebang::of(file)?.is("python") {
        return Ok(true);
    }
    let mut start = Vec::new();
    File::open(file)?.take(64).read_to_end(&mut start)?;
    Ok(start.starts_with(b"#!/bin/sh\n'''exec' "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], line: &[&str]) -> Result<Script, String> {
        let tree = tempfile::tempdir().unwrap();
        let info = tree.path().join("lib/My_Server-1.0.dist-info");
        fs::create_dir_all(&info).unwrap();
        fs::create_dir_all(tree.path().join("bin")).unwrap();
        let mut record = "my_server/__init__.py,,\nmy_server/bin/x,,\n".to_owned();
        for (name, text) in files {
            record.push_str(&format!("../../../bin/{name},sha256=x,1\n"));
            fs::write(tree.path().join("bin").join(name), text).unwrap();
        }
        fs::write(info.join("RECORD"), record).unwrap();
        fs::write(tree.path().join("bin/foreign"), "").unwrap();
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let asked = Asked::recognize("uvx", &line).unwrap().unwrap();
        let found = find(tree.path(), Path::new("lib"), &asked);
        let found = found.map_err(|fault| format!("{fault}; {}", fault.hint()))?;
        let short = |path: PathBuf| path.strip_prefix(tree.path()).unwrap().to_owned();
        Ok(match found {
            Script::Python(path) => Script::Python(short(path)),
            Script::Program(path) => Script::Program(short(path)),
        })
    }

    #[test]
    fn the_program_is_the_named_one_or_the_packages_own() {
        let python = |name: &str| Ok(Script::Python(Path::new("bin").join(name)));
        let shebang = "#!/long/bin/python3\n";
        let trick = "#!/bin/sh\n'''exec' \"/very/long/python\" \"$0\" \"$@\"\n' '''\nimport sys\n";
        let both = [("my-server", shebang), ("other", trick)];
        assert_eq!(found(&both, &["my-server==1.0"]), python("my-server"));
        assert_eq!(found(&both, &["--from", "my-server==1.0", "other"]), python("other"));
        assert_eq!(found(&both[..1], &["My_Server==1.0"]), python("my-server"));
        assert_eq!(found(&both[1..], &["my-server==1.0"]), python("other"));
        let shell = Ok(Script::Program("bin/run".into()));
        assert_eq!(found(&[("run", "#!/bin/sh\necho\n")], &["my-server==1.0"]), shell);
    }

    #[test]
    fn what_nobody_named_does_not_run() {
        let files = [("a", ""), ("b", "")];
        assert_eq!(
            found(&files, &["my-server==1.0"]).unwrap_err(),
            "my-server brings no program called my-server; it brings a, b"
        );
        let fault = found(&files, &["--from", "my-server==1.0", "foreign"]).unwrap_err();
        assert!(fault.contains("no program called foreign"), "{fault}");
        let fault = found(&[], &["my-server==1.0"]).unwrap_err();
        assert!(fault.contains("it is a library"), "{fault}");
    }

    #[test]
    fn a_list_of_files_leads_nowhere_else() {
        for row in
            ["bin/x,,", "../../../bin/../x,,", "../../../bin/..,,", "../../../bin/,,", "x/../bin/y,,", ""]
        {
            assert_eq!(program(row), None, "{row}");
        }
        assert_eq!(program("../../../bin/x,sha256=a,1"), Some("x"));
    }
}
