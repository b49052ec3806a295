//! From an issuer's name to its keys.

use casemate_mcp::json::{Limits, Members};
use casemate_net::fetch::{FetchFault, Fetcher, Request, Terms, Url, UrlFault};
use thiserror::Error;

use super::Issuer;
use crate::token::{KeySet, KeySetFault};

/// Why there are no keys.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    #[error("{place} answered with status {status}")]
    Status { place: Url, status: u16 },
    #[error("{place}: {why}")]
    Keys { place: Url, why: KeySetFault },
    #[error("{place}: {why}")]
    Metadata { place: Url, why: &'static str },
    #[error("the issuer's name is no address to find its metadata by: {0}")]
    Name(UrlFault),
    #[error("none of the three places for metadata has any")]
    Nowhere,
}

/// The keys that the issuer has now.
pub(super) async fn keys(fetcher: &Fetcher, issuer: &Issuer) -> Result<KeySet, Fault> {
    let place = match &issuer.keys_at {
        Some(place) => place.clone(),
        None => discovered(fetcher, issuer).await?,
    };
    let terms = Terms {
        content_types: &["application/json", "application/jwk-set+json"],
        reachable: issuer.reachable.clone(),
        ..Terms::default()
    };
    let fetched = fetcher.fetch(Request::get(place.clone()), &terms).await?;
    if !fetched.status.is_success() {
        return Err(Fault::Status { place, status: fetched.status.as_u16() });
    }
    KeySet::read(&fetched.body).map_err(|why| Fault::Keys { place, why })
}

/// Where the issuer's metadata say that its keys are.
async fn discovered(fetcher: &Fetcher, issuer: &Issuer) -> Result<Url, Fault> {
    let terms = Terms { reachable: issuer.reachable.clone(), ..Terms::default() };
    for place in places(&issuer.rules.issuer)? {
        let fetched = fetcher.fetch(Request::get(place.clone()), &terms).await?;
        if !fetched.status.is_success() {
            continue;
        }
        let fault = |why| Fault::Metadata { place: place.clone(), why };
        let limits = Limits { bytes_max: terms.body_bytes_max, depth_max: 32, values_max: 20_000 };
        let metadata = Members::check(fetched.body, &limits).map_err(|_| fault("this is no JSON object"))?;
        // Whoever answers here could otherwise speak for another issuer (RFC 8414 section 3.3).
        if metadata.string("issuer").as_deref() != Some(&issuer.rules.issuer) {
            return Err(fault("these are the metadata of another issuer"));
        }
        let keys = metadata.string("jwks_uri").ok_or(fault("there is no `jwks_uri`"))?;
        return Url::parse(&keys).map_err(|_| fault("`jwks_uri` is no address that can be fetched"));
    }
    Err(Fault::Nowhere)
}

/// Where the metadata can be, in the order of the MCP specification: RFC 8414, then OpenID Connect with the path
/// inserted, then appended. Without a path the last two are one.
fn places(issuer: &str) -> Result<Vec<Url>, Fault> {
    let url = Url::parse(issuer).map_err(Fault::Name)?;
    let origin = url.origin();
    let path = url.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ];
    places.dedup();
    places.iter().map(|place| Url::parse(place).map_err(Fault::Name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_metadata_in_their_order() {
        let places =
            |issuer: &str| places(issuer).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            places("https://login.example/realms/corp"),
            [
                "https://login.example/.well-known/oauth-authorization-server/realms/corp",
                "https://login.example/.well-known/openid-configuration/realms/corp",
                "https://login.example/realms/corp/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            places("https://login.example/"),
            [
                "https://login.example/.well-known/oauth-authorization-server",
                "https://login.example/.well-known/openid-configuration",
            ]
        );
        assert!(super::places("corp").is_err());
    }
}
