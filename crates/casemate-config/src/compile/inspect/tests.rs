use casemate_inspect::{Measure, Personal, Place, Policy};
use casemate_mcp::json::{Limits, Raw};
use casemate_mcp::names::ServerName;

use crate::Loaded;
use crate::resolve::tests::{World, written};

const SERVERS: &str = r#"
[inspect]
packs = ["/etc/rules.toml"]
[servers.one]
command = "x"
env = { LONG = "file:/long", SHORT = "file:/short", PLAIN = "production" }
[servers.one.inspect]
hidden = "block"
definitions = "flag"
secrets = "flag"
arguments = "mask"
personal = ["card", "national-id"]
personal_found = "block"
signals = "off"
names = "off"
output = "flag"
[servers.two]
command = "y"
"#;

const RULES: &str = r#"
[extend]
path = "elsewhere"
[[rules]]
id = "ours"
keywords = ["ours-"]
regex = '''(ours-[0-9]{8})'''
"#;

fn load(rules: &str) -> Result<Loaded, String> {
    let files = [("/etc/rules.toml", rules), ("/long", "long-enough-to-mask\n"), ("/short", "short\n")];
    let files = files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect();
    World { files, ..World::default() }.load(&written(SERVERS)).map_err(|problems| problems.to_string())
}

fn shown(loaded: &Loaded, text: &str) -> String {
    let inspecting = &loaded.snapshot.inspecting;
    let measures = inspecting.measures(&ServerName::parse("two").unwrap(), Place::Result);
    let raw = Raw::check(format!("[{text:?}]").into(), &Limits::default()).unwrap();
    inspecting.inspection.message(&raw, &measures).message.as_str().to_owned()
}

#[test]
fn what_a_server_is_given_by_reference_is_masked_everywhere_and_a_short_one_is_told_of() {
    let loaded = load(RULES).unwrap();
    let text = "long-enough-to-mask short production ours-12345678";
    assert_eq!(shown(&loaded, text), r#"["[secret masked] short production [ours masked]"]"#);
    let told = loaded.remarks.join("\n");
    assert!(told.contains("servers.one.env.SHORT has fewer than 8 bytes"), "{told}");
    assert!(told.contains("/etc/rules.toml: the pack: `extend` is not understood"), "{told}");
    assert!(!told.contains("LONG") && !told.contains("short\n"), "{told}");
}

#[test]
fn each_setting_arrives_and_the_defaults_are_those_of_the_policy() {
    let inspecting = load(RULES).unwrap().snapshot.inspecting;
    let policy = |name: &str| inspecting.policies.get(&ServerName::parse(name).unwrap()).unwrap().clone();
    assert_eq!(policy("two"), Policy::default());
    assert_eq!(
        policy("one"),
        Policy {
            hidden: Measure::Block,
            secrets: Measure::Flag,
            arguments: Measure::Clean,
            personal: vec![Personal::Card, Personal::NationalId],
            personal_found: Measure::Block,
            signals: Measure::Off,
            definitions: Measure::Flag,
            names: Measure::Off,
            output: Measure::Flag,
        }
    );
}

#[test]
fn a_pack_that_cannot_be_used_is_a_mistake_with_its_line() {
    for (rules, why) in [
        ("rules = 3", "not a pack"),
        ("[[rules]]\nid = \"a\"\nkeywords = [\"ab\"]\nregex = \"(\"", "the pattern of rule \"a\""),
        ("[[rules]]\nid = \"a\"\nkeywords = [\"ab\"]\nregex = \"(a{1000}){1000}\"", "more than 4 MiB"),
    ] {
        let problems = load(rules).unwrap_err();
        assert!(problems.contains("etc/casemate.toml:3:10") && problems.contains(why), "{problems}");
    }
}
