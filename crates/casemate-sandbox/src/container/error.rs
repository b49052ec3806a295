//! Why a container could not be started.

use std::error::Error as StdError;
use std::path::PathBuf;

use super::reference::ImageReference;

/// Longest message of an engine that is passed on, in characters.
const SAID_CHARS_MAX: usize = 500;

/// Why a container could not be started. Display says what happened; [`ContainerError::hint`] what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// No engine answers.
    #[error("no container engine answers: {}", list(.tried))]
    NoEngine {
        /// Where one was looked for, and what came of it.
        tried: Vec<(PathBuf, String)>,
    },
    /// There is an engine, but it cannot enforce what every container needs.
    #[error("{engine} cannot be used: {what}")]
    Unfit {
        /// Which engine, with its version.
        engine: String,
        /// What it lacks.
        what: &'static str,
        /// What to change, as one sentence.
        remedy: &'static str,
    },
    /// The specification cannot be carried out.
    #[error("the container cannot be started: {what}")]
    Spec {
        /// What is wrong with it.
        what: String,
        /// What to change, as one sentence.
        remedy: &'static str,
    },
    /// The image is not here and cannot be fetched.
    #[error("image {image} cannot be had: {said}")]
    Image {
        /// Which.
        image: Box<ImageReference>,
        /// What the engine said.
        said: String,
    },
    /// The engine refused something.
    #[error("the container engine refused {what}: {said}")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// The status of its answer (HTTP).
        status: u16,
        /// What it said.
        said: String,
    },
    /// The engine could not be spoken to, or what it said could not be understood.
    #[error("the container engine did not answer to {what}")]
    Lost {
        /// What was asked of it.
        what: &'static str,
        /// What came instead.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// [`super::Engine::close`] was called.
    #[error("containers are no longer started")]
    Closed,
}

impl ContainerError {
    /// What a person can do about it, as one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            ContainerError::NoEngine { .. } => {
                "start Docker or Podman (its socket has to be open to this user), or name the socket"
            }
            ContainerError::Unfit { remedy, .. } | ContainerError::Spec { remedy, .. } => remedy,
            ContainerError::Image { .. } => {
                "check the name and the digest; an image of a private registry has to be pulled by hand once"
            }
            ContainerError::Refused { .. } => "read what the engine says; its own log says more",
            ContainerError::Lost { .. } => {
                "check that the engine is running and not overloaded, then try again"
            }
            ContainerError::Closed => "start casemate again",
        }
    }

    pub(super) fn lost<E>(what: &'static str) -> impl Fn(E) -> ContainerError
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        move |source| ContainerError::Lost { what, source: source.into() }
    }
}

/// What an engine said, as one line of bounded length without control characters: part of it comes out of images.
pub(super) fn said(text: &str) -> String {
    let words = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID_CHARS_MAX) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

fn list(tried: &[(PathBuf, String)]) -> String {
    let lines = tried.iter().map(|(socket, why)| format!("{}: {why}", socket.display()));
    lines.collect::<Vec<_>>().join("; ")
}
