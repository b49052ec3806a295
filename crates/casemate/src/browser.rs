//! Opening an address in the browser of the person who sits at this machine.
//!
//! Never through a shell: the desktop's opener is started with one argument, an address that holds nothing which any
//! program on its way could take for more. A person who sits elsewhere, or wants no browser, opens what is printed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::IsTerminal;
use std::net::IpAddr;

use casemate_sandbox::{Spec, spawn_detached};
use secrecy::SecretString;

use crate::context::Context;
use crate::environment::{DISPLAY, WAYLAND_DISPLAY};
use crate::output::Form;

/// What opens addresses on a desktop of Linux.
const OPENER: &str = "xdg-open";

/// What our own variables begin with. They lead to secrets, and are nothing for a browser.
const OURS: &str = "CASEMATE_";

/// Opens an address, where somebody can see the browser: on a terminal of a machine with a display. Says whether one was
/// started.
pub fn open(context: &Context, address: &str) -> bool {
    let has_display = [DISPLAY, WAYLAND_DISPLAY].iter().any(|name| context.environment.get(name).is_some());
    let is_seen = context.output.form() == Form::Human
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal();
    if !has_display || !is_seen || !is_plain(address) {
        return false;
    }
    start(context, address).is_some()
}

fn start(context: &Context, address: &str) -> Option<u32> {
    let opener = context.environment.program(OPENER).filter(|path| path.is_absolute())?;
    let given = |(name, value): (&OsStr, &OsStr)| {
        let is_ours = name.to_str().is_none_or(|name| name.starts_with(OURS));
        Some((OsString::from(name), SecretString::from(value.to_str()?))).filter(|_| !is_ours)
    };
    let spec = Spec {
        program: opener.into(),
        args: vec![address.into()],
        env: context.environment.all().filter_map(given).collect(),
        cwd: Some("/".into()),
        label: "browser".to_owned(),
        cell: None,
    };
    let nowhere = File::options().write(true).open("/dev/null").ok()?;
    spawn_detached(&spec, &nowhere).ok()
}

/// Whether an address is one of the web and nothing else: `https`, or `http` to this machine's loopback.
fn is_plain(address: &str) -> bool {
    let rest = match address.split_once("://") {
        Some(("https", rest)) => rest,
        Some(("http", rest)) if is_loopback(rest) => rest,
        _ => return false,
    };
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!*+,;=%&()".contains(&byte);
    !rest.is_empty() && rest.bytes().all(is_safe)
}

fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_plain_addresses_of_the_web_are_opened() {
        for good in [
            "https://login.example/authorize?response_type=code&scope=a%20b&state=x_-~",
            "http://127.0.0.1:4000/authorize?x=1",
            "http://[::1]:4000/",
            "http://localhost/",
        ] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "http://login.example/",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://127.0.0.1@evil.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "HTTPS://x/",
            "https://x/$(id)",
            "https://x/`id`",
            "https://x/\nid",
            "https://x/'a'",
            "https://x/\"a\"",
            "https://x/ a",
            "https://x/|id",
            "https://x/\\\\evil",
            "https://x/\u{202e}gnp",
            "--help",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
