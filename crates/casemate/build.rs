//! Gathers the pages of docs/errors into a table, so that `casemate explain` needs no files at run time.

use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo runs build scripts in the folder of their package.
    let pages = Path::new("../../docs/errors").canonicalize()?;
    writeln!(std::io::stdout(), "cargo::rerun-if-changed={}", pages.display())?;
    #[expect(clippy::disallowed_methods, reason = "Cargo tells a build script in no other way")]
    let target = std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or("Cargo sets OUT_DIR")?;
    Ok(std::fs::write(target.join("pages.rs"), table(&pages)?)?)
}

/// The source of `&[(code, page)]`, in the order of the codes.
fn table(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let code = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let digits = code.strip_prefix("CM").unwrap_or_default();
        if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            writeln!(table, "    ({code:?}, include_str!({:?})),", file.display().to_string())?;
        }
    }
    table.push_str("]\n");
    Ok(table)
}
