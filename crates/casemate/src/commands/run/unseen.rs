//! Arguments that name files here which the command will not find where it runs: it fails with a riddle.

use std::path::Path;

/// An argument that names nothing in the cell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// What is the matter.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) hint: String,
}

/// Where the command was typed, and where it starts, when that is not a folder of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folders<'a> {
    pub(crate) here: &'a Path,
    pub(crate) starts_in: Option<&'a Path>,
}

/// The arguments that name something here and nothing there.
pub(crate) fn unseen(args: &[String], folders: Folders<'_>, seen: &[&Path]) -> Vec<Unseen> {
    args.iter().filter_map(|arg| Unseen::of(arg, folders, seen)).collect()
}

/// Whether an argument names a file by its way from here.
pub(crate) fn is_relative_file(arg: &str, here: &Path) -> bool {
    !arg.starts_with('-') && Path::new(arg).is_relative() && here.join(arg).is_file()
}

impl Unseen {
    fn of(arg: &str, Folders { here, starts_in }: Folders<'_>, seen: &[&Path]) -> Option<Unseen> {
        let is_way = arg.contains('/') && !arg.starts_with('-');
        // A word without a slash that happens to be a folder here is hardly meant as one.
        let is_meant = is_way || is_relative_file(arg, here);
        let path = here.join(arg).canonicalize().ok().filter(|_| is_meant)?;
        let is_seen = seen.iter().any(|seen| path.starts_with(seen));
        let shown = path.display();
        if Path::new(arg).is_absolute() || starts_in == Some(here) {
            let hint = format!("`--read {shown}` lets it be read, `--write` also changed");
            return (!is_seen).then(|| Unseen { what: format!("{arg} is not seen in the cell"), hint });
        }
        let what = format!("{arg} is not found in the cell, since the command does not start in this folder");
        let hint = match is_seen {
            true => format!("`--read .` lets it start here, or write {shown} instead of {arg}"),
            false => format!(
                "`--read .` lets it start here and read what is here; or `--read {shown}`, and {shown} instead of {arg}"
            ),
        };
        Some(Unseen { what, hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_without_a_slash_was_never_pointed_out_and_the_advice_on_others_did_not_help() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        std::fs::create_dir(here.join("src")).unwrap();
        std::fs::write(here.join("src/main.py"), "").unwrap();
        std::fs::write(here.join("server.js"), "").unwrap();
        let hints = |arg: &str, starts_in: Option<&Path>, seen: &[&Path]| {
            let found = unseen(&[arg.to_owned()], Folders { here: &here, starts_in }, seen);
            found.into_iter().map(|one| one.hint.replace(here.to_str().unwrap(), "HERE")).collect::<Vec<_>>()
        };
        for arg in ["server.js", "src/main.py", "./server.js"] {
            let [hint] = &hints(arg, None, &[])[..] else { panic!("{arg}") };
            assert!(hint.starts_with("`--read .` lets it start here and read"), "{hint}");
            // What is granted alone is not found under that name.
            let [hint] = &hints(arg, None, &[&here.join(arg)])[..] else { panic!("{arg}") };
            assert!(hint.starts_with("`--read .` lets it start here, or write HERE/"), "{hint}");
            assert!(hints(arg, Some(&here), &[&here]).is_empty(), "{arg}");
        }
        let absolute = here.join("server.js").display().to_string();
        assert_eq!(
            hints(&absolute, None, &[]),
            ["`--read HERE/server.js` lets it be read, `--write` also changed"]
        );
        assert!(hints(&absolute, None, &[&here]).is_empty());
        for other in ["src", "nothing.js", "-y", "--file=server.js"] {
            assert!(hints(other, None, &[]).is_empty(), "{other}");
        }
    }
}
