use casemate_mcp::json::Limits;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn all(guard: &Guard, refused: &[&str], allowed: &[&str]) {
    for text in refused {
        assert!(guard.judge(text).is_err(), "{text:?} has to be refused");
    }
    for text in allowed {
        assert_eq!(guard.judge(text), Ok(()), "{text:?}");
    }
}

const PATHS_OUTSIDE: &[&str] = &[
    "",
    "/",
    "notes.md",
    "./notes.md",
    "../etc/passwd",
    "~/notes",
    "~root/x",
    "/etc/passwd",
    "/srv",
    "/srv/",
    "/srv/notesx",
    "/srv/notes-old/a",
    "/SRV/notes/a",
    "/srv/notes/..",
    "/srv/notes/../x",
    "/srv/notes/a/../../x",
    "/srv/notes/a/../b",
    "/srv/notes/.. /x",
    "/srv/notes/ ../x",
    "/srv/notes/.../x",
    "/srv/notes/.?/x",
    "/srv/notes/.*/x",
    "/srv/notes/[.][.]/x",
    "/srv/notes/{.,}./x",
    "/srv/notes/..\\x",
    "/srv/notes\\..\\x",
    "\\\\host\\share",
    "C:\\x",
    "/srv/notes/%2e%2e/x",
    "/srv/notes/%2E./x",
    "/srv/notes/..%2fx",
    "/srv/notes/..%5cx",
    "/srv/notes/%252e%252e/x",
    "/srv/notes/a%00.md",
    "/srv/notes/a\0.md",
    "/srv/notes/a\nb",
    "/srv/notes/\u{ff0e}\u{ff0e}/x",
    "/srv/notes/\u{2025}/x",
    "/srv/notes/a\u{ff0f}..\u{ff0f}..\u{ff0f}x",
    "/srv/notes/a\u{2215}..\u{2215}x",
    "file:///srv/notes/a",
    "/proc/self/root/etc/passwd",
    " /srv/notes/a",
    "relative/a",
];

const PATHS_INSIDE: &[&str] = &[
    "/srv/notes",
    "/srv/notes/",
    "/srv/notes/a.md",
    "/srv//notes///a.md",
    "/srv/./notes/./a.md",
    "//srv/notes/a.md",
    "/srv/notes/..hidden",
    "/srv/notes/*.md",
    "/srv/notes/**/a?.md",
    "/srv/notes/[draft].md",
    "/srv/notes/a..b",
    "/srv/notes/.git/config",
    "/srv/notes/100%.txt",
    "/srv/notes/1\u{2044}2 cup.txt",
    "/srv/notes/заметки/世界.md",
    "/srv/notes/a b/c.md",
    "/srv/notes/-f",
    "/srv/notes/wait\u{2026}.md",
    "/data/x",
];

#[test]
fn a_path_stays_within_its_folders() {
    let guard = Guard::Within(Roots::new(&["/srv/notes", "/data/", "relative", "/"]));
    all(&guard, PATHS_OUTSIDE, PATHS_INSIDE);
}

