//! The written configuration: `casemate.toml`, environment variables and flags, and what they come to.
//!
//! It knows every setting there is (one table, from which the JSON Schema, docs/config.md, the environment
//! variables and `config explain` follow), where each value was written, what a secret looks like, and how the
//! file is edited without losing a comment. It compiles what it read to the gateway's `Snapshot`.
//!
//! It does not know where the file is, and reads neither environment nor disk by itself: texts, variables and
//! flags are arguments, and references to secrets lead through the caller's [`Source`]. The one thing it
//! touches is the file that [`save`] replaces.

mod amount;
mod compile;
mod document;
mod explanation;
mod given;
mod key;
mod origin;
mod problem;
mod reader;
mod reference;
mod remote;
mod resolve;
mod save;
mod secret;
mod setting;
mod value;

pub use amount::{show_millis, show_size, show_time};
pub use compile::policy::POLICIES;
pub use compile::{Builtins, Front, Identity, LockFiles, PackageSources, Process};
pub use document::{Document, EditFault, NewServer, NewSource, NewValue, State};
pub use explanation::{Explanation, UnknownKey};
pub use given::{Given, Refused, Source};
pub use key::Key;
pub use origin::{Origin, Place};
pub use problem::{Problem, Problems, nearest};
pub use reader::BYTES_MAX;
pub use reference::{manual, schema};
pub use resolve::{File, Flag, Input, Loaded, Resolved, STARTER, load};
pub use save::{SaveError, save};
pub use secret::{Reason, looks_like_secret};
pub use setting::{Blank, Effect, Kind, Setting, Word, settings};
