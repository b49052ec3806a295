//! What passes through is looked at: hidden text, secrets, personal data, and signs that a text talks to the model.
//!
//! Knows: which characters are not seen and where they are legitimate, what secrets look like and in which forms they
//! travel, how a JSON text is changed without being broken, and what of it a server's settings ask for.
//! Does not know: I/O, the clock, logging, who calls whom, or where settings and secrets are kept. What is found is
//! returned; telling of it is for the caller. A message in which nothing is found is not copied.

mod exact;
mod finding;
mod hidden;
mod inspection;
mod marks;
mod needles;
mod policy;
mod rules;
mod strange;
mod strings;

pub use exact::{SECRET_BYTES_MIN, Secret};
pub use finding::{Class, Finding, Findings, Measure, Severity};
pub use hidden::{Hidden, removed};
pub use inspection::{Inspection, Lent, Outcome};
pub use policy::{Measures, Personal, Policy};
pub use rules::{Check, Pack, PackFault, Place, Rule};
