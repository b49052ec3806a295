//! Who to ask for tokens, and where: RFC 9728 for the server, RFC 8414 and OpenID Connect for the issuer.

use casemate_net::fetch::{FetchFault, Fetcher, Request, Url};
use http::StatusCode;
use serde::Deserialize;

use super::challenge::{Challenge, is_scope};
use super::{OAuthFault, Remote, address};

/// What a server says of itself, as far as it concerns us.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Resource {
    pub(super) resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    pub(super) scopes_supported: Option<Vec<String>>,
}

/// What an issuer says of itself, as far as it concerns us.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    pub(super) scopes_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// An issuer whose metadata was fetched and checked.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) metadata: Metadata,
    pub(super) token_endpoint: Url,
}

/// Everything that is to be known before a login.
#[derive(Debug, Clone)]
pub(super) struct Discovered {
    pub(super) issuer: Issuer,
    /// What tokens are asked for, in both requests (RFC 8707).
    pub(super) resource: String,
    /// The scopes that the server's metadata lists.
    pub(super) scopes_supported: Option<Vec<String>>,
}

/// Finds out who issues tokens for a server.
pub(super) async fn discover(
    fetcher: &Fetcher,
    remote: &Remote,
    challenge: &Challenge,
) -> Result<Discovered, OAuthFault> {
    let resource = resource(fetcher, remote, challenge).await?;
    let named = resource.as_ref().and_then(|resource| resource.authorization_servers.first());
    // A server without metadata is its own authorization server, as the revisions before 2025-06-18 had it.
    let issuer = match (&remote.settings.issuer, named) {
        (Some(chosen), _) => chosen.clone(),
        (None, Some(named)) => named.clone(),
        (None, None) => remote.url.origin(),
    };
    let issuer = self::issuer(fetcher, remote, &issuer).await?;
    let (resource, scopes_supported) = match resource {
        Some(resource) => (resource.resource, resource.scopes_supported),
        None => (own_name(&remote.url), None),
    };
    Ok(Discovered { issuer, resource, scopes_supported })
}

/// A server's metadata: where its challenge says, or at the well-known places.
async fn resource(
    fetcher: &Fetcher,
    remote: &Remote,
    challenge: &Challenge,
) -> Result<Option<Resource>, OAuthFault> {
    let places = match &challenge.resource_metadata {
        Some(named) => vec![address("the address of the server's metadata", named)?],
        None => well_known_of_server(&remote.url)?,
    };
    for place in &places {
        let Some(resource) = get::<Resource>(fetcher, remote, place).await? else { continue };
        if !is_of(&resource.resource, &remote.url) {
            let why = "the metadata is that of another server (`resource`)";
            return Err(OAuthFault::Answer { place: place.to_string(), why });
        }
        return Ok(Some(resource));
    }
    match challenge.resource_metadata {
        Some(_) => Err(OAuthFault::Answer {
            place: places.first().map(ToString::to_string).unwrap_or_default(),
            why: "the server names this place for its metadata, and there is none",
        }),
        None => Ok(None),
    }
}

/// An issuer's metadata, which has to name that very issuer.
pub(super) async fn issuer(fetcher: &Fetcher, remote: &Remote, issuer: &str) -> Result<Issuer, OAuthFault> {
    for place in well_known_of_issuer(issuer)? {
        let Some(metadata) = get::<Metadata>(fetcher, remote, &place).await? else { continue };
        return Issuer::check(metadata, issuer, &place);
    }
    let why = "it publishes no metadata, neither as an OAuth nor as an OpenID authorization server";
    Err(OAuthFault::Answer { place: address("the issuer", issuer)?.to_string(), why })
}

/// A JSON document; `None` when there is none at that place.
async fn get<T: for<'de> Deserialize<'de>>(
    fetcher: &Fetcher,
    remote: &Remote,
    place: &Url,
) -> Result<Option<T>, OAuthFault> {
    let fetched = match fetcher.fetch(Request::get(place.clone()), &remote.terms()).await {
        // A page instead of a document is what many servers answer for a path that they do not have.
        Err(fault) if is_page(&fault) => return Ok(None),
        fetched => fetched?,
    };
    let answer = |why| OAuthFault::Answer { place: place.to_string(), why };
    match fetched.status {
        StatusCode::OK => serde_json::from_slice(&fetched.body)
            .map(Some)
            .map_err(|_| answer("the metadata is not the JSON that it has to be")),
        status if status.is_client_error() => Ok(None),
        status if status.is_redirection() => {
            Err(answer("it answers with a redirect, which is not followed for metadata"))
        }
        _ => Err(answer("it does not answer with metadata")),
    }
}

