//! What is shown of a result that is too large: how large it is, where the whole is, and the beginning of each text.
//!
//! Structured content stays where the tool's output schema promises it: servers MUST provide it then, and clients that hold the
//! result against the schema would throw all of it away without. Structured content that nobody promised is text like any other.

use casemate_mcp::json::{Members, Raw};
use serde_json::{Map, Value, json};

use super::blocks::{Block, Blocks, SHOWN_MAX, Shape};
use super::link::Link;
use super::{About, noted};

/// The most of a block's annotations that goes along with its beginning.
const ANNOTATIONS_BYTES_MAX: usize = 1024;

/// The result as it is shown.
pub(super) fn of((result, blocks): (&Members, &Blocks), (link, parts): (&Link, usize), about: &About) -> Raw {
    let mut content = vec![text(&statement(blocks, (link, parts), about))];
    let mut texts = 0;
    for block in &blocks.all {
        texts += usize::from(matches!(block.kind, Shape::Text { .. }));
        if !block.is_cut {
            content.push(block.raw.clone());
        } else if texts <= SHOWN_MAX || matches!(block.kind, Shape::Media { .. }) {
            content.push(beginning(block, about.limits.preview_chars));
        }
    }
    let size: usize = blocks.kept().map(|(_, block)| block.size()).sum();
    if about.has_links {
        content.push(linking(blocks, (link, parts, size), about));
    }
    let note = json!({
        "uri": link.part(1),
        "parts": parts,
        "bytes": size,
        "limit": about.limits.text_max,
        "seconds": about.limits.life.as_secs(),
    });
    let mut edit =
        result.edit().set("content", Raw::array(&content)).set("_meta", noted(result, Raw::of(&note)));
    if blocks.structured.as_ref().is_some_and(|block| block.is_cut) {
        edit = edit.remove("structuredContent");
    }
    edit.finish()
}

/// What is said of the whole, to a model as well as to a person.
fn statement(blocks: &Blocks, (link, parts): (&Link, usize), about: &About) -> String {
    let (name, limits) = (&about.name, &about.limits);
    let size = if blocks.is_long {
        let texts = blocks.all.iter().filter(|block| matches!(block.kind, Shape::Text { .. })).count();
        let more = texts.saturating_sub(SHOWN_MAX);
        let more = if more > 0 { format!(", without {more} further texts") } else { String::new() };
        format!(
            "has {} bytes of text, and at most {} are shown at once (spool.over). The beginning follows{more}.",
            blocks.text_bytes, limits.text_max
        )
    } else {
        format!("holds a binary that is larger than what is shown (spool.media, {} bytes).", limits.media_max)
    };
    let structured = match &blocks.structured {
        Some(block) if block.is_cut => " So is its structured content.",
        _ => "",
    };
    let address = match parts {
        1 => format!("the resource {}", link.part(1)),
        _ => format!(
            "the resource {} and the next parts, up to {parts}, whose addresses differ in the number at the end",
            link.part(1)
        ),
    };
    let minutes = limits.life.as_secs().div_ceil(60);
    format!(
        "The result of {name} {size} What is not shown whole is kept for {minutes} minutes, for you alone: read {address}.{structured}"
    )
}

/// The beginning of a text, and how long the whole is; of a binary what it is.
fn beginning(block: &Block, chars: usize) -> Raw {
    match &block.kind {
        Shape::Text { text: whole, uri, .. } => {
            let end = whole.char_indices().nth(chars).map_or(whole.len(), |(at, _)| at);
            let shown = whole.get(..end).unwrap_or_default();
            let of = uri.as_ref().map_or_else(String::new, |uri| format!(" of {uri}"));
            let all = whole.chars().count();
            let shown_text = format!(
                "{shown}\n[the first {chars} of {all} characters{of}; the rest is kept]",
                chars = chars.min(all)
            );
            with_annotations(block, &shown_text)
        }
        Shape::Media { .. } => with_annotations(
            block,
            &format!("[{}, {} bytes: kept and not shown]", block.mime(), block.size()),
        ),
        Shape::Other => block.raw.clone(),
    }
}

/// For whom a block is, and how important, holds for its beginning too. That is said in few words; many would be a text.
fn with_annotations(block: &Block, shown: &str) -> Raw {
    let plain = text(shown);
    let annotations = block.raw.members().and_then(|block| block.get("annotations"));
    let annotations = annotations.filter(|annotations| annotations.as_bytes().len() <= ANNOTATIONS_BYTES_MAX);
    match (annotations, plain.members()) {
        (Some(annotations), Some(plain)) => plain.edit().set("annotations", annotations).finish(),
        _ => plain,
    }
}

fn text(text: &str) -> Raw {
    Raw::of(&json!({ "type": "text", "text": text }))
}

fn linking(blocks: &Blocks, (link, parts, size): (&Link, usize, usize), about: &About) -> Raw {
    let mut linking = Map::new();
    let mut set = |name: &str, value: Value| drop(linking.insert(name.to_owned(), value));
    set("type", "resource_link".into());
    set("uri", link.part(1).into());
    set("name", format!("Result of {}", about.name).into());
    let description = match parts {
        1 => "What is not shown whole.".to_owned(),
        _ => format!("What is not shown whole, part 1 of {parts}."),
    };
    set("description", description.into());
    let mut mimes = blocks.kept().map(|(_, block)| block.mime());
    if let Some(mime) = mimes.next().filter(|mime| mimes.all(|other| other == *mime)) {
        set("mimeType", mime.into());
    }
    set("size", size.into());
    Raw::of(&Value::Object(linking))
}
