use std::time::Duration;

use tokio::time::Instant;

use super::{Breaker, Pass};
use crate::entry::Resilience;

const MS: Duration = Duration::from_millis(1);

fn settings() -> Resilience {
    Resilience {
        failures_max: 3,
        open_for: MS * 1000,
        backoff_min: MS * 100,
        backoff_max: MS * 350,
        instances_max: 1,
    }
}

#[test]
fn the_pause_before_a_restart_doubles_from_the_second_failure_on() {
    let now = Instant::now();
    let table =
        [(1, 0.0, 0), (1, 1.0, 0), (2, 1.0, 100), (2, 0.0, 50), (3, 1.0, 200), (4, 1.0, 350), (40, 1.0, 350)];
    for (failures, chance, pause) in table {
        let mut breaker = Breaker::new(settings());
        for _ in 0..failures {
            breaker.failed(now, chance);
        }
        let expected = (pause > 0).then(|| now + MS * pause);
        assert_eq!(breaker.start_at(now), expected, "{failures} failures, chance {chance}");
    }
}

#[test]
fn the_circuit_opens_after_the_set_number_of_consecutive_failures() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    breaker.failed(now, 0.5);
    breaker.failed(now, 0.5);
    breaker.succeeded();
    assert!(!breaker.is_troubled());
    for _ in 0..2 {
        breaker.failed(now, 0.5);
        assert_eq!(breaker.admit(now), Ok(Pass::Normal));
    }
    breaker.failed(now, 0.5);
    assert_eq!(breaker.admit(now + MS * 400), Err(MS * 600));
    assert_eq!(breaker.open_until(now), Some(now + MS * 1000));
}

#[test]
fn a_failure_while_open_does_not_push_the_end_away() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    (0..3).for_each(|_| breaker.failed(now, 0.5));
    breaker.failed(now + MS * 500, 0.5);
    assert_eq!(breaker.open_until(now), Some(now + MS * 1000));
}

#[test]
fn one_call_probes_and_its_outcome_decides() {
    let now = Instant::now();
    let open = || {
        let mut breaker = Breaker::new(settings());
        (0..3).for_each(|_| breaker.failed(now, 0.5));
        assert_eq!(breaker.admit(now + MS * 1000), Ok(Pass::Probe));
        assert_eq!(breaker.start_at(now), None, "the probe starts at once");
        assert!(breaker.admit(now + MS * 1000).is_err(), "only one probes");
        breaker
    };
    let later = now + MS * 1100;

    let mut good = open();
    good.succeeded();
    assert_eq!(good.admit(later), Ok(Pass::Normal));

    let mut bad = open();
    bad.failed(later, 0.5);
    assert_eq!(bad.admit(later), Err(MS * 1000), "one failure opens it again");

    let mut lost = open();
    lost.probe_lost(later);
    assert_eq!(lost.admit(later), Ok(Pass::Probe));
}
