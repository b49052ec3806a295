//! Real servers: added, called from the command line and through the joined endpoint, and shown.

use std::process::Command;

use serde_json::json;

use super::parts::Parts;
use super::site::Site;

#[tokio::test]
async fn server_everything_echoes() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start().with_everything(&parts);
    let message = json!({"message": "hi"});
    assert_eq!(site.call("everything", "echo", &message).ok(), "Echo: hi");
    assert_eq!(site.ask("everything", "echo", &message).await.ok(), "Echo: hi");
    let sum = site.ask("everything", "get-sum", &json!({"a": 19, "b": 23})).await.ok();
    assert!(sum.contains("42"), "{sum}");
    site.expect("everything", "2025-11-25", &["echo", "get-sum", "get-structured-content"]);
    site.close();
}

/// The environment of a server is ours to choose, and a secret of the user is none of its business.
#[test]
fn server_everything_sees_no_variable_that_nobody_named() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    let line = ["add", "everything", "--env", "COLOR=green", "--"].map(str::to_owned);
    let line = [line.to_vec(), parts.npm("mcp-server-everything")].concat();
    site.home.run(&line.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let seen = site.call("everything", "get-env", &json!({})).json();
    let mut names: Vec<&String> = seen.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["COLOR", "HOME", "LANG", "PATH", "TMPDIR"]);
    assert_ne!(seen["HOME"], site.home.path().to_str().unwrap());
    site.close();
}

#[tokio::test]
async fn server_filesystem_writes_where_it_may_and_nowhere_else() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    let secret = site.home.write("secret.txt", "not for servers");
    let note = site.home.write("allowed/old.txt", "").with_file_name("note.txt");
    let folder = note.parent().unwrap().to_str().unwrap().to_owned();
    let command = [parts.npm("mcp-server-filesystem"), vec![folder.clone()]].concat();
    site.add_with("files", &["--write", &folder], &command);

    site.call("files", "write_file", &json!({"path": note, "content": "vaulted"})).ok();
    assert_eq!(site.home.read("allowed/note.txt"), "vaulted");
    let read = site.ask("files", "read_text_file", &json!({ "path": note })).await;
    assert_eq!(read.ok(), "vaulted");

    let outside = json!({ "path": secret });
    let by_command = site.call("files", "read_text_file", &outside);
    assert!(by_command.is_error && by_command.text.contains("Access denied"), "{by_command:?}");
    assert_eq!(site.ask("files", "read_text_file", &outside).await, by_command);
    let written = site.ask("files", "write_file", &json!({"path": secret, "content": "gone"})).await;
    assert!(written.is_error, "{written:?}");
    assert_eq!(site.home.read("secret.txt"), "not for servers");
    site.expect("files", "2025-11-25", &["read_text_file", "write_file", "list_allowed_directories"]);
    site.close();
}

#[tokio::test]
async fn server_memory_remembers_between_callers() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    let folder = site.home.write("memory/.keep", "").parent().unwrap().to_owned();
    let variable = format!("MEMORY_FILE_PATH={}", folder.join("memory.jsonl").display());
    let options = ["--write", folder.to_str().unwrap(), "--env", &variable];
    site.add_with("memory", &options, &parts.npm("mcp-server-memory"));

    let entity = json!({"name": "Casemate", "entityType": "fortification", "observations": ["vaulted"]});
    let created = site.ask("memory", "create_entities", &json!({ "entities": [entity] })).await;
    assert_eq!(created.json(), json!([entity]));
    let graph = site.call("memory", "read_graph", &json!({})).json();
    assert_eq!(graph, json!({"entities": [entity], "relations": []}));
    let found = site.ask("memory", "search_nodes", &json!({"query": "vaulted"})).await.json();
    assert_eq!(found["entities"][0]["name"], "Casemate");
    site.expect("memory", "2025-11-25", &["create_entities", "read_graph"]);
    site.close();
}

#[tokio::test]
async fn mcp_server_git_tells_the_state_of_a_repository() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    let file = site.home.write("repository/plan.txt", "star fort\n");
    let repository = file.parent().unwrap();
    let made = Command::new("git").args(["init", "--quiet"]).arg(repository).status().unwrap();
    assert!(made.success());
    let path = repository.to_str().unwrap();
    let command = [&parts.pypi("mcp-server-git"), "--repository", path];
    site.add_with("git", &["--write", path], &command);

    let status = site.call("git", "git_status", &json!({ "repo_path": path })).ok();
    assert!(status.contains("Untracked files") && status.contains("plan.txt"), "{status}");
    site.ask("git", "git_add", &json!({"repo_path": path, "files": ["plan.txt"]})).await.ok();
    let status = site.ask("git", "git_status", &json!({ "repo_path": path })).await.ok();
    assert!(status.contains("new file:   plan.txt"), "{status}");
    let elsewhere = site.call("git", "git_status", &json!({ "repo_path": site.home.path() }));
    assert!(elsewhere.is_error, "{elsewhere:?}");
    site.expect("git", "2026-07-28", &["git_status", "git_add", "git_log"]);
    site.close();
}

#[tokio::test]
async fn mcp_server_time_knows_what_time_it_is_elsewhere() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    site.add("time", &[parts.pypi("mcp-server-time")]);
    let now = site.call("time", "get_current_time", &json!({"timezone": "Asia/Kathmandu"})).json();
    assert_eq!(now["timezone"], "Asia/Kathmandu");
    assert!(now["datetime"].as_str().unwrap().ends_with("+05:45"), "{now}");
    let noon = json!({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kathmandu"});
    let converted = site.ask("time", "convert_time", &noon).await.json();
    assert!(converted["target"]["datetime"].as_str().unwrap().contains("T17:45:00"), "{converted}");
    site.expect("time", "2026-07-28", &["get_current_time", "convert_time"]);
    site.close();
}
