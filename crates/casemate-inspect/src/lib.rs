//! What passes through is looked at: hidden text, secrets, personal data, signs that a text talks to the model, and
//! names that stand for something else.
//!
//! Knows: which characters are not seen and where they are legitimate, what secrets look like and in which forms they
//! travel, what is planted to be found again, how a JSON text is changed without being broken, and what of it a server's settings ask for.
//! Does not know: I/O, the clock, logging, who calls whom, or where settings and secrets are kept. What is found is
//! returned; telling of it is for the caller. A message in which nothing is found is not copied.

mod decoys;
mod exact;
mod finding;
pub mod guard;
mod hidden;
mod inspection;
mod marks;
pub mod names;
mod needles;
mod policy;
mod rules;
mod strange;
mod strings;

pub use decoys::{Decoy, SEED_BYTES, decoys};
pub use exact::{SECRET_BYTES_MIN, Secret};
pub use finding::{Class, Finding, Findings, Measure, Severity};
pub use hidden::{Hidden, removed};
pub use inspection::{Inspection, Lent, Outcome};
pub use policy::{Measures, Personal, Policy};
pub use rules::{Check, Pack, PackFault, Place, Rule};
