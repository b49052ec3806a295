//! Servers that are slow, noisy, wrong or hostile.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::fakes::{Rig, caller, eventually, tool};
use crate::entry::OutputRate;
use crate::{Fault, Overrun};

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn noise_between_messages_is_logged_and_survived() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.say("Starting up…").await;
        peer.complain("warning: old").await;
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        for noise in [
            "{broken",
            "[]",
            "{\"no\":\"frame\"}",
            "\u{1b}[1mhi",
            "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}",
        ] {
            peer.say(noise).await;
        }
        peer.answer(&request, json!({"ok": 1})).await;
        peer.answer(&request, json!({"twice": 1})).await;
        peer.echo().await;
    });
    assert_eq!(rig.call(&caller(1)).await.unwrap(), json!({"ok": 1}));
    rig.call(&caller(1)).await.unwrap();
    let logs = rig.server.logs();
    for line in ["stdout: Starting up…", "stderr: warning: old", "stdout: {broken"] {
        assert!(logs.iter().any(|logged| logged == line), "{line}: {logs:?}");
    }
    let unknown = |id| format!("protocol: an answer to request {id}, which is not open");
    assert!(logs.contains(&unknown(99)) && logs.contains(&unknown(3)), "{logs:?}");
    assert_eq!(rig.launched(), 1);
}

#[tokio::test(start_paused = true)]
async fn endless_noise_ends_the_instance() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.until("tools/call").await;
        for _ in 0..20_000 {
            peer.say("y").await;
        }
        std::future::pending().await
    });
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Gone { why, .. } if why.contains("floods")), "{fault:?}");
    eventually("it is gone", || rig.running() == 0).await;
}

/// A limit that a server exceeds, as the tests name it.
fn memory() -> Overrun {
    Overrun { setting: "limits.memory", value: "64MiB".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_by_a_limit_is_refused_with_its_name_and_not_called_again() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.until("tools/call").await;
    });
    *rig.overrun.lock().unwrap() = Some(memory());
    let mut caller = caller(1);
    caller.replay_safe = true;
    let fault = rig.call(&caller).await.unwrap_err();
    assert_eq!(fault, Fault::OverLimit { overrun: memory() });
    assert!(fault.to_string().contains("limits.memory = 64MiB"), "{fault}");
    assert_eq!(rig.launched(), 1);
    let error = rig.server.status().last_error.unwrap();
    assert!(error.contains("limits.memory = 64MiB"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_by_a_limit_as_it_starts_is_no_riddle() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.next().await;
    });
    *rig.overrun.lock().unwrap() = Some(memory());
    assert_eq!(rig.call(&caller(1)).await.unwrap_err(), Fault::OverLimit { overrun: memory() });
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_more_than_it_may_is_ended_and_its_keeper_told() {
    let rate = OutputRate { bytes_per_second: 4 << 10 };
    let rig = Rig::with(
        |entry| entry.output = rate,
        |_, mut peer| async move {
            peer.greet_legacy().await;
            peer.until("tools/call").await;
            let notice = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
            loop {
                peer.send(notice.clone()).await;
            }
        },
    );
    let overrun = Overrun { setting: "limits.output_rate", value: "4KiB".to_owned() };
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert_eq!(fault, Fault::OverLimit { overrun: overrun.clone() });
    assert_eq!(*rig.overrun.lock().unwrap(), Some(overrun));
    eventually("it is gone", || rig.running() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_without_end_ends_the_instance() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.until("tools/call").await;
        loop {
            peer.say_without_end(&"x".repeat(65_536)).await;
        }
    });
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Gone { why, .. } if why.contains("without end")), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_notices_is_slowed_down_and_survived() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        for _ in 0..30_000 {
            peer.say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
        }
        peer.answer(&request, json!({"ok": 1})).await;
        peer.echo().await;
    });
    let start = tokio::time::Instant::now();
    assert_eq!(rig.call(&caller(1)).await.unwrap(), json!({"ok": 1}));
    assert!(start.elapsed() >= S, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_big_costs_its_call_alone() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        peer.answer(&request, json!({"big": "x".repeat(80_000)})).await;
        peer.echo().await;
    });
    assert_eq!(rig.call(&caller(1)).await, Err(Fault::TooBig { limit: 1 << 16 }));
    rig.call(&caller(1)).await.unwrap();
    assert_eq!(rig.launched(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_costs_its_call_alone_and_at_once() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        peer.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"a":1,"a":2}}}}"#, request["id"])).await;
        peer.echo().await;
    });
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Protocol { why } if why.contains("twice")), "{fault:?}");
    rig.call(&caller(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_answers_times_out_is_canceled_and_delays_nothing() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let mut silent = true;
        while let Some(message) = peer.next().await {
            if message.get("id").is_some() && !std::mem::replace(&mut silent, false) {
                peer.answer(&message, json!({})).await;
            }
        }
    });
    let mut hurried = caller(1);
    hurried.timeout = Some(S * 2);
    let start = tokio::time::Instant::now();
    let slow = async { (rig.call(&hurried).await, start.elapsed()) };
    let quick = async {
        eventually("the first is under way", || !rig.heard("tools/call").is_empty()).await;
        (rig.call(&caller(1)).await, start.elapsed())
    };
    let ((first, first_took), (second, second_took)) = tokio::join!(slow, quick);
    assert_eq!((first, first_took.as_secs()), (Err(Fault::Timeout { after: S * 2, hard: false }), 2));
    assert!(second.is_ok() && second_took < S);
    rig.call(&caller(1)).await.unwrap();
    let cancelled = rig.heard("notifications/cancelled");
    assert_eq!(cancelled[0]["params"]["requestId"], rig.heard("tools/call")[0]["id"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_cancels_its_call() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        while peer.next().await.is_some() {}
    });
    let (caller, call) = (caller(1), tool("{}"));
    let (sender, _events) = mpsc::channel(1);
    let under_way = eventually("it is under way", || !rig.heard("tools/call").is_empty());
    tokio::select! { _ = rig.server.call(&caller, &call, sender) => panic!("answered"), () = under_way => {} }
    eventually("it is canceled", || !rig.heard("notifications/cancelled").is_empty()).await;
    assert_eq!(rig.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_reads_times_out() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        std::future::pending().await
    });
    let big = tool(&json!({"x": "y".repeat(400_000)}).to_string());
    for _ in 0..4 {
        assert!(matches!(rig.call_with(&caller(1), &big).await, Err(Fault::Timeout { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_at_its_start_fails_in_time_and_blocks_nobody_else() {
    let rig = Rig::new(|nth, mut peer| async move {
        if nth == 0 {
            std::future::pending().await
        }
        peer.greet_legacy().await;
        peer.echo().await;
    });
    let start = tokio::time::Instant::now();
    let hanging = async { (rig.call(&caller(1)).await, start.elapsed()) };
    let other = async {
        eventually("the first one starts", || rig.launched() == 1).await;
        (rig.call(&caller(2)).await, start.elapsed())
    };
    let ((first, first_took), (second, second_took)) = tokio::join!(hanging, other);
    assert!(matches!(first, Err(Fault::Start { .. })) && first_took == S * 60, "{first:?} {first_took:?}");
    assert!(second.is_ok() && second_took < S, "{second:?} {second_took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_a_server_explain_why_it_did_not_start() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.complain("Error: Cannot find module 'x'").await;
    });
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Start { why } if why.contains("Cannot find module")), "{fault:?}");
}
