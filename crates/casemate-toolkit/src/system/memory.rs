//! `get_memory_stats`: how much memory there is, and how much of it is left.

use serde::Serialize;
use serde_json::json;

use super::Fault;
use super::procfs::Procfs;
use super::sample::percent;
use crate::tool::{Effect, Tool};

pub(super) const NAME: &str = "get_memory_stats";

pub(super) const TOOL: Tool = Tool {
    name: NAME,
    title: "Memory",
    description: "How much memory and swap there is, is used, and is available to programs without swapping.",
    parameters: &[],
    output: || {
        let share = json!({ "type": "number", "minimum": 0, "maximum": 100 });
        let bytes = json!({ "type": "integer", "minimum": 0 });
        json!({
            "type": "object",
            "properties": {
                "total_bytes": bytes, "used_bytes": bytes, "available_bytes": bytes, "used_percent": share,
                "free_bytes": bytes, "buffers_bytes": bytes, "cached_bytes": bytes,
                "swap": {
                    "type": "object",
                    "properties": {
                        "total_bytes": bytes, "used_bytes": bytes, "free_bytes": bytes, "used_percent": share,
                    },
                    "required": ["total_bytes", "used_bytes", "free_bytes", "used_percent"],
                },
            },
            "required": [
                "total_bytes", "used_bytes", "available_bytes", "used_percent", "free_bytes", "buffers_bytes",
                "cached_bytes", "swap",
            ],
        })
    },
    effect: Effect::Reads,
};

/// What the tool returns.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Stats {
    total_bytes: u64,
    /// What is not available.
    used_bytes: u64,
    available_bytes: u64,
    pub(super) used_percent: f64,
    free_bytes: u64,
    buffers_bytes: u64,
    cached_bytes: u64,
    pub(super) swap: Swap,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Swap {
    total_bytes: u64,
    used_bytes: u64,
    free_bytes: u64,
    pub(super) used_percent: f64,
}

pub(super) fn stats(procfs: &Procfs) -> Result<Stats, Fault> {
    procfs.read("meminfo", parse)
}

fn parse(text: &str) -> Option<Stats> {
    let total_bytes = bytes(text, "MemTotal")?;
    let available_bytes = bytes(text, "MemAvailable")?.min(total_bytes);
    let used_bytes = total_bytes - available_bytes;
    let (swap_total, swap_free) = (bytes(text, "SwapTotal")?, bytes(text, "SwapFree")?);
    let swap_used = swap_total.saturating_sub(swap_free);
    Some(Stats {
        total_bytes,
        used_bytes,
        available_bytes,
        used_percent: percent(used_bytes, total_bytes),
        free_bytes: bytes(text, "MemFree")?,
        buffers_bytes: bytes(text, "Buffers")?,
        cached_bytes: bytes(text, "Cached")?,
        swap: Swap {
            total_bytes: swap_total,
            used_bytes: swap_used,
            free_bytes: swap_free,
            used_percent: percent(swap_used, swap_total),
        },
    })
}

/// A line such as `MemTotal:       16384 kB`.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     250 kB\n\
        Buffers:           10 kB\nCached:           140 kB\nSwapCached:         7 kB\nSwapTotal:       200 kB\n\
        SwapFree:         150 kB\nHugePages_Total:       0\n";

    #[test]
    fn memory_is_read() {
        let stats = parse(MEMINFO).unwrap();
        assert_eq!((stats.total_bytes, stats.used_bytes, stats.used_percent), (1_024_000, 768_000, 75.0));
        assert_eq!((stats.cached_bytes, stats.free_bytes), (143_360, 102_400));
        assert_eq!((stats.swap.used_bytes, stats.swap.used_percent), (51_200, 25.0));
    }

    #[test]
    fn no_swap_is_not_full() {
        let text = MEMINFO.replace("       200 kB", "         0 kB").replace("         150 kB", "   0 kB");
        assert_eq!(parse(&text).unwrap().swap.used_percent, 0.0);
    }

    #[test]
    fn a_line_that_is_missing_or_odd_gives_nothing() {
        assert_eq!(parse(""), None);
        assert_eq!(parse(&MEMINFO.replace("MemAvailable", "MemMumble")), None);
        assert_eq!(parse(&MEMINFO.replace("1000 kB", "1000 pages")), None);
        assert_eq!(parse(&MEMINFO.replace("1000 kB", "99999999999999999999 kB")), None);
    }
}
