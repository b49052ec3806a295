use super::*;

#[test]
fn what_is_written_is_read_and_written_again() {
    for text in ["250ms", "30s", "5m", "1h", "2d", "0ms", "1500ms"] {
        assert_eq!(show_time(time(text).unwrap()), text);
    }
    for text in ["0B", "512B", "64KiB", "16MiB", "1GiB", "1025B"] {
        assert_eq!(show_size(size(text).unwrap()), text);
    }
    assert_eq!(time("90s").unwrap(), Duration::from_secs(90));
    assert_eq!(size("2 MiB").unwrap(), 2 << 20);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for text in
        ["", "30", "s", "-1s", "1.5s", "30 sec", "1h30m", "99999999999999999999s", "18446744073709551615d"]
    {
        assert!(time(text).is_err(), "{text}");
    }
    for (text, hint) in
        [("16MB", "\"16MiB\""), ("16m", "\"16MiB\""), ("1g", "\"1GiB\""), ("16", "a whole number")]
    {
        let fault = size(text).unwrap_err();
        assert!(fault.hint.as_deref().unwrap().contains(hint), "{text}: {fault:?}");
    }
}

#[test]
fn rates_and_budgets_are_read_and_written_again() {
    for text in ["100/s", "30/m", "500/h", "1000/day", "1/s"] {
        assert_eq!(show_rate(rate(text).unwrap()), text);
    }
    assert_eq!(budget("1000/day").unwrap(), 1000);
    for text in [
        "",
        "100",
        "0/s",
        "-1/s",
        "1.5/s",
        "100/d",
        "100/week",
        "1/s/s",
        "+1/s",
        "99999999999/s",
        "/s",
        "a/s",
    ] {
        assert!(rate(text).unwrap_err().hint.is_some(), "{text}");
    }
    for text in ["", "0/day", "100", "100/s", "-1/day", "x/day", "99999999999999999999/day"] {
        assert!(budget(text).unwrap_err().hint.is_some(), "{text}");
    }
}