const ADDRESSES_ELSEWHERE: &[&str] = &[
    "",
    "example.com",
    "//example.com/",
    "https:/example.com",
    "https:example.com",
    "https:///example.com/",
    "https://",
    "https://evil.com/",
    "https://example.com.evil.com/",
    "https://notexample.com/",
    "https://sub.example.com/",
    "https://docs.example/",
    "https://xdocs.example/",
    "https://example.com@evil.com/",
    "https://user:pass@example.com/",
    "https://evil.com#@example.com/",
    "https://evil.com?@example.com/",
    "https://evil.com\\@example.com/",
    "https://example.com\\.evil.com/",
    "https://example.com%2eevil.com/",
    "https://example.com%00.evil.com/",
    "https://exa\nmple.com/",
    "https://exa\tmple.com/",
    " https://example.com/",
    "https://example.com /",
    "https://example.com:8443/",
    "https://example.com:/",
    "https://example.com:0443x/",
    "https://example.com:99999/",
    "https://example.com..//",
    "https://.example.com/",
    "https://ex\u{430}mple.com/",
    "https://\u{ff45}xample.com/",
    "https://example\u{3002}com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript://example.com/%0aalert(1)",
    "gopher://example.com/",
    "data:text/html,x",
    "https://2130706433:8443/",
    "https://169.254.169.254/",
    "https://0xa9fea9fe/",
    "https://2852039166/",
    "https://0251.0376.0251.0376/",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[2001:db8::1/",
    "https://[2001:db8::1%25eth0]/",
    "https://192.0.2.1/",
    "https://256.0.0.1/",
    "https://1.2.3.4.5/",
    "https://127.0.0.1.nip.io/",
    "https://alt.example/",
];

const ADDRESSES_ALLOWED: &[&str] = &[
    "https://example.com",
    "https://example.com/",
    "HTTPS://EXAMPLE.com/a?b=c#d",
    "https://example.com./",
    "https://example.com:443/",
    "http://example.com/",
    "https://example.com/a@b",
    "https://example.com/?next=https://evil.com/",
    "https://example.com/страница",
    "https://a.docs.example/",
    "https://a.b.docs.example/",
    "http://192.0.2.1:8080/",
    "http://192.0.2.01:8080/",
    "http://0xc0.0.2.1:8080/",
    "http://3221225985:8080/",
    "https://[2001:db8::1]/",
    "https://[2001:DB8:0:0::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://127.1/",
    "https://0x7f.1/",
    "https://alt.example:8443/x",
];

#[test]
fn an_address_is_of_a_host_that_is_allowed() {
    let hosts =
        ["example.com", "*.docs.example", "192.0.2.1:8080", "[2001:db8::1]", "127.0.0.1", "alt.example:8443"];
    let guard = Guard::Hosts(Hosts::new(&hosts, &["https", "HTTP"]).unwrap());
    all(&guard, ADDRESSES_ELSEWHERE, ADDRESSES_ALLOWED);
    for wrong in ["", "*", "a b", "https://x", "x/y", "*.192.0.2.1", "пример.example", "[::1", "x:y", "a@b"]
    {
        assert!(Hosts::new(&[wrong], &["https"]).is_err(), "{wrong:?}");
    }
}

const STATEMENTS_CHANGING: &[&str] = &[
    "",
    ";",
    "-- only a comment",
    "DELETE FROM t",
    "update t set a = 1",
    "INSERT INTO t VALUES (1)",
    "DROP TABLE t",
    "PRAGMA writable_schema = 1",
    "ATTACH 'x' AS y",
    "CALL f()",
    "BEGIN",
    "VACUUM INTO 'x'",
    "COPY t TO PROGRAM 'sh'",
    "SELECT 1; DROP TABLE t",
    "SELECT 1;; ",
    "SELECT 1;DROP TABLE t;--",
    "SELECT 1 DROP TABLE t",
    "SELECT 1 EXEC xp_cmdshell 'x'",
    "SELECT 1UPDATE t SET a = 1",
    "SELECT 1eUPDATE t",
    "SELECT 1.eUPDATE t",
    "SELECT 0x1UPDATE t",
    "SELECT .5UPDATE t",
    "SELECT 'a'DROP TABLE t",
    "SELECT/**/1/**/INTO/**/t2/**/FROM t",
    "SELECT * INTO t2 FROM t",
    "SELECT 'x' INTO OUTFILE '/tmp/x'",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    "WITH x AS (SELECT 1) REPLACE INTO t SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN (ANALYZE) UPDATE t SET a = 1",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE",
    "SELECT * FROM t FOR SHARE",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT PG_READ_FILE ('/etc/passwd')",
    "SELECT pg_catalog.pg_read_file('/etc/passwd')",
    "SELECT \"pg_read_file\"('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT load_extension('x')",
    "SELECT load_file('/etc/passwd')",
    "SELECT dblink_exec('x', 'y')",
    "SELECT setval('s', 1)",
    "SELECT * FROM crosstab('DELETE FROM t RETURNING 1')",
    "SELECT utl_http.request('http://evil.example/') FROM dual",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM url('http://169.254.169.254/', 'CSV')",
    "SELECT pg_notify('c', 'x')",
    "SELECT pg_sleep(100)",
    "SELECT sleep(100)",
    "SELECT pg_terminate_backend(1)",
    "SELECT query_to_xml('delete from t', true, true, '')",
    // What databases cut differently.
    r"SELECT '\'; DROP TABLE t; -- '",
    r#"SELECT "\"; DROP TABLE t; -- ""#,
    "SELECT 1 # '\n; DROP TABLE t; -- '",
    "SELECT 1 --; DROP TABLE t",
    "SELECT 1 --'\n; DROP TABLE t; --'",
    "SELECT 1 /*! ; DROP TABLE t */",
    "SELECT 1 /*M! INTO OUTFILE 'x' */",
    "SELECT 1 /* /* */ ; DROP TABLE t -- */ */",
    "SELECT 1 /* without an end",
    "SELECT 1 -- x\r; DROP TABLE t",
    "SELECT $$'$$; DROP TABLE t; SELECT $$'$$",
    "SELECT $a$'$a$; DROP TABLE t",
    "SELECT q'[']'; DROP TABLE t; --'",
    "SELECT 'without an end",
    "SELECT `'; DROP TABLE t; --'`",
    "SELECT 1\u{ff1b} DROP TABLE t",
    "SELECT 1\0; DROP TABLE t",
    "\u{feff}SELECT 1",
    "SELECT\u{a0}1",
];

const STATEMENTS_READING: &[&str] = &[
    "SELECT 1",
    "select * from t where a = 'it''s; drop table t -- no'",
    "SELECT 1;",
    "SELECT 1; -- done",
    "  \n\tSELECT a, b FROM t -- a comment\nWHERE a > 1",
    "-- first\nSELECT 1",
    "/* first */ SELECT 1 /* last */",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "WITH x AS (SELECT 1 AS n) SELECT n FROM x",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION SELECT n + 1 FROM x) SELECT * FROM x",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN QUERY PLAN SELECT * FROM t",
    "EXPLAIN (ANALYZE, BUFFERS) SELECT 1",
    "SHOW TABLES",
    "SHOW CREATE TABLE t",
    "SELECT t.update, t.comment, start, \"delete\", `drop` FROM t",
    "SELECT updated_at, deleted, created, dropped FROM t",
    "SELECT replace(a, 'x', 'y') FROM t",
    "SELECT substring(a FROM 1 FOR 3) FROM t",
    "SELECT edit_distance(a, b) FROM t",
    "SELECT url, file, remote, eval FROM t WHERE name GLOB 'a*'",
    "SELECT a FROM t WHERE b LIKE '%\\_%'",
    "SELECT 1.5e10, 1e-5, .5, 0xff, 1_000, $1, ?, :name, @p",
    "SELECT имя, 名前 FROM таблица",
    "SELECT a -> 'b' ->> 'c' FROM t",
    "SELECT count(*) FILTER (WHERE a) OVER (PARTITION BY b) FROM t LIMIT 10",
    "SELECT N'x', E'y', x'00'",
    "SELECT a[1], b::text FROM t",
];

