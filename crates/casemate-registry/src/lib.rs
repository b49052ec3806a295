//! The catalogue: where servers come from, and how they are made ready before they run.
//!
//! This crate knows what a package runner's command line asks for ([`Asked`]), how exactly that version of a package is
//! fetched once, with everything that it depends on, into a tree that only can be read ([`Packages`]), and how such a
//! tree is told from one that was changed.
//!
//! It also knows what a definition comes to in 32 bytes, what changed between two of them ([`pins`]),
//! and how what was approved is written down for people to review and for a gateway to be held to ([`lock`]).
//!
//! It does not know what a server is for, which one may run, or how its cell looks like beyond the tree and the runtime
//! ([`Prepared`]). It reads no environment and no configuration: where registries are is an argument ([`Sources`]).

mod asked;
mod clock;
mod errand;
mod error;
pub mod lock;
mod nearness;
mod npm;
mod package;
mod packages;
pub mod pins;
mod prepared;
mod pypi;
mod record;
mod runtime;
mod seal;
mod shebang;
mod shelf;
mod sources;
mod unpinned;

pub use asked::Asked;
pub use error::Error;
pub use package::{Ecosystem, Package};
pub use packages::{Packages, Settings};
pub use prepared::{Origin, Prepared, Scripts};
pub use sources::{Registry, Sources};
pub use unpinned::{Unpinned, Wanted};
