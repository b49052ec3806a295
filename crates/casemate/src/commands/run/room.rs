//! From what was typed to what is asked of the sandbox.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use casemate_sandbox::{Access, CellSpec, Kind, Spec, environment};
use secrecy::SecretString;

use crate::args::cells::{Room, Variable};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The command in its cell.
pub(super) fn spec(context: &Context, room: &Room, command: &[String]) -> anyhow::Result<Spec> {
    let (program, args) = command.split_first().context("there is no command")?;
    let cell = if room.allow_unsandboxed { None } else { Some(cell(room, program)?) };
    if let Some(cell) = &cell {
        warn_of_unseen(context, cell, args);
    }
    let search = context.environment.server_folders();
    let search: Vec<&Path> = search.iter().map(PathBuf::as_path).collect();
    let base = environment::base(Path::new("/tmp"), Path::new("/tmp"), &search);
    let named =
        room.env.iter().map(|variable| value(context, variable)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Spec {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        env: environment::merge(base, named),
        cwd: cell.as_ref().and_then(cwd),
        label: "run".to_owned(),
        cell,
    })
}

fn cell(room: &Room, program: &str) -> anyhow::Result<CellSpec> {
    let mut cell = CellSpec::new(if room.light { Kind::Light } else { Kind::Full });
    for (access, paths) in [(Access::Read, &room.read), (Access::Write, &room.write)] {
        for path in paths {
            cell = cell.grant(access, resolved(path)?);
        }
    }
    let program = Path::new(program);
    match program.canonicalize() {
        // A program that is named by its path is meant to be executed.
        Ok(file) if program.components().count() > 1 && !sees(&cell, &file) => {
            Ok(cell.grant(Access::Read, file))
        }
        _ => Ok(cell),
    }
}

/// Whether a path without links is visible in a cell.
fn sees(cell: &CellSpec, path: &Path) -> bool {
    let granted = cell.grants.iter().map(|grant| &grant.path);
    cell.runtime.iter().chain(granted).any(|seen| path.starts_with(seen))
}

/// The current folder, when the command sees it, so that relative paths mean what they mean to whoever typed them.
fn cwd(cell: &CellSpec) -> Option<PathBuf> {
    let current = std::env::current_dir().and_then(|folder| folder.canonicalize()).ok();
    let scratch = (cell.required == Kind::Full).then(|| PathBuf::from("/tmp"));
    current.filter(|folder| sees(cell, folder)).or(scratch)
}

/// A command that is given a file which it does not see fails with a riddle.
fn warn_of_unseen(context: &Context, cell: &CellSpec, args: &[String]) {
    for arg in args.iter().filter(|arg| arg.contains('/')) {
        let Ok(path) = Path::new(arg).canonicalize() else { continue };
        if !sees(cell, &path) {
            context.output.warn(&format!("{arg} is not seen in the cell"));
            context
                .output
                .hint(&format!("`--read {}` lets it be read, `--write` also changed", path.display()));
        }
    }
}

/// A path without links, since none may be in a grant: what was typed is meant as it leads now.
fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let failed = || Failure::new(Exit::Usage, format!("{} cannot be granted", path.display()));
    std::fs::canonicalize(path).with_context(failed)
}

fn value(context: &Context, variable: &Variable) -> anyhow::Result<(OsString, SecretString)> {
    let value = match &variable.value {
        Some(value) => value.clone(),
        None => context.environment.text(&variable.name).map(str::to_owned).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("the variable {} is not set", variable.name))
                .hint("set it, or leave it out")
        })?,
    };
    Ok((variable.name.clone().into(), value.into()))
}
