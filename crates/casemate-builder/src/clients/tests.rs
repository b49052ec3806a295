use expect_test::expect;

use super::*;

fn launch() -> Launch {
    Launch { program: "/opt/casemate".into(), env: BTreeMap::new() }
}

fn client(id: &str) -> &'static Client {
    Client::find(id).unwrap()
}

#[test]
fn every_client_gets_its_file_on_every_system() {
    let mut table = String::new();
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        for client in CLIENTS {
            let file = client.file(&Homes::of(os, Path::new("HOME")));
            table += &format!("{os:?} {}: {}\n", client.id, file.display());
        }
    }
    expect![[r#"
        Linux claude-desktop: HOME/.config/Claude/claude_desktop_config.json
        Linux claude-code: HOME/.claude.json
        Linux cursor: HOME/.cursor/mcp.json
        Linux vscode: HOME/.config/Code/User/mcp.json
        MacOs claude-desktop: HOME/Library/Application Support/Claude/claude_desktop_config.json
        MacOs claude-code: HOME/.claude.json
        MacOs cursor: HOME/.cursor/mcp.json
        MacOs vscode: HOME/Library/Application Support/Code/User/mcp.json
        Windows claude-desktop: HOME/AppData/Roaming/Claude/claude_desktop_config.json
        Windows claude-code: HOME/.claude.json
        Windows cursor: HOME/.cursor/mcp.json
        Windows vscode: HOME/AppData/Roaming/Code/User/mcp.json
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_new_file_holds_our_entry_alone() {
    let text = client("cursor").install("", &launch()).unwrap().unwrap();
    expect![[r#"
        {
          "mcpServers": {
            "casemate": {
              "command": "/opt/casemate",
              "args": [
                "connect"
              ]
            }
          }
        }
    "#]]
    .assert_eq(&text);
}

#[test]
fn comments_and_neighbors_of_a_vs_code_file_stay() {
    let before = "{\n\t// servers of the team\n\t\"servers\": {\n\t\t\"git\": {\"command\": \"uvx\"}, // pinned\n\t},\n\
                  \t\"inputs\": [],\n}\n";
    let with = client("vscode").install(before, &launch()).unwrap().unwrap();
    expect![[r#"
        {
        	// servers of the team
        	"servers": {
        		"git": {"command": "uvx"}, // pinned
        		"casemate": {
        			"type": "stdio",
        			"command": "/opt/casemate",
        			"args": [
        				"connect"
        			]
        		},
        	},
        	"inputs": [],
        }
    "#]]
    .assert_eq(&with);
    assert!(client("vscode").installed(&with).unwrap());
    assert_eq!(client("vscode").uninstall(&with).unwrap().unwrap(), before);
}

#[test]
fn installing_twice_changes_nothing() {
    for client in CLIENTS {
        for before in ["", "{}", "{\"other\": {}}", "// hello\n{\n}\n"] {
            let once = client.install(before, &launch()).unwrap().unwrap();
            assert_eq!(client.install(&once, &launch()).unwrap(), None, "{} from {before:?}", client.id);
        }
    }
}

#[test]
fn an_older_entry_is_corrected_and_what_a_person_added_stays() {
    let before = r#"{"mcpServers": {"casemate": {"command": "/old/casemate", "args": ["connect"], "disabled": true}}}"#;
    let env = BTreeMap::from([("CASEMATE_HOME".to_owned(), Some("/srv/a".to_owned()))]);
    let after = client("cursor").install(before, &Launch { env, ..launch() }).unwrap().unwrap();
    expect![[r#"{"mcpServers": {"casemate": {"command": "/opt/casemate", "args": ["connect"], "disabled": true, "env": {"CASEMATE_HOME":"/srv/a"}}}}"#]]
        .assert_eq(&after);
}

#[test]
fn an_entry_pointed_at_another_installation_after_it_was_installed_again() {
    let own = |home: Option<&str>, config: Option<&str>| {
        let env = [("CASEMATE_HOME", home), ("CASEMATE_CONFIG", config)];
        let env = env.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        Launch { env: env.into(), ..launch() }
    };
    let client = client("cursor");
    let there = client.install("", &own(Some("/tmp/a"), Some("/tmp/x.toml"))).unwrap().unwrap();
    let here = client.install(&there, &own(None, None)).unwrap().unwrap();
    assert_eq!(here, client.install("", &launch()).unwrap().unwrap());
    assert_eq!(client.install(&here, &own(None, None)).unwrap(), None);

    let before = r#"{"mcpServers": {"casemate": {"command": "/opt/casemate", "args": ["connect"], "env": {"MINE": "1", "CASEMATE_HOME": "/a"}}}}"#;
    let after = client.install(before, &own(None, Some("/x.toml"))).unwrap().unwrap();
    expect![[r#"{"mcpServers": {"casemate": {"command": "/opt/casemate", "args": ["connect"], "env": {"MINE": "1", "CASEMATE_CONFIG": "/x.toml"}}}}"#]].assert_eq(&after);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    for text in ["", "{}", "{\"mcpServers\": {\"other\": {}}}"] {
        assert_eq!(client("claude-code").uninstall(text).unwrap(), None);
        assert!(!client("claude-code").installed(text).unwrap());
    }
}

#[test]
fn files_of_another_shape_and_unknown_clients_are_refused() {
    let fault = client("cursor").install("{\"mcpServers\": []}", &launch()).unwrap_err();
    assert_eq!(fault.to_string(), "line 1, column 16: expected an object here");
    assert!(client("cursor").install("{", &launch()).is_err());
    let unknown = Client::find("emacs").unwrap_err().to_string();
    assert_eq!(
        unknown,
        "no client is called \"emacs\"\nhint: one of claude-desktop, claude-code, cursor, vscode"
    );
}
