use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use casemate_auth::issuers::Issuer;
use casemate_auth::token::{Algorithm, Rules};
use casemate_auth::{NewKey, issue};
use casemate_gateway::authorization::{Asking, Authorization, TokenScope};
use casemate_gateway::endpoint::Endpoint;
use casemate_gateway::front::PublicUrl;
use casemate_mcp::names::RoleName;
use casemate_net::SystemResolver;
use casemate_net::fetch::{Reachable, Url};
use casemate_testkit::tokens::{Signer, publish};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;

async fn papers(store: Store) -> Papers {
    let issuers = Issuers::new(Arc::new(SystemResolver::new()), TaskTracker::new(), CancellationToken::new());
    Papers::open(store, issuers).await.unwrap()
}

#[tokio::test]
async fn a_key_stands_for_its_subject_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    let papers = papers(store.clone()).await;
    let role = RoleName::parse("user").unwrap();
    let wanted = NewKey { name: "laptop".to_owned(), role: role.clone(), scope: None, expires: Some(200) };
    let (secret, record) = issue(wanted, 100).unwrap();
    let id = record.id.clone();
    assert!(papers.key(secret.expose(), 150).is_err());

    store.keys().insert(record).await.unwrap();
    papers.reload().await.unwrap();
    let subject = papers.key(secret.expose(), 150).unwrap();
    assert_eq!(*subject, Subject::new(SubjectId::key(&id), vec![role], Authentication::Key));
    assert!(papers.key(secret.expose(), 200).unwrap_err().contains("expired"));
    assert_eq!(papers.current(&subject.id, 150).unwrap(), subject);
    assert!(papers.current(&subject.id, 200).is_none(), "its streams end with it");

    store.keys().revoke(&id, 160).await.unwrap();
    papers.reload().await.unwrap();
    assert!(papers.key(secret.expose(), 170).unwrap_err().contains("revoked"));
    assert!(papers.current(&subject.id, 170).is_none(), "its streams end with it");
}

#[tokio::test]
async fn of_local_users_only_our_own_is_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let papers = papers(Store::open(&folder.path().join("data")).unwrap()).await;
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(papers.local(own).unwrap().id, SubjectId::local(own));
    assert!(papers.local(own + 1).is_none());
}

/// An issuer on this machine whose keys can be changed, and the papers that know it.
struct World {
    papers: Papers,
    key: Signer,
    identity: Identity,
    base: PublicUrl,
    _folder: tempfile::TempDir,
    _served: tokio::task::JoinSet<()>,
}

impl World {
    async fn new() -> World {
        let key = Signer::new();
        let (address, served) = publish(key.set()).await.unwrap();
        let keys_at = format!("http://{address}/keys");
        let folder = tempfile::tempdir().unwrap();
        let papers = papers(Store::open(&folder.path().join("data")).unwrap()).await;
        let identity = identity(&keys_at);
        papers.configure(identity.clone());
        let base = PublicUrl::parse("https://mcp.example.com").unwrap();
        World { papers, key, identity, base, _folder: folder, _served: served }
    }