#[test]
fn a_statement_reads_and_nothing_else() {
    all(&Guard::ReadOnlySql, STATEMENTS_CHANGING, STATEMENTS_READING);
}

#[test]
fn dashes_lengths_and_patterns() {
    all(
        &Guard::NoLeadingDash,
        &["-", "-rf", "--output=x", " -x", "\t--x", "\u{a0}-x"],
        &["", "a-b", "a -b", "\u{2013}5", "/-x", "'-x'"],
    );
    all(&Guard::Length(3), &["abcd", "äöüß"], &["", "abc", "äöü"]);
    all(&Guard::pattern("[a-z]+|x1").unwrap(), &["", "a1", "x1 ", "a\n", "\na", "abcX"], &["a", "x1", "abc"]);
    for wrong in ["(", "a)|(b", "(?P<a>", "[", "(a{1000}){1000}"] {
        assert!(Guard::pattern(wrong).is_err(), "{wrong}");
    }
}

fn raw(value: &Value) -> Raw {
    Raw::check(value.to_string().into(), &Limits::default()).unwrap()
}

#[test]
fn every_text_at_a_guarded_place_is_judged_and_no_other() {
    let mut guards = Guards::default();
    let within = || vec![Guard::Within(Roots::new(&["/srv"]))];
    guards.add("read", Spot::parse("path"), within());
    guards.add("edit", Spot::parse("/files/*/path"), within());
    guards.add("edit", Spot::parse("/odd~1name"), within());
    guards.add(EVERY_TOOL, Spot::parse("dir"), within());
    let judge = |tool: &str, value: Value| guards.judge(tool, &raw(&value)).map_err(|breach| breach.place);
    for (tool, refused, place) in [
        ("read", json!({"path": "/etc"}), "path"),
        ("read", json!({"path": ["/srv/a", "/etc"]}), "path"),
        ("read", json!({"path": {"deep": [{"er": "/etc"}]}}), "path"),
        ("read", json!({"path": {"/etc": 1}}), "path"),
        ("edit", json!({"files": [{"path": "/srv/a"}, {"path": "/etc"}]}), "/files/*/path"),
        ("edit", json!({"odd/name": "/etc"}), "odd/name"),
        ("any", json!({"dir": "/etc"}), "dir"),
        ("read", json!({"path": "/srv/a", "dir": "/etc"}), "dir"),
        ("read", json!({"path": vec!["/srv"; TEXTS_MAX + 1]}), "path"),
    ] {
        assert_eq!(judge(tool, refused), Err(place.to_owned()));
    }
    for (tool, allowed) in [
        ("read", json!({"path": "/srv/a", "other": "/etc"})),
        ("read", json!({})),
        ("read", json!({"path": null})),
        ("read", json!({"path": 7})),
        ("READ", json!({"path": "/etc"})),
        ("edit", json!({"files": [], "path": "/etc"})),
        ("edit", json!({"files": "/etc"})),
    ] {
        assert_eq!(judge(tool, allowed.clone()), Ok(()), "{tool} {allowed}");
    }
}

