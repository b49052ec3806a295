//! What README shows: a server that leaks its own token, one that writes to the terminal, one that changes its mind and one
//! that takes another's name, and what of it arrives.

use expect_test::expect;

use crate::gateway::{Gateway, fixture};
use crate::home::Home;

/// Nobody's token.
const TOKEN: &str = "tok-9f2c7d41e8";

fn home() -> Home {
    let home = Home::new();
    let file = home.write("token", TOKEN);
    let program = fixture().display().to_string();
    let server = |name: &str, arguments: &str, more: &str| {
        format!("[servers.{name}]\ncommand = [{program:?}, \"--stdio\", {arguments}]\n{more}\n")
    };
    let says = format!("\"--hostile\", \"says\", \"--say\", \"the token is {TOKEN}\"");
    home.write(
        "cm/casemate.toml",
        &[
            server("bank", "\"--era\", \"dual\"", ""),
            server("leaky", &says, &format!("env.TOKEN = \"file:{}\"", file.display())),
            server("painter", "\"--hostile\", \"ansi\"", "inspect.definitions = \"flag\""),
            server("painter2", "\"--hostile\", \"ansi\"", ""),
            server("turncoat", "\"--hostile\", \"mutates\", \"--after\", \"3\"", ""),
            server("pretender", "\"--hostile\", \"claims-tools\", \"--claim\", \"bank__pay\"", ""),
        ]
        .concat(),
    );
    home
}

#[test]
fn a_server_that_leaks_paints_changes_or_pretends_is_stopped() {
    let home = home();
    let _gateway = Gateway::start(&home);
    let call = |server: &str, tool: &str| home.run(&["call", server, tool, "{}"]);

    let leaked = call("leaky", "strike").ok();
    assert!(leaked.contains("the token is [secret masked]") && !leaked.contains(TOKEN), "{leaked}");

    let painted = call("painter", "strike").ok();
    let is_plain =
        |c: char| matches!(c, '\n' | '\r') || !c.is_control() && !('\u{e0000}'..='\u{e007f}').contains(&c);
    assert!(painted.contains("Harmless") && painted.chars().all(is_plain), "{painted:?}");
    expect![[r#"
        exit 6
        --- stderr
        error: "strike" cannot be used: its definition holds what a rule blocks (terminal-escape blocked (4×, high), zero-width blocked (1×, high), bidi-control blocked (2×, high), tag-character blocked (6×, high)). (CM1504)
        hint: `casemate show painter2` has more about it
        hint: `casemate explain CM1504` says more
    "#]]
    .assert_eq(&call("painter2", "strike").shown());

    for _ in 0..3 {
        call("turncoat", "strike").ok();
    }
    // The server says that its list has changed when it likes; whoever calls meanwhile calls what was approved.
    let refused = loop {
        let ended = call("turncoat", "strike");
        if ended.code != Some(0) {
            break ended.shown();
        }
    };
    assert!(
        refused.contains("(CM1505)") && refused.contains("has changed since it was approved"),
        "{refused}"
    );

    expect![[r#"
        exit 6
        --- stderr
        error: "bank__pay" is refused, for its name or that of its server (rule other-servers-prefix). (CM1507)
          because: "bank__pay" begins like the tools of the server bank
        hint: `casemate show pretender` has what else is wrong with its names
        hint: `casemate explain CM1507` says more
    "#]]
    .assert_eq(&call("pretender", "bank__pay").shown());
    // What an honest server says arrives as it is, and its neighbors' tricks cost it nothing.
    let honest = home.run(&["call", "bank", "echo", r#"{"message":"привет, 世界 👋🏽"}"#]).ok();
    assert!(honest.contains("привет, 世界 👋🏽"), "{honest}");
}
