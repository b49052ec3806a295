//! What a result shows, block by block, and whether that is too much.

use casemate_mcp::json::{Members, Raw};

use super::About;

/// Texts of which the beginning is shown. Of further ones it is only said how many there are.
pub(super) const SHOWN_MAX: usize = 16;

const TEXT: &str = "text/plain";
const BINARY: &str = "application/octet-stream";
const JSON: &str = "application/json";
/// A type is written into each piece of what is kept. RFC 6838 allows 127 characters on either side of the slash.
const MIME_BYTES_MAX: usize = 255;
/// The most of a resource's own address that is shown with the beginning of its text.
const URI_BYTES_MAX: usize = 1024;

/// The content of a result that is too large.
pub(super) struct Blocks {
    pub(super) all: Vec<Block>,
    /// Structured content that no schema promises.
    pub(super) structured: Option<Block>,
    /// There is more text than is shown at once, and not just a large binary.
    pub(super) is_long: bool,
    /// All text, in bytes.
    pub(super) text_bytes: usize,
}

/// A block of content.
pub(super) struct Block {
    pub(super) raw: Raw,
    pub(super) kind: Shape,
    /// It is not shown as it is, and so it is kept.
    pub(super) is_cut: bool,
}

/// What a block is, as far as its size counts.
pub(super) enum Shape {
    /// Text, also that of an embedded resource, whose own address this is then.
    Text { text: String, mime: String, uri: Option<String> },
    /// An image, a sound, or another binary, in base64 without white space.
    Media { data: String, mime: String },
    /// A link, or what we do not know. It is small, or was made to be passed on.
    Other,
}

impl Blocks {
    /// The blocks of a result that shows too much; `None` of all others.
    pub(super) fn too_large(result: &Members, about: &About) -> Option<Blocks> {
        let content = result.get("content").and_then(|content| content.elements()).unwrap_or_default();
        let mut all: Vec<Block> = content.into_iter().map(Block::read).collect();
        let structured = result.get("structuredContent").filter(|_| !about.is_promised);
        let mut structured = structured.map(Block::structured);
        let text_bytes = all.iter().chain(&structured).map(Block::text_len).sum();
        let is_long = text_bytes > about.limits.text_max;
        for block in all.iter_mut().filter(|block| block.media_len() > about.limits.media_max) {
            block.is_cut = true;
        }
        if is_long {
            let texts = all.iter_mut().filter(|block| matches!(block.kind, Shape::Text { .. }));
            for (number, block) in texts.enumerate() {
                block.is_cut = number >= SHOWN_MAX || block.is_longer_than(about.limits.preview_chars);
            }
            if let Some(block) = &mut structured {
                block.is_cut = block.is_longer_than(about.limits.preview_chars);
            }
        }
        let is_cut = all.iter().chain(&structured).any(|block| block.is_cut);
        is_cut.then_some(Blocks { all, structured, is_long, text_bytes })
    }

    /// What is kept, with the number under which it stands in the content; structured content stands behind all.
    pub(super) fn kept(&self) -> impl Iterator<Item = (usize, &Block)> {
        self.all.iter().chain(&self.structured).enumerate().filter(|(_, block)| block.is_cut)
    }
}

impl Block {
    fn read(raw: Raw) -> Block {
        let kind = raw.members().and_then(|block| Shape::read(&block)).unwrap_or(Shape::Other);
        Block { raw, kind, is_cut: false }
    }

    fn structured(raw: Raw) -> Block {
        let kind = Shape::Text { text: raw.as_str().to_owned(), mime: JSON.to_owned(), uri: None };
        Block { raw, kind, is_cut: false }
    }

    /// Its text, in bytes.
    pub(super) fn text_len(&self) -> usize {
        match &self.kind {
            Shape::Text { text, .. } => text.len(),
            Shape::Media { .. } | Shape::Other => 0,
        }
    }

    fn media_len(&self) -> usize {
        match &self.kind {
            Shape::Media { data, .. } => data.len(),
            Shape::Text { .. } | Shape::Other => 0,
        }
    }

    fn is_longer_than(&self, chars: usize) -> bool {
        matches!(&self.kind, Shape::Text { text, .. } if text.chars().nth(chars).is_some())
    }

    /// What it says it is; empty for what we do not know.
    pub(super) fn mime(&self) -> &str {
        match &self.kind {
            Shape::Text { mime, .. } | Shape::Media { mime, .. } => mime,
            Shape::Other => "",
        }
    }

    /// The size of what it stands for, in bytes.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Shape::Text { text, .. } => text.len(),
            Shape::Media { data, .. } => {
                let padding = data.bytes().rev().take(2).filter(|byte| *byte == b'=').count();
                (data.len() / 4 * 3).saturating_sub(padding)
            }
            Shape::Other => 0,
        }
    }
}

impl Shape {
    fn read(block: &Members) -> Option<Shape> {
        let mime = |holder: &Members, other: &str| {
            let own = holder.string("mimeType").filter(|own| own.len() <= MIME_BYTES_MAX);
            own.unwrap_or_else(|| other.to_owned())
        };
        let text = |holder: &Members, uri| {
            let mime = mime(holder, TEXT);
            Some(Shape::Text { text: holder.string("text")?, mime, uri })
        };
        let media = |holder: &Members, member| {
            let mime = mime(holder, BINARY);
            let data = holder.string(member)?;
            let is_clean = !data.bytes().any(|byte| byte.is_ascii_whitespace());
            let data = if is_clean { data } else { data.split_ascii_whitespace().collect() };
            Some(Shape::Media { data, mime })
        };
        match block.string("type")?.as_str() {
            "text" => text(block, None),
            "image" | "audio" => media(block, "data"),
            "resource" => {
                let resource = block.object("resource")?;
                let uri = resource.string("uri").filter(|uri| uri.len() <= URI_BYTES_MAX);
                text(&resource, uri).or_else(|| media(&resource, "blob"))
            }
            _ => None,
        }
    }
}
