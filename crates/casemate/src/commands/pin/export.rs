//! What was approved, as a lock file.

use casemate_registry::lock::Lock;
use casemate_store::Store;
use serde::Serialize;

use crate::args::pins::{Export, Item};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock_file;
use crate::output::{Page, Report, Tone};

/// Writes it. What waits for an approval is not in it.
pub(super) async fn run(context: &Context, store: &Store, export: &Export) -> anyhow::Result<Exit> {
    let mut lock = Lock::default();
    for pin in store.pins().list().await?.iter().filter(|pin| pin.approved.is_some()) {
        let Some(full) = store.pins().get(&pin.server, pin.kind, &pin.name).await? else { continue };
        let Some((version, _)) = full.approved else { continue };
        let item = Item { kind: pin.kind, name: pin.name.clone() }.to_string();
        let added = lock.add(&pin.server, &item, &version.definition);
        added.map_err(|why| Failure::new(Exit::Failure, why.to_string()))?;
    }
    match &export.output {
        None => context.output.print(&Text(lock.to_string()))?,
        Some(file) => {
            lock_file::write(&lock, file, export.sign.as_deref())?;
            let signature = export.sign.as_ref().map(|_| lock_file::signature(file).display().to_string());
            let file = file.display().to_string();
            context.output.print(&Written { file, signature, definitions: lock.len() })?;
        }
    }
    Ok(Exit::Success)
}

/// The lock file itself.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Text(String);

impl Report for Text {
    fn lay_out(&self, page: &mut Page) {
        page.line(self.0.trim_end_matches('\n'));
    }
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    definitions: usize,
}

impl Report for Written {
    fn lay_out(&self, page: &mut Page) {
        let what = format!("{} with {} definitions", self.file, self.definitions);
        page.labelled(Tone::Strong, "written:", &what);
        if let Some(signature) = &self.signature {
            page.labelled(Tone::Strong, "signed:", signature);
        }
        page.labelled(
            Tone::Hint,
            "hint:",
            &format!("`casemate up --locked {}` uses nothing else", self.file),
        );
    }
}
