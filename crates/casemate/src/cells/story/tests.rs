use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use casemate_gateway::upstream::Overrun;
use casemate_gateway::upstream::report::{Absence, Granted, Limit};
use casemate_net::{Protocol, Reason};
use casemate_store::RecordLog;
use casemate_store::records::tail;
use serde_json::Value;

use super::*;

/// A story with records of its own.
fn story(folder: &Path) -> (Story, mpsc::Receiver<String>) {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).unwrap();
    let log = RecordLog::open(&folder.join("records")).unwrap();
    Story::new("one", Told { log: Some(Arc::new(Log::new(log))), alarms: None })
}

fn records(folder: &Path) -> Vec<Value> {
    let lines = tail(&folder.join("records"), 100).unwrap();
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn attempt(name: Option<&str>, verdict: Verdict) -> Attempt {
    let address = Some(IpAddr::from([192, 0, 2, 1]));
    Attempt { name: name.map(str::to_owned), address, port: 443, protocol: Protocol::Tcp, verdict, times: 1 }
}

fn ended(bytes_in: u64) -> Verdict {
    let duration = Duration::from_millis(5);
    Verdict::Ended(casemate_net::Traffic { bytes_out: 1, bytes_in, duration, end: End::Closed })
}

#[test]
fn a_start_and_an_end_over_a_limit_are_recorded_under_one_instance() {
    let folder = tempfile::tempdir().unwrap();
    let (story, _remarks) = story(folder.path());
    let text = str::to_owned;
    let report = CellReport {
        cell: CellKind::Light,
        layers: vec![text("seccomp")],
        absent: vec![Absence { layer: text("tmp"), reason: text("there is none") }],
        grants: vec![Granted { path: text("/srv"), access: text("readable") }],
        limits: vec![Limit { setting: text("limits.memory"), value: text("1GiB") }],
        ..CellReport::default()
    };
    story.started("/bin/one", &report).unwrap();
    let overrun = Overrun { setting: "limits.memory", value: text("1GiB") };
    story.ended(&Exit { how: text("signal 9"), overrun: Some(overrun) });
    let [start, end] = records(folder.path()).try_into().unwrap();
    assert_eq!((&start["kind"], &start["cell"]), (&"cell-start".into(), &"light".into()));
    assert_eq!(start["absent"][0], "tmp: there is none");
    assert_eq!(start["grants"][0], "readable /srv");
    assert_eq!(start["limits"][0], "limits.memory = 1GiB");
    assert_eq!((&end["kind"], &end["limit"]), (&"cell-end".into(), &"limits.memory = 1GiB".into()));
    assert_eq!(start["instance"], end["instance"]);
}

#[test]
fn a_start_without_a_cell_is_a_record_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (story, _remarks) = story(folder.path());
    story.started("/bin/one", &CellReport::default()).unwrap();
    assert_eq!(records(folder.path())[0]["cell"], "none");
}

#[test]
fn a_server_that_connects_in_a_loop_does_not_fill_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let (story, mut remarks) = story(folder.path());
    for _ in 0..500 {
        story.attempt(&attempt(Some("a.example"), Verdict::Allowed));
        story.attempt(&attempt(Some("a.example"), ended(10)));
    }
    story.attempt(&attempt(None, Verdict::Refused(Reason::NotGranted)));
    story.ended(&Exit { how: "exit code 0".to_owned(), overrun: None });
    let records = records(folder.path());
    let told: Vec<(&str, u64)> = records
        .iter()
        .map(|one| (one["verdict"].as_str().unwrap_or("-"), one["times"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!(
        told,
        [("allowed", 1), ("ended", 1), ("refused", 1), ("allowed", 499), ("ended", 499), ("-", 0)]
    );
    assert_eq!(records[4]["bytes_in"], 4990);
    assert_eq!(
        (&records[2]["address"], &records[2]["reason"]),
        (&"192.0.2.1".into(), &"no grant names it".into())
    );
    assert_eq!(remarks.try_recv().unwrap(), "network refused: 192.0.2.1:443 (tcp): no grant names it");
    assert!(remarks.try_recv().is_err());
}
