//! A server that is fetched when it is started, exactly as the README adds it.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::parts::Parts;
use super::site::{Said, Site};

#[test]
fn what_npx_fetches_answers() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::idle();
    site.add("everything", &["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]);

    // The way to the registry is the user's, and reaches `npx` through the gateway. What is fetched is kept.
    let settings = std::fs::read_to_string(user_settings()).unwrap_or_default();
    let settings = format!("{settings}\ncache={}\n", parts.folder().join("npm").display());
    let settings = site.home.write("npmrc", &settings);
    let mut call = site.home.command(&["call", "everything", "echo", r#"{"message":"hi"}"#, "--json"]);
    let ours = |name: &OsStr| name == "HOME" || name.to_string_lossy().starts_with("CASEMATE_");
    call.envs(std::env::vars_os().filter(|(name, _)| !ours(name)));
    call.env("npm_config_userconfig", settings);

    assert_eq!(Said::by_command(&call.output().unwrap()).ok(), "Echo: hi");
    site.expect("everything", "2025-11-25", &["echo"]);
    site.close();
}

/// Where npm reads the user's settings.
fn user_settings() -> PathBuf {
    let named = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"].into_iter().find_map(std::env::var_os);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    named.map_or_else(|| home().join(".npmrc"), PathBuf::from)
}