fn is_page(fault: &FetchFault) -> bool {
    matches!(fault.cause(), casemate_net::fetch::FetchCause::ContentType(_))
}

impl Issuer {
    fn check(metadata: Metadata, issuer: &str, place: &Url) -> Result<Issuer, OAuthFault> {
        let answer = |why| OAuthFault::Answer { place: place.to_string(), why };
        // To the letter: a normalized comparison is where one issuer passes for another.
        if metadata.issuer != issuer {
            return Err(answer("the metadata is that of another issuer (`issuer`)"));
        }
        let token_endpoint = metadata.token_endpoint.as_deref().ok_or(answer("it has no token_endpoint"))?;
        let token_endpoint = address("the token_endpoint", token_endpoint)?;
        Ok(Issuer { metadata, token_endpoint })
    }

    /// Where a person is sent. Only with PKCE: without it, a code that leaks is as good as a token.
    pub(super) fn authorization_endpoint(&self) -> Result<Url, OAuthFault> {
        let answer = |why| OAuthFault::Answer { place: self.metadata.issuer.clone(), why };
        let methods = self.metadata.code_challenge_methods_supported.as_deref().unwrap_or_default();
        if !methods.iter().any(|method| method == "S256") {
            return Err(answer(
                "it does not say that it supports PKCE with S256, without which there is no login",
            ));
        }
        let endpoint = self.metadata.authorization_endpoint.as_deref();
        address("the authorization_endpoint", endpoint.ok_or(answer("it has no authorization_endpoint"))?)
    }

    pub(super) fn registration_endpoint(&self) -> Result<Option<Url>, OAuthFault> {
        let endpoint = self.metadata.registration_endpoint.as_deref();
        endpoint.map(|endpoint| address("the registration_endpoint", endpoint)).transpose()
    }

    pub(super) fn takes_documents(&self) -> bool {
        self.metadata.client_id_metadata_document_supported
    }

    /// Whether a code has to come with the issuer's name (RFC 9207).
    pub(super) fn names_itself(&self) -> bool {
        self.metadata.authorization_response_iss_parameter_supported
    }

    /// Whether a client may prove itself that way at the token endpoint. Where nothing is said, RFC 8414 says Basic.
    pub(super) fn takes(&self, method: &str) -> bool {
        match &self.metadata.token_endpoint_auth_methods_supported {
            Some(methods) => methods.iter().any(|known| known == method),
            None => method == "client_secret_basic",
        }
    }
}

impl Discovered {
    /// The scopes of a first login: what the server asks for, else what it lists; what the entry adds; and a refresh
    /// token, where the issuer knows that scope.
    pub(super) fn scopes(&self, remote: &Remote, challenge: &Challenge) -> Vec<String> {
        let asked = challenge.scopes.as_ref().or(self.scopes_supported.as_ref());
        let mut scopes = Vec::new();
        add(&mut scopes, asked.into_iter().flatten());
        add(&mut scopes, &remote.settings.scopes);
        let offline = "offline_access".to_owned();
        if self.issuer.metadata.scopes_supported.as_ref().is_some_and(|known| known.contains(&offline)) {
            add(&mut scopes, [&offline]);
        }
        scopes
    }
}

