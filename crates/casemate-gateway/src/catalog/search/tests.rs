use bytes::Bytes;
use casemate_mcp::json::Limits;
use serde_json::{Value, json};

use super::*;

/// Tools as servers of many kinds declare them, and what people ask for, with the tool that they mean.
const TOOLS: &str = include_str!("tools.json");
const QUESTIONS: &str = include_str!("questions.txt");

fn raw(value: &Value) -> Raw {
    Raw::check(Bytes::from(value.to_string()), &Limits::default()).unwrap()
}

fn tools() -> Vec<(String, Raw)> {
    let tools: Vec<Value> = serde_json::from_str(TOOLS).unwrap();
    tools.iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), raw(tool))).collect()
}

fn index(tools: &[(String, Raw)]) -> Index {
    Index::of(tools.iter().map(|(name, raw)| (name.as_str(), raw)))
}

/// How often each word of the query stands in the whole definition: what is to be beaten.
fn counted(tools: &[(String, Raw)], query: &str) -> Vec<usize> {
    let score = |raw: &Raw| -> usize {
        let text = raw.as_str().to_lowercase();
        query.to_lowercase().split_whitespace().map(|word| text.matches(word).count()).sum()
    };
    let mut ranked: Vec<(usize, usize)> = tools.iter().map(|(_, raw)| score(raw)).enumerate().collect();
    ranked.retain(|(_, score)| *score > 0);
    ranked.sort_by_key(|(at, score)| (std::cmp::Reverse(*score), *at));
    ranked.into_iter().map(|(at, _)| at).collect()
}

/// Mean reciprocal rank, and how many are among the first five.
fn quality(rank: impl Fn(&str) -> Vec<usize>, tools: &[(String, Raw)]) -> (f64, usize) {
    let (mut reciprocal, mut found, mut asked) = (0.0, 0, 0);
    for line in QUESTIONS.lines().filter(|line| !line.is_empty()) {
        let (query, meant) = line.split_once(" => ").expect(line);
        let at = rank(query).iter().position(|at| tools[*at].0 == meant);
        reciprocal += at.map_or(0.0, |at| 1.0 / (at + 1) as f64);
        found += usize::from(at.is_some_and(|at| at < 5));
        asked += 1;
    }
    (reciprocal / f64::from(asked), found)
}

#[test]
fn ranking_finds_what_counting_words_does_not() {
    let tools = tools();
    let index = index(&tools);
    let (ours, found) = quality(|query| index.ranked(query), &tools);
    let (theirs, found_by_count) = quality(|query| counted(&tools, query), &tools);
    // 0.960 and 0.559 when this was written; 45 and 38 of 46 among the first five.
    assert!(ours > 0.9, "{ours}");
    assert!(ours > theirs + 0.3, "{ours} {theirs}");
    assert!(found > found_by_count, "{found} {found_by_count}");
}

#[test]
fn words_are_cut_where_people_would() {
    let cut = |text| words(text).collect::<Vec<_>>();
    assert_eq!(cut("git__createPullRequest"), ["git", "create", "pull", "request"]);
    assert_eq!(cut("parseHTMLText of the Files"), ["parse", "html", "text", "file"]);
    assert_eq!(cut("entries, branches; boxes! status class"), ["entry", "branch", "box", "status", "class"]);
    assert_eq!(cut("Größe ändern 2026"), ["größe", "ändern", "2026"]);
    assert!(cut(&"x".repeat(1000)).is_empty());
}

#[test]
fn nothing_is_found_of_nothing_and_long_texts_win_nothing() {
    let spam = "file ".repeat(5000);
    let tools = [
        ("a__spam".to_owned(), raw(&json!({"name": "spam", "description": spam}))),
        ("b__read_file".to_owned(), raw(&json!({"name": "read_file", "description": "Reads one file"}))),
        ("c__other".to_owned(), raw(&json!({"name": "other"}))),
    ];
    let index = index(&tools);
    assert_eq!(index.ranked("read a file"), [1, 0]);
    assert!(index.ranked("").is_empty() && index.ranked("the of to").is_empty());
    assert!(index.ranked("weather").is_empty());
    assert!(Index::default().ranked("anything").is_empty());
    assert_eq!(index.ranked("FILES"), index.ranked("file"));
}
