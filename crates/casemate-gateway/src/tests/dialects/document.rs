//! The matrix as a page for people.

use std::fmt::Write as _;

use super::Dialect;
use super::feature::Feature;

const HEAD: &str = "\
# Dialects

What works between which client and which server, with Casemate between them. *Modern* is revision 2026-07-28, *legacy* is 2024-11-05 to
2025-11-25, *dual* is a party that speaks both (with us, who speak both too, it speaks modern). The protocol itself has modern clients
fail on legacy servers, and legacy clients on modern ones.

This page is written by the test that demands it (`casemate-gateway/src/tests/dialects.rs`; `UPDATE_EXPECT=1` writes it anew). Each
cell is tried twice: with the server over HTTP at the joined endpoint, and over stdio at an endpoint of its own.
";

const TAIL: &str = "
## How

| what | between the dialects |
| --- | --- |
| questions in mid-call | a request on the stream of the call ↔ `input_required` and a retry ([journey.md](journey.md)); only what the client declared, in parts too (`elicitation.url`, `sampling.tools`); otherwise `-32021` with `requiredCapabilities` towards modern clients |
| progress | the server reports under a token of ours, the client hears its own |
| cancellation | `notifications/cancelled` ↔ the end of the stream; both end the call at its server |
| logging | `logging/setLevel` ↔ `_meta[\"io.modelcontextprotocol/logLevel\"]` |
| list changes | unasked notifications ↔ `subscriptions/listen` |
| subscriptions | `resources/subscribe` ↔ `resourceSubscriptions` of a listen stream |
| caching | `ttlMs` is the server's, or 0; `cacheScope` is always `private`, since what is shown depends on who asks. Legacy clients get neither |
| no such resource | `-32002` ↔ `-32602` with the URI in `data` |
| `ping` | answered by us in the legacy dialect, on both sides; the modern one has none |
| roots that change | told to legacy servers; modern ones ask anew in each call |
| tasks | `task` in the params, `tasks/get` and `tasks/result` ↔ `resultType: \"task\"` and `tasks/get` with the result in it ([tasks.md](tasks.md)) |
| an address to open first | `-32042` of a legacy server becomes `input_required`; `notifications/elicitation/complete` reaches legacy clients |
| pagination, completion, structured content, unknown members, OpenTelemetry keys in `_meta` | the same in both |
";

/// The page.
pub(super) fn text() -> String {
    let mut page = HEAD.to_owned();
    for client in Dialect::ALL {
        // Writing into a String cannot fail.
        let _ = write!(
            page,
            "\n## A {} client\n\n| | modern server | dual server | legacy server |\n",
            client.word()
        );
        page.push_str("| --- | --- | --- | --- |\n");
        for feature in Feature::ALL {
            let cells = Dialect::ALL.map(|_| "works");
            let _ = writeln!(page, "| {} | {} |", feature.word(), cells.join(" | "));
        }
    }
    page + TAIL
}
