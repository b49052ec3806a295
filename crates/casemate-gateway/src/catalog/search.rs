//! Ranked search over tools: Okapi BM25 over the words of names, descriptions and parameters.
//!
//! An index is small (some hundred bytes for a tool), is built for a view when somebody first searches there, and goes with
//! the view. Ranking is exact and the same for everybody; whoever asks is shown only what they may see.

use std::collections::HashMap;

use casemate_mcp::json::{Members, Raw};

/// How fast further occurrences of a word stop counting, and how much long texts are discounted: the values that Robertson
/// and Zaragoza recommend (2009, section 3.3).
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// What a word counts where it stands. A tool that is called what is asked for comes first.
const IN_NAME: f32 = 4.0;
const IN_DESCRIPTION: f32 = 1.0;
const IN_PARAMETERS: f32 = 0.5;

/// Words of one query that count; more are no query.
const QUERY_WORDS_MAX: usize = 32;
/// Longest text of one tool that is read, in bytes: a description of a megabyte is no better description.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest word, in bytes; longer ones are data.
const WORD_BYTES_MAX: usize = 48;

/// Which words stand in which texts.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// For each word, the texts that have it and how much.
    postings: HashMap<Box<str>, Vec<(u32, f32)>>,
    lengths: Vec<f32>,
    mean_length: f32,
}

impl Index {
    /// An index of these definitions of tools, under the names that clients use.
    pub(crate) fn of<'a>(tools: impl Iterator<Item = (&'a str, &'a Raw)>) -> Index {
        let mut index = Index::default();
        for (at, (name, definition)) in tools.enumerate() {
            let weights = weights(name, definition);
            index.lengths.push(weights.values().sum());
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            for (word, weight) in weights {
                index.postings.entry(word).or_default().push((at, weight));
            }
        }
        index.mean_length = index.lengths.iter().sum::<f32>() / index.lengths.len().max(1) as f32;
        index
    }

    /// The texts that have words of the query, the best first; of equal ones, the first. Each by its place.
    pub(crate) fn ranked(&self, query: &str) -> Vec<usize> {
        let mut scores: HashMap<u32, f32> = HashMap::new();
        let count = self.lengths.len() as f32;
        let mut asked: Vec<String> = words(query).take(QUERY_WORDS_MAX).collect();
        asked.sort_unstable();
        asked.dedup();
        for word in &asked {
            let Some(found) = self.postings.get(word.as_str()) else { continue };
            let having = found.len() as f32;
            let rarity = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
            for (at, weight) in found {
                let length = self.lengths.get(*at as usize).copied().unwrap_or(self.mean_length);
                let long = 1.0 - B + B * length / self.mean_length.max(f32::MIN_POSITIVE);
                *scores.entry(*at).or_default() += rarity * weight * (K1 + 1.0) / (weight + K1 * long);
            }
        }
        let mut ranked: Vec<(u32, f32)> = scores.into_iter().collect();
        ranked.sort_by(|(one, a), (other, b)| b.total_cmp(a).then(one.cmp(other)));
        ranked.into_iter().map(|(at, _)| at as usize).collect()
    }
}

/// The words of one tool, and how much each counts there.
fn weights(name: &str, definition: &Raw) -> HashMap<Box<str>, f32> {
    let mut weights: HashMap<Box<str>, f32> = HashMap::new();
    let mut add = |text: &str, weight: f32| {
        for word in words(text) {
            *weights.entry(word.into_boxed_str()).or_default() += weight;
        }
    };
    add(name, IN_NAME);
    let Some(members) = definition.members() else { return weights };
    for member in ["title", "description"] {
        if let Some(text) = members.string(member) {
            add(beginning(&text), IN_DESCRIPTION);
        }
    }
    let properties = members.object("inputSchema").and_then(|schema| schema.object("properties"));
    for (parameter, schema) in properties.iter().flat_map(Members::iter) {
        add(&parameter, IN_PARAMETERS);
        if let Some(text) = schema.members().and_then(|schema| schema.string("description")) {
            add(beginning(&text), IN_PARAMETERS);
        }
    }
    weights
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The words of a text: in lower case, cut at signs and where `camelCase` changes, without the ending of a plural, and
/// without words that stand in every text.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).flat_map(cut).filter_map(|word| {
        let word = word.to_lowercase();
        let fits = (2..=WORD_BYTES_MAX).contains(&word.len()) && !STOP_WORDS.contains(&word.as_str());
        fits.then(|| singular(word))
    })
}

/// Cuts `createPullRequest` and `parseHTMLText` into their words.
fn cut(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut before) = (0, None::<char>);
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next_is_lower = rest.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = c.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || (before.is_uppercase() && next_is_lower));
        if begins {
            pieces.extend(text.get(start..at));
            start = at;
        }
        before = Some(c);
    }
    pieces.extend(text.get(start..));
    pieces
}

/// English plurals: `files` and `file`, `entries` and `entry`, `branches` and `branch` are to meet. Of other languages
/// nothing is known, and nothing is lost that both sides do not lose.
fn singular(mut word: String) -> String {
    if word.len() > 4 && word.ends_with("ies") {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if word.len() > 4 && ["ches", "shes", "xes", "sses"].iter().any(|end| word.ends_with(end)) {
        word.truncate(word.len() - 2);
    } else if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") {
        word.truncate(word.len() - 1);
    }
    word
}

/// Words that tell no tool from another.
const STOP_WORDS: [&str; 28] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it", "its", "me",
    "my", "of", "on", "or", "that", "the", "this", "to", "tool", "use", "with", "you",
];

#[cfg(test)]
mod tests;
