//! The client against a server and an authorization server that lie.

mod fake;

use std::sync::Arc;

use casemate_net::SystemResolver;
use casemate_net::fetch::{Fetcher, Trust};
use casemate_store::Store;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::*;
use crate::vault::{Kind, Vault};
use fake::{Asked, Fake, Reply};

const NOW: u64 = 1_000_000;

struct World {
    client: OAuthClient,
    vault: Arc<Vault>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let vault = Arc::new(Vault::new(Store::open(&data).unwrap(), &data).unwrap());
        let fetcher = Arc::new(Fetcher::new(Arc::new(SystemResolver::new()), Trust::system()));
        World { client: OAuthClient::new(fetcher, Arc::clone(&vault)), vault, _folder: folder }
    }

    async fn begin(&self, fake: &Fake) -> Result<Begun, OAuthFault> {
        self.client.begin(&fake.remote(), Challenge::default()).await
    }

    async fn pending(&self, fake: &Fake) -> Result<Pending, OAuthFault> {
        let begun = self.begin(fake).await?;
        self.client.go_on(at(&fake.remote(), NOW), (begun, REDIRECT)).await
    }

    async fn log_in(&self, fake: &Fake) -> Result<(), OAuthFault> {
        let pending = self.pending(fake).await?;
        let query = format!("code=abc&state={}&iss={}", state(&pending), form::encode(&fake.origin));
        let Answer::Ours(code) = pending.judge(&query, NOW) else { panic!("not ours") };
        self.client.finish(at(&fake.remote(), NOW), (pending, code?)).await
    }

    async fn token(&self, fake: &Fake, now: u64) -> Option<String> {
        let token = self.client.token(at(&fake.remote(), now)).await.unwrap();
        token.map(|token| token.expose_secret().to_owned())
    }
}

fn at(remote: &Remote, now_unix_s: u64) -> At<'_> {
    At { remote, whose: SUBJECT, now_unix_s }
}

const SUBJECT: Whose<'static> = Whose::Subject("local:1000");
const REDIRECT: &str = "http://127.0.0.1:7777/callback";