/// Adds scopes that are not there yet.
pub(super) fn add<'a>(scopes: &mut Vec<String>, more: impl IntoIterator<Item = &'a String>) {
    for scope in more {
        if is_scope(scope) && !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
}

/// RFC 9728, 3.1: below the well-known name and the server's path, then at the root.
pub(super) fn well_known_of_server(url: &Url) -> Result<Vec<Url>, OAuthFault> {
    let base = format!("{}/.well-known/oauth-protected-resource", url.origin());
    let path = url.path().trim_end_matches('/');
    let mut places = Vec::new();
    if !path.is_empty() {
        places.push(address("the server", &format!("{base}{path}"))?);
    }
    places.push(address("the server", &base)?);
    Ok(places)
}

/// The order of the protocol: RFC 8414 with the path inserted, OpenID with the path inserted, OpenID with the path
/// before it.
pub(super) fn well_known_of_issuer(issuer: &str) -> Result<Vec<Url>, OAuthFault> {
    const WHAT: &str = "the issuer";
    let url = address(WHAT, issuer)?;
    let (origin, path) = (url.origin(), url.path().trim_end_matches('/'));
    let mut places = vec![
        address(WHAT, &format!("{origin}/.well-known/oauth-authorization-server{path}"))?,
        address(WHAT, &format!("{origin}/.well-known/openid-configuration{path}"))?,
    ];
    if !path.is_empty() {
        places.push(address(WHAT, &format!("{origin}{path}/.well-known/openid-configuration"))?);
    }
    Ok(places)
}

/// What a server without metadata is called when tokens for it are asked for: its address, without a query.
fn own_name(url: &Url) -> String {
    format!("{}{}", url.origin(), if url.path() == "/" { "" } else { url.path() })
}

/// Whether metadata of a resource is that of the server at an address: the same origin, and a path above or at it.
fn is_of(resource: &str, url: &Url) -> bool {
    let Ok(named) = Url::parse(resource) else { return false };
    let path = named.path().trim_end_matches('/');
    let below = url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    named.query().is_none() && named.origin() == url.origin() && below
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn texts(urls: Vec<Url>) -> Vec<String> {
        urls.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn well_known_places_are_asked_in_the_protocols_order() {
        let url = |text: &str| Url::parse(text).unwrap();
        let base = "https://a.example/.well-known/oauth-protected-resource";
        assert_eq!(
            texts(well_known_of_server(&url("https://a.example/public/mcp")).unwrap()),
            [format!("{base}/public/mcp"), base.to_owned()]
        );
        assert_eq!(texts(well_known_of_server(&url("https://a.example")).unwrap()), [base]);
        assert_eq!(
            texts(well_known_of_issuer("https://as.example/tenant1").unwrap()),
            [
                "https://as.example/.well-known/oauth-authorization-server/tenant1",
                "https://as.example/.well-known/openid-configuration/tenant1",
                "https://as.example/tenant1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            texts(well_known_of_issuer("https://as.example").unwrap()),
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ]
        );
        for wrong in ["javascript:alert(1)", "file:///etc/passwd", "https://a@b.example", "//as.example", ""]
        {
            assert!(well_known_of_issuer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_of_another_server_is_not_taken() {
        let url = Url::parse("https://a.example/team/mcp").unwrap();
        for good in [
            "https://a.example/team/mcp",
            "https://a.example/team",
            "https://a.example",
            "https://a.example/",
        ] {
            assert!(is_of(good, &url), "{good}");
        }
        for wrong in [
            "https://evil.example/team/mcp",
            "https://a.example/team/mcp2",
            "https://a.example/tea",
            "https://a.example/team/mcp/more",
            "http://a.example/team/mcp",
            "https://a.example:444/team/mcp",
            "https://a.example/team/mcp?x=y",
            "a.example",
        ] {
            assert!(!is_of(wrong, &url), "{wrong}");
        }
    }

    pub(crate) fn metadata(more: &str) -> String {
        format!(
            r#"{{"issuer":"https://as.example","authorization_endpoint":"https://as.example/authorize",
            "token_endpoint":"https://as.example/token"{more}}}"#
        )
    }

    pub(crate) fn checked(text: &str, issuer: &str) -> Result<Issuer, OAuthFault> {
        let place = Url::parse("https://as.example/.well-known/oauth-authorization-server").unwrap();
        Issuer::check(serde_json::from_str(text).unwrap(), issuer, &place)
    }

    #[test]
    fn an_issuer_is_the_one_that_was_asked_for_to_the_letter() {
        let text = metadata("");
        assert!(checked(&text, "https://as.example").is_ok());
        for near in [
            "https://as.example/",
            "https://AS.example",
            "https://as.example:443",
            "https://evil.example",
            "",
        ] {
            assert!(checked(&text, near).is_err(), "{near}");
        }
    }

    #[test]
    fn without_pkce_there_is_no_login() {
        for more in [
            "",
            r#","code_challenge_methods_supported":[]"#,
            r#","code_challenge_methods_supported":["plain"]"#,
            r#","code_challenge_methods_supported":["s256"]"#,
        ] {
            let issuer = checked(&metadata(more), "https://as.example").unwrap();
            assert!(issuer.authorization_endpoint().is_err(), "{more}");
        }
        let good = metadata(r#","code_challenge_methods_supported":["plain","S256"]"#);
        assert!(checked(&good, "https://as.example").unwrap().authorization_endpoint().is_ok());
    }

    #[test]
    fn an_endpoint_is_an_address_of_the_web() {
        let scheme = metadata(r#","code_challenge_methods_supported":["S256"]"#)
            .replace("https://as.example/authorize", "javascript:alert(1)");
        assert!(checked(&scheme, "https://as.example").unwrap().authorization_endpoint().is_err());
        assert!(
            checked(&metadata("").replace("https://as.example/token", "file:///x"), "https://as.example")
                .is_err()
        );
    }
}
