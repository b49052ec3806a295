use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use casemate_mcp::names::ToolName;
use casemate_policy::SubjectId;
use tokio::time::advance;

use super::*;
use crate::snapshot::{Allowance, Exception};

#[derive(Debug, Default)]
struct Book(Mutex<Vec<Spent>>);

impl Ledger for Book {
    fn write(&self, spent: Spent) {
        self.0.lock().unwrap().push(spent);
    }
}

fn rate(count: u32, seconds: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) }
}

fn limiter(pace: &Pace) -> Limiter {
    Limiter::new(pace, Arc::new(Book::default()), Vec::new())
}

fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

fn key(id: &str) -> Subject {
    Subject::new(SubjectId::key(id), vec![role("user")], Authentication::Key)
}

fn peer(address: &str) -> Peer {
    Peer::Tcp(SocketAddr::new(address.parse::<IpAddr>().unwrap(), 1234))
}

fn one(limiter: &Limiter, subject: &Subject) -> Result<(), Refusal> {
    limiter.messages(subject, NonZeroU32::MIN)
}

fn passed(mut attempt: impl FnMut() -> Result<(), Refusal>) -> usize {
    (0..1000).take_while(|_| attempt().is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn a_subject_gets_its_rate_at_once_and_then_evenly_and_takes_nobody_elses() {
    let pace = Pace { subject: Allowance { rate: rate(10, 10), budget: 1000 }, ..Pace::default() };
    let limiter = limiter(&pace);
    let (ann, bob) = (key("ann"), key("bob"));
    assert_eq!(passed(|| one(&limiter, &ann)), 10);
    let refusal = one(&limiter, &ann).unwrap_err();
    assert_eq!(refusal.code, Code::TooOften);
    let Retry::After(wait) = refusal.retry else { panic!("it says when") };
    assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(passed(|| one(&limiter, &bob)), 10);
    advance(wait).await;
    assert_eq!(passed(|| one(&limiter, &ann)), 1, "who waits as told is let in");
    advance(Duration::from_secs(3600)).await;
    assert_eq!(passed(|| one(&limiter, &ann)), 10, "an hour of silence saves up no more than the rate");
}

#[tokio::test(start_paused = true)]
async fn a_batch_costs_what_its_messages_cost() {
    let limiter =
        limiter(&Pace { subject: Allowance { rate: rate(10, 10), budget: 1000 }, ..Pace::default() });
    let ann = key("ann");
    let count = |number| NonZeroU32::new(number).unwrap();
    limiter.messages(&ann, count(9)).unwrap();
    assert!(limiter.messages(&ann, count(2)).is_err());
    limiter.messages(&ann, count(1)).unwrap();
    assert!(limiter.messages(&ann, count(u32::MAX)).is_err());
    advance(Duration::from_secs(10)).await;
    limiter.messages(&ann, count(u32::MAX)).unwrap();
    assert!(one(&limiter, &ann).is_err(), "what is larger than the bucket takes all of it");
}

#[tokio::test(start_paused = true)]
async fn the_most_generous_role_counts_and_a_key_has_its_own_rate() {
    let exception = |count| Exception { rate: Some(rate(count, 3600)), budget: None };
    let pace = Pace {
        subject: Allowance { rate: rate(3, 3600), budget: 1000 },
        key: Allowance { rate: rate(9, 3600), budget: 1000 },
        roles: [(role("slow"), exception(1)), (role("quick"), exception(50))].into(),
        ..Pace::default()
    };
    let limiter = limiter(&pace);
    let of = |id: &str, roles: &[&str], how| {
        Subject::new(SubjectId::key(id), roles.iter().map(|name| role(name)).collect(), how)
    };
    assert_eq!(passed(|| one(&limiter, &of("a", &["user"], Authentication::Token))), 3);
    assert_eq!(passed(|| one(&limiter, &of("b", &["slow", "user"], Authentication::Token))), 1);
    assert_eq!(passed(|| one(&limiter, &of("c", &["slow", "quick"], Authentication::Token))), 50);
    assert_eq!(passed(|| one(&limiter, &of("d", &["quick"], Authentication::Key))), 9, "the key's");
}

#[tokio::test(start_paused = true)]
async fn a_server_and_a_tool_have_rates_of_their_own_for_all_together() {
    let server = |name| ServerName::parse(name).unwrap();
    let exception = |count| Exception { rate: Some(rate(count, 3600)), budget: None };
    let pace = Pace {
        servers: [(server("git"), exception(6))].into(),
        tools: [((server("git"), ToolName::parse("push").unwrap()), exception(2))].into(),
        ..Pace::default()
    };
    let limiter = limiter(&pace);
    let names: Vec<Subject> = (0..100).map(|at| key(&at.to_string())).collect();
    let mut next = names.iter().cycle();
    let mut call = |tool| limiter.request(next.next().unwrap(), &server("git"), Some(tool));
    assert_eq!(passed(|| call("push")), 2);
    assert_eq!(passed(|| call("log")), 3, "what the tool refused was the server's work all the same");
    assert!(limiter.request(&names[0], &server("other"), Some("push")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_refills_no_bucket_that_it_did_not_change() {
    let slow = |count| Allowance { rate: rate(count, 3600), budget: 1000 };
    let pace = Pace { subject: slow(3), ..Pace::default() };
    let limiter = limiter(&pace);
    let ann = key("ann");
    assert_eq!(passed(|| one(&limiter, &ann)), 3);
    limiter.follow(&Pace { tool: slow(5), ..pace.clone() });
    assert_eq!(passed(|| one(&limiter, &ann)), 0, "only the tools' rate changed");
    limiter.follow(&Pace { subject: slow(4), ..pace });
    assert_eq!(passed(|| one(&limiter, &ann)), 4);
}

#[tokio::test(start_paused = true)]
async fn a_network_of_64_bits_is_one_address_and_a_mapped_one_is_what_it_maps() {
    let limiter = limiter(&Pace { address: rate(5, 3600), ..Pace::default() });
    let mut host = 0_u64;
    let in_one_network = || {
        host += 1;
        limiter.arrival(&peer(&format!("2001:db8:1:2::{host:x}")))
    };
    assert_eq!(passed(in_one_network), 5);
    assert!(limiter.arrival(&peer("2001:db8:1:3::1")).is_ok());
    assert_eq!(passed(|| limiter.arrival(&peer("192.0.2.1"))), 5);
    assert!(limiter.arrival(&peer("::ffff:192.0.2.1")).is_err());
    assert!(limiter.arrival(&Peer::Unix { uid: 0, pid: None }).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_takes_bounded_memory_and_gives_nobody_a_second_allowance() {
    let pacer = Pacer::new(rate(2, 3600));
    let hasher = RandomState::new();
    let take = |name: u64| pacer.take(hasher.hash_one(name), NonZeroU32::MIN).is_ok();
    assert!(take(0) && take(0) && !take(0));
    let let_in = (1..400_000).filter(|name| take(*name)).count();
    assert!(!take(0), "a used-up bucket is not pushed out");
    assert!(let_in <= 16 * 4096 + 64, "{let_in}: those without a bucket share one");
    advance(Duration::from_secs(7200)).await;
    assert!(take(u64::MAX / 3), "buckets that are full again make room");
    assert!(pacer.buckets().len() <= 16 * 4097);
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_waits_longer_each_time_and_never_beyond_a_minute() {
    let limiter = limiter(&Pace { attempts: rate(3, 60), ..Pace::default() });
    let bad = peer("192.0.2.1");
    let guess = |at: u32| {
        let credential = format!("guess {at}");
        limiter.attempt(&bad, &credential)?;
        limiter.tried(&bad, &credential, Trial::Bad);
        Ok::<_, Refusal>(())
    };
    let free = (0..100).take_while(|at| guess(*at).is_ok()).count();
    assert_eq!(free, 4, "three for nothing, and the one that was one too many");
    let mut waits = Vec::new();
    for at in 100..110 {
        let Err(refusal) = guess(at) else { panic!("not slowed") };
        assert_eq!(refusal.code, Code::TooManyAttempts);
        let Retry::After(wait) = refusal.retry else { panic!("it says when") };
        waits.push(wait.as_secs());
        advance(wait).await;
        // The bucket of free attempts is emptied too, so that every failure counts.
        while limiter.rules.load().attempts.take(limiter.address(&bad).unwrap(), NonZeroU32::MIN).is_ok() {}
        guess(at).unwrap();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    assert!(limiter.attempt(&peer("192.0.2.2"), "x").is_ok(), "nobody else waits");
    advance(Duration::from_secs(901)).await;
    assert!(guess(1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_let_in_lately_is_not_held_up_by_a_neighbor_who_guesses() {
    let limiter = limiter(&Pace { attempts: rate(1, 3600), ..Pace::default() });
    let shared = peer("192.0.2.1");
    limiter.tried(&shared, "honest", Trial::Good);
    for at in 0..20 {
        limiter.tried(&shared, &format!("guess {at}"), Trial::Bad);
    }
    assert!(limiter.attempt(&shared, "honest").is_ok());
    assert!(limiter.attempt(&shared, "another guess").is_err());
    limiter.tried(&shared, "honest", Trial::Good);
    assert!(limiter.attempt(&shared, "another guess").is_err(), "a good credential forgives nothing");
    assert!(limiter.attempt(&peer("192.0.2.9"), "honest").is_ok());
    for at in 0..20 {
        limiter.tried(&peer("192.0.2.9"), &format!("guess {at}"), Trial::Bad);
    }
    assert!(limiter.attempt(&peer("192.0.2.9"), "honest").is_err(), "it was good from elsewhere");
    advance(Duration::from_secs(61)).await;
    assert!(limiter.attempt(&shared, "newcomer").is_ok(), "nobody is locked out for good");
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_attempts_is_bounded() {
    let attempts = Attempts::default();
    let hasher = RandomState::new();
    for at in 0..150_000_u64 {
        attempts.failed(hasher.hash_one(at));
        attempts.good(hasher.hash_one(at));
    }
    assert!(attempts.len() <= 65_536, "{}", attempts.len());
}

fn budget(pace: &Pace, before: Vec<Spent>) -> (Limiter, Arc<Book>) {
    let book = Arc::new(Book::default());
    (Limiter::new(pace, Arc::clone(&book) as _, before), book)
}

#[tokio::test]
async fn a_budget_is_for_the_day_and_a_restart_does_not_refill_it() {
    let git = ServerName::parse("git").unwrap();
    let pace = Pace { subject: Allowance { rate: rate(1_000_000, 1), budget: 640 }, ..Pace::default() };
    let (limiter, book) = budget(&pace, Vec::new());
    let ann = key("ann");
    for _ in 0..100 {
        limiter.request(&ann, &git, None).unwrap();
    }
    let written = book.0.lock().unwrap().clone();
    assert_eq!(written.len(), 10, "a write for a 64th of the budget, not for a call");
    assert_eq!(&*written[0].name, "subject key:ann");

    // Killed: what was written counts, which is never less than what was used.
    let last = |book: &Book| vec![book.0.lock().unwrap().last().unwrap().clone()];
    let (after_crash, _) = budget(&pace, last(&book));
    assert_eq!(passed(|| after_crash.request(&ann, &git, None)), 540);

    // Ended in order: what was used counts.
    limiter.request(&ann, &git, None).unwrap();
    limiter.settle();
    let (after_stop, _) = budget(&pace, last(&book));
    assert_eq!(passed(|| after_stop.request(&ann, &git, None)), 539);
    let refusal = after_stop.request(&ann, &git, None).unwrap_err();
    assert_eq!(refusal.code, Code::BudgetSpent);
    assert!(matches!(refusal.retry, Retry::After(left) if left <= Duration::from_secs(86_400)));

    // Of yesterday: nothing of it counts. Of tomorrow, since the clock was set back: all of it.
    let moved = |by: i64| {
        last(&book)
            .into_iter()
            .map(|spent| Spent { day: spent.day.saturating_add_signed(by), ..spent })
            .collect()
    };
    let (next_day, _) = budget(&pace, moved(-1));
    assert_eq!(passed(|| next_day.request(&ann, &git, None)), 640);
    let (set_back, _) = budget(&pace, moved(1));
    assert_eq!(passed(|| set_back.request(&ann, &git, None)), 539);
}

#[tokio::test]
async fn a_call_that_one_budget_refuses_is_taken_from_no_other() {
    let git = ServerName::parse("git").unwrap();
    let tool = ((git.clone(), ToolName::parse("push").unwrap()), Exception { rate: None, budget: Some(2) });
    let pace = Pace {
        tools: [tool].into(),
        subject: Allowance { rate: rate(1000, 1), budget: 4 },
        ..Pace::default()
    };
    let limiter = limiter(&pace);
    let ann = key("ann");
    assert_eq!(passed(|| limiter.request(&ann, &git, Some("push"))), 2);
    assert_eq!(passed(|| limiter.request(&ann, &git, Some("log"))), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_limits_of_its_own_has_those_and_no_other_key_does() {
    let own = Exception { rate: Some(rate(2, 60)), budget: Some(3) };
    let pace = Pace { keys: [("slow".into(), own)].into(), ..Pace::default() };
    let limiter = limiter(&pace);
    let (slow, other) = (key("slow"), key("other"));
    assert_eq!(passed(|| one(&limiter, &slow)), 2);
    assert_eq!(passed(|| one(&limiter, &other)), 1000);
    let refusal = one(&limiter, &slow).unwrap_err();
    assert!(refusal.message.contains("Your key may send 2 messages a minute"), "{}", refusal.message);
    let server = ServerName::parse("s").unwrap();
    assert_eq!(passed(|| limiter.request(&slow, &server, None)), 3);
    assert_eq!(passed(|| limiter.request(&other, &server, None)), 1000);
    // Another way of proving who one is does not share what is said of a key of that name.
    let local = Subject::new(SubjectId::key("slow"), vec![role("user")], Authentication::Local);
    assert_eq!(passed(|| one(&limiter, &local)), 1000);
    // A new configuration that says the same begins nothing anew.
    limiter.follow(&pace);
    assert!(one(&limiter, &slow).is_err());
    limiter.follow(&Pace::default());
    assert_eq!(passed(|| one(&limiter, &slow)), 1000);
}
