//! `health_check`: everything once, against limits.

use serde::Serialize;
use serde_json::json;

use super::procfs::Procfs;
use super::sample::one_decimal;
use super::{Fault, INTERVAL, cpu, disk, explained, interval, memory};
use crate::parameter::{Arguments, Kind, Parameter};
use crate::tool::{Effect, Tool};

const PERCENT_90: Kind = Kind::Number { min: 0.0, max: 100.0, default: 90.0 };

const CPU: Parameter = Parameter {
    name: "cpu_percent_max",
    description: "How busy all CPUs together may be.",
    kind: PERCENT_90,
};
const LOAD: Parameter = Parameter {
    name: "load_per_cpu_max",
    description: "How many tasks per CPU may want to run, on average over the last minute.",
    kind: Kind::Number { min: 0.0, max: 1000.0, default: 4.0 },
};
const MEMORY: Parameter = Parameter {
    name: "memory_percent_max",
    description: "How much of the memory may be unavailable.",
    kind: PERCENT_90,
};
const SWAP: Parameter = Parameter {
    name: "swap_percent_max",
    description: "How much of the swap may be used.",
    kind: PERCENT_90,
};
const DISK: Parameter = Parameter {
    name: "disk_percent_max",
    description: "How full a writable file system may be, in bytes and in files.",
    kind: PERCENT_90,
};

pub(super) const TOOL: Tool = Tool {
    name: "health_check",
    title: "Health check",
    description: "Measures processor, load, memory, swap and every writable file system once, and says which of \
                  the limits are exceeded.",
    parameters: &[&CPU, &LOAD, &MEMORY, &SWAP, &DISK, &INTERVAL],
    output: || {
        json!({
            "type": "object",
            "properties": {
                "status": { "enum": ["healthy", "unhealthy"] },
                "checks": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "check": {
                                "enum": [
                                    "cpu_percent", "load_per_cpu", "memory_percent", "swap_percent",
                                    "disk_percent", "files_percent",
                                ],
                            },
                            "of": { "type": "string", "description": "The mount point, for disks." },
                            "ok": { "type": "boolean" },
                            "value": { "type": "number" },
                            "limit": { "type": "number" },
                            "problem": { "type": "string", "description": "Why there is no value." },
                        },
                        "required": ["check", "ok", "limit"],
                    },
                },
            },
            "required": ["status", "checks"],
        })
    },
    effect: Effect::Reads,
};

/// What the tool returns.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Health {
    status: Status,
    checks: Vec<Check>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Unhealthy,
}

#[derive(Debug, PartialEq, Serialize)]
struct Check {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    limit: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) async fn check(procfs: &Procfs, arguments: &Arguments) -> Result<Health, Fault> {
    let limit = |parameter| arguments.number(parameter);
    let (cpu, disks) = tokio::join!(cpu::stats(procfs, interval(arguments)), disk::all(procfs));
    let memory = memory::stats(procfs);
    let load = |stats: &cpu::Stats| one_decimal(stats.load_average.one / stats.logical_cpus as f64);
    let mut checks = vec![
        compare("cpu_percent", measured(&cpu, |stats| stats.used_percent), limit(&CPU)),
        compare("load_per_cpu", measured(&cpu, load), limit(&LOAD)),
        compare("memory_percent", measured(&memory, |stats| stats.used_percent), limit(&MEMORY)),
        compare("swap_percent", measured(&memory, |stats| stats.swap.used_percent), limit(&SWAP)),
    ];
    match &disks {
        Err(_) => checks.push(compare("disk_percent", measured(&disks, |_| 0.0), limit(&DISK))),
        Ok(disks) => {
            for disk in disks.file_systems.iter().filter(|disk| !disk.space.read_only) {
                for (name, value) in [
                    ("disk_percent", disk.space.used_percent),
                    ("files_percent", disk.space.files_used_percent),
                ] {
                    let check = compare(name, Ok(value), limit(&DISK));
                    checks.push(Check { of: Some(disk.mount_point.clone()), ..check });
                }
            }
        }
    }
    Ok(judged(checks))
}

/// A figure, or in words why there is none.
fn measured<T>(stats: &Result<T, Fault>, figure: impl Fn(&T) -> f64) -> Result<f64, String> {
    stats.as_ref().map(figure).map_err(explained)
}

/// What could not be measured is not fine.
fn compare(check: &'static str, figure: Result<f64, String>, limit: f64) -> Check {
    let (value, problem) = match figure {
        Ok(value) => (Some(value), None),
        Err(problem) => (None, Some(problem)),
    };
    Check { check, of: None, ok: value.is_some_and(|value| value <= limit), value, limit, problem }
}

fn judged(checks: Vec<Check>) -> Health {
    let healthy = checks.iter().all(|check| check.ok);
    Health { status: if healthy { Status::Healthy } else { Status::Unhealthy }, checks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exceeded_limit_is_enough() {
        let fine = || compare("cpu_percent", Ok(90.0), 90.0);
        assert_eq!(judged(vec![fine(), fine()]).status, Status::Healthy);
        assert_eq!(judged(vec![fine(), compare("swap_percent", Ok(90.1), 90.0)]).status, Status::Unhealthy);
    }

    #[test]
    fn what_could_not_be_measured_is_not_fine() {
        let check = compare("memory_percent", Err("meminfo cannot be read".to_owned()), 90.0);
        assert!(!check.ok);
        assert_eq!((check.value, check.problem.as_deref()), (None, Some("meminfo cannot be read")));
    }
}
