//! Our own log, without the secrets that servers are given.

use std::io::{self, Write};
use std::sync::Arc;

use casemate_gateway::upstream::Masks;
use tracing_subscriber::fmt::MakeWriter;

/// Writes to stderr what is left of each line.
#[derive(Debug, Clone)]
pub struct Masked(pub Arc<Masks>);

impl Masked {
    fn write_to(&self, out: &mut impl Write, line: &[u8]) -> io::Result<()> {
        match std::str::from_utf8(line) {
            Ok(text) => out.write_all(self.0.masked(text).as_bytes()),
            Err(_) => out.write_all(line),
        }
    }
}

impl Write for Masked {
    /// Takes whole lines: that is how they are handed over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_to(&mut io::stderr().lock(), line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl<'a> MakeWriter<'a> for Masked {
    type Writer = Masked;

    fn make_writer(&'a self) -> Masked {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use casemate_inspect::{Inspection, Secret};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What a logger would write to stderr.
    #[derive(Clone, Default)]
    struct Captured(Arc<std::sync::Mutex<Vec<u8>>>, Arc<Masks>);

    impl Write for Captured {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            Masked(Arc::clone(&self.1)).write_to(&mut *self.0.lock().unwrap(), line)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Captured;

        fn make_writer(&'a self) -> Captured {
            self.clone()
        }
    }

    #[test]
    fn a_logged_secret_is_masked_in_every_format() {
        let secret = "pass\"word-with-quotes";
        let captured = Captured::default();
        drop(captured.1.follow(&Inspection::new(&[Secret::new(secret).unwrap()], &[])));
        let lines = tracing_subscriber::fmt().with_writer(captured.clone());
        tracing::subscriber::with_default(lines.finish(), || {
            tracing::error!(why = secret, detail = ?secret, "it said {secret}");
        });
        let json = tracing_subscriber::fmt().json().with_writer(captured.clone());
        tracing::subscriber::with_default(json.finish(), || {
            tracing::error!(why = secret, "it said {secret}")
        });
        let written = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches("[secret masked]").count(), 5, "{written}");
        assert!(!written.contains("word-with"), "{written}");
    }
}
