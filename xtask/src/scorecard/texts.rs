//! Texts of which somebody has said whether they are bad.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cache::Cache;
use crate::process;

/// A labelled corpus of injections and of honest texts that look like them, with its version. Our rules were written
/// without it.
pub(super) const PACKAGE: &str = "bastioncorpus==0.6.0";

/// Where the texts are in it.
const FILE: &str = "bastioncorpus/corpus/injections.jsonl";

/// A text and whether it is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) is_bad: bool,
}

/// Reads JSON lines.
pub(super) fn read(path: &Path) -> Result<Vec<Text>> {
    let lines = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parsed(&lines).with_context(|| format!("in {}", path.display()))
}

fn parsed(lines: &str) -> Result<Vec<Text>> {
    let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let text = |(at, line): (usize, &str)| {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("line {} is no JSON", at + 1))?;
        let text = value
            .get("text")
            .and_then(Value::as_str)
            .with_context(|| format!("line {} has no text", at + 1))?;
        let label = value.get("label").with_context(|| format!("line {} has no label", at + 1))?;
        let is_bad = match label {
            Value::String(word) => !matches!(word.as_str(), "benign" | "safe" | "false" | "0" | "good"),
            other => !matches!(other, Value::Bool(false)) && other.as_i64() != Some(0),
        };
        Ok(Text { text: text.to_owned(), is_bad })
    };
    lines.map(text).collect()
}

/// The texts of the pinned package, which is fetched into the cache folder and never run.
pub(super) fn fetched(cache: &Cache) -> Result<Vec<Text>> {
    let folder = cache.folder().join("scorecard");
    let file = folder.join(FILE);
    if !file.exists() {
        let python = cache.python()?.join("python");
        let options = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"];
        process::run(process::command(python).args(options).arg(&folder).arg(PACKAGE))?;
    }
    read(&file)
}

/// Each tool of the lists in a folder, as text.
pub(super) fn definitions(folder: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let value =
                serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
            all.extend(tools(&value));
        }
    }
    Ok(all)
}

/// The tools of a list, of a result with one, or of a response with such a result.
pub(super) fn tools(value: &Value) -> Vec<String> {
    let list = [value.as_array(), array(value.get("tools")), array(value.pointer("/result/tools"))];
    let Some(list) = list.into_iter().flatten().next() else { return Vec::new() };
    list.iter().map(strings).collect()
}

fn array(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// All texts of a definition, each on a line of its own: what stands in its quotes is what a model reads.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(list) => list.iter().map(strings).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}\n{}", strings(value))).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_of_several_kinds_are_understood() {
        let lines = "{\"text\":\"a\",\"label\":\"benign\"}\n\n{\"text\":\"b\",\"label\":1}\n{\"text\":\"c\",\"label\":false}";
        let bad: Vec<bool> = parsed(lines).expect("texts").iter().map(|text| text.is_bad).collect();
        assert_eq!(bad, [false, true, false]);
        assert!(parsed("{\"text\":\"a\"}").is_err());
    }

    #[test]
    fn tools_are_found_in_lists_and_in_answers() {
        let tool = json!({"name": "t", "inputSchema": {"description": "d"}});
        for value in [json!([tool]), json!({"tools": [tool]}), json!({"result": {"tools": [tool]}})] {
            assert_eq!(tools(&value).len(), 1);
            assert!(tools(&value)[0].contains("d\n"));
        }
    }
}
