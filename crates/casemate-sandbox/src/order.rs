//! The command of a cell on its way from casemate to the process that executes it.
//!
//! It travels in an anonymous file and not in the arguments or the environment of the cell's first process:
//! that one runs our binary, and a server's `LD_PRELOAD` has no business there. Only the process that becomes
//! the server reads it, so no secret outlives the exec.

use std::ffi::CStr;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::MemfdFlags;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroize;

use crate::spec::Spec;

/// Writes the order of a checked specification, ready to be read from the start.
///
/// The form is a run of NUL-terminated texts: working directory (empty for none), program, the number of
/// arguments, the arguments, then `NAME=VALUE` until the end.
pub(crate) fn write(spec: &Spec) -> io::Result<OwnedFd> {
    let mut text = Vec::with_capacity(4096);
    let mut put = |parts: &[&[u8]]| {
        for part in parts {
            text.extend_from_slice(part);
        }
        text.push(0);
    };
    put(&[spec.cwd.as_ref().map_or(b"".as_slice(), |cwd| cwd.as_os_str().as_bytes())]);
    put(&[spec.program.as_bytes()]);
    put(&[spec.args.len().to_string().as_bytes()]);
    for arg in &spec.args {
        put(&[arg.as_bytes()]);
    }
    for (name, value) in &spec.env {
        put(&[name.as_bytes(), b"=", value.expose_secret().as_bytes()]);
    }
    let written = fill(&text);
    text.zeroize();
    written
}

fn fill(text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create(c"casemate-order", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

/// An order as the process that carries it out reads it; it borrows from the text that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order<'a> {
    pub(crate) cwd: Option<&'a CStr>,
    pub(crate) program: &'a CStr,
    /// The arguments, the program's name as its first.
    pub(crate) argv: Vec<&'a CStr>,
    /// The environment as `NAME=VALUE`.
    pub(crate) env: Vec<&'a CStr>,
}

/// Reads the whole text of an order.
pub(crate) fn read(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::from(file).read_to_end(&mut text)?;
    Ok(text)
}

impl<'a> Order<'a> {
    /// Understands the text of an order; nothing when it is not one.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Order<'a>> {
        let mut texts = text.split_inclusive(|byte| *byte == 0).map(CStr::from_bytes_with_nul);
        let mut next = || texts.next()?.ok();
        let cwd = next()?;
        let program = next()?;
        let count: usize = next()?.to_str().ok()?.parse().ok()?;
        let mut argv = vec![program];
        for _ in 0..count {
            argv.push(next()?);
        }
        let env = texts.collect::<Result<_, _>>().ok()?;
        Some(Order { cwd: (!cwd.is_empty()).then_some(cwd), program, argv, env })
    }

    /// The absolute directories of the environment's PATH.
    pub(crate) fn path(&self) -> impl Iterator<Item = &'a [u8]> {
        let path = self.env.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
        path.unwrap_or_default().split(|byte| *byte == b':').filter(|dir| dir.starts_with(b"/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            program: "npx".into(),
            args: vec!["-y".into(), "".into(), "a b".into()],
            env: vec![("PATH".into(), "/a::rel:/b".into()), ("EMPTY".into(), "".into())],
            cwd: Some("/srv".into()),
            label: "test".into(),
            cell: None,
        }
    }

    #[test]
    fn an_order_arrives_as_it_was_written() {
        let text = read(write(&spec()).unwrap()).unwrap();
        let order = Order::parse(&text).unwrap();
        assert_eq!(order.cwd, Some(c"/srv"));
        assert_eq!(order.program, c"npx");
        assert_eq!(order.argv, [c"npx", c"-y", c"", c"a b"]);
        assert_eq!(order.env, [c"PATH=/a::rel:/b", c"EMPTY="]);
    }

    #[test]
    fn relative_and_empty_directories_of_a_path_do_not_count() {
        let text = read(write(&spec()).unwrap()).unwrap();
        let order = Order::parse(&text).unwrap();
        assert_eq!(order.path().collect::<Vec<_>>(), [b"/a", b"/b"]);
    }

    #[test]
    fn nothing_and_a_cut_off_order_are_not_orders() {
        assert_eq!(Order::parse(b""), None);
        assert_eq!(Order::parse(b"\0npx\x002\0-y\0"), None);
        assert_eq!(Order::parse(b"\0npx\x000\0HOME=/ho"), None);
    }
}
