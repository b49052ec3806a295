use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// 2026-08-31T10:20:30.456Z.
const NOW: u64 = 1_788_171_630_456;
const DAY: u64 = 86_400_000;

fn folder() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

fn open(folder: &TempDir) -> RecordLog {
    RecordLog::open_at(folder.path(), LogLimits::default(), NOW).unwrap()
}

fn intent() -> Intent<'static> {
    Intent {
        call: "c1",
        subject: "key:3fd1a2",
        peer: Some("127.0.0.1:5000"),
        endpoint: "/mcp",
        revision: "2026-07-28",
        method: "tools/call",
        server: Some("git"),
        name: Some("git_status"),
        effect: "allow",
        rules: &["role reader: allow git/*"],
        arguments: Some(Arguments { sha256: [0xab; 32], bytes: 17 }),
        snapshot: 4,
    }
}

fn outcome() -> Outcome<'static> {
    Outcome {
        call: "c1",
        result: Ending::Refused,
        code: Some("CM1207"),
        detail: Some("no role"),
        bytes: 0,
        micros: 1250,
    }
}

fn findings(reader: &mut Reader) -> Vec<Finding> {
    std::iter::from_fn(|| reader.next_finding().unwrap()).collect()
}

/// The numbers in the log, with a gap as 0 and damage as u64::MAX.
fn numbers(folder: &Path) -> Vec<u64> {
    findings(&mut Reader::from_start(folder))
        .into_iter()
        .map(|finding| match finding {
            Finding::Record { seq, .. } => seq,
            Finding::Gap { .. } => 0,
            Finding::Damaged { .. } => u64::MAX,
        })
        .collect()
}

fn segments(folder: &TempDir) -> Vec<PathBuf> {
    segment::Segment::list(folder.path()).unwrap().into_iter().map(|segment| segment.path).collect()
}

fn add(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_record_is_one_canonical_line() {
    let folder = folder();
    let log = open(&folder);
    assert_eq!(log.append_at(&Record::Intent(&intent()), NOW).unwrap(), 1);
    assert_eq!(log.append_at(&Record::Outcome(&outcome()), NOW + 7).unwrap(), 2);
    let digest = "ab".repeat(32);
    assert_eq!(
        tail(folder.path(), 10).unwrap(),
        [
            [
                r#"{"arguments":{"bytes":17,"sha256":""#,
                &digest,
                r#""},"call":"c1","effect":"allow","endpoint":"/mcp","kind":"intent","method":"tools/call","#,
                r#""name":"git_status","peer":"127.0.0.1:5000","revision":"2026-07-28","#,
                r#""rules":["role reader: allow git/*"],"seq":1,"server":"git","snapshot":4,"#,
                r#""subject":"key:3fd1a2","time":"2026-08-31T10:20:30.456Z"}"#,
            ]
            .concat(),
            [
                r#"{"bytes":0,"call":"c1","code":"CM1207","detail":"no role","kind":"outcome","micros":1250,"#,
                r#""result":"refused","seq":2,"time":"2026-08-31T10:20:30.463Z"}"#,
            ]
            .concat(),
        ]
    );
}

#[test]
fn only_the_owner_reads_the_log_and_others_refuse_to_open_it() {
    let folder = folder();
    let data = folder.path().join("records");
    drop(RecordLog::open(&data).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&data), 0o700);
    let segment = segment::Segment::list(&data).unwrap().remove(0).path;
    assert_eq!(mode(&segment), 0o600);
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o644)).unwrap();
    let fault = RecordLog::open(&data).unwrap_err().to_string();
    assert!(fault.contains("hint: chmod 0600 "), "{fault}");
}

#[test]
fn many_write_one_log_over_rotations_and_no_number_is_lost_or_doubled() {
    let folder = folder();
    let limits = LogLimits { segment_bytes_max: 2000, ..LogLimits::default() };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A log of its own, as another process has one.
                let log = RecordLog::open_at(folder.path(), limits, NOW).unwrap();
                for _ in 0..100 {
                    log.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(numbers(folder.path()), (1..=400).collect::<Vec<_>>());
    assert!(segments(&folder).iter().all(|path| fs::metadata(path).unwrap().len() <= 2000));
}

#[test]
fn who_was_killed_in_the_middle_of_a_line_is_told_of_by_the_next_who_writes() {
    let folder = folder();
    let [one, other] = [open(&folder), open(&folder)];
    one.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
    add(&segments(&folder)[0], b"{\"half\":");
    assert_eq!(other.append_at(&Record::Outcome(&outcome()), NOW).unwrap(), 3);
    assert_eq!(one.append_at(&Record::Outcome(&outcome()), NOW).unwrap(), 4);
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4]);
    assert!(tail(folder.path(), 3).unwrap()[0].contains("torn"));
}

