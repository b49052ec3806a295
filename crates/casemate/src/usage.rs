//! A command line that makes no sense: what is said of it, and that help and version are no mistakes.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Color, Form, Output, Style};

/// Help and version go to stdout and succeed; everything else is a mistake on the command line.
pub fn tell(mut error: clap::Error, (form, style): (Form, Style)) -> ExitCode {
    if !error.use_stderr() {
        // There is nobody left to tell when the stream is gone.
        let _ = error.print();
        return Exit::Success.into();
    }
    let suggested = error.get(ContextKind::SuggestedSubcommand).is_some_and(|value| has(value, "toolkit"));
    if suggested {
        // What is hidden is not suggested.
        error.remove(ContextKind::SuggestedSubcommand);
    }
    let output = Output::new(form, Color::Auto, style);
    let text = error.render().to_string();
    let better = better(&error, &text).or_else(|| suggested.then(|| unknown(&text)));
    match (better, form) {
        (Some(failure), _) => {
            output.error(&failure.into());
            let usage = text.lines().skip_while(|line| !line.starts_with("Usage:"));
            let usage = usage.take_while(|line| !line.is_empty()).collect::<Vec<_>>();
            output.note(&format!("\n{}", usage.join("\n")));
        }
        (None, Form::Json) => output.error(&plain(&text).into()),
        (None, Form::Human) => drop(error.print()),
    }
    Exit::Usage.into()
}

/// What clap cannot know about what was forgotten.
fn better(error: &clap::Error, text: &str) -> Option<Failure> {
    let about = error.get(ContextKind::InvalidArg)?;
    let failure = |message: &str, hint: &str| Some(Failure::new(Exit::Usage, message).hint(hint));
    match error.kind() {
        ErrorKind::MissingRequiredArgument if has(about, "--url <URL>") => failure(
            "it is not said what the server is",
            "a command after `--`, as in `casemate add NAME -- npx -y package@1.2.3`, `--image` or `--url`",
        ),
        ErrorKind::MissingRequiredArgument if has(about, "<ITEMS>...") => failure(
            "it is not said what is approved of",
            "name it as `casemate pin review` does, or `--all` for everything of this server that waits",
        ),
        ErrorKind::UnknownArgument if text.contains("[COMMAND]") || text.contains("-- <COMMAND>") => {
            let ContextValue::String(word) = about else { return None };
            let is_word = !word.starts_with('-');
            is_word.then(|| {
                Failure::new(Exit::Usage, format!("`{word}` is not expected here"))
                    .hint(format!("put `--` before the command: `-- {word} …`"))
            })
        }
        _ => None,
    }
}

/// Where nothing that can be suggested is near.
fn unknown(text: &str) -> Failure {
    plain(text).hint("`casemate help` lists all commands; `casemate show SERVER` lists the tools of a server")
}

fn has(value: &ContextValue, text: &str) -> bool {
    match value {
        ContextValue::String(one) => one == text,
        ContextValue::Strings(all) => all.iter().any(|one| one == text),
        _ => false,
    }
}

/// Clap's text as ours: its first paragraph is the message, its tips are hints.
fn plain(text: &str) -> Failure {
    let message = text.split("\n\n").next().unwrap_or(text);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.fold(Failure::new(Exit::Usage, message), Failure::hint)
}
