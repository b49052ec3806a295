//! What is in force around a server, in words.

use casemate_config::show_size;
use casemate_gateway::upstream::report::{Absence, CellKind, CellReport, Granted, Limit};
use casemate_sandbox::{Enforced, Kind, Limits, Report};

use super::Design;

/// What is told about a start.
pub(super) fn of(design: &Design, report: &Report) -> CellReport {
    let bare = CellReport { containment: report.containment.to_string(), ..CellReport::default() };
    match (&design.spec.cell, &report.enforced) {
        (Some(cell), Some(enforced)) => CellReport {
            cell: kind(enforced.kind),
            layers: enforced.layers.iter().map(ToString::to_string).collect(),
            absent: absences(enforced),
            grants: cell
                .grants
                .iter()
                .map(|grant| Granted {
                    path: grant.path.display().to_string(),
                    access: grant.access.to_string(),
                })
                .collect(),
            network: design.network().destinations().iter().map(ToString::to_string).collect(),
            limits: limits(&cell.limits, enforced.kind),
            ..bare
        },
        _ => bare,
    }
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
        limit("processes", limits.processes.to_string()),
        limit("open_files", limits.open_files.to_string()),
        limit("file_size", show_size(limits.file_bytes)),
    ];
    if kind == Kind::Full {
        named.push(limit("tmp_size", show_size(limits.tmp_bytes)));
    }
    named
}
