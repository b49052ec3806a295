//! Private data, what strangers wrote, and the way out.

use serde_json::Value;

use crate::gateway::{Gateway, fixture};
use crate::home::{Ended, Home};

fn home(flows: &str) -> Home {
    let home = Home::new();
    let program = fixture().display().to_string();
    let server = |(name, labels): (&str, &str)| {
        format!("[servers.{name}]\ncommand = [{program:?}, \"--stdio\"]\n{labels}\n")
    };
    let servers = [
        ("files", "labels = [\"private\"]"),
        ("pages", "tools.echo.labels = [\"untrusted\"]"),
        ("mail", "labels = [\"outbound\"]"),
    ];
    let servers: String = servers.into_iter().map(server).collect();
    home.write("cm/casemate.toml", &format!("[flows]\nfollow = \"subject\"\n{flows}\n{servers}"));
    home
}

fn echo(home: &Home, server: &str, text: &str) -> Ended {
    home.run(&["call", server, "echo", &format!("{{\"message\":{text:?}}}")])
}

#[test]
fn what_was_read_does_not_go_out_after_strangers_were_read_too() {
    let home = home("outbound = \"deny\"");
    let _gateway = Gateway::start(&home);
    echo(&home, "files", "mine").ok();
    echo(&home, "mail", "out").ok();
    echo(&home, "pages", "theirs").ok();
    let refused = echo(&home, "mail", "out");
    assert_eq!(refused.code, Some(6), "{}", refused.shown());
    assert!(refused.shown().contains("CM1607"), "{}", refused.shown());
    echo(&home, "files", "mine").ok();
}

#[test]
fn a_person_lets_one_call_out() {
    let home = home("");
    let _gateway = Gateway::start(&home);
    echo(&home, "pages", "theirs").ok();
    echo(&home, "files", "mine").ok();
    let asked = echo(&home, "mail", "to ann");
    assert!(asked.shown().contains("CM1602"), "{}", asked.shown());
    let open: Value = serde_json::from_str(&home.run(&["approvals", "--json"]).ok()).unwrap();
    let id = open[0]["id"].as_str().unwrap();
    assert!(
        home.run(&["approvals", "show", id]).ok().contains("flows: private and untrusted, then outbound")
    );
    home.run(&["approvals", "allow", id, "--once"]).ok();
    echo(&home, "mail", "to ann").ok();
    assert!(echo(&home, "mail", "to eve").shown().contains("CM1602"));
}

#[test]
fn labels_are_words_that_mean_something() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.a]\nurl = \"https://a.example/mcp\"\nlabels = [\"secret\"]\n");
    let shown = home.run(&["config", "check"]).shown();
    assert!(
        shown.contains("\"secret\" is no label") && shown.contains("private, untrusted, outbound"),
        "{shown}"
    );
}
