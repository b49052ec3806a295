use std::collections::BTreeSet;

use casemate_gateway::snapshot::{Limits, Resilience, Timeouts};

use super::*;
use crate::key::Key;
use crate::origin::Origin;
use crate::value::{self, Report, Value};

/// A name for each blank, so that a setting gets a real key.
fn concrete(setting: &Setting) -> Key {
    setting.segments().fold(Key::default(), |key, segment| {
        key.child(match Blank::of(segment) {
            None => segment,
            Some(Blank::Pair) => "git/log",
            Some(_) => "Accept-Language_",
        })
    })
}

fn read(setting: &Setting, text: &str) -> Value {
    let document: toml_edit::DocumentMut = format!("value = {text}").parse().unwrap();
    let mut report = Report { locate: &|_| Origin::Default, problems: Vec::new() };
    let value = value::read(setting, &concrete(setting), document.get("value").unwrap(), &mut report);
    value.unwrap_or_else(|| panic!("{}: {:?}", setting.key, report.problems))
}

fn default_of(key: &str) -> Value {
    let setting = settings().find(|setting| setting.key == key).unwrap();
    read(setting, setting.default.unwrap())
}

#[test]
fn every_default_and_example_is_itself_legal() {
    for setting in settings() {
        read(setting, setting.example);
        if let Some(default) = setting.default {
            read(setting, default);
        }
        assert!(setting.reason.ends_with('.') && setting.reason.len() > 20, "{} needs a reason", setting.key);
    }
}

#[test]
fn keys_are_unique_and_found_again() {
    let keys: BTreeSet<&str> = settings().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), settings().count());
    let variables: BTreeSet<String> = settings().filter_map(Setting::variable).collect();
    assert_eq!(variables.len(), settings().filter(|setting| setting.variable().is_some()).count());
    for setting in settings() {
        assert_eq!(Setting::find(concrete(setting).names()).unwrap().key, setting.key);
    }
}

#[test]
fn every_limit_has_a_range_that_excludes_zero() {
    for setting in settings() {
        let least_is_zero = match &setting.kind {
            Kind::Count(range) | Kind::Size(range) | Kind::Processors(range) => *range.start() == 0,
            Kind::Time(range) => range.start().is_zero(),
            _ => false,
        };
        assert!(!least_is_zero, "{} can be 0", setting.key);
    }
}

#[test]
fn defaults_are_those_of_the_snapshot() {
    let time = |key: &str| match default_of(key) {
        Value::Time(time) => time,
        other => panic!("{key}: {other:?}"),
    };
    let count = |key: &str| match default_of(key) {
        Value::Count(count) | Value::Size(count) | Value::Budget(count) => usize::try_from(count).unwrap(),
        other => panic!("{key}: {other:?}"),
    };
    let limits = Limits::default();
    assert_eq!(count("gateway.limits.request_size"), limits.request_bytes_max);
    assert_eq!(count("gateway.limits.result_size"), limits.result_bytes_max);
    assert_eq!(count("gateway.limits.calls_in_flight"), limits.calls_in_flight_max);
    assert_eq!(time("gateway.limits.body_time"), limits.body_time_max);
    assert_eq!(time("gateway.limits.list_time"), limits.list_time_max);
    assert_eq!(count("gateway.limits.sessions"), limits.sessions_max);
    assert_eq!(time("gateway.limits.session_idle"), limits.session_idle_max);
    assert_eq!(time("limits.session_life"), limits.session_life_max);
    assert_eq!(time("limits.queue_time"), limits.queue_time_max);
    assert_eq!(count("limits.queue"), limits.queue_max);
    let rate = |key: &str| match default_of(key) {
        Value::Rate(rate) => rate,
        other => panic!("{key}: {other:?}"),
    };
    let pace = &limits.pace;
    assert_eq!(rate("limits.address_rate"), pace.address);
    assert_eq!(rate("limits.attempts"), pace.attempts);
    assert_eq!(rate("limits.server_rate"), pace.server);
    for (name, allowance) in [("subject", pace.subject), ("key", pace.key), ("tool", pace.tool)] {
        assert_eq!(rate(&format!("limits.{name}_rate")), allowance.rate);
        assert_eq!(count(&format!("limits.{name}_budget")) as u64, allowance.budget);
    }
    assert_eq!(time("approvals.wait"), limits.approvals.wait_max);
    assert_eq!(time("approvals.expire"), limits.approvals.expire_after);
    assert_eq!(count("approvals.waiting"), limits.approvals.waiting_max);
    let results = limits.results;
    assert_eq!(count("spool.over"), results.text_max);
    assert_eq!(count("spool.media"), results.media_max);
    assert_eq!(count("spool.preview"), results.preview_chars);
    assert_eq!(count("spool.quota") as u64, results.subject_bytes_max);
    assert_eq!(count("spool.total") as u64, results.total_bytes_max);
    assert_eq!(time("spool.life"), results.life);
    let timeouts = Timeouts::default();
    assert_eq!(time("servers.NAME.timeout.start"), timeouts.start);
    assert_eq!(time("servers.NAME.timeout.call"), timeouts.call);
    assert_eq!(time("servers.NAME.timeout.hard"), timeouts.hard);
    assert_eq!(time("servers.NAME.timeout.idle"), timeouts.idle);
    let resilience = Resilience::default();
    assert_eq!(count("servers.NAME.circuit.failures"), resilience.failures_max as usize);
    assert_eq!(time("servers.NAME.circuit.open_for"), resilience.open_for);
    assert_eq!(time("servers.NAME.restart.backoff_min"), resilience.backoff_min);
    assert_eq!(time("servers.NAME.restart.backoff_max"), resilience.backoff_max);
    assert_eq!(count("servers.NAME.instances"), resilience.instances_max);
}
