use super::*;

#[test]
fn only_the_listed_hosts_are_known() {
    use HostVerdict::{Known, Malformed, Unknown};
    let rule = HostRule::with(["gateway.example", "other.example:8443", "[2001:db8::1]:80"]).unwrap();
    let rule = rule.and_exactly("public.example").unwrap().and_exactly("public.example:443").unwrap();
    let table = [
        ("localhost", Known),
        ("localhost:7332", Known),
        ("LocalHost:1", Known),
        ("127.0.0.1:65535", Known),
        ("[::1]:7332", Known),
        ("[0:0:0:0:0:0:0:1]", Known),
        ("[0000::0001]:1", Known),
        ("gateway.example:1234", Known),
        ("other.example:8443", Known),
        ("[2001:DB8:0::1]:80", Known),
        ("public.example", Known),
        ("PUBLIC.example:443", Known),
        ("public.example:80", Unknown),
        ("public.example:7332", Unknown),
        ("public.example.evil", Unknown),
        ("evil.public.example", Unknown),
        ("evilpublic.example", Unknown),
        ("public.example.", Malformed),
        ("public.example@evil", Malformed),
        ("other.example", Unknown),
        ("other.example:443", Unknown),
        ("[2001:db8::1]", Unknown),
        ("127.0.0.1.evil", Unknown),
        ("127.0.0.1.evil.example:7332", Unknown),
        ("evil.localhost", Unknown),
        ("localhost.evil", Unknown),
        ("127.0.0.2", Unknown),
        ("127.1", Unknown),
        ("2130706433", Unknown),
        ("0x7f.0.0.1", Unknown),
        ("127.0.0.01", Unknown),
        ("0.0.0.0:7332", Unknown),
        ("[::ffff:127.0.0.1]", Unknown),
        ("[::]", Unknown),
        ("", Malformed),
        (":80", Malformed),
        ("localhost.", Malformed),
        ("localhost.:80", Malformed),
        (".localhost", Malformed),
        ("localhost:", Malformed),
        ("localhost:+80", Malformed),
        ("localhost:65536", Malformed),
        ("localhost:80:80", Malformed),
        ("localhost:8 0", Malformed),
        ("user@localhost", Malformed),
        ("localhost/x", Malformed),
        ("local host", Malformed),
        ("localhost,evil", Malformed),
        ("::1", Malformed),
        ("[::1", Malformed),
        ("[::1]x", Malformed),
        ("[::1%lo]", Malformed),
        ("[127.0.0.1]", Malformed),
        ("löcalhost", Malformed),
    ];
    for (value, verdict) in table {
        assert_eq!(rule.judge(value), verdict, "{value:?}");
    }
}

#[test]
fn only_the_listed_origins_are_admitted() {
    let mut list = Origin::local();
    for text in
        ["https://app.example", "http://dev.example:*", "vscode-webview://abc", "https://x.example:8443"]
    {
        list.push(Origin::parse(text).unwrap());
    }
    let table = [
        ("http://localhost", true),
        ("http://localhost:6274", true),
        ("HTTP://LOCALHOST:6274", true),
        ("http://127.0.0.1:1", true),
        ("http://[::1]:3000", true),
        ("http://[0:0::1]:3000", true),
        ("https://app.example", true),
        ("https://app.example:443", true),
        ("http://dev.example:81", true),
        ("vscode-webview://abc", true),
        ("https://x.example:8443", true),
        ("null", false),
        ("", false),
        ("*", false),
        ("https://localhost", false),
        ("http://localhost.evil", false),
        ("http://127.0.0.1.evil:80", false),
        ("http://localhost.", false),
        ("http://localhost/", false),
        ("http://localhost:", false),
        ("http://localhost@evil", false),
        ("http://evil", false),
        ("http://app.example", false),
        ("https://app.example:444", false),
        ("https://x.example", false),
        ("vscode-webview://abc:1", false),
        ("vscode-webview://abd", false),
        ("://localhost", false),
        ("http://localhost http://evil", false),
        ("file://", false),
    ];
    for (value, admitted) in table {
        assert_eq!(Origin::admitted(&list, value), admitted, "{value:?}");
    }
}

#[test]
fn what_cannot_be_a_rule_is_refused() {
    for text in ["", "*", "http://localhost", "a b", "localhost:*"] {
        assert_eq!(HostRule::with([text]), Err(RuleFault::Host(text.to_owned())));
    }
    for text in ["", "null", "*", "localhost", "https://app.example/", "https://*.example", "https://:*"] {
        assert_eq!(Origin::parse(text), Err(RuleFault::Origin(text.to_owned())));
    }
}
