use std::net::Ipv4Addr;
use std::sync::Mutex;

use casemate_net::SystemResolver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::token::tests::{CLAIMS, ISSUER, NOW, RESOURCE, Signer, header, rules, signer};
use crate::token::{Algorithm, KeySet};

/// Answers every path that it knows with a text, and counts what is asked.
struct Site {
    base: String,
    pages: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn open(tracker: &TaskTracker) -> Site {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let site = Site { base, pages: Arc::default(), asked: Arc::default() };
        let (pages, asked) = (Arc::clone(&site.pages), Arc::clone(&site.asked));
        tracker.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                let page = pages.lock().unwrap().get(&path).cloned();
                asked.lock().unwrap().push(path);
                let (status, body) = page.map_or(("404 Not Found", "{}".to_owned()), |page| ("200 OK", page));
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
                let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        site
    }

    fn serve(&self, path: &str, page: impl Into<String>) {
        self.pages.lock().unwrap().insert(path.to_owned(), page.into());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            name: "corp".to_owned(),
            rules: rules(),
            keys_at: Some(Url::parse(&format!("{}/keys", self.base)).unwrap()),
            reachable: Reachable::public().and_loopback(),
            certificates: None,
            refresh_every: Duration::from_secs(3600),
            refresh_pause: Duration::ZERO,
        }
    }
}

struct World {
    site: Site,
    issuers: Issuers,
    stop: CancellationToken,
}

impl World {
    async fn new() -> World {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let site = Site::open(&tracker).await;
        site.serve("/keys", signer().set());
        let issuers = Issuers::new(Arc::new(SystemResolver::new()), tracker, stop.clone());
        World { site, issuers, stop }
    }

    async fn with(issuer: impl FnOnce(Issuer) -> Issuer) -> World {
        let world = World::new().await;
        world.issuers.replace([issuer(world.site.issuer())]);
        world
    }

    fn judge(&self, token: &str) -> Result<Accepted, TokenFault> {
        self.issuers.judge(token, (RESOURCE, NOW))
    }

