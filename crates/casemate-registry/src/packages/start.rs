//! From an installed tree to a program and its arguments.

use std::ffi::OsString;
use std::path::Path;

use casemate_sandbox::environment;
use secrecy::SecretString;

use crate::asked::Asked;
use crate::error::Error;
use crate::npm::{self, bin};
use crate::prepared::{Origin, Prepared};
use crate::pypi::PYTHON;
use crate::pypi::script::{self, Script};
use crate::record::Kept;
use crate::runtime::{Node, Python};
use crate::shebang::Shebang;
use crate::shelf::Place;

/// Starts a program of a package of npm.
pub(super) fn npm(
    node: &Node,
    place: &Place,
    asked: &Asked,
    (kept, origin): (Kept, Origin),
) -> Result<Prepared, Error> {
    let tree = place.tree();
    let (file, package) = bin::find(&tree, asked)?;
    let file = tree.join(file);
    if !file.is_file() {
        // Most often it is compiled, or fetched, by the install script.
        return Err(match kept.record.scripts_skipped.contains(&package) {
            true => Error::NeedsScripts { package },
            false => Error::unfit(&package, "its program does not exist"),
        });
    }
    let shebang = Shebang::of(&file).map_err(Error::file("read", &file))?;
    let mut args: Vec<OsString> = Vec::new();
    let program = match &shebang {
        Shebang::Interpreter { options, .. } if shebang.is("node") => {
            args.extend(options.iter().map(OsString::from));
            args.push(file.into());
            node.program.clone()
        }
        Shebang::None if is_javascript(&file) => {
            args.push(file.into());
            node.program.clone()
        }
        Shebang::Interpreter { .. } | Shebang::None => file,
    };
    args.extend(asked.args.iter().map(OsString::from));
    let own = tree.join("node_modules/.bin");
    let folder = node.program.parent().unwrap_or(Path::new("/usr/bin"));
    let path = format!("{}:{}:{}", own.display(), folder.display(), environment::PATH);
    Ok(Prepared {
        program,
        args,
        tree,
        runtime: node.runtime(),
        env: vec![("PATH".into(), SecretString::from(path))],
        lock_sha256: kept.sha256,
        lock: place.lock(),
        scripts_ran: kept.record.scripts_ran,
        scripts_skipped: kept.record.scripts_skipped,
        origin,
    })
}

/// Starts a program of a package of PyPI.
pub(super) fn pypi(
    python: &Python,
    place: &Place,
    asked: &Asked,
    (kept, origin): (Kept, Origin),
) -> Result<Prepared, Error> {
    let tree = place.tree();
    let mut args: Vec<OsString> = Vec::new();
    let program = match script::find(&tree, &python.about.packages, asked)? {
        Script::Python(file) => {
            args.push(file.into());
            tree.join(PYTHON)
        }
        Script::Program(file) => file,
    };
    args.extend(asked.args.iter().map(OsString::from));
    let path = format!("{}:{}", tree.join("bin").display(), environment::PATH);
    let variable = |name: &str, value: String| (OsString::from(name), SecretString::from(value));
    Ok(Prepared {
        program,
        args,
        runtime: python.runtime(),
        env: vec![
            variable("PATH", path),
            variable("VIRTUAL_ENV", tree.to_string_lossy().into_owned()),
            // Everything was compiled when it was installed, and nothing can be written here.
            variable("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ],
        tree,
        lock_sha256: kept.sha256,
        lock: place.lock(),
        scripts_ran: kept.record.scripts_ran,
        scripts_skipped: kept.record.scripts_skipped,
        origin,
    })
}

/// Refuses packages that consist of source for a compiler, and come without what it would make of it.
pub(super) fn refuse_unbuilt(tree: &Path, scripted: &[String]) -> Result<(), Error> {
    let unbuilt = |name: &&String| {
        let folder = npm::folder(tree, name);
        folder.join("binding.gyp").exists()
            && !["prebuilds", "build/Release"].iter().any(|built| folder.join(built).exists())
    };
    match scripted.iter().find(unbuilt) {
        Some(package) => Err(Error::NeedsScripts { package: package.clone() }),
        None => Ok(()),
    }
}

fn is_javascript(file: &Path) -> bool {
    file.extension().is_none_or(|kind| ["js", "mjs", "cjs"].iter().any(|known| kind == *known))
        && !is_machine_code(file)
}

fn is_machine_code(file: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"\x7fELF"
}
