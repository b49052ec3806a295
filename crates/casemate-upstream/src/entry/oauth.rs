//! How a login at a remote server is made.

use secrecy::SecretString;

/// How a login at a remote server is made. By default everything is found out from the server.
#[derive(Debug, Clone, Default)]
pub struct OAuth {
    /// What the authorization server knows us by, when we were registered there by hand.
    pub client_id: Option<String>,
    /// How we prove it.
    pub client_secret: Option<ClientSecret>,
    /// The address of a document that describes us, which authorization servers that support it fetch.
    pub client_metadata_url: Option<String>,
    /// What is asked for, besides what the server asks for.
    pub scopes: Vec<String>,
    /// Who the token is for.
    pub grant: Grant,
    /// The authorization server, instead of the one that the server names.
    pub issuer: Option<String>,
}

/// How a client proves that it is the one that was registered.
#[derive(Debug, Clone)]
pub enum ClientSecret {
    /// A shared secret.
    Text(SecretString),
    /// A private key in PEM (PKCS #8), with which assertions are signed.
    Key(SecretString),
}

/// Who a token is for, and how it is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grant {
    /// A person, who logs in with a browser.
    #[default]
    AuthorizationCode,
    /// This gateway itself, whoever calls.
    ClientCredentials,
    /// The caller, whose own token is exchanged for one that the server takes.
    TokenExchange,
}

impl Grant {
    /// As it is written in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Grant::AuthorizationCode => "authorization_code",
            Grant::ClientCredentials => "client_credentials",
            Grant::TokenExchange => "token_exchange",
        }
    }
}