#[test]
fn a_log_that_is_shortened_while_it_is_open_has_a_gap() {
    let folder = folder();
    let log = open(&folder);
    for _ in 0..3 {
        log.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
    }
    let path = segments(&folder).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.split_inclusive('\n').next().unwrap()).unwrap();
    log.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
    assert_eq!(numbers(folder.path()), [1, 0, 4]);
}

#[test]
fn a_record_is_refused_when_another_process_never_lets_go_of_the_log() {
    let folder = folder();
    let limits = LogLimits { turn_time_max: std::time::Duration::from_millis(5), ..LogLimits::default() };
    let log = RecordLog::open_at(folder.path(), limits, NOW).unwrap();
    let held = fs::File::open(folder.path().join("records.lock")).unwrap();
    held.lock().unwrap();
    let record = Record::Outcome(&outcome());
    assert!(matches!(log.append_at(&record, NOW), Err(LogFault::Busy { .. })));
    assert!(matches!(RecordLog::open_with(folder.path(), limits), Err(LogFault::Busy { .. })));
    drop(held);
    assert_eq!(log.append_at(&record, NOW).unwrap(), 1);
}

#[test]
fn numbers_go_on_after_a_restart_another_day_and_a_full_segment() {
    let folder = folder();
    let limits = LogLimits { segment_bytes_max: 1000, ..LogLimits::default() };
    let record = Record::Outcome(&Outcome { code: None, ..outcome() });
    for start in 0..3 {
        let log = RecordLog::open_at(folder.path(), limits, NOW + start * DAY).unwrap();
        for _ in 0..10 {
            log.append_at(&record, NOW + start * DAY).unwrap();
        }
    }
    assert_eq!(numbers(folder.path()), (1..=30).collect::<Vec<_>>());
    let segments = segments(&folder);
    let names: Vec<_> = segments.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names[0], "records-000000000001-2026-08-31.jsonl");
    assert!(names.contains(&"records-000000000011-2026-09-01.jsonl"), "{names:?}");
    assert!(segments.iter().all(|path| fs::metadata(path).unwrap().len() <= 1000));
    let last: Vec<_> =
        tail(folder.path(), 15).unwrap().iter().map(|line| segment::seq_of(line.as_bytes())).collect();
    assert_eq!(last, (16..=30).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_torn_line_is_cut_off_and_told_of() {
    let folder = folder();
    open(&folder).append_at(&Record::Outcome(&outcome()), NOW).unwrap();
    let path = segments(&folder).remove(0);
    for (torn, seq) in [(&b"{\"bytes\":1,\"call\":"[..], 2), (b"\0\0\0\0", 3), (b"{", 4)] {
        add(&path, torn);
        assert_eq!(numbers(folder.path()).len(), seq - 1, "a reader waits for the end of a line");
        drop(open(&folder));
        let last = tail(folder.path(), 1).unwrap().remove(0);
        let value: Value = serde_json::from_str(&last).unwrap();
        assert_eq!((&value["kind"], &value["bytes"]), (&"torn".into(), &torn.len().into()));
    }
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4]);
}

#[test]
fn a_reader_follows_over_rotation_and_recovery() {
    let folder = folder();
    let mut reader = Reader::from_start(&folder.path().join("not-there-yet"));
    assert_eq!(reader.next_finding().unwrap(), None);
    let mut reader = Reader::from_start(folder.path());
    let log = open(&folder);
    let record = Record::Outcome(&outcome());
    let mut seen = Vec::new();
    for (at, now) in [NOW, NOW, NOW + DAY, NOW + DAY, NOW + 2 * DAY].into_iter().enumerate() {
        assert_eq!(findings(&mut reader), []);
        log.append_at(&record, now).unwrap();
        let found = findings(&mut reader);
        assert!(matches!(&found[..], [Finding::Record { seq, .. }] if *seq == at as u64 + 1), "{found:?}");
        seen.extend(found);
    }
    drop(log);
    add(segments(&folder).last().unwrap(), b"{\"half\":");
    assert_eq!(findings(&mut reader), []);
    drop(RecordLog::open_at(folder.path(), LogLimits::default(), NOW + 2 * DAY).unwrap());
    let found = findings(&mut reader);
    assert!(matches!(&found[..], [Finding::Record { seq: 6, line }] if line.contains("torn")), "{found:?}");
}

