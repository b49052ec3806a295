//! `casemate toolkit`: a built-in server on stdin and stdout. Its cell starts it; people need not.

use anyhow::Context as _;
use casemate_toolkit::{BUILTINS, Builtin, serve};

use crate::args::offline::Toolkit;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Serves until stdin ends.
pub fn run(context: &Context, toolkit: &Toolkit) -> anyhow::Result<Exit> {
    let builtin = Builtin::parse(&toolkit.name).ok_or_else(|| {
        let known: Vec<&str> = BUILTINS.into_iter().map(Builtin::name).collect();
        Failure::new(Exit::Usage, format!("no built-in server is called `{}`", toolkit.name))
            .hint(format!("there is {}", known.join(", ")))
    })?;
    let runtime = context.small_runtime()?;
    let served = runtime.block_on(serve(builtin, tokio::io::stdin(), tokio::io::stdout()));
    // A thread that still reads stdin would hold up the end.
    runtime.shutdown_background();
    served.context("cannot write to the client")?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use casemate_sandbox::HostStats;
    use casemate_toolkit::system;

    #[test]
    fn a_cell_has_the_hosts_figures_where_the_built_in_server_looks() {
        assert_eq!(HostStats::FOLDER, system::FOLDER);
        assert_eq!(HostStats::FILE_SYSTEMS, system::FILE_SYSTEMS);
        assert_eq!(HostStats::INTERFACES, system::INTERFACES);
    }
}
