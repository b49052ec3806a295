//! A judge that is an MCP server over standard input and output, of either dialect.

use std::io::{self, BufRead as _, Write as _};

use serde_json::{Value, json};

use super::Judge;

/// Bytes of one answer that floods.
const FLOOD_BYTES: usize = 20 << 20;

/// Serves standard input and output until the input ends.
///
/// # Errors
/// Reading or writing failed.
pub fn serve_stdio(judge: Judge) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let (Some(id), Some(method)) = (message.get("id"), message.get("method")) else { continue };
        let answer = match method.as_str().unwrap_or_default() {
            "interceptor/invoke" if judge == Judge::Hangs => continue,
            "interceptor/invoke" if judge == Judge::Dies => std::process::exit(71),
            method => answer(judge, method, message.get("params").unwrap_or(&Value::Null)),
        };
        let frame = match answer {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
            }
        };
        writeln!(out, "{frame}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(judge: Judge, method: &str, params: &Value) -> Result<Value, (i64, &'static str)> {
    let capabilities = json!({
        "extensions": {"io.modelcontextprotocol/interceptors": {"supportedEvents": ["*"]}},
        "tools": {},
    });
    let info = json!({"name": "judge", "version": "1"});
    match method {
        "initialize" => Ok(json!({
            "protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": info,
        })),
        "server/discover" => Ok(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": capabilities,
            "_meta": {"io.modelcontextprotocol/serverInfo": info}, "ttlMs": 60_000, "cacheScope": "private",
        })),
        "ping" => Ok(json!({})),
        // A judge that offers a tool besides: nobody may see it.
        "tools/list" => Ok(json!({
            "resultType": "complete", "ttlMs": 60_000, "cacheScope": "private",
            "tools": [{"name": "confess", "inputSchema": {"type": "object"}}],
        })),
        "tools/call" => {
            Ok(json!({"resultType": "complete", "content": [{"type": "text", "text": "confessed"}]}))
        }
        "interceptors/list" => Ok(json!({
            "resultType": "complete",
            "interceptors": [{
                "name": "judge", "type": if judge.is_mutator() { "mutation" } else { "validation" },
                "hook": {"events": ["*"], "phase": "both"},
            }],
        })),
        "interceptor/invoke" if params["name"] != "judge" => Err((-32602, "unknown interceptor")),
        "interceptor/invoke" => match judge {
            Judge::Errs => Err((-32603, "Interceptor execution failed")),
            Judge::Floods => Ok(json!({"valid": true, "info": {"x": "x".repeat(FLOOD_BYTES)}})),
            Judge::Babbles => Ok(json!("yes, of course")),
            judge => {
                let mut verdict = judge.verdict(params);
                if let Some(members) = verdict.as_object_mut() {
                    members.insert("resultType".to_owned(), json!("complete"));
                }
                Ok(verdict)
            }
        },
        _ => Err((-32601, "Method not found")),
    }
}
