//! What servers declare, as far as somebody approved of it: from the pins, so no server is started for it.

use casemate_mcp::json::{Limits, Members, Raw};
use casemate_mcp::names::ServerName;
use casemate_policy::Approved;
use casemate_store::Store;

use crate::context::Context;
use crate::wiring::pins;

/// A tool that is approved as it is declared now.
pub(super) struct Tool {
    pub(super) server: ServerName,
    pub(super) name: String,
    pub(super) input_schema: Raw,
}

/// All of them, in order.
pub(super) fn approved(context: &Context) -> anyhow::Result<Vec<Tool>> {
    let Some(store) = store(context)? else { return Ok(Vec::new()) };
    let pins = context.small_runtime()?.block_on(async { store.pins().approved_tools().await })?;
    let tool = |pin: casemate_store::Pin| {
        let (version, _) = pin.approved?;
        let declared = Members::check(version.definition.into(), &Limits::default()).ok()?;
        let input_schema = declared.get("inputSchema")?;
        Some(Tool { server: ServerName::parse(&pin.server).ok()?, name: pin.name, input_schema })
    };
    Ok(pins.into_iter().filter_map(tool).collect())
}

/// What people confirmed to change nothing by approving of it.
pub(super) fn confirmed(context: &Context) -> anyhow::Result<Approved> {
    let Some(store) = store(context)? else { return Ok(Approved::new()) };
    Ok(context.small_runtime()?.block_on(pins::confirmed(&store))?)
}

/// To look makes nothing.
fn store(context: &Context) -> anyhow::Result<Option<Store>> {
    let data = context.paths.data();
    Ok(if data.exists() { Some(Store::open(data)?) } else { None })
}
