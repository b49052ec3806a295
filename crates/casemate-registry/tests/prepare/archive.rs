//! Archives as registries serve them, honest ones and others.

/// A tar archive, member by member.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    /// The usual form of npm: everything below `package/`.
    pub(crate) fn npm(files: &[(&str, &str)]) -> Archive {
        files
            .iter()
            .fold(Archive::default(), |archive, (name, text)| archive.file(&format!("package/{name}"), text))
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Archive {
        self.member((name, 0o755), (b'0', ""), text)
    }

    pub(crate) fn link(self, name: &str, to: &str) -> Archive {
        self.member((name, 0o777), (b'2', to), "")
    }

    pub(crate) fn hard_link(self, name: &str, to: &str) -> Archive {
        self.member((name, 0o777), (b'1', to), "")
    }

    pub(crate) fn pipe(self, name: &str) -> Archive {
        self.member((name, 0o777), (b'6', ""), "")
    }

    pub(crate) fn setuid(self, name: &str, text: &str) -> Archive {
        self.member((name, 0o6777), (b'0', ""), text)
    }

    /// The finished archive.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.bytes.as_slice(), &[0; 1024]].concat()
    }

    /// One member in the form of POSIX.1-1988, which every reader knows.
    fn member(mut self, (name, mode): (&str, u32), (kind, to): (u8, &str), text: &str) -> Archive {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, value: &[u8]| header[at..at + value.len()].copy_from_slice(value);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", text.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, to.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(header);
        self.bytes.extend(text.as_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }
}
