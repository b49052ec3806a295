//! How the program of a package is started, by its first line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The kernel reads no more of it.
const LINE_BYTES_MAX: u64 = 256;

/// How a file is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shebang {
    /// By the interpreter with this name, with these options before the file.
    Interpreter { name: String, options: Vec<String> },
    /// It has no such line: a program of its own, or a script that nobody has marked.
    None,
}

impl Shebang {
    /// Reads the first line of a file.
    pub(crate) fn of(file: &Path) -> io::Result<Shebang> {
        let mut start = Vec::new();
        File::open(file)?.take(LINE_BYTES_MAX).read_to_end(&mut start)?;
        Ok(Shebang::parse(&start))
    }

    /// `#!/usr/bin/env -S node --flag`, `#!/usr/bin/node --flag`, `#!/long/path/python3.12`
    fn parse(start: &[u8]) -> Shebang {
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Some(line) = line.strip_prefix(b"#!").and_then(|line| std::str::from_utf8(line).ok()) else {
            return Shebang::None;
        };
        let mut words = line.split_whitespace().map(str::to_owned);
        let file_name = |word: String| word.rsplit('/').next().unwrap_or_default().to_owned();
        let mut name = words.next().map(file_name).unwrap_or_default();
        if name == "env" {
            // Settings of variables and options of `env` itself are not carried.
            let mut rest = words.by_ref().skip_while(|word| word.starts_with('-') || word.contains('='));
            name = rest.next().map(file_name).unwrap_or_default();
        }
        Shebang::Interpreter { name, options: words.collect() }
    }

    /// Whether the interpreter is this one, in any version: `python` is also `python3` and `python3.12`.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        let Shebang::Interpreter { name, .. } = self else { return false };
        let version = name.strip_prefix(wanted);
        version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_last_part_of_the_path() {
        let table: [(&[u8], &str, &[&str]); 6] = [
            (b"#!/usr/bin/env node\nx", "node", &[]),
            (b"#! /usr/bin/env node\r\n", "node", &[]),
            (b"#!/usr/bin/env -S node --no-warnings --x\n", "node", &["--no-warnings", "--x"]),
            (b"#!/usr/bin/env -S A=b node\n", "node", &[]),
            (b"#!/opt/my/python3.12 -I\n", "python3.12", &["-I"]),
            (b"#!\n", "", &[]),
        ];
        for (start, name, options) in table {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            assert_eq!(Shebang::parse(start), Shebang::Interpreter { name: name.to_owned(), options });
        }
        for start in [&b""[..], b"\x7fELF", b"import x", b"#!\xff\n", b"\xef\xbb\xbf#!/bin/sh\n"] {
            assert_eq!(Shebang::parse(start), Shebang::None);
        }
    }

    #[test]
    fn versions_of_an_interpreter_are_the_same_one() {
        let is = |start: &[u8], wanted| Shebang::parse(start).is(wanted);
        assert!(
            is(b"#!/x/python3.12\n", "python")
                && is(b"#!/x/python\n", "python")
                && is(b"#!/x/node\n", "node")
        );
        assert!(!is(b"#!/x/pythonw\n", "python") && !is(b"#!/x/nodejs\n", "node") && !is(b"", "node"));
    }
}
