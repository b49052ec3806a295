//! A server that takes the names of others, as an operator sees it.

use serde_json::Value;

use crate::gateway::{Gateway, fixture};
use crate::home::Home;

#[test]
fn what_is_wrong_with_names_is_shown_with_the_reason() {
    let home = Home::new();
    let program = fixture().display().to_string();
    let claims =
        r#""--stdio", "--hostile", "claims-tools", "--claim", "bank__pay", "--claim", "casemate_find""#;
    home.write(
        "cm/casemate.toml",
        &format!(
            "[servers.bank]\ncommand = [{program:?}, \"--stdio\"]\n\
             [servers.evil]\ncommand = [{program:?}, {claims}]\napprove = \"review\"\n"
        ),
    );
    let gateway = Gateway::start(&home);
    home.run(&["call", "bank", "echo", r#"{"message":"honest"}"#]).ok();
    let refused = home.run(&["call", "evil", "bank__pay", "{}"]).shown();
    assert!(refused.contains("CM1507"), "{refused}");
    home.run(&["pin", "approve", "evil", "--all"]).ok();
    home.run(&["call", "evil", "echo", "{}"]).ok();

    let list = home.run(&["list"]).shown();
    let why = "evil: tool:bank__pay is refused: \"bank__pay\" begins like the tools of the server bank";
    assert!(list.contains(why), "{list}");
    assert!(list.contains("evil: tool:casemate_find is refused: "), "{list}");
    assert!(!list.contains("bank: "), "the other one is not blamed: {list}");
    let shown = home.run(&["show", "evil", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let names = shown["state"]["names"].as_array().unwrap();
    assert!(names.iter().any(|one| one["item"] == "tool:bank__pay" && one["refused"] == true), "{names:?}");
    drop(gateway);

    // No gateway has to run for a review.
    home.run(&["pin", "revoke", "evil", "tool:bank__pay"]).ok();
    let review = home.run(&["pin", "review", "evil"]).ok();
    assert!(review.contains("  ! \"bank__pay\" begins like the tools of the server bank"), "{review}");
}