#[test]
fn what_was_taken_out_or_edited_shows() {
    let folder = folder();
    let log = open(&folder);
    for _ in 0..6 {
        log.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
    }
    drop(log);
    let path = segments(&folder).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let write = |kept: &[&str]| fs::write(&path, kept.concat()).unwrap();
    write(&[lines[0], lines[1], lines[4], lines[5]]);
    assert_eq!(numbers(folder.path()), [1, 2, 0, 5, 6]);
    write(&[lines[2], lines[3]]);
    assert_eq!(numbers(folder.path()), [0, 3, 4]);
    write(&[lines[0], "not a record\n", lines[2]]);
    assert_eq!(numbers(folder.path()), [1, u64::MAX, 3]);
    write(&[lines[0], lines[0], lines[1]]);
    assert_eq!(numbers(folder.path()), [1, 0, 1, 2]);
    write(&[lines[0], lines[1], "edited\n"]);
    let log = open(&folder);
    assert_eq!(log.append_at(&Record::Outcome(&outcome()), NOW).unwrap(), 4);
    assert_eq!(numbers(folder.path()), [1, 2, u64::MAX, 4]);
}

#[test]
fn threads_write_whole_lines_in_the_order_of_their_numbers() {
    let folder = folder();
    let log = open(&folder);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    log.append_at(&Record::Intent(&intent()), NOW).unwrap();
                }
            });
        }
    });
    assert_eq!(numbers(folder.path()), (1..=1000).collect::<Vec<_>>());
}

#[test]
fn no_caller_decides_how_long_a_line_gets() {
    let folder = folder();
    let log = open(&folder);
    let long = "ä".repeat(100_000);
    let rules = vec![long.as_str(); 1000];
    log.append_at(&Record::Intent(&Intent { name: Some(&long), rules: &rules, ..intent() }), NOW).unwrap();
    let line = tail(folder.path(), 1).unwrap().remove(0);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["name"], format!("{}…", "ä".repeat(TEXT_MAX / 2)));
    assert!(line.len() < 66 * (TEXT_MAX + 10), "{}", line.len());
    assert_eq!(value["rules"][63], "… and 937 more");
}

proptest! {
    /// The line written by hand is what the general writer makes of the value that it means.
    #[test]
    fn hand_written_lines_are_canonical(
        texts in prop::collection::vec(any::<String>(), 6),
        numbers in prop::array::uniform3(any::<u64>()),
        (peer, server, name) in any::<(Option<String>, Option<String>, Option<String>)>(),
        arguments in any::<Option<([u8; 32], u32)>>(),
    ) {
        let rules: Vec<&str> = texts.iter().map(String::as_str).collect();
        let intent = Intent {
            call: &texts[0], subject: &texts[1], endpoint: &texts[2], revision: &texts[3], method: &texts[4],
            effect: &texts[5], peer: peer.as_deref(), server: server.as_deref(), name: name.as_deref(),
            rules: &rules, snapshot: numbers[0],
            arguments: arguments.map(|(sha256, bytes)| Arguments { sha256, bytes: bytes.into() }),
        };
        let outcome = Outcome {
            call: &texts[0], result: Ending::Error, code: name.as_deref(), detail: peer.as_deref(), bytes: numbers[1], micros: numbers[2],
        };
        for record in [Record::Intent(&intent), Record::Outcome(&outcome), Record::Torn { bytes: numbers[0] }] {
            let mut out = Vec::new();
            line::write(&mut out, &record, line::Stamp { seq: 9, time: b"2026-08-31T10:20:30.456Z" });
            prop_assert_eq!(out.pop(), Some(b'\n'));
            let line = String::from_utf8(out).unwrap();
            prop_assert!(!line.contains('\n'));
            let value: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(canonical(&value).unwrap(), line);
        }
    }

    /// Wherever a power cut ends the file, the next start finds the numbers again and loses whole lines only.
    #[test]
    fn a_log_that_was_cut_anywhere_goes_on(cut in 0..1600_u64) {
        let folder = folder();
        let log = open(&folder);
        for _ in 0..10 {
            log.append_at(&Record::Outcome(&outcome()), NOW).unwrap();
        }
        drop(log);
        let path = segments(&folder).remove(0);
        let len = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(cut.min(len)).unwrap();
        open(&folder).append_at(&Record::Outcome(&outcome()), NOW).unwrap();
        let numbers = numbers(folder.path());
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}
