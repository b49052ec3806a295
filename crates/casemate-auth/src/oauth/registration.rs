//! What an authorization server knows us by. It belongs to that issuer and is never shown to another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use casemate_net::fetch::{Fetcher, Request, Url};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::authorization::known_error;
use super::discovery::Issuer;
use super::{OAuthFault, Proof, Remote, assertion, form};

/// What we are called in front of people.
const CLIENT_NAME: &str = "Casemate";

/// What an issuer knows us by.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) client_id: String,
    pub(super) proof: ClientProof,
}

/// How we prove it at the token endpoint.
#[derive(Debug, Clone)]
pub(super) enum ClientProof {
    /// Not at all: a public client, whom PKCE protects.
    None,
    /// In a header.
    Basic(SecretString),
    /// In the form.
    Post(SecretString),
    /// By an assertion that the key signs.
    Key(SecretString),
}

/// A registration as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    issuer: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    method: String,
    redirect_uri: String,
}

/// What the registration endpoint answers, as far as it concerns us.
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
    token_endpoint_auth_method: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Registration {
    /// The one that a person made, or the document that describes us; `None` when we have to register ourselves.
    pub(super) fn given(remote: &Remote, issuer: &Issuer) -> Option<Registration> {
        let settings = &remote.settings;
        if let Some(client_id) = &settings.client_id {
            let proof = match &settings.proof {
                None => ClientProof::None,
                Some(Proof::Key(key)) => ClientProof::Key(key.clone()),
                Some(Proof::Secret(secret)) if issuer.takes("client_secret_basic") => {
                    ClientProof::Basic(secret.clone())
                }
                Some(Proof::Secret(secret)) => ClientProof::Post(secret.clone()),
            };
            return Some(Registration { client_id: client_id.clone(), proof });
        }
        let document = settings.client_metadata_url.as_ref().filter(|_| issuer.takes_documents())?;
        // What the protocol takes for such a document: over TLS, and with a path.
        let is_document = Url::parse(document).is_ok_and(|url| url.is_secure() && url.path() != "/");
        is_document.then(|| Registration { client_id: document.clone(), proof: ClientProof::None })
    }

    /// Adds to a request at the token endpoint who we are. The audience of an assertion is the issuer.
    pub(super) fn sign(
        &self,
        issuer: &Issuer,
        mut fields: Vec<(&'static str, Zeroizing<String>)>,
        now_unix_s: u64,
    ) -> Result<Request, OAuthFault> {
        let mut field = |name, text: &str| fields.push((name, Zeroizing::new(text.to_owned())));
        let mut header = None;
        match &self.proof {
            ClientProof::None => field("client_id", &self.client_id),
            ClientProof::Post(secret) => {
                field("client_id", &self.client_id);
                field("client_secret", secret.expose_secret());
            }
            ClientProof::Basic(secret) => {
                let [id, secret] = [self.client_id.as_str(), secret.expose_secret()].map(form::encode);
                let pair = Zeroizing::new(format!("{id}:{secret}"));
                header = Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair))));
            }
            ClientProof::Key(key) => {
                let assertion = assertion::sign(key, (&self.client_id, &issuer.metadata.issuer), now_unix_s)?;
                field("client_id", &self.client_id);
                field("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                field("client_assertion", &assertion);
            }
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = Request::post_form(issuer.token_endpoint.clone(), &fields);
        Ok(match header.and_then(|header| HeaderValue::from_str(&header).ok()) {
            Some(header) => request.with_header(AUTHORIZATION, header),
            None => request,
        })
    }
}

impl Kept {
    /// As it can be used at an issuer with a redirect address; `None` when it belongs to others.
    pub(super) fn for_issuer(self, issuer: &str, redirect_uri: Option<&str>) -> Option<Registration> {
        let fits = self.issuer == issuer && redirect_uri.is_none_or(|uri| uri == self.redirect_uri);
        let secret = self.client_secret.map(SecretString::from);
        fits.then(|| Registration { client_id: self.client_id, proof: proof(&self.method, secret) })
    }

    /// The redirect address that was registered, so that it can be taken again.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }
}

/// Registers this gateway (RFC 7591). It is a native application: it listens on this machine for its answer.
pub(super) async fn register(
    fetcher: &Fetcher,
    remote: &Remote,
    (issuer, redirect_uri): (&Issuer, &str),
) -> Result<Kept, OAuthFault> {
    let unregistered = || OAuthFault::Unregistered { issuer: issuer.metadata.issuer.clone() };
    let endpoint = issuer.registration_endpoint()?.ok_or_else(unregistered)?;
    // Without a secret there is nothing to keep, and PKCE protects the code.
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let method = methods.into_iter().find(|method| issuer.takes(method)).unwrap_or("none");
    let body = json!({
        "client_name": CLIENT_NAME,
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    });
    let request = Request::post_json(endpoint.clone(), Bytes::from(body.to_string()));
    let fetched = fetcher.fetch(request, &remote.terms()).await?;
    if !fetched.status.is_success() {
        let refusal = serde_json::from_slice::<Refusal>(&fetched.body).ok();
        let code = refusal.map_or("unknown", |refusal| known_error(&refusal.error));
        return Err(OAuthFault::Refused { issuer: issuer.metadata.issuer.clone(), code });
    }
    let wrong = |why| OAuthFault::Answer { place: endpoint.to_string(), why };
    let registered: Registered = serde_json::from_slice(&fetched.body)
        .map_err(|_| wrong("the registration is not the JSON that it has to be"))?;
    let is_plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if !is_plain(&registered.client_id) {
        return Err(wrong("the registration has no client_id that can be sent"));
    }
    Ok(Kept {
        issuer: issuer.metadata.issuer.clone(),
        client_id: registered.client_id,
        client_secret: registered.client_secret,
        method: registered.token_endpoint_auth_method.unwrap_or_else(|| method.to_owned()),
        redirect_uri: redirect_uri.to_owned(),
    })
}

fn proof(method: &str, secret: Option<SecretString>) -> ClientProof {
    match (method, secret) {
        ("client_secret_basic", Some(secret)) => ClientProof::Basic(secret),
        ("client_secret_post", Some(secret)) => ClientProof::Post(secret),
        _ => ClientProof::None,
    }
}
