//! What is kept of a result, in parts of which each can be read at once.
//!
//! A part is the `contents` of the answer to `resources/read`, ready to be sent. Texts are cut between characters, binaries
//! between groups of base64, so that each piece stands for itself and all of them, one behind the other, are the whole.

use serde::Serialize;

use super::blocks::{Blocks, Shape};
use super::link::Link;
use crate::snapshot::ResultLimits;

/// Pieces in one part: each says where it belongs, which is much more than what is in the smallest of them.
const PIECES_MAX: usize = 256;

/// All parts, in their order.
pub(super) fn of(blocks: &Blocks, link: &Link, limits: &ResultLimits) -> Vec<Vec<u8>> {
    let mut packing = Packing { link, parts: Vec::new(), open: None };
    for (number, block) in blocks.kept() {
        match &block.kind {
            Shape::Text { text, mime, .. } => {
                packing.pack((number, mime), (text, limits.text_max, Measure::Text));
            }
            Shape::Media { data, mime } => {
                packing.pack((number, mime), (data, limits.media_max, Measure::Media));
            }
            Shape::Other => {}
        }
    }
    packing.close();
    packing.parts
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Text,
    Media,
}

impl Measure {
    /// Where a text can be cut, at most there.
    fn cut(self, text: &str, most: usize) -> usize {
        match self {
            // Groups of four characters stand for three bytes. What is no base64 may hold anything.
            Measure::Media if text.is_ascii() => most.min(text.len()) / 4 * 4,
            Measure::Text | Measure::Media => text.floor_char_boundary(most),
        }
    }
}

struct Packing<'a> {
    link: &'a Link,
    parts: Vec<Vec<u8>>,
    open: Option<Open>,
}

/// The part that is being filled.
struct Open {
    text: Vec<u8>,
    measure: Measure,
    /// What it holds of texts or binaries, in bytes.
    used: usize,
    pieces: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contents<'a> {
    uri: &'a str,
    mime_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<&'a str>,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "io.casemate/piece")]
    piece: Piece,
}

/// Where in the result a piece belongs: in which block of its content, and from which character of JSON's string on, in bytes.
#[derive(Serialize)]
struct Piece {
    block: usize,
    at: usize,
}

impl Packing<'_> {
    fn pack(&mut self, (block, mime): (usize, &str), (whole, limit, measure): (&str, usize, Measure)) {
        let mut at = 0;
        loop {
            let rest = whole.get(at..).unwrap_or_default();
            let used = self.used(measure);
            let room = limit.saturating_sub(used);
            let fits = if rest.len() <= room { rest.len() } else { measure.cut(rest, room) };
            if fits == 0 && used > 0 && !rest.is_empty() {
                self.close();
                continue;
            }
            // A limit that holds no character at all would never come to an end.
            let fits = if fits == 0 { rest.len() } else { fits };
            let piece = rest.get(..fits).unwrap_or(rest);
            self.add((block, at, mime), (piece, measure));
            at += piece.len();
            if at >= whole.len() {
                return;
            }
            self.close();
        }
    }

    /// What the open part holds, after one that takes no more of the kind was closed.
    fn used(&mut self, measure: Measure) -> usize {
        if self.open.as_ref().is_some_and(|open| open.measure != measure || open.pieces >= PIECES_MAX) {
            self.close();
        }
        self.open.as_ref().map_or(0, |open| open.used)
    }

    fn add(&mut self, (block, at, mime): (usize, usize, &str), (piece, measure): (&str, Measure)) {
        let uri = self.link.part(self.parts.len() + 1);
        let contents = Contents {
            uri: &uri,
            mime_type: mime,
            text: (measure == Measure::Text).then_some(piece),
            blob: (measure == Measure::Media).then_some(piece),
            meta: Meta { piece: Piece { block, at } },
        };
        let open = self.open.get_or_insert_with(|| Open { text: Vec::new(), measure, used: 0, pieces: 0 });
        open.text.push(if open.text.is_empty() { b'[' } else { b',' });
        // Writing texts and numbers into memory cannot fail.
        _ = serde_json::to_writer(&mut open.text, &contents);
        open.used += piece.len();
        open.pieces += 1;
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.text.push(b']');
            self.parts.push(open.text);
        }
    }
}
