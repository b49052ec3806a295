//! Real servers and real clients, from npm and PyPI, through the real program.
//!
//! They lie in the folder that `CASEMATE_TEST_CACHE` names (CONTRIBUTING.md). Where it is not set these tests are
//! skipped, and say so. Each of them proves at its end that no process stayed behind.

mod at_once;
mod cells;
mod inspector;
mod parts;
mod pinned;
mod runner;
mod sdks;
mod servers;
mod site;
mod tokens;
