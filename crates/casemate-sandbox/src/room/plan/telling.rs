//! A plan for people who want to know all of it: steps that do one thing to many paths are told together.

use std::path::PathBuf;

use super::{Action, Controller, Quantity, Right, Rule, Step, Tcp};

/// Something that a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What is done. What has the same words is best told together.
    pub what: String,
    /// What it is done to; empty where the words say that.
    pub paths: Vec<PathBuf>,
}

impl Step {
    /// What it does, for a person.
    pub fn told(&self) -> Vec<Told> {
        let about = |path: &PathBuf, what: String| vec![Told { what, paths: vec![path.clone()] }];
        match &self.action {
            Action::Bind { path, access, account: None } => about(path, access.to_string()),
            Action::Bind { path, access, account: Some(_) } => {
                about(path, format!("{access}, as to its owner"))
            }
            Action::BindIfThere { path, access } => about(path, format!("{access}, where the host has it")),
            Action::Device { path } => about(path, "devices".to_owned()),
            Action::Text { path, .. } => about(path, "made up".to_owned()),
            Action::Link { path, .. } => about(path, "links".to_owned()),
            Action::Check { path, access } => about(path, format!("must be {access} for the server's user")),
            Action::Tmpfs { path, bytes, files } => {
                about(path, format!("empty, with room for {} in {files} files", size(*bytes)))
            }
            Action::Limit { quantity, most } => {
                vec![Told { what: limit(*quantity, *most), paths: Vec::new() }]
            }
            Action::Share { controller, most } => {
                vec![Told { what: share(*controller, *most), paths: Vec::new() }]
            }
            Action::Ruleset { version, rules, tcp } => ruleset(*version, rules, *tcp),
            other => vec![Told { what: other.to_string(), paths: Vec::new() }],
        }
    }
}

fn limit(quantity: Quantity, most: u64) -> String {
    match quantity {
        Quantity::MemoryBytes => format!("{} of private memory in each process", size(most)),
        Quantity::Processes => format!("{most} processes and threads"),
        Quantity::OpenFiles => format!("{most} open descriptors in each process"),
        Quantity::FileBytes => format!("{} in a file that it writes", size(most)),
        Quantity::CoreBytes => "no core dump".to_owned(),
    }
}

fn share(controller: Controller, most: u64) -> String {
    match controller {
        Controller::Memory => format!("{} of memory in the whole cell", size(most)),
        Controller::Processes => format!("{most} processes and threads in the cell"),
        Controller::Cpu => format!("{most} thousandths of a processor"),
    }
}

fn ruleset(version: u8, rules: &[Rule], tcp: Tcp) -> Vec<Told> {
    let network = if tcp == Tcp::Denied { ", no TCP" } else { "" };
    let mut told = vec![Told { what: format!("Landlock, version {version}{network}"), paths: Vec::new() }];
    for right in [Right::List, Right::Read, Right::Use, Right::Ask, Right::Write] {
        let paths = rules.iter().filter(|rule| rule.right == right).map(|rule| rule.path.clone());
        let paths: Vec<PathBuf> = paths.collect();
        if !paths.is_empty() {
            told.push(Told { what: right.as_str().to_owned(), paths });
        }
    }
    told
}

fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Links, Need, Phase};
    use super::*;
    use crate::room::{Access, Layer};

    fn told(action: Action) -> String {
        let step = Step { layer: Layer::Files, need: Need::Required, phase: Phase::Enter, action };
        let shown = step.told().into_iter().map(|Told { what, paths }| format!("{what} {paths:?}"));
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn steps_that_differ_in_their_paths_have_the_same_words() {
        let bind = |path: &str| Action::BindIfThere { path: path.into(), access: Access::Read };
        assert_eq!(told(bind("/usr")), r#"readable, where the host has it ["/usr"]"#);
        assert_eq!(told(bind("/lib")), r#"readable, where the host has it ["/lib"]"#);
        assert_eq!(told(Action::Pivot), "the host's root is left behind []");
    }

    #[test]
    fn amounts_have_units() {
        let most = |quantity, most| told(Action::Limit { quantity, most });
        assert_eq!(most(Quantity::MemoryBytes, 3 << 29), "1536 MiB of private memory in each process []");
        assert_eq!(most(Quantity::FileBytes, 1000), "1000 bytes in a file that it writes []");
        assert_eq!(most(Quantity::CoreBytes, 0), "no core dump []");
        let tmp = Action::Tmpfs { path: "/tmp".into(), bytes: 2 << 30, files: 7 };
        assert_eq!(told(tmp), r#"empty, with room for 2 GiB in 7 files ["/tmp"]"#);
    }

    #[test]
    fn rules_of_landlock_are_told_by_their_rights() {
        let rule = |path: &str, right| Rule { path: path.into(), right, links: Links::Refuse };
        let rules = vec![rule("/a", Right::Write), rule("/b", Right::Read), rule("/c", Right::Write)];
        assert_eq!(
            told(Action::Ruleset { version: 7, rules, tcp: Tcp::Denied }),
            r#"Landlock, version 7, no TCP []; readable ["/b"]; writable ["/a", "/c"]"#
        );
    }
}
