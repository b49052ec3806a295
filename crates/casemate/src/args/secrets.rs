//! Secrets.

use casemate_auth::SecretName;
use clap::Subcommand;

/// `casemate secret`
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Keep a secret; its value is read from stdin, or asked for on a terminal
    #[command(
        long_about = "Keep a secret; its value is read from stdin, or asked for on a terminal without being shown.\n\n\
            A newline at its end is not part of it. It is never an argument: every process of the machine can read \
            those. An entry of the configuration refers to it as \"secret:NAME\".",
        after_help = "Examples:\n  casemate secret set GITHUB_TOKEN\n  pass show github | casemate secret set GITHUB_TOKEN"
    )]
    Set(Named),
    /// List the secrets, how old they are and who uses them; never their values
    List,
    /// Remove a secret
    Remove(Named),
    /// Replace the key that the secrets are sealed with, and seal all of them anew
    Rotate(Rotate),
}

/// One secret.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the secret: letters, digits, `-`, `_` and `.`
    #[arg(value_parser = SecretName::parse)]
    pub name: SecretName,
}

/// `casemate secret rotate`
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// How the new key is kept: in a `file`, sealed with a `passphrase`, or with one in the system's `keyring` [default: as before]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub keep: Option<Keep>,
}

/// How the key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// In a file that only you can read.
    File,
    /// In that file, sealed with a passphrase that is asked for when the gateway starts.
    Passphrase,
    /// In that file, sealed with a passphrase that lies in the keyring of the system.
    Keyring,
}

impl Keep {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Keep::File => "file",
            Keep::Passphrase => "passphrase",
            Keep::Keyring => "keyring",
        }
    }
}
