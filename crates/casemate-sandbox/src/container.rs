//! The container cell: servers that come as images, in containers of Docker or Podman.
//!
//! ```text
//! ImageSpec × Image × About → blueprint (all protections, written out) → engine → ContainerReport (what it made of them)
//! ```
//!
//! An engine is spoken to over its Unix socket, in HTTP ([`Engine`]). Its defaults are not relied on: what a container is
//! made of is asked for in full, and held against what the engine says it has made before the server is started. A
//! container is seen through by a task that removes it when its handle is dropped; what a killed casemate leaves behind
//! carries its name and is found at the next start ([`Engine::sweep`]).

mod about;
mod archive;
mod blueprint;
mod engine;
mod error;
mod grants;
mod handle;
mod image;
mod keeper;
mod outline;
mod owner;
mod porch;
mod porter;
mod reference;
mod report;
mod spec;
mod streams;
mod sweep;
mod wire;

pub use about::About;
pub use engine::{Engine, Search};
pub use error::ContainerError;
pub use handle::{Container, ContainerHandle};
pub use outline::{Outline, Setting};
pub(crate) use porter::{ROLE as PORTER, serve as be_porter};
pub use reference::{ImageFault, ImageReference, Unpinned};
pub use report::{ABSENT, ContainerReport};
pub use spec::ImageSpec;
pub use sweep::Swept;
