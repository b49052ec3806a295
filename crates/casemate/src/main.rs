//! The `casemate` program. All of it is in the library; this only starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A process that was started to be a cell's init never returns from here, and no thread exists yet.
    casemate_sandbox::reenter();
    casemate::main()
}
