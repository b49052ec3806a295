//! `get_cpu_stats`: how busy the processor was while we looked.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::procfs::Procfs;
use super::sample::{Sample, percent};
use super::{Fault, INTERVAL};
use crate::tool::{Effect, Tool};

pub(super) const NAME: &str = "get_cpu_stats";

pub(super) const TOOL: Tool = Tool {
    name: NAME,
    title: "Processor",
    description: "How busy the processor is: overall, per logical CPU and by kind of work, with the load averages.",
    parameters: &[&INTERVAL],
    output: || {
        let share = json!({ "type": "number", "minimum": 0, "maximum": 100 });
        let amount = json!({ "type": "number", "minimum": 0 });
        json!({
            "type": "object",
            "properties": {
                "logical_cpus": { "type": "integer", "minimum": 1 },
                "used_percent": share,
                "per_cpu": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "cpu": { "type": "integer", "minimum": 0 }, "used_percent": share },
                        "required": ["cpu", "used_percent"],
                    },
                },
                "shares_percent": {
                    "type": "object",
                    "properties": {
                        "user": share, "system": share, "idle": share, "io_wait": share, "stolen": share,
                    },
                    "required": ["user", "system", "idle", "io_wait", "stolen"],
                },
                "load_average": {
                    "type": "object",
                    "properties": { "1m": amount, "5m": amount, "15m": amount },
                    "required": ["1m", "5m", "15m"],
                },
                "watched_ms": { "type": "integer", "minimum": 0 },
            },
            "required": [
                "logical_cpus", "used_percent", "per_cpu", "shares_percent", "load_average", "watched_ms",
            ],
        })
    },
    effect: Effect::Reads,
};

/// What the tool returns.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    pub(super) logical_cpus: usize,
    pub(super) used_percent: f64,
    per_cpu: Vec<OneCpu>,
    shares_percent: Shares,
    pub(super) load_average: Load,
    watched_ms: u64,
}

#[derive(Debug, Serialize)]
struct OneCpu {
    cpu: u32,
    used_percent: f64,
}

#[derive(Debug, Serialize)]
struct Shares {
    user: f64,
    system: f64,
    idle: f64,
    io_wait: f64,
    stolen: f64,
}

/// How many tasks wanted to run, on average over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Load {
    #[serde(rename = "1m")]
    pub(super) one: f64,
    #[serde(rename = "5m")]
    five: f64,
    #[serde(rename = "15m")]
    fifteen: f64,
}

pub(super) async fn stats(procfs: &Procfs, interval: Duration) -> Result<Stats, Fault> {
    let sample = Sample::take(interval, || async move { procfs.read("stat", times) }).await?;
    let load_average = procfs.read("loadavg", load)?;
    let all = sample.after.all.since(&sample.before.all);
    let per_cpu = sample.after.each.iter().filter_map(|(cpu, after)| {
        // A CPU that went away or came meanwhile has no share.
        let (_, before) = sample.before.each.iter().find(|(known, _)| known == cpu)?;
        Some(OneCpu { cpu: *cpu, used_percent: after.since(before).used_percent() })
    });
    Ok(Stats {
        logical_cpus: sample.after.each.len(),
        used_percent: all.used_percent(),
        per_cpu: per_cpu.collect(),
        shares_percent: all.shares(),
        load_average,
        watched_ms: u64::try_from(sample.lasted.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The `cpu` lines of `/proc/stat`.
#[derive(Debug, PartialEq)]
struct CpuTimes {
    all: Ticks,
    each: Vec<(u32, Ticks)>,
}

/// Time spent, in ticks since the start of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Ticks {
    user: u64,
    system: u64,
    idle: u64,
    io_wait: u64,
    stolen: u64,
}

impl Ticks {
    fn since(&self, earlier: &Ticks) -> Ticks {
        // The kernel lets idle and I/O time run backwards at times.
        Ticks {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            idle: self.idle.saturating_sub(earlier.idle),
            io_wait: self.io_wait.saturating_sub(earlier.io_wait),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }

    fn total(&self) -> u64 {
        self.user + self.system + self.idle + self.io_wait + self.stolen
    }

    fn used_percent(&self) -> f64 {
        percent(self.user + self.system + self.stolen, self.total())
    }

    fn shares(&self) -> Shares {
        let total = self.total();
        Shares {
            user: percent(self.user, total),
            system: percent(self.system, total),
            idle: percent(self.idle, total),
            io_wait: percent(self.io_wait, total),
            stolen: percent(self.stolen, total),
        }
    }
}

fn times(text: &str) -> Option<CpuTimes> {
    let mut all = None;
    let mut each = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        match name.strip_prefix("cpu") {
            None => {}
            Some("") => all = Some(ticks(rest)?),
            Some(number) => each.push((number.parse().ok()?, ticks(rest)?)),
        }
    }
    (!each.is_empty()).then_some(CpuTimes { all: all?, each })
}

/// user nice system idle iowait irq softirq steal (guest times are part of user).
fn ticks(text: &str) -> Option<Ticks> {
    let numbers: Vec<u64> = text.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    let [user, nice, system, idle, io_wait, irq, soft_irq, rest @ ..] = numbers.as_slice() else {
        return None;
    };
    let stolen = rest.first().copied().unwrap_or_default();
    let (user, system) = (user.saturating_add(*nice), system.saturating_add(*irq).saturating_add(*soft_irq));
    Some(Ticks { user, system, idle: *idle, io_wait: *io_wait, stolen })
}

fn load(text: &str) -> Option<Load> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some(Load { one: numbers.next()??, five: numbers.next()??, fifteen: numbers.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 50 800 20 5 5 10 0 0\n\
        cpu0 50 5 25 400 10 3 2 5 0 0\n\
        cpu2 50 5 25 400 10 2 3 5 0 0\n\
        intr 12345 0 9\nctxt 999\ncpufreq is no cpu line\n";

    #[test]
    fn the_lines_of_stat_are_told_apart() {
        let text = STAT.replace("cpufreq is no cpu line\n", "");
        let times = times(&text).unwrap();
        assert_eq!(times.all, Ticks { user: 110, system: 60, idle: 800, io_wait: 20, stolen: 10 });
        assert_eq!(times.each.iter().map(|(cpu, _)| *cpu).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_stat_that_is_not_understood_gives_nothing() {
        let cases = ["", "cpu  1 2 3\ncpu0 1 2 3\n", "cpu  1 2 3 4 5 6 7\n", STAT, "cpu0 1 2 3 4 5 6 7\n"];
        for text in cases {
            assert_eq!(times(text), None, "{text:?}");
        }
    }

    #[test]
    fn shares_add_up() {
        let before = Ticks { user: 100, system: 100, idle: 100, io_wait: 100, stolen: 100 };
        let after = Ticks { user: 110, system: 120, idle: 160, io_wait: 90, stolen: 110 };
        let spent = after.since(&before);
        assert_eq!(spent.used_percent(), 40.0);
        assert_eq!(spent.shares().idle, 60.0);
        assert_eq!(spent.shares().io_wait, 0.0);
        assert_eq!(Ticks::default().used_percent(), 0.0);
    }

    #[test]
    fn load_averages_are_read() {
        let expected = Load { one: 0.5, five: 1.25, fifteen: 2.0 };
        assert_eq!(load("0.50 1.25 2.00 1/234 5678\n"), Some(expected));
        assert_eq!(load("0.50 1.25"), None);
        assert_eq!(load("a b c"), None);
    }
}
