//! What follows from the table of settings: the JSON Schema and docs/config.md.

mod manual;
mod schema;
#[cfg(test)]
mod tests;

pub use manual::manual;
pub use schema::schema;
