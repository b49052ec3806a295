//! Wheels as PyPI serves them, honest ones and others.

/// A wheel, file by file: an archive of zip in which nothing is compressed.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    pub(crate) name: String,
    pub(crate) version: String,
    files: Vec<(String, String)>,
}

impl Wheel {
    /// A wheel with the module of its name, and with what every wheel has to have.
    pub(crate) fn new(name: &str, version: &str, module: &str) -> Wheel {
        let wheel = Wheel { name: name.to_owned(), version: version.to_owned(), files: Vec::new() };
        let kind = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        wheel.file(&format!("{name}.py"), module).info("WHEEL", kind).info("RECORD", "").needs(&[])
    }

    /// A program, by the function that it calls.
    pub(crate) fn script(self, name: &str, function: &str) -> Wheel {
        self.info("entry_points.txt", &format!("[console_scripts]\n{name} = {function}\n"))
    }

    /// What it depends on, instead of nothing.
    pub(crate) fn needs(self, requirements: &[&str]) -> Wheel {
        let needs: String = requirements.iter().map(|needed| format!("Requires-Dist: {needed}\n")).collect();
        let text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n{needs}", self.name, self.version);
        self.info("METADATA", &text)
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Wheel {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}-py3-none-any.whl", self.name, self.version)
    }

    fn info(self, file: &str, text: &str) -> Wheel {
        let path = format!("{}-{}.dist-info/{file}", self.name, self.version);
        self.file(&path, text)
    }

    /// The finished archive.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut archive, mut directory) = (Vec::new(), Vec::new());
        for (path, text) in &self.files {
            let size = u32::try_from(text.len()).unwrap().to_le_bytes();
            let at = u32::try_from(archive.len()).unwrap().to_le_bytes();
            let length = u16::try_from(path.len()).unwrap().to_le_bytes();
            // Version, flags, method, time and date; 1 January 1980 is the first that there is.
            let common = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
            let facts =
                [&common[..], &crc32(text.as_bytes()).to_le_bytes(), &size, &size, &length, &[0, 0]].concat();
            archive.extend([b"PK\x03\x04", &facts[..], path.as_bytes(), text.as_bytes()].concat());
            let unix = [20, 3];
            let rest = [0, 0, 0, 0, 0, 0, 0, 0, 0xed, 0x81];
            directory.extend([b"PK\x01\x02", &unix[..], &facts, &rest, &at, path.as_bytes()].concat());
        }
        let count = u16::try_from(self.files.len()).unwrap().to_le_bytes();
        let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
        let at = u32::try_from(archive.len()).unwrap().to_le_bytes();
        let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &at, &[0, 0]].concat();
        [archive, directory, end].concat()
    }
}

/// The checksum of zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
