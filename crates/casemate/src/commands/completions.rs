//! `casemate completions` and `casemate man`: both are made from the command line's own definition.

use anyhow::Context as _;

use crate::args;
use crate::args::offline::{Completions, Man};
use crate::exit::Exit;
use crate::output::Output;

/// Prints the completions of a shell.
pub fn completions(output: &Output, completions: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut args::command(), "casemate", &mut script);
    output.write(&script)?;
    Ok(Exit::Success)
}

/// Prints the first manual page, or writes all of them into a folder.
pub fn man(output: &Output, man: &Man) -> anyhow::Result<Exit> {
    let command = args::command();
    match &man.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot lay out the manual page")?;
            output.write(&page)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            clap_mangen::generate_to(command, folder)
                .with_context(|| format!("cannot write manual pages into {}", folder.display()))?;
            output.note(&format!("The manual pages are in {}.", folder.display()));
        }
    }
    Ok(Exit::Success)
}
