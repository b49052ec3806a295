//! The `casemate` program. All of it is in the library; this only starts it.

use std::process::ExitCode;

/// Many small buffers live and die with each call, and answers of a megabyte with some: the system's allocator gives
/// the large ones back to the kernel each time, page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A process that was started to be a cell's init never returns from here, and no thread exists yet.
    casemate_sandbox::reenter();
    casemate::main()
}
