//! The way out: what a server may reach over the network, and how it gets there.
//!
//! This crate knows what a granted destination is (`api.github.com:443`), which addresses are nobody's business, how a
//! name is resolved once and dialed pinned, and how the connections of a cell that has no way out of its own are taken
//! over and judged ([`egress`]). It also fetches what Casemate itself asks for on somebody's behalf ([`fetch`]): keys of
//! issuers, metadata of authorization servers, tokens; and it dials the servers that are spoken to over plain TCP ([`Plain`]).
//!
//! It does not know what a cell is made of, who granted what, or where attempts are recorded.

mod address;
mod attempt;
mod destination;
mod dialer;
pub mod egress;
pub mod fetch;
mod hello;
mod name;
mod plain;
mod policy;
mod quotas;
mod resolver;

pub use address::Class;
pub use attempt::{Attempt, End, Protocol, Reason, Traffic, Verdict, Witness};
pub use destination::{Destination, DestinationFault};
pub use plain::{Plain, PlainFault};
pub use policy::Policy;
pub use quotas::{Quota, Quotas};
pub use resolver::{Resolver, Resolving, SystemResolver};
