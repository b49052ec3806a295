//! What a built-in server is.

use casemate_mcp::json::Raw;
use thiserror::Error;

use crate::parameter::Arguments;
use crate::tool::Tool;

/// A server that offers tools. It is shared by all calls, which run at the same time.
pub trait Server: Send + Sync + 'static {
    /// Its name in configurations and in `serverInfo`.
    const NAME: &'static str;
    /// What it is good for, in one sentence for people.
    const DESCRIPTION: &'static str;
    /// What a model has to know to use it well.
    const INSTRUCTIONS: &'static str;

    /// Its tools, always the same and in the same order.
    fn tools(&self) -> &'static [Tool];

    /// Carries out one call of one of its tools, with arguments that have been checked. Dropping the future gives
    /// the call up. What it returns fits the tool's output schema.
    fn call(
        &self,
        tool: &'static Tool,
        arguments: Arguments,
    ) -> impl Future<Output = Result<Raw, ToolFault>> + Send;
}

/// A call that failed in a way that the model should hear of, as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ToolFault(pub String);
