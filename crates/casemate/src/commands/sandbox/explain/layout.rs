//! An explanation for people.

use super::{Access, Explanation, Layer, Seen};
use crate::output::{Entry, Page, Report, Tone};

/// Where the values of a server begin.
const VALUES: usize = 13;
/// Where the words about a layer begin.
const WORDS: usize = 21;

impl Report for Explanation {
    fn lay_out(&self, page: &mut Page) {
        let cell = match self.cell {
            "none" => Entry::new("no cell", Tone::Warning),
            "container" => "a container".into(),
            kind => format!("a {kind} cell").into(),
        };
        page.item(0, &[Entry::new(&format!("{}:", self.server), Tone::Strong), cell]);
        if let Some(refusal) = &self.refusal {
            page.labelled(Tone::Error, "cannot be had:", &refusal.reason);
            page.labelled(Tone::Hint, "hint:", &refusal.remedy);
        }
        page.gap();
        self.lay_out_server(page);
        if !self.sees.is_empty() {
            page.gap();
            page.heading("What it sees of the host");
            lay_out_seen(&self.sees, page);
        }
        if !self.layers.is_empty() {
            page.gap();
            page.heading("What encloses it");
        }
        for layer in &self.layers {
            lay_out_layer(layer, page);
        }
        if !self.absent.is_empty() {
            page.gap();
            page.heading("What is absent");
        }
        for absent in &self.absent {
            page.item(WORDS, &[Entry::from(format!("  {}", absent.layer)), (&absent.reason).into()]);
        }
        if self.refusal.is_some() {
            return;
        }
        page.gap();
        page.heading("What is not promised");
        for sentence in self.not_promised {
            page.item(4, &["  -".into(), sentence.into()]);
        }
    }
}

impl Explanation {
    fn lay_out_server(&self, page: &mut Page) {
        let mut row = |name: &str, value: &str| {
            page.item(VALUES, &[Entry::new(name, Tone::Quiet), value.into()]);
        };
        row("program", &self.program);
        if let Some(engine) = &self.engine {
            row("engine", engine);
        }
        if self.refusal.is_some() && self.limits.is_empty() {
            return;
        }
        if let Some(starts_in) = &self.starts_in {
            row("starts in", &starts_in.display().to_string());
        }
        match self.environment.as_slice() {
            [] => row("environment", "none that was named"),
            names => row("environment", &format!("{} (values are not shown)", names.join(", "))),
        }
        if self.cell == "none" {
            return;
        }
        match self.network.as_slice() {
            [] => row("network", "none"),
            named => row("network", &format!("{}, and nothing else", named.join(", "))),
        }
        if self.host_stats {
            row("figures", "of the whole host: memory, processors, disks, network");
        }
        let limits = self.limits.iter().map(|limit| {
            let setting = limit.setting.strip_prefix("limits.").unwrap_or(&limit.setting);
            format!("{setting} {}", limit.value)
        });
        row("limits", &limits.collect::<Vec<_>>().join(", "));
    }
}

/// What is seen for one reason stands together.
fn lay_out_seen(seen: &[Seen], page: &mut Page) {
    let mut told: Vec<(Access, &str)> = Vec::new();
    for one in seen {
        let kind = (one.access, one.why.as_str());
        if told.contains(&kind) {
            continue;
        }
        told.push(kind);
        let access = match one.access {
            Access::Read => Entry::from("  read"),
            Access::Write => Entry::new("  write", Tone::Warning),
        };
        let same = seen.iter().filter(|other| (other.access, other.why.as_str()) == kind);
        let paths: Vec<String> = same.map(|same| same.path.display().to_string()).collect();
        page.item(VALUES, &[access, paths.join(", ").into()]);
        page.item(VALUES, &["".into(), Entry::new(&one.why, Tone::Quiet)]);
    }
}

fn lay_out_layer(layer: &Layer, page: &mut Page) {
    let need = if layer.required { "" } else { "additional: " };
    let name = Entry::new(&format!("  {}", layer.layer), Tone::Strong);
    page.item(WORDS, &[name, format!("{need}{}", layer.about).into()]);
    // Where one step is all of it, the layer's own words say so.
    for step in layer.steps.iter().filter(|step| step.what != layer.about) {
        let paths: Vec<String> = step.paths.iter().map(|path| path.display().to_string()).collect();
        let text = match paths.is_empty() {
            true => step.what.clone(),
            false => format!("{}: {}", step.what, paths.join(", ")),
        };
        page.item(WORDS + 2, &["".into(), Entry::new(&text, Tone::Quiet)]);
    }
}
