//! The commands of README.md, executed in a fresh home, so that the first thing a person tries works.
//!
//! Blocks marked `toml` have to be configurations without a mistake. Blocks marked `console` are run. A line that starts with `$ ` is a command and has to succeed; each line that
//! follows has to be found in what it prints, `…` standing for anything. A command of which a line begins with `error:` has to
//! be refused. `casemate up` stays running for the
//! commands after it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::Cache;
use crate::clock::Moment;
use crate::console::say;
use crate::{environment, installation, process, target};

/// The command that does not end by itself.
const UP: &str = "casemate up";

/// What the lines begin with that a command prints which is refused.
const REFUSED: &str = "error:";

/// One command and the lines that it has to print.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    prints: Vec<String>,
}

/// Runs them all.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    target::build()?;
    let text = fs::read_to_string(environment::root().join("README.md"))?;
    let examples = examples(&text);
    ensure!(examples.len() > 3, "README.md has no console blocks");
    let home = tempfile::Builder::new().prefix("casemate-readme-").tempdir()?;
    // What the document names by a relative path lies where its commands are run.
    copy(&environment::root().join("examples"), &home.path().join("examples"))?;
    let shell = Shell { home: home.path(), cache, address: installation::free_address()?.to_string() };
    for configuration in blocks(&text, "toml") {
        shell.accept(&configuration).with_context(|| format!("the configuration\n{configuration}"))?;
    }
    let mut gateway = None;
    for example in &examples {
        say(format_args!("$ {}", example.command));
        if example.command == UP {
            gateway = Some(shell.up()?);
        } else {
            shell.check(example).with_context(|| format!("`{}`", example.command))?;
        }
    }
    // What the first start began, the last command ends; a gateway that does not stop is an error too.
    process::run(shell.command("casemate down")?.stdout(Stdio::null()))?;
    let mut gateway = gateway.context("README.md never starts the gateway")?;
    ensure!(gateway.wait()?.success(), "the gateway did not end well");
    Ok(())
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

/// A person's terminal on a fresh machine.
struct Shell<'a> {
    home: &'a Path,
    cache: &'a Cache,
    address: String,
}

impl Shell<'_> {
    fn check(&self, example: &Example) -> Result<()> {
        let mut command = self.command(&example.command)?;
        let printed = if example.prints.iter().any(|line| line.starts_with(REFUSED)) {
            let ended = command.output()?;
            ensure!(
                !ended.status.success(),
                "it is not refused, but prints:\n{}",
                String::from_utf8_lossy(&ended.stdout)
            );
            String::from_utf8(ended.stderr)?
        } else {
            process::capture(&mut command)?
        };
        for line in &example.prints {
            ensure!(matches(line, &printed), "it does not print \"{line}\" but:\n{printed}");
        }
        Ok(())
    }

    fn accept(&self, configuration: &str) -> Result<()> {
        fs::write(self.home.join("readme.toml"), configuration)?;
        let mut command = self.command("casemate --config readme.toml config check")?;
        process::capture(command.env("WIKI_AUTHORIZATION", "Bearer x")).map(drop)
    }

    fn up(&self) -> Result<std::process::Child> {
        let log = fs::File::create(self.home.join("up.log"))?;
        let mut command = self.command(UP)?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let started = Moment::now();
        let address = self.address.parse()?;
        while !installation::ready(address) {
            if started.elapsed() > Duration::from_secs(30) {
                bail!("`{UP}` is not ready:\n{}", fs::read_to_string(self.home.join("up.log"))?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(child)
    }

    fn command(&self, line: &str) -> Result<Command> {
        let programs = target::program("debug", "casemate")?;
        let programs = programs.parent().context("a program lies in a folder")?;
        let mut command = process::command("bash");
        command.args(["-c", &format!("exec {line}")]).current_dir(self.home).stdin(Stdio::null());
        for variable in
            ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "CASEMATE_HOME"]
        {
            command.env_remove(variable);
        }
        command.env("HOME", self.home).env("PATH", environment::path_with(programs)?);
        // The port of the installation that a developer may have running is not ours to take.
        command.env("CASEMATE_LISTEN", &self.address);
        command.env("npm_config_cache", self.cache.folder().join("npm"));
        Ok(command)
    }
}

/// The commands in the console blocks of a document.
fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in blocks(text, "console").iter().flat_map(|block| block.lines()) {
        match line.strip_prefix("$ ") {
            Some(command) => examples.push(Example { command: command.to_owned(), prints: Vec::new() }),
            None => examples.last_mut().into_iter().for_each(|example| example.prints.push(line.to_owned())),
        }
    }
    examples
}

/// The fenced blocks of one kind in a document.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(found), None) if found == kind => open = Some(String::new()),
            // A block of another kind is open until its end, which opens nothing either.
            (Some(_), None) => {}
            (None, Some(block)) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a line with `…` for anything is found in a text.
fn matches(pattern: &str, text: &str) -> bool {
    text.lines().any(|line| {
        let mut rest = line;
        pattern.split('…').filter(|part| !part.is_empty()).all(|part| {
            let found = rest.find(part);
            rest = found.and_then(|at| rest.get(at + part.len()..)).unwrap_or_default();
            found.is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_console_blocks_are_commands() {
        let text = "```sh\n$ no\n```\n```console\n$ yes --all\nit…works\n$ again\n```\n$ no\n";
        let yes = Example { command: "yes --all".to_owned(), prints: vec!["it…works".to_owned()] };
        assert_eq!(examples(text), [yes, Example { command: "again".to_owned(), prints: vec![] }]);
    }

    #[test]
    fn an_ellipsis_stands_for_anything_in_order() {
        assert!(matches("cm_…", "cm_abc\n"));
        assert!(matches("…b…d…", "x\na b c d e\n"));
        assert!(!matches("…d…b…", "a b c d e\n"));
        assert!(!matches("…z…", "a b c d e\n"));
    }
}