/// A parameter of the address that a person is sent to.
fn sent(pending: &Pending, name: &str) -> Option<String> {
    let url = pending.url().unwrap();
    let pairs = form::pairs(url.split_once('?').unwrap().1).unwrap();
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn state(pending: &Pending) -> String {
    sent(pending, "state").unwrap()
}

#[tokio::test]
async fn a_login_from_nothing_to_a_token_that_is_renewed() {
    let fake = Fake::honest().await;
    let world = World::new();
    let pending = world.pending(&fake).await.unwrap();
    assert_eq!(sent(&pending, "code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(sent(&pending, "resource").unwrap(), fake.url());
    assert_eq!(sent(&pending, "redirect_uri").as_deref(), Some(REDIRECT));
    assert_eq!(sent(&pending, "scope").as_deref(), Some("read"));
    assert_eq!(state(&pending).len(), 43);

    world.log_in(&fake).await.unwrap();
    let asked = fake.asked("/token");
    assert_eq!(asked.last().unwrap().form("resource").unwrap(), fake.url());
    assert_eq!(asked.last().unwrap().form("code_verifier").unwrap().len(), 43);
    assert_eq!(world.token(&fake, NOW).await.as_deref(), Some("access-1"));
    assert_eq!(world.token(&fake, NOW + 3600).await.as_deref(), Some("access-2"), "renewed");
    assert_eq!(fake.asked("/token").last().unwrap().form("refresh_token").unwrap(), "refresh-1");
    assert_eq!(world.token(&fake, NOW + 7200).await.as_deref(), Some("access-3"));
    let rotated = fake.asked("/token").last().unwrap().form("refresh_token").unwrap();
    assert_eq!(rotated, "refresh-2", "the one that replaced the first");
    assert_eq!(fake.asked("/register").len(), 1, "one registration for an issuer and redirect address");
}

#[tokio::test]
async fn of_many_who_need_a_renewal_one_makes_it() {
    let fake = Fake::honest().await;
    let world = World::new();
    world.log_in(&fake).await.unwrap();
    let (first, second, third) = tokio::join!(
        world.token(&fake, NOW + 3600),
        world.token(&fake, NOW + 3600),
        world.token(&fake, NOW + 3600)
    );
    assert_eq!([first, second, third].map(Option::unwrap), ["access-2", "access-2", "access-2"]);
    assert_eq!(fake.asked("/token").len(), 2, "the login and one renewal");
}

#[tokio::test]
async fn a_token_is_sent_to_the_server_that_it_is_for_and_to_no_other() {
    let fake = Fake::honest().await;
    let world = World::new();
    world.log_in(&fake).await.unwrap();
    let moved = Remote { url: Url::parse("https://evil.example/mcp").unwrap(), ..fake.remote() };
    assert!(world.client.token(at(&moved, NOW)).await.unwrap().is_none(), "the entry was pointed elsewhere");
    let other = Whose::Subject("local:1001");
    assert!(
        world.client.token(At { whose: other, ..at(&fake.remote(), NOW) }).await.unwrap().is_none(),
        "another subject"
    );
    let settings = Settings { issuer: Some("https://other.example".into()), ..Settings::default() };
    let elsewhere = Remote { settings, ..fake.remote() };
    assert!(world.client.token(at(&elsewhere, NOW)).await.unwrap().is_none(), "another issuer");
    assert!(world.client.forget(&fake.remote(), SUBJECT).await.unwrap());
    assert_eq!(world.token(&fake, NOW).await, None);
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_none_and_the_login_goes_on() {
    let fake = Fake::honest().await;
    let pending = World::new().pending(&fake).await.unwrap();
    let (state, iss) = (state(&pending), form::encode(&fake.origin));
    let strangers = [
        "".to_owned(),
        "code=evil".to_owned(),
        format!("code=evil&iss={iss}&state=guess"),
        format!("code=evil&iss={iss}&state={}", &state[1..]),
        format!("code=evil&iss={iss}&state={state}x"),
        format!("code=evil&iss={iss}&state="),
        format!("code=evil&code=good&iss={iss}&state={state}"),
        format!("code=evil&iss={iss}&state=guess&state={state}"),
        format!("error=access_denied&iss={iss}&state=guess"),
        format!("code=%zz&state={state}"),
    ];
    for query in strangers {
        assert!(matches!(pending.judge(&query, NOW), Answer::Stranger), "{query}");
    }
    let good = format!("code=good&iss={iss}&state={state}");
    let Answer::Ours(Ok(code)) = pending.judge(&good, NOW) else { panic!() };
    assert_eq!(code.expose_secret(), "good");
    assert!(matches!(pending.judge(&good, NOW + 601), Answer::Ours(Err(OAuthFault::Foreign(_)))), "too late");
}

#[tokio::test]
async fn the_table_of_rfc_9207_holds_and_a_wrong_issuer_gets_no_word_through() {
    // (the issuer says that it names itself, what comes, whether it is taken)
    let table = [
        (true, Some("right"), true),
        (true, Some("wrong"), false),
        (true, Some("slash"), false),
        (true, None, false),
        (false, Some("right"), true),
        (false, Some("wrong"), false),
        (false, None, true),
    ];
    for (advertised, iss, taken) in table {
        let more = json!({ "authorization_response_iss_parameter_supported": advertised });
        let fake = Fake::with_metadata(more).await;
        let pending = World::new().pending(&fake).await.unwrap();
        let iss = match iss {
            Some("right") => format!("&iss={}", form::encode(&fake.origin)),
            Some("slash") => format!("&iss={}%2F", form::encode(&fake.origin)),
            Some(_) => "&iss=https%3A%2F%2Fevil.example".to_owned(),
            None => String::new(),
        };
        let query = format!("code=c&state={}{iss}", state(&pending));
        let Answer::Ours(outcome) = pending.judge(&query, NOW) else { panic!() };
        assert_eq!(outcome.is_ok(), taken, "advertised {advertised}, {iss}");
        let query = format!("error=access_denied&error_description=CALL+0900&state={}{iss}", state(&pending));
        let Answer::Ours(Err(fault)) = pending.judge(&query, NOW) else { panic!() };
        assert!(!fault.to_string().contains("0900"));
        assert_eq!(fault.to_string().contains("access_denied"), taken, "{fault}");
    }
}

#[tokio::test]
async fn metadata_that_lies_ends_the_login_before_anybody_is_registered_or_sent_anywhere() {
    let lies = [
        json!({ "issuer": "https://honest.example" }),
        json!({ "code_challenge_methods_supported": ["plain"] }),
        json!({ "code_challenge_methods_supported": null }),
        json!({ "authorization_endpoint": "javascript:alert(document.domain)" }),
        json!({ "authorization_endpoint": null }),
        json!({ "token_endpoint": "file:///etc/passwd" }),
        json!({ "token_endpoint": null }),
        json!({ "issuer": ["a"] }),
    ];
    for lie in lies {
        let fake = Fake::with_metadata(lie.clone()).await;
        assert!(World::new().begin(&fake).await.is_err(), "{lie}");
        assert!(fake.asked("/register").is_empty() && fake.asked("/token").is_empty(), "{lie}");
    }
}

#[tokio::test]
async fn metadata_of_another_resource_ends_the_login() {
    for resource in ["https://evil.example/mcp", "http://127.0.0.1:1/mcp", ""] {
        let mut fake = Fake::honest().await;
        fake.answer(
            "/.well-known/oauth-protected-resource/mcp",
            Reply::json(json!({
                "resource": resource, "authorization_servers": [fake.origin],
            })),
        );
        let fault = World::new().begin(&fake).await.unwrap_err().to_string();
        assert!(fault.contains("another server"), "{resource}: {fault}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed_and_nothing_endless_is_read() {
    let replies = [
        Reply::redirect("http://169.254.169.254/latest/meta-data/"),
        Reply::redirect("/elsewhere"),
        Reply::json_text(format!("{{\"issuer\":\"{}\"", " ".repeat(300 << 10))),
        Reply::json_text("[".repeat(100_000)),
        Reply::json_text("{\"issuer\":\"a\",\"issuer\":\"b\"}".to_owned()),
        Reply::endless(),
    ];
    for reply in replies {
        let mut fake = Fake::honest().await;
        fake.answer("/.well-known/oauth-authorization-server", reply);
        let begun = World::new().begin(&fake).await;
        assert!(begun.is_err(), "{begun:?}");
        assert!(fake.asked("/elsewhere").is_empty());
    }
}

#[tokio::test]
async fn a_server_elsewhere_cannot_send_us_to_this_machine() {
    let fake = Fake::honest().await;
    let settings = Settings { issuer: Some(fake.origin.clone()), ..Settings::default() };
    let remote = Remote { url: Url::parse("https://mcp.example/mcp").unwrap(), settings, ..fake.remote() };
    for place in
        [fake.url(), "http://169.254.169.254/x".into(), "https://10.0.0.1/x".into(), "https://[::1]/x".into()]
    {
        let challenge = Challenge { resource_metadata: Some(place.clone()), ..Challenge::default() };
        assert!(World::new().client.begin(&remote, challenge).await.is_err(), "{place}");
    }
    assert!(fake.asked("").is_empty(), "not a single request arrived");
}

#[tokio::test]
async fn a_secret_that_a_person_wrote_down_is_not_handed_to_another_issuer() {
    let (first, second) = (Fake::honest().await, Fake::honest().await);
    let world = World::new();
    let settings = Settings {
        client_id: Some("me".into()),
        proof: Some(Proof::Secret("hunter2".to_owned().into())),
        ..Settings::default()
    };
    let remote = Remote { settings: settings.clone(), ..first.remote() };
    let challenge = Challenge::default();
    world.client.own_token(&remote, &challenge, NOW).await.unwrap();
    assert_eq!(first.asked("/token").len(), 1);
    // The same server names another authorization server now.
    let mut first = first;
    first.answer(
        "/.well-known/oauth-protected-resource/mcp",
        Reply::json(json!({
            "resource": first.url(), "authorization_servers": [second.origin],
        })),
    );
    let fault = world.client.own_token(&remote, &challenge, NOW).await.unwrap_err();
    assert!(matches!(fault, OAuthFault::IssuerChanged { .. }), "{fault}");
    assert!(!fault.to_string().contains("hunter2"));
    assert!(second.asked("/token").is_empty());
    // A person who writes the new one down is believed.
    let chosen = Settings { issuer: Some(second.origin.clone()), ..settings };
    world.client.own_token(&Remote { settings: chosen, ..remote }, &challenge, NOW).await.unwrap();
    assert_eq!(second.asked("/token").len(), 1);
}

#[tokio::test]
async fn a_registration_is_not_shown_to_another_issuer() {
    let (mut first, second) = (Fake::honest().await, Fake::honest().await);
    let world = World::new();
    world.log_in(&first).await.unwrap();
    first.answer(
        "/.well-known/oauth-protected-resource/mcp",
        Reply::json(json!({
            "resource": first.url(), "authorization_servers": [second.origin],
        })),
    );
    let pending = world.pending(&first).await.unwrap();
    assert_eq!(second.asked("/register").len(), 1, "registered anew");
    assert_eq!(sent(&pending, "client_id").unwrap(), format!("client-of-{}", second.origin));
}

#[tokio::test]
async fn a_server_that_is_never_content_is_left_alone_and_scopes_add_up() {
    let fake = Fake::honest().await;
    let world = World::new();
    world.log_in(&fake).await.unwrap();
    let more = Challenge {
        error: Some("insufficient_scope".into()),
        scopes: Some(vec!["write".into()]),
        ..Challenge::default()
    };
    let remote = fake.remote();
    for round in 1..=STEP_UPS_MAX {
        let sent_token = world.client.token(at(&remote, NOW)).await.unwrap();
        let outcome = world.client.refused(at(&remote, NOW), (sent_token.as_ref(), &more)).await;
        assert!(matches!(outcome, Ok(Obtained::Login)), "{round}: {outcome:?}");
        let pending = world.pending(&fake).await.unwrap();
        assert_eq!(sent(&pending, "scope").as_deref(), Some("read write"), "what was given is kept");
        world.log_in(&fake).await.unwrap();
    }
    let sent_token = world.client.token(at(&remote, NOW)).await.unwrap();
    let outcome = world.client.refused(at(&remote, NOW), (sent_token.as_ref(), &more)).await;
    assert!(matches!(outcome, Err(OAuthFault::NeverContent)), "{outcome:?}");
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_sent_again() {
    let fake = Fake::honest().await;
    let world = World::new();
    world.log_in(&fake).await.unwrap();
    let remote = fake.remote();
    let sent_token = world.client.token(at(&remote, NOW)).await.unwrap();
    let none = Challenge::default();
    let outcome = world.client.refused(at(&remote, NOW + 60), (sent_token.as_ref(), &none)).await;
    let Ok(Obtained::Token(token)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(token.expose_secret(), "access-2");
    // The old one again: somebody was slow. The new one is given, and nothing is renewed.
    let outcome = world.client.refused(at(&remote, NOW + 61), (sent_token.as_ref(), &none)).await;
    let Ok(Obtained::Token(token)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((token.expose_secret(), fake.asked("/token").len()), ("access-2", 2));
    // One that is refused as soon as it was issued is not replaced, or that would go on forever.
    let outcome = world.client.refused(at(&remote, NOW + 62), (Some(&token), &none)).await;
    assert!(matches!(outcome, Ok(Obtained::Login)), "{outcome:?}");
    assert_eq!(fake.asked("/token").len(), 2);
}

#[tokio::test]
async fn answers_of_a_token_endpoint_that_are_no_tokens_are_refused_without_being_repeated() {
    let wrong = [
        json!({ "access_token": "x y", "token_type": "Bearer" }),
        json!({ "access_token": "x\r\nHost: evil", "token_type": "Bearer" }),
        json!({ "access_token": "", "token_type": "Bearer" }),
        json!({ "access_token": "x".repeat(17 << 10), "token_type": "Bearer" }),
        json!({ "access_token": "leaked", "token_type": "DPoP" }),
        json!({ "access_token": "leaked" }),
        json!({ "token_type": "Bearer" }),
        json!([]),
    ];
    for answer in wrong {
        let mut fake = Fake::honest().await;
        fake.answer("/token", Reply::json(answer.clone()));
        let world = World::new();
        let fault = world.log_in(&fake).await.unwrap_err().to_string();
        assert!(!fault.contains("leaked") && !fault.contains("evil"), "{fault}");
        assert_eq!(world.token(&fake, NOW).await, None, "{answer}");
    }
    let mut fake = Fake::honest().await;
    fake.answer("/token", Reply::json(json!({ "error": "<b>call 0900</b>" })).with_status(400));
    let fault = World::new().log_in(&fake).await.unwrap_err().to_string();
    assert!(fault.ends_with("refused: unknown"), "{fault}");
}

#[tokio::test]
async fn a_callers_token_is_exchanged_and_not_kept() {
    let fake = Fake::honest().await;
    let world = World::new();
    let settings = Settings { client_id: Some("gateway".into()), ..Settings::default() };
    let remote = Remote { settings, ..fake.remote() };
    let callers = SecretString::from("the-callers-own");
    let token =
        world.client.exchanged(&remote, ("jwt:ada", &callers, &Challenge::default()), NOW).await.unwrap();
    assert_eq!(token.expose_secret(), "access-1");
    let asked = fake.asked("/token").remove(0);
    assert_eq!(asked.form("subject_token").as_deref(), Some("the-callers-own"));
    assert_eq!(asked.form("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:token-exchange"));
    let kept = world.vault.get(Kind::Token, "wiki/subject jwt:ada").await.unwrap().unwrap();
    assert!(!kept.expose_secret().contains("the-callers-own"));
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_token_or_code() {
    let fake = Fake::honest().await;
    let world = World::new();
    let pending = world.pending(&fake).await.unwrap();
    let state = state(&pending);
    let good = format!("code=the-code&iss={}&state={state}", form::encode(&fake.origin));
    for printed in [format!("{pending:?}"), format!("{:?}", pending.judge(&good, NOW))] {
        assert!(!printed.contains(&state) && !printed.contains("the-code"), "{printed}");
    }
    world.log_in(&fake).await.unwrap();
    let printed = format!("{:?} {:?}", world.client, world.client.token(at(&fake.remote(), NOW)).await);
    assert!(!printed.contains("access-1"), "{printed}");
}

/// The members of a JSON object over those of another; `null` takes one away.
fn merged(mut base: Value, more: Value) -> Value {
    let (Some(base_members), Value::Object(more)) = (base.as_object_mut(), more) else { return base };
    for (name, value) in more {
        if value.is_null() {
            base_members.remove(&name)
        } else {
            base_members.insert(name, value)
        };
    }
    base
}

impl Asked {
    fn form(&self, name: &str) -> Option<String> {
        form::pairs(&self.body)?.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
