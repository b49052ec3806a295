use super::*;
use crate::ports::{ApprovalEvent, Intent, Outcome};

/// What was written, a line each.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Recorder for Lines {
    fn intent(&self, _: &Intent<'_>) -> Result<(), String> {
        Ok(())
    }

    fn outcome(&self, _: &Outcome<'_>) {}

    fn approval(&self, _: &ApprovalEvent<'_>) -> Result<(), String> {
        Ok(())
    }

    fn turned_away(&self, away: &TurnedAway<'_>) {
        let TurnedAway { from, count, first, last, reasons } = away;
        let line = format!("{from} {count} {}-{} {}", first.0, last.0, reasons.join(", "));
        self.0.lock().unwrap().push(line);
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn noted(address: &str, code: Code, unix_ms: u64) -> Noted {
    let label = if code == Code::ForeignOrigin { "unknown host" } else { "" };
    Noted {
        address: Some(address.parse().unwrap()),
        code,
        label,
        call: CallId { run: 1, number: unix_ms },
        unix_ms,
    }
}

#[test]
fn an_address_has_one_line_a_minute() {
    let (away, lines) = (TurnedAways::default(), Lines::default());
    for (address, code, at) in [
        ("192.0.2.1", Code::NoCredential, 60_000),
        ("192.0.2.1", Code::ForeignOrigin, 60_500),
        ("::ffff:192.0.2.1", Code::NoCredential, 61_000),
        ("2001:db8::1", Code::BadCredential, 62_000),
        ("2001:db8::2", Code::BadCredential, 63_000),
        ("2001:db8:0:1::2", Code::BadCredential, 64_000),
    ] {
        away.note(&lines, &noted(address, code, at));
    }
    away.sweep(&lines, 119_999);
    assert!(lines.take().is_empty(), "the minute is not over");
    away.sweep(&lines, 120_000);
    let written = lines.take();
    let expected = [
        "192.0.2.1 3 60000-61000 CM1001 unknown host: 1, CM1101: 2",
        "2001:db8::/64 2 62000-63000 CM1102: 2",
        "2001:db8:0:1::/64 1 64000-64000 CM1102: 1",
    ];
    assert_eq!(written, expected);
    away.note(&lines, &noted("192.0.2.1", Code::NoCredential, 120_001));
    away.note(&lines, &noted("192.0.2.1", Code::NoCredential, 180_001));
    assert_eq!(lines.take().len(), 1, "the next minute's first refusal writes it too");
    away.settle(&lines);
    assert_eq!(lines.take().len(), 1);
}

#[test]
fn strangers_cannot_fill_the_disk() {
    let (away, lines) = (TurnedAways::default(), Lines::default());
    let mut written = 0;
    for minute in 0..1440_u64 {
        for host in 0..200_u64 {
            let address = format!("10.{}.{}.{host}", minute / 256, minute % 256);
            away.note(&lines, &noted(&address, Code::NoCredential, minute * MINUTE_MS + host));
        }
        assert!(away.state.lock().unwrap().named.len() <= NAMED_MAX, "what is kept in memory is bounded");
        let now = lines.take();
        assert!(now.len() <= NAMED_MAX + 1);
        written += now.len();
    }
    away.settle(&lines);
    let last = lines.take();
    written += last.len();
    assert!(written <= LINES_PER_DAY as usize + 1440, "{written}");
    assert!(last.last().unwrap().starts_with("others 200 "), "nobody is lost: {last:?}");
    away.note(&lines, &noted("192.0.2.1", Code::NoCredential, DAY_MS));
    away.settle(&lines);
    assert!(lines.take()[0].starts_with("192.0.2.1 1 "), "the next day has lines again");
}
