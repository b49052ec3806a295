//! `casemate help`: what `--help` says, for whoever asks in words.

use crate::args;
use crate::args::offline::Help;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Prints the help of a command, or of all.
pub fn run(output: &Output, help: &Help) -> anyhow::Result<Exit> {
    let mut root = args::command();
    root.build();
    let mut command = &mut root;
    for name in &help.command {
        let known = command.get_subcommands().any(|one| one.get_name() == name);
        let found = known.then(|| command.find_subcommand_mut(name)).flatten();
        command = found.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("there is no command `{}`", help.command.join(" ")))
                .hint("`casemate help` lists them all")
        })?;
    }
    output.write(command.render_long_help().to_string().as_bytes())?;
    Ok(Exit::Success)
}