#[test]
fn a_guard_on_what_the_schema_does_not_have_is_a_slip() {
    let mut guards = Guards::default();
    for spot in ["path", "pth", "/files/*/path", "/files/*/pth", "/open/anything"] {
        guards.add("edit", Spot::parse(spot), vec![Guard::NoLeadingDash]);
    }
    guards.add(EVERY_TOOL, Spot::parse("elsewhere"), vec![Guard::NoLeadingDash]);
    let schema = json!({"properties": {
        "path": {}, "files": {"items": {"properties": {"path": {}}}}, "open": {"anyOf": []},
    }});
    assert_eq!(guards.unknown("edit", &schema), ["pth", "/files/*/pth"]);
    assert_eq!(guards.tools().collect::<Vec<_>>(), ["edit"]);
}

proptest! {
    #[test]
    fn whatever_passes_a_path_guard_lies_within(text in "(/srv/notes)?(/|\\.|\\.\\.|a|%2e| |\\\\|／|\u{2025}){0,12}") {
        let guard = Guard::Within(Roots::new(&["/srv/notes"]));
        if guard.judge(&text).is_ok() {
            let mut depth = Vec::new();
            for part in text.split(['/', '\\', '／']) {
                match part.trim() {
                    "" | "." => {}
                    ".." => drop(depth.pop()),
                    part => depth.push(part),
                }
            }
            prop_assert!(depth.len() >= 2 && depth[0] == "srv" && depth[1] == "notes", "{text:?}");
        }
    }

    #[test]
    fn no_text_makes_a_guard_fail(text in "\\PC{0,60}|[ -~\\n\\r\\t]{0,60}") {
        let hosts = Hosts::new(&["a.b"], &["https"]).unwrap();
        for guard in [Guard::ReadOnlySql, Guard::Hosts(hosts), Guard::NoLeadingDash, Guard::Length(3)] {
            let _ = guard.judge(&text);
            let _ = guard.judge(&format!("SELECT {text}"));
            let _ = guard.judge(&format!("https://{text}"));
        }
    }
}
