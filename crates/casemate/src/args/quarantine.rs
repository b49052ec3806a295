//! What is kept from calls, and who is kept from calling.

use casemate_gateway::quarantine::Ward;
use clap::Subcommand;

use super::keys::Expiry;

/// Longest reason, in characters.
const REASON_MAX: usize = 500;

/// `casemate quarantine`
#[derive(Debug, clap::Args)]
pub struct Quarantine {
    /// What to do; what is in quarantine is listed when nothing is said.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What can be done with the quarantine.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Put something in, at once: calls in flight are given up, its servers end
    Add(Add),
    /// Let something go
    Lift(Lift),
    /// List what is in it, why, and until when
    List,
}

/// `casemate quarantine add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// What: server:NAME, tool:SERVER/TOOL, subject:ID, key:ID or gateway
    #[arg(value_name = "WARD", value_parser = Ward::parse)]
    pub ward: Ward,
    /// Why, for those who find it later
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// Until when: for a span such as 30m or 2d, or to a date such as 2027-01-31; until it is lifted when absent
    #[arg(long, value_name = "WHEN", value_parser = Expiry::parse)]
    pub until: Option<Expiry>,
}

/// `casemate quarantine lift`
#[derive(Debug, clap::Args)]
pub struct Lift {
    /// What, as `casemate quarantine list` shows it
    #[arg(value_name = "WARD", value_parser = Ward::parse)]
    pub ward: Ward,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("say why: whoever finds it later has to know".to_owned()),
        1..=REASON_MAX => Ok(text.to_owned()),
        _ => Err(format!("a reason has at most {REASON_MAX} characters")),
    }
}
