use super::*;

fn entry(ward: &str, until: Option<u64>) -> Entry {
    Entry { ward: Ward::parse(ward).unwrap(), reason: "r".into(), by: "t".into(), since: 1, until }
}

fn alice() -> SubjectId {
    SubjectId::key("alice")
}

#[test]
fn an_empty_quarantine_keeps_nobody() {
    let quarantine = Quarantine::new(Vec::new());
    assert_eq!(quarantine.of_subject(&alice()), None);
    assert_eq!(quarantine.of_tool("git", "push"), None);
    assert!(quarantine.list().is_empty());
}

#[test]
fn each_ward_keeps_what_it_names_and_nothing_beside_it() {
    let quarantine = Quarantine::new(vec![entry("tool:git/push", None), entry("server:wiki", None)]);
    assert!(quarantine.of_tool("git", "push").is_some());
    assert_eq!(quarantine.of_tool("git", "log"), None);
    assert_eq!(quarantine.of_tool("other", "push"), None);
    assert_eq!(quarantine.of_server("git"), None, "its other tools are free");
    assert!(quarantine.of_server("wiki").is_some());
    assert!(quarantine.of_tool("wiki", "read").is_some(), "a server's tools are in with it");
    assert_eq!(quarantine.of_subject(&alice()), None);
    quarantine.replace(vec![entry("key:alice", None)]);
    assert!(quarantine.of_subject(&alice()).is_some());
    assert_eq!(quarantine.of_subject(&SubjectId::key("bob")), None);
    assert_eq!(quarantine.of_subject(&SubjectId::token("key", "alice")), None);
    quarantine.replace(vec![entry("gateway", None)]);
    assert!(quarantine.of_subject(&SubjectId::local(0)).is_some());
    assert!(quarantine.of_tool("git", "log").is_some());
    quarantine.replace(Vec::new());
    assert_eq!(quarantine.of_subject(&SubjectId::local(0)), None);
}

#[test]
fn what_is_over_keeps_nobody_before_anybody_sweeps() {
    let far = clock::unix_now().as_secs() + 3600;
    let quarantine = Quarantine::new(vec![entry("server:git", Some(7)), entry("server:wiki", Some(far))]);
    assert_eq!(quarantine.of_server("git"), None);
    assert!(quarantine.of_server("wiki").is_some());
    assert_eq!(quarantine.list().len(), 1);
    let version = quarantine.version();
    quarantine.sweep();
    assert!(quarantine.version() > version, "lists are put together anew");
    let version = quarantine.version();
    quarantine.sweep();
    assert_eq!(quarantine.version(), version);
}

#[test]
fn what_a_rule_put_in_outlasts_a_look_into_the_store_until_the_store_has_it() {
    let quarantine = Quarantine::new(Vec::new());
    assert!(quarantine.confine(entry("server:git", None)));
    assert!(!quarantine.confine(entry("server:git", None)), "it is in already");
    quarantine.replace(Vec::new());
    assert!(quarantine.of_server("git").is_some(), "nobody has written it down yet");
    quarantine.replace(vec![entry("server:git", None)]);
    quarantine.kept(&[Ward::parse("server:git").unwrap()]);
    assert!(quarantine.of_server("git").is_some());
    quarantine.replace(Vec::new());
    assert_eq!(quarantine.of_server("git"), None, "a person lifted it");
    assert!(quarantine.confine(entry("server:git", None)), "and a rule may put it in again");
}

#[test]
fn rules_fill_no_memory_while_nobody_writes_down_what_they_do() {
    let quarantine = Quarantine::new(Vec::new());
    for number in 0..OWN_MAX {
        assert!(quarantine.confine(entry(&format!("key:{number}"), None)));
    }
    assert!(!quarantine.confine(entry("key:more", None)));
}

#[tokio::test]
async fn whoever_listens_before_judging_misses_no_change() {
    let quarantine = Quarantine::new(Vec::new());
    let mut turns = quarantine.turns();
    assert_eq!(quarantine.of_server("git"), None);
    quarantine.confine(entry("server:git", None));
    turns.changed().await.unwrap();
    assert!(quarantine.of_server("git").is_some());
}
