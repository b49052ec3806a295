//! What stands between a server and the host, in words.

use casemate_gateway::snapshot::{Enclosure, Source};
use casemate_gateway::upstream::report::{CellKind, CellReport};

use crate::control::wire::Instance;
use crate::output::{Entry, Page, Tone};

/// The cell that an entry asks for; nothing for a server that runs elsewhere.
pub(super) fn configured(source: &Source) -> Option<CellKind> {
    match source {
        Source::Command(command) => Some(match &command.enclosure {
            Enclosure::Unsandboxed => CellKind::None,
            Enclosure::Cell(room) if room.kind == casemate_sandbox::Kind::Light => CellKind::Light,
            Enclosure::Cell(_) => CellKind::Full,
        }),
        Source::Image(_) => Some(CellKind::Container),
        Source::Http(_) | Source::Socket(_) => None,
    }
}

/// The word for it in a table.
pub(super) fn entry(cell: Option<CellKind>) -> Entry {
    match cell {
        None => Entry::new("remote", Tone::Quiet),
        Some(CellKind::None) => Entry::new("none", Tone::Warning),
        Some(kind) => Entry::from(kind.as_str()),
    }
}

/// What is in force around the instances; those for which it is the same are one paragraph.
pub(super) fn lay_out(instances: &[Instance], page: &mut Page) {
    let mut told: Vec<&CellReport> = Vec::new();
    for report in instances.iter().filter_map(|instance| instance.cell.as_ref()) {
        if told.contains(&report) {
            continue;
        }
        told.push(report);
        let same = instances.iter().filter(|instance| instance.cell.as_ref() == Some(report));
        let pids: Vec<String> = same.filter_map(|instance| instance.pid).map(|pid| pid.to_string()).collect();
        page.gap();
        page.heading(&match pids.is_empty() {
            true => report.cell.to_string(),
            false => format!("cell of {}", pids.join(", ")),
        });
        page.table(&[], &rows(report));
    }
}

fn rows(report: &CellReport) -> Vec<Vec<Entry>> {
    let row = |name: &str, value: &str| vec![Entry::from(format!("  {name}")), Entry::from(value)];
    let list = |name: &str, none: &str, values: Vec<String>| {
        row(name, if values.is_empty() { none.to_owned() } else { values.join(", ") }.as_str())
    };
    let mut rows = vec![vec![Entry::from("  kind"), entry(Some(report.cell))]];
    if !report.containment.is_empty() {
        rows.push(row("held together by", &report.containment));
    }
    if report.cell == CellKind::None {
        rows.push(row("in force", "nothing: it may do whatever casemate may"));
        return rows;
    }
    rows.push(list("in force", "nothing", report.layers.clone()));
    rows.extend(
        report.absent.iter().map(|absent| row("absent", &format!("{}: {}", absent.layer, absent.reason))),
    );
    let grants = report.grants.iter().map(|grant| format!("{} ({})", grant.path, grant.access));
    rows.push(list("sees", "nothing but its program", grants.collect()));
    rows.push(list("reaches", "nothing", report.network.clone()));
    let limits = report.limits.iter().map(|limit| format!("{} = {}", limit.setting, limit.value));
    rows.push(list("limits", "none", limits.collect()));
    if let Some(origin) = &report.origin {
        rows.push(row("came from", &format!("{}, sha256 {}", origin.name, origin.sha256)));
        rows.extend(origin.scripts.iter().map(|scripts| row("install scripts", scripts)));
    }
    rows
}
