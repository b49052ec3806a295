use std::path::Path;

use expect_test::expect_file;
use serde_json::Value;

use super::*;
use crate::setting::{Setting, settings};

/// `UPDATE_EXPECT=1` writes both files anew.
#[test]
fn the_files_that_are_checked_in_follow_the_table() {
    expect_file!["../../../../casemate.schema.json"].assert_eq(&schema());
    expect_file!["../../../../docs/config.md"].assert_eq(&manual());
}

#[test]
fn the_schema_leads_to_every_setting() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    for setting in settings() {
        let mut node = &schema;
        for segment in setting.segments() {
            let named = node.get("properties").and_then(|properties| properties.get(segment));
            let chosen =
                node.get("patternProperties").and_then(|patterns| patterns.as_object()?.values().next());
            node = named.or(chosen).unwrap_or_else(|| panic!("{}", setting.key));
        }
        assert!(node["description"].as_str().unwrap().contains(setting.reason), "{}", setting.key);
        assert_eq!(node.get("default").is_some(), setting.default.is_some(), "{}", setting.key);
    }
}

#[test]
fn the_page_names_every_variable_and_no_line_is_a_surprise() {
    let page = manual();
    for variable in settings().filter_map(Setting::variable) {
        assert!(page.contains(&variable), "{variable}");
    }
    assert_eq!(page.matches("\n### ").count(), settings().count());
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/setting/table.rs").exists(),
        "the page names this file"
    );
}
