use crate::resolve::tests::{World, written};

use super::*;

const SERVERS: &str = "[servers.files]\ncommand = \"x\"\n[servers.guard]\ncommand = \"y\"\n[servers.off]\ncommand = \"z\"\nenabled = false\n";

#[test]
fn an_interceptor_arrives_as_it_is_written() {
    let text = format!(
        "{SERVERS}
[interceptors.pii]
kind = \"mutator\"
server = \"guard\"
interceptor = \"acme/pii\"
on = [\"tools/call\", \"prompts/get\"]
phase = \"request\"
servers = [\"files\"]
tools = [\"write_*\"]
timeout = \"300ms\"
mode = \"audit\"
fail = \"open\"
order = 7
size = \"1KiB\"
config = {{ level = \"strict\", list = [1] }}
[interceptors.judge]
kind = \"validator\"
url = \"http://localhost:8181/ask\"
private_network = true
allow_secrets = true
headers.X-Team = \"blue\"
[interceptors.none]
kind = \"validator\"
url = \"https://judge.example.com\"
enabled = false
"
    );
    let loaded = World::default().load(&written(&text)).unwrap();
    let all: Vec<&Arc<Interceptor>> = loaded.snapshot.interceptors.iter().collect();
    let [pii, judge] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&*pii.name, pii.kind, pii.order), ("pii", InterceptorKind::Mutator, 7));
    assert!(
        matches!(&pii.way, Way::Server { server, interceptor } if server.as_str() == "guard" && &**interceptor == "acme/pii")
    );
    assert_eq!(pii.events, [Event::ToolsCall, Event::PromptsGet].into());
    assert_eq!(pii.phases, [Phase::Request].into());
    assert_eq!((pii.time_max, pii.bytes_max), (Duration::from_millis(300), 1024));
    assert_eq!((pii.mode, pii.unheard, pii.sight), (Mode::Audit, Unheard::Open, Sight::Cleared));
    assert_eq!(pii.config.as_ref().map(Raw::as_str), Some(r#"{"level":"strict","list":[1]}"#));
    assert_eq!(pii.tools.as_deref(), Some(&["write_*".to_owned()][..]));
    assert!(loaded.snapshot.interceptors.has_server(&ServerName::parse("guard").unwrap()));
    let Way::Http(http) = &judge.way else { panic!("{judge:?}") };
    assert_eq!((http.network, http.headers.len()), (JudgeNetwork::Private, 1));
    assert_eq!((judge.mode, judge.unheard, judge.sight), (Mode::Active, Unheard::Closed, Sight::Everything));
    assert_eq!((judge.time_max, judge.order, judge.bytes_max), (Duration::from_secs(2), 100, 4 << 20));
    assert_eq!((judge.events.clone(), judge.phases.len()), ([Event::ToolsCall].into(), 2));
    assert!(!format!("{judge:?}").contains("blue"));
}

#[test]
fn judges_that_could_not_judge_are_mistakes_with_a_line() {
    let validator = "kind = \"validator\"\n";
    for (lines, what) in [
        ("url = \"https://a.example\"".to_owned(), "has no `kind`"),
        ("kind = \"judge\"\nurl = \"https://a.example\"".to_owned(), "\"judge\" is not a choice"),
        (validator.to_owned(), "has neither `url` nor `server`"),
        (
            format!("{validator}url = \"https://a.example\"\nserver = \"guard\""),
            "has both `url` and `server`",
        ),
        (format!("{validator}url = \"http://a.example/\""), "goes over plain http"),
        (format!("{validator}url = \"http://10.0.0.1/\"\nprivate_network = true"), "goes over plain http"),
        (format!("{validator}url = \"https://user:pw@a.example\""), "casemate.toml:10"),
        (format!("{validator}url = \"https://a.example/#x\""), "fragment"),
        (format!("{validator}server = \"gaurd\""), "did you mean \"guard\"?"),
        (format!("{validator}server = \"off\""), "is switched off"),
        (format!("{validator}server = \"guard\"\nheaders.X-Y = \"z\""), "means nothing beside `server`"),
        (
            format!("{validator}url = \"https://a.example\"\ninterceptor = \"x\""),
            "means nothing beside `url`",
        ),
        (format!("{validator}server = \"guard\"\non = []"), "`on` in"),
        (format!("{validator}server = \"guard\"\non = [\"tools/list\"]"), "there is tools/call, prompts/get"),
        (format!("{validator}server = \"guard\"\nservers = [\"nobody\"]"), "no server called \"nobody\""),
        (format!("{validator}server = \"guard\"\nservers = [\"guard\"]"), "no client calls it"),
        (format!("{validator}server = \"guard\"\ntools = []"), "`tools` in"),
        (
            format!("{validator}server = \"guard\"\non = [\"prompts/get\"]\ntools = [\"x\"]"),
            "without tools/call",
        ),
        (format!("{validator}server = \"guard\"\nconfig = 1"), "is no object"),
        (format!("{validator}server = \"guard\"\ntimeout = \"2m\""), "outside of 10ms to 1m"),
        (format!("{validator}server = \"guard\"\nfial = \"open\""), "did you mean `fail`?"),
        (
            "kind = \"mutator\"\nserver = \"guard\"\non = [\"resources/read\"]\nphase = \"request\""
                .to_owned(),
            "could change nothing",
        ),
    ] {
        let text = format!("{SERVERS}[interceptors.one]\n{lines}\n");
        let problems = World::default().load(&written(&text)).unwrap_err().to_string();
        assert!(problems.contains(what), "{lines}: {problems}");
        assert!(problems.contains("casemate.toml:") && problems.contains("hint:"), "{lines}: {problems}");
    }
}

#[test]
fn a_profile_does_not_show_a_judge() {
    let text = format!(
        "{SERVERS}[interceptors.one]\nkind = \"validator\"\nserver = \"guard\"\n[profiles.all]\nservers = [\"files\", \"guard\"]\n"
    );
    let problems = World::default().load(&written(&text)).unwrap_err().to_string();
    assert!(problems.contains("is an interceptor, which no client sees"), "{problems}");
}
