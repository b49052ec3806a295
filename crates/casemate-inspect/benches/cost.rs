//! What inspection costs: `cargo bench -p casemate-inspect`. Prints a table for SPECIFICATION.md, in processor time, so that
//! what else the machine does counts as little as can be.

use std::hint::black_box;
use std::io::{self, Write};

use casemate_inspect::{Inspection, Place, Policy, Secret};
use casemate_mcp::json::{Limits, Raw};
use serde_json::json;

/// Measurements of which the median counts.
const ROUNDS: usize = 15;

/// Ordinary text: a page of documentation, with lines, quotes and numbers.
const PROSE: &str = "The quick brown fox jumps over the lazy dog, 42 times a day; \"why?\" asks nobody.\nA server that answers \
                     returns a list of results, each of which has a name, a size (in bytes) and a date such as 2026-11-28.\n\
                     fn main() { let x = [1, 2, 3]; println!(\"{}\", x.len()); }\n\t- item one\n\t- item two: /usr/share/doc\n";

fn main() -> io::Result<()> {
    let secrets: Vec<Secret> =
        (0..10).filter_map(|n| Secret::new(&format!("a-secret-value-{n}-k3j5h2g7f8"))).collect();
    let inspection = Inspection::new(&secrets, &[]);
    let mut out = io::stdout().lock();
    writeln!(out, "| message | bytes | time | per byte | goal |\n| --- | ---: | ---: | ---: | --- |")?;
    let plain = |size| message(&PROSE.repeat(size / PROSE.len() + 1), size);
    let foreign =
        "Съешь же ещё этих мягких булок, да выпей чаю. 吾輩は猫である。名前はまだ無い。\n".repeat(20_000);
    for (what, raw, goal) in [
        ("clean, 1 KiB", plain(1 << 10), Some(3.0)),
        ("clean, 4 KiB", plain(4 << 10), Some(10.0)),
        ("clean, 1 MiB", plain(1 << 20), Some(1500.0)),
        ("clean, 1 MiB, Cyrillic and Japanese", message(&foreign, 1 << 20), None),
        ("with emoji, 1 MiB", message(&format!("👩🏽\u{200d}🔬 {PROSE}").repeat(4000), 1 << 20), None),
        (
            "with a secret, 1 MiB",
            message(&format!("a-secret-value-3-k3j5h2g7f8 {}", PROSE.repeat(4000)), 1 << 20),
            None,
        ),
    ] {
        let micros = median(&inspection, &raw);
        let length = raw.as_bytes().len();
        let goal = goal.map_or(String::new(), |goal| {
            format!("≤ {goal} µs: {}", if micros <= goal { "reached" } else { "**missed**" })
        });
        let per_byte = micros * 1000.0 / length as f64;
        writeln!(out, "| {what} | {length} | {micros:.2} µs | {per_byte:.2} ns | {goal} |")?;
    }
    Ok(())
}

/// A result with that text, cut to about that size.
fn message(text: &str, size: usize) -> Raw {
    let text = text.get(..text.floor_char_boundary(size * 24 / 25)).unwrap_or(text);
    let json = json!({"content": [{"type": "text", "text": text}], "isError": false}).to_string();
    Raw::check(json.into(), &Limits::default()).unwrap_or(Raw::NULL)
}

/// Processor time of this thread; NaN where the kernel does not tell.
fn processor_micros() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ')
        .next()
        .and_then(|nanos| nanos.parse::<f64>().ok())
        .map_or(f64::NAN, |nanos| nanos / 1000.0)
}

fn median(inspection: &Inspection, raw: &Raw) -> f64 {
    let policy = Policy::default();
    let measures = policy.at(Place::Result);
    let times = (20_000_000 / raw.as_bytes().len()).clamp(3, 20_000);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = processor_micros();
            for _ in 0..times {
                black_box(inspection.message(black_box(raw), &measures));
            }
            (processor_micros() - began) / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(ROUNDS / 2).copied().unwrap_or(f64::NAN)
}
