//! What is in force around a server, in words.

use casemate_config::{show_millis, show_size};
use casemate_gateway::upstream::report::{Absence, CellKind, CellReport, Granted, Limit, Origin};
use casemate_registry::{Asked, Prepared};
use casemate_sandbox::{Enforced, Grant, Kind, Limits, Report};

use super::Design;

/// What is told about a start.
pub(super) fn of(design: &Design, report: &Report) -> CellReport {
    let bare = CellReport {
        containment: report.containment.to_string(),
        origin: design.origin.clone(),
        ..CellReport::default()
    };
    match (&design.spec.cell, &report.enforced) {
        (Some(cell), Some(enforced)) => CellReport {
            cell: kind(enforced.kind),
            layers: enforced.layers.iter().map(ToString::to_string).collect(),
            absent: absences(enforced),
            grants: grants(&cell.grants),
            network: design.network().destinations().iter().map(ToString::to_string).collect(),
            limits: limits(&cell.limits, enforced.kind),
            ..bare
        },
        _ => bare,
    }
}

/// What is told of the package that a server is started from.
pub(super) fn origin(asked: &Asked, prepared: &Prepared) -> Origin {
    let ecosystem = asked.ecosystem().as_str();
    let packages = asked.packages().iter();
    let named = packages.map(|package| format!("{ecosystem}:{}@{}", package.name(), package.version()));
    Origin {
        name: named.collect::<Vec<_>>().join(", "),
        sha256: prepared.lock_sha256.clone(),
        scripts: (!prepared.scripts_ran.is_empty()).then(|| prepared.scripts_ran.join(", ")),
    }
}

/// What of the host is seen.
pub(super) fn grants(grants: &[Grant]) -> Vec<Granted> {
    let granted = |Grant { path, access }: &Grant| Granted {
        path: path.display().to_string(),
        access: access.to_string(),
    };
    grants.iter().map(granted).collect()
}

fn kind(kind: Kind) -> CellKind {
    match kind {
        Kind::Full => CellKind::Full,
        Kind::Light => CellKind::Light,
    }
}

fn absences(enforced: &Enforced) -> Vec<Absence> {
    let of = |absent: &casemate_sandbox::Absent| Absence {
        layer: absent.layer.to_string(),
        reason: absent.reason.clone(),
    };
    enforced.absent.iter().map(of).collect()
}

/// The limits by the names of their settings.
pub fn limits(limits: &Limits, kind: Kind) -> Vec<Limit> {
    let limit = |setting: &str, value: String| Limit { setting: format!("limits.{setting}"), value };
    let mut named = vec![
        limit("memory", show_size(limits.memory_bytes)),
        limit("cpu", show_millis(limits.cpu_millis.into())),
        limit("processes", limits.processes.to_string()),
        limit("open_files", limits.open_files.to_string()),
        limit("file_size", show_size(limits.file_bytes)),
    ];
    if kind == Kind::Full {
        named.push(limit("tmp_size", show_size(limits.tmp_bytes)));
    }
    named
}