    fn token(&self, expires: u64, scope: &str) -> String {
        let claims = format!(
            r#"{{"iss":"https://issuer.example","sub":"alice","aud":"https://mcp.example.com/mcp","exp":{expires},"scope":"{scope}"}}"#
        );
        self.key.token("EdDSA", r#"{"alg":"EdDSA","kid":"eddsa"}"#, &claims)
    }

    fn at(&self, token: &str, now_unix_s: u64) -> Result<Arc<Subject>, Rejection> {
        self.papers.bearer(token, Asked { endpoint: &Endpoint::Joined, base: Some(&self.base), now_unix_s })
    }

    async fn patiently(&self, token: &str) -> Arc<Subject> {
        if let Err(Rejection::Unsettled(_)) = self.at(token, 100) {
            self.papers.settled(token).await;
        }
        self.at(token, 100).unwrap()
    }
}

fn identity(keys_at: &str) -> Identity {
    let rules = Rules {
        issuer: "https://issuer.example".to_owned(),
        audiences: Vec::new(),
        algorithms: vec![Algorithm::EdDsa],
        subject_claim: "sub".to_owned(),
        roles_claim: Vec::new(),
        roles: BTreeMap::new(),
        everyone: vec![RoleName::parse("user").unwrap()],
        required_scopes: Vec::new(),
        leeway_s: 0,
    };
    let issuer = Issuer {
        name: "corp".to_owned(),
        rules,
        keys_at: Some(Url::parse(keys_at).unwrap()),
        reachable: Reachable::public().and_loopback(),
        certificates: None,
        refresh_every: Duration::from_secs(3600),
        refresh_pause: Duration::from_secs(3600),
    };
    Identity { issuers: vec![issuer], ..Identity::default() }
}

#[tokio::test]
async fn a_token_stands_for_its_subject_until_it_ends() {
    let world = World::new().await;
    let token = world.token(150, "a");
    let subject = world.patiently(&token).await;
    assert_eq!((subject.id.as_str(), subject.authentication), ("token:corp/alice", Authentication::Token));
    assert_eq!(subject.scope, None, "no scope is defined");
    assert!(Arc::ptr_eq(&world.at(&token, 149).unwrap(), &subject), "it is remembered");
    assert!(matches!(world.at(&token, 150), Err(Rejection::Refused(_))), "and no longer than it is good");
    assert_eq!(world.papers.current(&subject.id, 149), Some(subject.clone()));
    assert_eq!(world.papers.current(&subject.id, 150), None, "its streams end with it");
    let longer = world.token(1000, "a");
    let first = world.at(&longer, 100).unwrap();
    assert!(Arc::ptr_eq(&world.at(&longer, 159).unwrap(), &first));
    assert!(!Arc::ptr_eq(&world.at(&longer, 160).unwrap(), &first), "after a minute it is judged anew");
}

#[tokio::test]
async fn what_is_remembered_for_one_endpoint_is_nothing_at_another() {
    let world = World::new().await;
    let token = world.token(1000, "a");
    world.patiently(&token).await;
    let elsewhere = Endpoint::of_path("/servers/git/mcp").unwrap();
    let other = PublicUrl::parse("https://other.example.com").unwrap();
    for (endpoint, base) in
        [(&elsewhere, Some(&world.base)), (&Endpoint::Joined, Some(&other)), (&Endpoint::Joined, None)]
    {
        let asked = Asked { endpoint, base, now_unix_s: 101 };
        assert!(matches!(world.papers.bearer(&token, asked), Err(Rejection::Refused(_))));
    }
}

#[tokio::test]
async fn a_subject_that_is_refused_by_name_is_out_at_once() {
    let world = World::new().await;
    let token = world.token(1000, "a");
    let subject = world.patiently(&token).await;
    let refused = BTreeSet::from(["token:corp/alice".to_owned()]);
    world.papers.configure(Identity { refused, ..world.identity.clone() });
    assert!(matches!(world.at(&token, 101), Err(Rejection::Refused(_))));
    assert_eq!(world.papers.current(&subject.id, 101), None);
    world.papers.configure(world.identity.clone());
    world.at(&token, 101).unwrap();
    world.papers.configure(Identity::default());
    assert!(matches!(world.at(&token, 101), Err(Rejection::Refused(_))));
    assert_eq!(world.papers.current(&subject.id, 101), None, "its issuer is gone");
}

#[tokio::test]
async fn scopes_narrow_and_an_undefined_one_opens_nothing() {
    let world = World::new().await;
    let scope = |pattern: &str| TokenScope { holds: Scope::parse([pattern]).unwrap(), asked: Asking::First };
    let scopes = BTreeMap::from([("read".to_owned(), scope("*/get_*")), ("wiki".to_owned(), scope("wiki"))]);
    let authorization = Arc::new(Authorization { issuers: Vec::new(), scopes });
    world.patiently(&world.token(1000, "")).await;
    world.papers.configure(Identity { authorization, ..world.identity.clone() });
    for (granted, expected) in
        [("read wiki", "*/get_* wiki"), ("wiki other", "wiki"), ("other", ""), ("", "")]
    {
        let subject = world.at(&world.token(1000, granted), 100).unwrap();
        assert_eq!(subject.scope.as_ref().unwrap().to_string(), expected, "{granted}");
    }
}

#[tokio::test]
async fn a_key_is_narrowed_to_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    let papers = papers(store.clone()).await;
    for (scope, expected) in [
        (None, None),
        (Some(vec!["git/get_*".to_owned()]), Some("git/get_*")),
        (Some(vec!["///".to_owned()]), Some("")),
    ] {
        let role = RoleName::parse("user").unwrap();
        let (secret, record) =
            issue(NewKey { name: "k".to_owned(), role, scope, expires: None }, 100).unwrap();
        store.keys().insert(record).await.unwrap();
        papers.reload().await.unwrap();
        let subject = papers.key(secret.expose(), 150).unwrap();
        assert_eq!(subject.scope.as_ref().map(ToString::to_string).as_deref(), expected);
    }
}
