//! The workshop: what Casemate writes into, and reads out of, files that belong to other programs.
//!
//! It knows where AI clients keep their list of MCP servers, how to add and remove our entry there without
//! touching another byte, and how to read any client's list into a neutral form.
//!
//! It does not know our own configuration (casemate-config), which user it runs for (homes and timestamps are
//! arguments), or what a secret looks like (the caller brings the judgement).

pub mod clients;
pub mod file;
pub mod import;
pub mod jsonc;