    /// As a request does it: judged again once the keys are as new as they can be.
    async fn patiently(&self, token: &str) -> Result<Accepted, TokenFault> {
        match self.judge(token) {
            Err(TokenFault::UnknownKey) => {
                self.issuers.settled(token).await;
                self.judge(token)
            }
            other => other,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn token() -> String {
    signer().token(Algorithm::Es256, &header(Algorithm::Es256), CLAIMS)
}

#[tokio::test]
async fn the_first_token_waits_for_the_keys() {
    let world = World::with(|issuer| issuer).await;
    let accepted = world.patiently(&token()).await.unwrap();
    assert_eq!((accepted.issuer.as_str(), accepted.verified.subject.as_str()), ("corp", "alice"));
    assert!(accepted.is_for(RESOURCE) && !accepted.is_for("https://gateway.example/servers/x/mcp"));
    // From then on nothing is fetched.
    world.judge(&token()).unwrap();
    assert_eq!(world.site.asked(), 1);
}

#[tokio::test]
async fn a_rotation_is_followed_and_what_was_withdrawn_counts_no_more() {
    let world = World::with(|issuer| issuer).await;
    let before = world.patiently(&token()).await.unwrap();
    let next = Signer::new();
    let named = next.jwk(Algorithm::Es256, r#","kid":"next""#);
    world.site.serve("/keys", format!(r#"{{"keys":[{named}]}}"#));
    let renewed = next.token(Algorithm::Es256, r#"{"alg":"ES256","kid":"next"}"#, CLAIMS);
    world.patiently(&renewed).await.unwrap();
    assert_ne!(before.generation, world.issuers.generation(), "what was accepted is judged anew");
    assert_eq!(world.patiently(&token()).await.unwrap_err(), TokenFault::UnknownKey);
}

#[tokio::test]
async fn nobody_makes_us_fetch_by_sending_tokens() {
    let world = World::with(|issuer| Issuer { refresh_pause: Duration::from_secs(3600), ..issuer }).await;
    world.patiently(&token()).await.unwrap();
    for index in 0..50 {
        let header = format!(r#"{{"alg":"ES256","kid":"unknown-{index}"}}"#);
        let unknown = signer().token(Algorithm::Es256, &header, CLAIMS);
        assert_eq!(world.patiently(&unknown).await.unwrap_err(), TokenFault::UnknownKey);
    }
    let stranger = CLAIMS.replace(ISSUER, "https://evil.example");
    let stranger = signer().token(Algorithm::Es256, &header(Algorithm::Es256), &stranger);
    assert!(matches!(world.patiently(&stranger).await, Err(TokenFault::Refused(_))));
    world.issuers.settled(&stranger).await;
    world.issuers.settled("x.y.z").await;
    assert_eq!(world.site.asked(), 1);
}

#[tokio::test]
async fn a_bad_set_keeps_the_good_one() {
    let world = World::with(|issuer| issuer).await;
    world.patiently(&token()).await.unwrap();
    let unknown = signer().token(Algorithm::Es256, r#"{"alg":"ES256","kid":"x"}"#, CLAIMS);
    for bad in ["", "[]", r#"{"keys":[]}"#, &format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1 << 20))] {
        let asked = world.site.asked();
        world.site.serve("/keys", bad);
        assert!(world.patiently(&unknown).await.is_err());
        assert_eq!(world.site.asked(), asked + 1);
        world.judge(&token()).unwrap();
    }
}

#[tokio::test]
async fn issuers_that_are_gone_are_gone_at_once_and_others_keep_their_keys() {
    let world = World::with(|issuer| issuer).await;
    let accepted = world.patiently(&token()).await.unwrap();
    world.issuers.replace([world.site.issuer()]);
    world.judge(&token()).unwrap();
    assert_eq!(world.site.asked(), 1);
    assert_ne!(accepted.generation, world.issuers.generation());
    // With another rule it is another one.
    let mut stricter = world.site.issuer();
    stricter.rules.algorithms = vec![Algorithm::EdDsa];
    world.issuers.replace([stricter]);
    assert!(matches!(world.patiently(&token()).await, Err(TokenFault::Refused(_))));
    world.issuers.replace([]);
    assert!(world.issuers.is_empty());
    assert!(matches!(world.judge(&token()), Err(TokenFault::Refused(_))));
}

fn discovering(site: &Site, path: &str) -> (Issuer, String) {
    let name = format!("{}{path}", site.base);
    let mut issuer = Issuer { keys_at: None, ..site.issuer() };
    issuer.rules.issuer.clone_from(&name);
    let token = signer().token(Algorithm::Es256, &header(Algorithm::Es256), &CLAIMS.replace(ISSUER, &name));
    (issuer, token)
}

#[tokio::test]
async fn keys_are_found_by_the_metadata() {
    for place in [
        "/.well-known/oauth-authorization-server/realms/corp",
        "/.well-known/openid-configuration/realms/corp",
        "/realms/corp/.well-known/openid-configuration",
    ] {
        let world = World::new().await;
        let (issuer, token) = discovering(&world.site, "/realms/corp");
        let (name, base) = (&issuer.rules.issuer, &world.site.base);
        world.site.serve(place, format!(r#"{{"issuer":"{name}","jwks_uri":"{base}/keys"}}"#));
        world.issuers.replace([issuer.clone()]);
        world.patiently(&token).await.expect(place);
    }
}

#[tokio::test]
async fn metadata_that_are_not_the_issuers_lead_nowhere() {
    let world = World::new().await;
    let (issuer, token) = discovering(&world.site, "");
    let (name, base) = (issuer.rules.issuer.clone(), world.site.base.clone());
    world.issuers.replace([issuer]);
    for page in [
        format!(r#"{{"issuer":"{name}/","jwks_uri":"{base}/keys"}}"#),
        format!(r#"{{"issuer":"https://other.example","jwks_uri":"{base}/keys"}}"#),
        format!(r#"{{"jwks_uri":"{base}/keys"}}"#),
        format!(r#"{{"issuer":"{name}"}}"#),
        format!(r#"{{"issuer":"{name}","jwks_uri":"file:///etc/passwd"}}"#),
        format!(r#"{{"issuer":"{name}","jwks_uri":"http://169.254.169.254/keys"}}"#),
        format!(r#"{{"issuer":"{name}","issuer":"{name}","jwks_uri":"{base}/keys"}}"#),
        "[]".to_owned(),
    ] {
        world.site.serve("/.well-known/oauth-authorization-server", page.clone());
        assert_eq!(world.patiently(&token).await.unwrap_err(), TokenFault::UnknownKey, "{page}");
    }
    assert!(!world.site.asked.lock().unwrap().contains(&"/keys".to_owned()));
    let page = format!(r#"{{"issuer":"{name}","jwks_uri":"{base}/keys"}}"#);
    world.site.serve("/.well-known/oauth-authorization-server", page);
    world.patiently(&token).await.unwrap();
}

#[tokio::test]
async fn an_issuer_of_this_machine_has_to_be_allowed() {
    let world = World::with(|issuer| Issuer { reachable: Reachable::public().and_private(), ..issuer }).await;
    assert_eq!(world.patiently(&token()).await.unwrap_err(), TokenFault::UnknownKey);
    assert_eq!(world.site.asked(), 0);
    let world = World::with(|issuer| Issuer { certificates: Some("none".to_owned()), ..issuer }).await;
    assert_eq!(world.patiently(&token()).await.unwrap_err(), TokenFault::UnknownKey);
    assert_eq!(world.site.asked(), 0);
    assert!(KeySet::default().is_empty());
}
