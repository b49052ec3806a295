//! A run that says what it does: one heading per step, its time, and a closing line.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Moment;
use crate::console::say;

/// The steps of one command, run one after the other. A step that fails does not keep the others from
/// running, so that one run shows everything that is wrong.
#[derive(Debug)]
pub(crate) struct Steps {
    command: String,
    started: Moment,
    passed: usize,
    failed: Vec<String>,
}

impl Steps {
    /// Starts a command; its name stands in the closing line.
    pub(crate) fn start(command: &str) -> Steps {
        Steps { command: command.to_owned(), started: Moment::now(), passed: 0, failed: Vec::new() }
    }

    /// Runs one step under a heading that says what it is for.
    pub(crate) fn step(&mut self, name: &str, about: &str, work: impl FnOnce() -> Result<()>) {
        say(format_args!("==> {name}: {about}"));
        let started = Moment::now();
        match work() {
            Ok(()) => {
                self.passed += 1;
                say(format_args!("<== {name}: passed in {}", shown(started.elapsed())));
            }
            Err(error) => {
                self.failed.push(name.to_owned());
                say(format_args!("<== {name}: FAILED after {}: {error:#}", shown(started.elapsed())));
            }
        }
    }

    /// Prints the closing line; an error when a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        let Steps { command, started, passed, failed } = self;
        let time = shown(started.elapsed());
        if failed.is_empty() {
            say(format_args!("{command}: all {passed} steps passed in {time}"));
            return Ok(());
        }
        bail!("{command}: {passed} steps passed and {} failed in {time}: {}", failed.len(), failed.join(", "))
    }
}

/// A duration as people say it.
pub(crate) fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_stops_nothing_and_fails_the_run() {
        let mut steps = Steps::start("demo");
        let mut ran = 0;
        steps.step("one", "fails", || bail!("no"));
        steps.step("two", "passes", || {
            ran += 1;
            Ok(())
        });
        assert_eq!(ran, 1);
        let error = steps.finish().expect_err("one step failed").to_string();
        assert!(error.contains("1 steps passed and 1 failed") && error.ends_with(": one"), "{error}");
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(shown(Duration::from_millis(1_540)), "1.5 s");
        assert_eq!(shown(Duration::from_secs(125)), "2 min 05 s");
    }
}
