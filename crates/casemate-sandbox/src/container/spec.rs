//! What is asked for: an image, and everything that the server in it gets to see of us.

use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::ContainerError;
use super::reference::ImageReference;
use crate::room::{Grant, Limits, Network, fault_of_ports};

/// A container to start.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// What is in it.
    pub image: ImageReference,
    /// What is executed, with its first arguments, instead of the image's entry point.
    pub command: Option<Vec<String>>,
    /// Arguments; the image's own when there are none. They are no place for secrets: the engine shows them.
    pub args: Vec<String>,
    /// What it finds in its environment, besides what the image itself says, and a `HOME` and a `TMPDIR` that are `/tmp`
    /// unless they are named here. Names are unique, not empty and without
    /// `=`. Whoever may speak to the engine can read the values.
    pub env: Vec<(String, SecretString)>,
    /// The working directory in the container, absolute. When absent, the image's.
    pub cwd: Option<String>,
    /// The user and group id of the server, not 0. When absent the image's, if that is a number other than 0, and
    /// else [`crate::CellSpec::NOBODY`]. Files that are granted have to be open to it.
    pub user: Option<u32>,
    /// What it gets to see of the host, under the same paths.
    pub grants: Vec<Grant>,
    /// What it may reach over the network.
    pub network: Network,
    /// How much it may use. Memory is that of the whole container.
    pub limits: Limits,
    /// Whose container it is, for people who list them: the server's name, of letters, digits and `_.-`.
    pub label: String,
    /// Settings of the engine, by JSON pointers, that replace ours. For tests that show what a protection is worth; the
    /// report then does not have it.
    #[doc(hidden)]
    pub overrides: Vec<(&'static str, Value)>,
}

impl ImageSpec {
    /// A container that sees nothing of the host.
    pub fn new(image: ImageReference, label: impl Into<String>) -> ImageSpec {
        ImageSpec {
            image,
            command: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            user: None,
            grants: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
            label: label.into(),
            overrides: Vec::new(),
        }
    }

    /// Refuses what no container can be started with, before anything is made.
    pub(super) fn check(&self) -> Result<(), ContainerError> {
        let fault = |what: &str| {
            let remedy = "correct the server's arguments, environment, directory or user";
            Err(ContainerError::Spec { what: what.to_owned(), remedy })
        };
        let command = self.command.iter().flatten();
        if self.command.as_ref().is_some_and(|command| command.first().is_none_or(String::is_empty)) {
            return fault("its command is empty");
        }
        if command.chain(&self.args).any(|arg| arg.contains('\0')) {
            return fault("its command or an argument contains a NUL byte");
        }
        if self.cwd.as_ref().is_some_and(|cwd| !cwd.starts_with('/') || cwd.contains('\0')) {
            return fault("its working directory is not an absolute path");
        }
        if let Network::Ports(ports) = &self.network
            && let Some((what, remedy)) = fault_of_ports(ports)
        {
            return Err(ContainerError::Spec { what, remedy });
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        if self.label.is_empty() || self.label.len() > 64 || !self.label.chars().all(plain) {
            return fault("its label is not of letters, digits, `_`, `.` and `-`");
        }
        if self.user == Some(0) {
            return fault("the user 0 is root");
        }
        let mut names = HashSet::new();
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose_secret().contains('\0') {
                return fault("an environment variable has no name or one with `=`, or contains a NUL byte");
            }
            if !names.insert(name) {
                return fault("an environment variable is named twice");
            }
        }
        Ok(())
    }
}
