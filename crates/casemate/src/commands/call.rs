//! `casemate call`: one tool call, made as any MCP client makes it.

use std::io::{IsTerminal, Read};

use anyhow::Context as _;
use casemate_gateway::endpoint::Endpoint;
use casemate_mcp::json::{Limits, Raw};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::servers::Call;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::launch;
use crate::link::{Client, Meta};
use crate::output::{Form, text};

pub mod refusal;

/// The longest arguments that are read from stdin, in bytes.
const ARGUMENT_BYTES_MAX: u64 = 16 << 20;

/// Calls the tool and prints what it answers.
pub fn run(context: &Context, call: &Call) -> anyhow::Result<Exit> {
    let arguments = arguments(&call.arguments)?;
    let stream = launch::reach(context, &Endpoint::Server(call.server.clone()))?;
    let arguments = arguments.parse().context("cannot word the call")?;
    let params = Params { name: &call.tool, arguments, meta: Meta::ours() };
    match Client::new(stream).ask("tools/call", &params)? {
        Ok(result) => print(context, call, &result),
        Err(error) => Err(refusal::refused(context, &error, (&call.server, Some(&call.tool)))),
    }
}

#[derive(Debug, Serialize)]
struct Params<'a> {
    name: &'a str,
    /// As typed: numbers of any size stay what they are.
    arguments: &'a RawValue,
    #[serde(rename = "_meta")]
    meta: Meta,
}

fn arguments(typed: &str) -> anyhow::Result<Raw> {
    let mut text = if typed == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(ARGUMENT_BYTES_MAX).read_to_string(&mut text);
        read.context("cannot read the arguments from standard input")?;
        text
    } else {
        typed.to_owned()
    };
    // A line is a frame. In JSON, line ends stand between values alone, where they mean nothing.
    text = text.replace(['\n', '\r'], " ");
    let wrong = || {
        Failure::new(Exit::Usage, "the arguments are not a JSON object")
            .hint("write them in single quotes: '{\"message\": \"hi\"}'")
    };
    let arguments = Raw::check(text.into(), &Limits::default()).with_context(wrong)?;
    if arguments.members().is_none() {
        return Err(wrong().into());
    }
    Ok(arguments)
}

/// What of a tool's result is looked at; the rest is passed on to `--json` as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    #[serde(default)]
    content: Vec<Content>,
    structured_content: Option<Value>,
    #[serde(default)]
    is_error: bool,
    result_type: Option<String>,
    #[serde(rename = "_meta", default)]
    meta: Marks,
}

/// What the gateway says beside a result.
#[derive(Debug, Default, Deserialize)]
struct Marks {
    /// The code of a refusal that a model is told as a result, so that it can do better.
    #[serde(rename = "io.casemate/refusal")]
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content {
    Text {
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    Image {
        mime_type: String,
        data: String,
    },
    #[serde(rename_all = "camelCase")]
    Audio {
        mime_type: String,
        data: String,
    },
    ResourceLink {
        uri: String,
    },
    Resource {
        resource: Embedded,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Embedded {
    uri: String,
    text: Option<String>,
}

impl Content {
    fn shown(self) -> String {
        match self {
            Content::Text { text } => text,
            Content::Image { mime_type, data } => {
                format!("[image, {mime_type}, {} bytes of base64]", data.len())
            }
            Content::Audio { mime_type, data } => {
                format!("[audio, {mime_type}, {} bytes of base64]", data.len())
            }
            Content::ResourceLink { uri } => format!("[resource {uri}]"),
            Content::Resource { resource } => {
                resource.text.unwrap_or_else(|| format!("[resource {}]", resource.uri))
            }
            Content::Other => "[content of a kind that only --json shows]".to_owned(),
        }
    }
}

fn print(context: &Context, call: &Call, result: &Raw) -> anyhow::Result<Exit> {
    let read: ToolResult = result.parse().context("the tool's answer is not a tool result")?;
    if read.result_type.as_deref() == Some("input_required") {
        return Err(Failure::new(
            Exit::Failure,
            "the tool asks a question, which `casemate call` cannot answer",
        )
        .hint("call it from a client that can ask you")
        .into());
    }
    if context.output.form() == Form::Json {
        context.output.write(&[result.as_bytes(), b"\n"].concat())?;
    }
    if read.is_error
        && let Some(code) = read.meta.refusal.as_deref().and_then(refusal::find)
    {
        let texts: Vec<String> = read.content.into_iter().map(Content::shown).collect();
        return Err(refusal::of_code(context, (code, &texts.join("\n")), (&call.server, Some(&call.tool))));
    }
    if context.output.form() == Form::Human {
        let mut parts: Vec<String> = read.content.into_iter().map(Content::shown).collect();
        if parts.is_empty() {
            parts.extend(read.structured_content.map(|value| format!("{value:#}")));
        }
        for part in parts {
            // Only a terminal can be fooled; a file or a program gets what the tool said.
            let part = if std::io::stdout().is_terminal() { text::safe(&part).into_owned() } else { part };
            let end = if part.ends_with('\n') { "" } else { "\n" };
            context.output.write(format!("{part}{end}").as_bytes())?;
        }
    }
    Ok(if read.is_error { Exit::ToolError } else { Exit::Success })
}
