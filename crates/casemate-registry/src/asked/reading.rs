//! Reading a runner's command line, word by word.

use super::Asked;
use super::runner::{Meaning, Rest, Runner};
use super::spec::Spec;
use crate::package::{Ecosystem, Package};
use crate::unpinned::{Line, Piece, Unpinned, Wanted};

/// Reads the command line of a runner; `subcommand` is where the words are by which it was recognized.
pub(super) fn read(
    runner: &'static Runner,
    program: &str,
    args: &[String],
    subcommand: Vec<usize>,
) -> Result<Asked, Unpinned> {
    let mut reading = Reading {
        runner,
        line: Line::default(),
        packages: Vec::new(),
        besides: Vec::new(),
        python: None,
        open: None,
    };
    reading.line.push(vec![Piece::Text(program.to_owned())]);
    let mut words = args.iter().enumerate();
    let mut are_options = true;
    while let Some((place, word)) = words.next() {
        if subcommand.contains(&place) {
            reading.keep(word);
        } else if are_options && word == "--" {
            are_options = false;
            reading.keep(word);
        } else if are_options && word.starts_with('-') {
            reading.option(word, || words.next().map(|(_, value)| value))?;
        } else {
            let rest: Vec<String> = words.map(|(_, word)| word.clone()).collect();
            return reading.finish(word, rest, are_options);
        }
    }
    let hint = format!("name a package: {program} x{}1.2.3", runner.ecosystem.joint());
    Err(match reading.packages.is_empty() {
        true => Unpinned::say("the command line names no package", hint),
        false => Unpinned::say("the command line names no program of the package", "put its name at the end"),
    })
}

struct Reading {
    runner: &'static Runner,
    line: Line,
    packages: Vec<Package>,
    besides: Vec<Package>,
    python: Option<String>,
    /// What is wrong with the first package that has no version. The others have to be read for the hint.
    open: Option<String>,
}

impl Reading {
    fn keep(&mut self, word: &str) {
        self.line.push(vec![Piece::Text(word.to_owned())]);
    }

    /// Takes an option, with its value when it has one.
    fn option<'a>(&mut self, word: &str, next: impl FnOnce() -> Option<&'a String>) -> Result<(), Unpinned> {
        let long = word.split_once('=').filter(|_| word.starts_with("--"));
        let (name, inline) = long.map_or((word, None), |(name, value)| (name, Some(value)));
        let Some(meaning) = self.runner.meaning(name) else {
            let what = format!("option {name} of the package runner is not known");
            return Err(Unpinned::say(what, "leave it out, or install the package and name its program"));
        };
        if meaning == Meaning::Nothing {
            self.keep(word);
            return Ok(());
        }
        if let Meaning::Refused(reason) = meaning {
            let what = format!("option {name} of the package runner cannot be carried out");
            return Err(Unpinned::say(what, reason));
        }
        let Some(value) = inline.or_else(|| next().map(String::as_str)) else {
            return Err(Unpinned::say(format!("option {name} has no value"), "give it one, or leave it out"));
        };
        let mut start = Vec::new();
        match inline {
            Some(_) => start.push(Piece::Text(format!("{name}="))),
            None => self.keep(name),
        }
        match meaning {
            Meaning::Package => {
                let package = self.package(value, &mut start)?;
                self.packages.extend(package);
            }
            Meaning::Besides => {
                for (number, value) in value.split(',').enumerate() {
                    if number > 0 {
                        start.push(Piece::Text(",".to_owned()));
                    }
                    let package = self.package(value, &mut start)?;
                    self.besides.extend(package);
                }
            }
            Meaning::Python => {
                self.python = Some(python(value)?);
                start.push(Piece::Text(value.to_owned()));
            }
            Meaning::Nothing | Meaning::NothingWithValue | Meaning::Refused(_) => {
                start.push(Piece::Text(value.to_owned()));
            }
        }
        self.line.push(start);
        Ok(())
    }

    /// Reads a package, and writes it down with a blank when it has no version.
    fn package(&mut self, text: &str, word: &mut Vec<Piece>) -> Result<Option<Package>, Unpinned> {
        let ecosystem = self.runner.ecosystem;
        match Spec::parse(ecosystem, text) {
            Spec::Exact(package) => {
                word.push(Piece::Text(text.to_owned()));
                Ok(Some(package))
            }
            Spec::Open { package, said } => {
                let name = package.name.clone();
                let what = match &said {
                    None => format!("{name} has no version, so whatever is newest would run"),
                    Some(said) => format!("{said:?} is not one version of {name}"),
                };
                self.open.get_or_insert(what);
                let requirement = package.requirement(ecosystem);
                let titled = requirement.strip_suffix(ecosystem.joint()).unwrap_or(&name).to_owned();
                word.push(Piece::Blank { titled, wanted: Wanted { ecosystem, name, said } });
                // Keeps the place of a package, so that what follows is read as what it is.
                Ok(Some(package))
            }
            Spec::Foreign(reason) => {
                // What it is may carry a password, so it is not shown.
                let what = format!("a package of the command line cannot be prepared: {reason}");
                Err(Unpinned::say(what, format!("name a package of {ecosystem} in one version")))
            }
        }
    }

    /// Takes the first word that is no option, and all that follows.
    fn finish(mut self, word: &str, mut rest: Vec<String>, are_options: bool) -> Result<Asked, Unpinned> {
        let command = if self.packages.is_empty() {
            let mut pieces = Vec::new();
            let package = self.package(word, &mut pieces)?;
            self.line.push(pieces);
            self.packages.extend(package);
            let own = self.packages.first().map(|package| package.name.clone());
            own.filter(|_| self.runner.ecosystem == Ecosystem::PyPi)
        } else {
            self.keep(word);
            Some(program(word)?)
        };
        self.line.extend(&rest);
        if self.runner.rest == Rest::Mixed && are_options {
            let end = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
            if rest.iter().take(end).any(|word| word.starts_with('-')) {
                let what = "options after the package may be the runner's or the program's";
                return Err(Unpinned::say(what, "put `--` before the package: npm exec -- x@1.2.3 --option"));
            }
            if end < rest.len() {
                rest.remove(end);
            }
        }
        if let Some(what) = self.open {
            return Err(Unpinned::fill(what, self.line));
        }
        self.packages.append(&mut self.besides);
        let ecosystem = self.runner.ecosystem;
        Ok(Asked { ecosystem, packages: self.packages, command, args: rest, python: self.python })
    }
}

/// The name of a program of a package; it becomes the last part of a path.
fn program(name: &str) -> Result<String, Unpinned> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@');
    if name.is_empty() || !name.chars().all(fits) || name.starts_with(['.', '-']) {
        let what = format!("{name:?} is no program of a package");
        return Err(Unpinned::say(what, "name one of the programs that the package brings"));
    }
    Ok(name.to_owned())
}

/// `3`, `3.12`, `3.12.4`, also with `python` before it.
fn python(value: &str) -> Result<String, Unpinned> {
    let version = value.strip_prefix("python").unwrap_or(value);
    let parts: Vec<&str> = version.split('.').collect();
    let number =
        |part: &&str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    if parts.first() != Some(&"3") || parts.len() > 3 || !parts.iter().all(number) {
        let what = format!("{value:?} is no version of Python that can be asked for");
        return Err(Unpinned::say(what, "write 3, 3.12 or 3.12.4, or leave the option out"));
    }
    Ok(version.to_owned())
}
