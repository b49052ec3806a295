//! Asking a person for something that must not be seen.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// Longest answer, in bytes.
const BYTES_MAX: usize = 64 << 10;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const ERASE: [u8; 2] = [0x08, 0x7f];
const ERASE_LINE: u8 = 0x15;

/// Asks on the terminal of this process, and reads a line without showing it. `None` when there is no terminal.
/// Standard input and output may be anything.
///
/// # Errors
/// The person gave up, or the terminal went away.
pub fn ask_hidden(prompt: &str) -> io::Result<Option<SecretString>> {
    let Ok(mut terminal) = File::options().read(true).write(true).open("/dev/tty") else { return Ok(None) };
    write!(terminal, "{prompt} (not shown): ")?;
    terminal.flush()?;
    let hidden = Hidden::begin(&terminal)?;
    let line = read_line(&mut &terminal);
    drop(hidden);
    terminal.write_all(b"\n")?;
    line.map(Some)
}

/// While this lives, the terminal shows nothing and hands every key to us, interrupts included: a process that
/// was ended by one would leave the terminal mute.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(terminal: &'a File) -> io::Result<Hidden<'a>> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Reads keys up to the end of the line.
fn read_line(keys: &mut impl Read) -> io::Result<SecretString> {
    let given_up = || io::Error::new(io::ErrorKind::Interrupted, "nothing was entered");
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    let mut key = [0; 1];
    loop {
        if keys.read(&mut key)? == 0 {
            return Err(given_up());
        }
        match key {
            [b'\n' | b'\r'] => break,
            [INTERRUPT] => return Err(given_up()),
            [END] if line.is_empty() => return Err(given_up()),
            [END] => break,
            [ERASE_LINE] => line.clear(),
            [key] if ERASE.contains(&key) => erase(&mut line),
            [_] if line.len() >= BYTES_MAX => {}
            [key] => line.push(key),
        }
    }
    let text =
        str::from_utf8(&line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))?;
    Ok(SecretString::from(text.to_owned()))
}

/// Takes the last character away, which may have several bytes.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn typed(keys: &str) -> Option<String> {
        read_line(&mut keys.as_bytes()).ok().map(|line| line.expose_secret().to_owned())
    }

    #[test]
    fn a_line_is_what_was_typed_and_not_taken_back() {
        assert_eq!(typed("hunter2\nrest").as_deref(), Some("hunter2"));
        assert_eq!(typed("hunterä\u{7f}2\r").as_deref(), Some("hunter2"));
        assert_eq!(typed("wrong\u{15}right\u{4}").as_deref(), Some("right"));
        assert_eq!(typed("\u{7f}\u{7f}a\n").as_deref(), Some("a"));
        assert_eq!(typed("\n").as_deref(), Some(""));
    }

    #[test]
    fn giving_up_gives_nothing() {
        for keys in ["", "hunter2", "hunter2\u{3}", "\u{4}"] {
            assert_eq!(typed(keys), None, "{keys:?}");
        }
    }
}
