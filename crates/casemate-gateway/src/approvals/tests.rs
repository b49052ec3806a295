use std::time::Duration;

use casemate_auth::session::SessionNumber;
use casemate_mcp::json::Raw;
use casemate_policy::SubjectId;

use super::*;
use crate::ports::{Intent, Outcome};
use crate::upstream::Soon;

/// Keeps what is put, unless its disk is full.
#[derive(Debug, Default)]
struct Drawer {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    full: Mutex<bool>,
}

impl Drawer {
    fn texts(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().values().cloned().collect()
    }

    fn check(&self) -> Result<(), String> {
        if *self.full.lock().unwrap() { Err("no space left".to_owned()) } else { Ok(()) }
    }
}

impl Desk for Drawer {
    fn put<'a>(&'a self, id: &'a str, text: Vec<u8>) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            self.check()?;
            self.kept.lock().unwrap().insert(id.to_owned(), text);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            self.check()?;
            self.kept.lock().unwrap().remove(id);
            Ok(())
        })
    }
}

impl Recorder for Drawer {
    fn intent(&self, _: &Intent<'_>) -> Result<(), String> {
        Ok(())
    }

    fn outcome(&self, _: &Outcome<'_>) {}

    fn turned_away(&self, _: &crate::ports::TurnedAway<'_>) {}

    fn approval(&self, _: &ApprovalEvent<'_>) -> Result<(), String> {
        self.check()
    }
}

fn desk() -> (Arc<Drawer>, Approvals) {
    let drawer = Arc::new(Drawer::default());
    let approvals = reopened(&drawer);
    (drawer, approvals)
}

fn reopened(drawer: &Arc<Drawer>) -> Approvals {
    Approvals::new(Arc::clone(drawer) as _, Arc::clone(drawer) as _, drawer.texts())
}

fn claim(arguments: &'static str) -> Claim {
    Claim {
        subject: SubjectId::key("ann"),
        server: "git".into(),
        method: "tools/call".into(),
        name: "push".into(),
        extent: Extent::Arguments,
        arguments: Raw::check(arguments.into(), &casemate_mcp::json::Limits::default()).unwrap(),
        session: None,
    }
}

const HOUR: u64 = 3600;

async fn asked(approvals: &Approvals, claim: &Claim) -> Box<str> {
    let rules = vec!["role user: ask git/push".to_owned()];
    approvals.ask(claim, (Answerer::Operator, rules), &ApprovalLimits::default()).await.unwrap()
}

#[tokio::test]
async fn an_approval_for_once_is_used_once_and_for_nothing_else() {
    let (drawer, approvals) = desk();
    let push = claim(r#"{"force":false}"#);
    let id = asked(&approvals, &push).await;
    assert_eq!(asked(&approvals, &push).await, id, "the same question waits there already");
    assert!(!approvals.take(&push).await.unwrap(), "nobody answered");
    approvals.answer(&id, Answer::Once, HOUR).await.unwrap();
    let others = [
        claim(r#"{"force":true}"#),
        claim(r#"{"force":false }"#),
        Claim { subject: SubjectId::key("bob"), ..push.clone() },
        Claim { name: "pull".into(), ..push.clone() },
        Claim { server: "gitp".into(), name: "ush".into(), ..push.clone() },
        Claim { method: "prompts/get".into(), ..push.clone() },
        Claim { extent: Extent::Params, ..push.clone() },
    ];
    for other in &others {
        assert!(!approvals.take(other).await.unwrap(), "{other:?}");
    }
    assert!(approvals.take(&push).await.unwrap());
    assert!(!approvals.take(&push).await.unwrap(), "a second time");
    assert!(drawer.texts().is_empty());
    assert!(!reopened(&drawer).take(&push).await.unwrap(), "after a restart");
    assert_eq!(
        approvals.answer(&id, Answer::Once, HOUR).await.unwrap_err(),
        AnswerFault::Unknown(id.to_string())
    );
}

#[tokio::test]
async fn two_requests_do_not_both_use_one_approval() {
    let (_drawer, approvals) = desk();
    let push = claim("{}");
    let id = asked(&approvals, &push).await;
    approvals.answer(&id, Answer::Once, HOUR).await.unwrap();
    let takes = [approvals.take(&push), approvals.take(&push), approvals.take(&push)];
    let [one, two, three] = takes;
    let (one, two, three) = tokio::join!(one, two, three);
    assert_eq!([one, two, three].into_iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
}

#[tokio::test]
async fn an_approval_that_cannot_be_used_up_is_not_used() {
    let (drawer, approvals) = desk();
    let push = claim("{}");
    let id = asked(&approvals, &push).await;
    approvals.answer(&id, Answer::Once, HOUR).await.unwrap();
    *drawer.full.lock().unwrap() = true;
    assert_eq!(approvals.take(&push).await.unwrap_err().code, Code::NotRecorded);
    *drawer.full.lock().unwrap() = false;
    assert!(!approvals.take(&push).await.unwrap(), "rather not at all than twice");
    let other = claim("[]");
    *drawer.full.lock().unwrap() = true;
    let rules = (Answerer::Operator, Vec::new());
    let refused = approvals.ask(&other, rules, &ApprovalLimits::default()).await.unwrap_err();
    assert_eq!(refused.code, Code::NotRecorded);
    assert!(approvals.list().is_empty());
}

#[tokio::test]
async fn an_answer_for_a_session_holds_in_that_session_and_one_for_always_until_it_is_withdrawn() {
    let (drawer, approvals) = desk();
    let of = |session: [u8; 16]| Claim { session: Some(SessionNumber::from(session)), ..claim("{}") };
    let id = asked(&approvals, &of([1; 16])).await;
    approvals.answer(&id, Answer::Session, HOUR).await.unwrap();
    assert!(approvals.take(&of([1; 16])).await.unwrap() && approvals.take(&of([1; 16])).await.unwrap());
    assert!(!approvals.take(&of([2; 16])).await.unwrap() && !approvals.take(&claim("{}")).await.unwrap());

    let id = asked(&approvals, &of([2; 16])).await;
    approvals.answer(&id, Answer::Always, HOUR).await.unwrap();
    let approvals = reopened(&drawer);
    assert!(approvals.take(&of([3; 16])).await.unwrap() && approvals.take(&claim("{}")).await.unwrap());
    assert_eq!(
        approvals.answer(&id, Answer::Once, HOUR).await.unwrap_err(),
        AnswerFault::Answered(id.to_string())
    );
    approvals.answer(&id, Answer::Deny, HOUR).await.unwrap();
    let refusal = approvals.take(&claim("{}")).await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.approval),
        (Code::NotApproved, Some(id)),
        "a no stands above everything"
    );
}

#[tokio::test]
async fn questions_and_approvals_end_with_their_time() {
    let (drawer, approvals) = desk();
    let push = claim("{}");
    let id = asked(&approvals, &push).await;
    approvals.answer(&id, Answer::Once, 0).await.unwrap();
    assert!(!approvals.take(&push).await.unwrap());
    let over = ApprovalLimits { expire_after: Duration::ZERO, ..ApprovalLimits::default() };
    approvals.ask(&push, (Answerer::Operator, Vec::new()), &over).await.unwrap();
    assert!(approvals.list().is_empty());
    approvals.sweep().await;
    assert!(drawer.texts().is_empty());
}

#[tokio::test]
async fn nobody_fills_the_queue_and_what_nobody_would_read_is_not_asked() {
    let (_drawer, approvals) = desk();
    let rules = || (Answerer::Operator, Vec::new());
    let limits = ApprovalLimits::default();
    let numbered = |at: usize| Claim { name: format!("tool {at}").into(), ..claim("{}") };
    for at in 0..KEPT_BY_SUBJECT_MAX {
        approvals.ask(&numbered(at), rules(), &limits).await.unwrap();
    }
    let refused = approvals.ask(&numbered(9999), rules(), &limits).await.unwrap_err();
    assert_eq!(refused.code, Code::NotApproved);
    let other = Claim { subject: SubjectId::key("bob"), ..numbered(9999) };
    approvals.ask(&other, rules(), &limits).await.unwrap();
    let text = format!("[\"{}\"]", "x".repeat(approval::ARGUMENTS_MAX));
    let arguments = Raw::check(text.into(), &casemate_mcp::json::Limits::default()).unwrap();
    let huge = Claim { arguments, ..other };
    assert_eq!(approvals.ask(&huge, rules(), &limits).await.unwrap_err().code, Code::NotApproved);
}

#[tokio::test]
async fn a_number_and_a_continuation_count_once() {
    let (_drawer, approvals) = desk();
    let later = clock::unix_now().as_secs() + HOUR;
    assert!(approvals.use_number([1; 16], later) && !approvals.use_number([1; 16], later));
    approvals.go_on([1; 32], later);
    approvals.go_on([2; 32], 0);
    assert!(approvals.goes_on(&[1; 32]) && !approvals.goes_on(&[1; 32]));
    assert!(!approvals.goes_on(&[2; 32]) && !approvals.goes_on(&[3; 32]));
}

#[tokio::test]
async fn calls_that_wait_are_bounded() {
    let (_drawer, approvals) = desk();
    let limits = ApprovalLimits { waiting_max: 2, ..ApprovalLimits::default() };
    let (one, two) = (approvals.wait(&limits), approvals.wait(&limits));
    assert!(one.is_some() && two.is_some() && approvals.wait(&limits).is_none());
    drop(one);
    assert!(approvals.wait(&limits).is_some());
}
