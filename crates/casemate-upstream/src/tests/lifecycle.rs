//! When instances start, whom they serve, and when they end.

use std::time::Duration;

use casemate_mcp::method::Method;
use serde_json::json;
use tokio::sync::mpsc;

use super::fakes::{Peer, Rig, call, caller, eventually, tool};
use crate::entry::{Sharing, Source};
use crate::{Fault, State};

const S: Duration = Duration::from_secs(1);

async fn echo(_: usize, mut peer: Peer) {
    if peer.greet_legacy().await {
        peer.echo().await;
    }
}

/// Greets and never answers a call.
async fn silent(_: usize, mut peer: Peer) {
    peer.greet_legacy().await;
    while peer.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn many_first_calls_start_one_instance() {
    let rig = Rig::new(echo);
    let caller = caller(1);
    let calls: [_; 8] = std::array::from_fn(|_| rig.call(&caller));
    let (a, b, c, d, e, f, g, h) = {
        let [a, b, c, d, e, f, g, h] = calls;
        tokio::join!(a, b, c, d, e, f, g, h)
    };
    assert!([a, b, c, d, e, f, g, h].iter().all(Result::is_ok));
    assert_eq!(rig.launched(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_shares_an_instance_is_the_entrys_choice() {
    for (sharing, launched, running) in
        [(Sharing::Shared, 1, 1), (Sharing::Subject, 2, 2), (Sharing::Call, 4, 0)]
    {
        let rig = Rig::with(|entry| entry.sharing = sharing, echo);
        for uid in [1, 2, 1, 2] {
            rig.call(&caller(uid)).await.unwrap();
        }
        eventually("the others have ended", || rig.running() == running).await;
        assert_eq!((rig.launched(), rig.server.status().instances.len()), (launched, running), "{sharing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_instance_is_offered_nothing() {
    let rig = Rig::with(|entry| entry.sharing = Sharing::Shared, echo);
    rig.call(&caller(1)).await.unwrap();
    assert_eq!(rig.heard("initialize")[0]["params"]["capabilities"], json!({}));
    assert_eq!(rig.server.status().instances[0].subject, None);
}

#[tokio::test(start_paused = true)]
async fn with_one_instance_per_call_a_hello_is_asked_for_once() {
    let rig = Rig::with(|entry| entry.sharing = Sharing::Call, echo);
    for _ in 0..3 {
        rig.server.hello(&caller(1)).await.unwrap();
    }
    eventually("it has ended", || rig.running() == 0).await;
    assert_eq!(rig.launched(), 1);
    assert!(matches!(rig.server.watch(&caller(1), "a:b").await, Err(Fault::Protocol { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_is_stopped_and_comes_back() {
    let rig = Rig::with(|entry| entry.timeouts.idle = S * 20, echo);
    rig.call(&caller(1)).await.unwrap();
    tokio::time::sleep(S * 15).await;
    rig.call(&caller(1)).await.unwrap();
    tokio::time::sleep(S * 15).await;
    assert_eq!(rig.running(), 1);
    eventually("it is stopped", || rig.running() == 0).await;
    assert_eq!(rig.server.status().state, State::Idle);
    rig.call(&caller(1)).await.unwrap();
    let status = rig.server.status();
    assert_eq!((rig.launched(), status.restarts, status.last_error), (2, 0, None), "no failure");
}

#[tokio::test(start_paused = true)]
async fn what_we_ask_on_our_own_account_counted_as_calls() {
    let rig = Rig::new(echo);
    rig.server.hello(&caller(1)).await.unwrap();
    let mut list = tool("{}");
    list.method = Method::ToolsList;
    rig.call_with(&caller(1), &list).await.unwrap();
    rig.call(&caller(1)).await.unwrap();
    assert_eq!(rig.server.status().instances[0].calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_never_started_failed_or_stopped_by_a_person_were_one_word() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.next().await;
    });
    assert_eq!(rig.server.status().state, State::Idle);
    rig.call(&caller(1)).await.unwrap_err();
    tokio::time::sleep(S * 20).await;
    assert_eq!(rig.server.status().state, State::Failed);
    rig.server.stop().await;
    assert_eq!(rig.server.status().state, State::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_long_call_is_not_idle() {
    let rig = Rig::with(|entry| entry.timeouts.idle = S * 5, silent);
    let outcome = rig.call(&caller(1)).await;
    assert_eq!(outcome.unwrap_err(), Fault::Timeout { after: S * 60, hard: false });
    assert_eq!(rig.launched(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_server_ends_an_idle_instance_and_never_a_busy_one() {
    let rig = Rig::with(|entry| entry.resilience.instances_max = 1, echo);
    rig.call(&caller(1)).await.unwrap();
    rig.call(&caller(2)).await.unwrap();
    eventually("the first one is gone", || rig.running() == 1).await;

    let rig = Rig::with(|entry| entry.resilience.instances_max = 1, silent);
    let (first, call) = (caller(1), tool("{}"));
    let (sender, _events) = mpsc::channel(1);
    let busy = rig.server.call(&first, &call, sender);
    let other = async {
        eventually("it is busy", || !rig.heard("tools/call").is_empty()).await;
        assert_eq!(rig.call(&caller(2)).await, Err(Fault::Busy { instances_max: 1 }));
    };
    tokio::select! { _ = busy => panic!("answered"), () = other => {} }
}

#[tokio::test(start_paused = true)]
async fn a_killed_server_costs_the_call_in_flight_and_no_other() {
    let mut rig = Rig::new(|nth, peer| async move {
        if nth == 0 { silent(nth, peer).await } else { echo(nth, peer).await }
    });
    let (caller, call) = (caller(1), tool("{}"));
    let (sender, _events) = mpsc::channel(1);
    let lost = async {
        let (lost, ()) = tokio::join!(rig.server.call(&caller, &call, sender), async {
            eventually("it is under way", || !rig.heard("tools/call").is_empty()).await;
            rig.kill();
        });
        lost.unwrap_err()
    };
    let why = "its process ended with exit code 3".to_owned();
    assert_eq!(lost.await, Fault::Gone { sent: true, why: why.clone() });
    rig.call(&caller).await.unwrap();
    let status = rig.server.status();
    assert_eq!((rig.launched(), status.restarts, status.last_error), (2, 1, Some(why)));
    assert_eq!(rig.heard("server/discover").len(), 1, "the dialect is remembered");
    assert_eq!(rig.notices.recv().await.unwrap().notice.method, Method::ToolsChanged);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_dead_server_never_read_goes_to_the_next_one() {
    for reads_it in [false, true] {
        let rig = Rig::new(move |nth, mut peer| async move {
            peer.greet_legacy().await;
            if nth > 0 {
                return peer.echo().await;
            }
            peer.until("tools/list").await.unwrap();
            if reads_it {
                peer.until("tools/call").await;
            } else {
                // Killed, but not dead yet: what is sent now stays in the pipe.
                tokio::time::sleep(S).await;
            }
        });
        let (first, call) = (caller(1), call(Method::ToolsList, "{}"));
        let second = async {
            eventually("the first is under way", || !rig.heard("tools/list").is_empty()).await;
            rig.call(&caller(1)).await
        };
        let (_, second) = tokio::join!(rig.call_with(&first, &call), second);
        if reads_it {
            assert!(matches!(second, Err(Fault::Gone { sent: true, .. })), "{second:?}");
        } else {
            assert_eq!(second.unwrap(), json!({"echo": {}}));
        }
        assert_eq!(rig.heard("tools/call").len(), 1, "it was never read twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_reads_is_sent_again_and_what_may_act_is_not() {
    let dies_once = || {
        Rig::new(|nth, mut peer| async move {
            peer.greet_legacy().await;
            if nth == 0 {
                while peer.next().await.is_some_and(|message| message["method"] == "logging/setLevel") {}
                return;
            }
            peer.echo().await;
        })
    };
    let rig = dies_once();
    assert!(matches!(rig.call(&caller(1)).await, Err(Fault::Gone { sent: true, .. })));

    let rig = dies_once();
    let mut confirmed = caller(1);
    confirmed.replay_safe = true;
    rig.call(&confirmed).await.unwrap();

    let rig = dies_once();
    rig.call_with(&caller(1), &call(Method::ToolsList, "{}")).await.unwrap();
    assert_eq!(rig.launched(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_start_is_left_alone_after_five_failures() {
    let rig = Rig::with(
        |entry| {
            if let Source::Command(source) = &mut entry.source {
                source.program = "missing".into();
            }
        },
        echo,
    );
    for _ in 0..5 {
        let fault = rig.call(&caller(1)).await.unwrap_err();
        assert!(matches!(&fault, Fault::Start { why } if why.contains("missing")), "{fault:?}");
    }
    let Err(Fault::CircuitOpen { retry_after }) = rig.call(&caller(1)).await else { panic!("let through") };
    assert!(retry_after <= S * 10);
    assert!(matches!(rig.server.status().state, State::CircuitOpen { .. }));
    tokio::time::sleep(retry_after).await;
    assert!(matches!(rig.call(&caller(1)).await, Err(Fault::Start { .. })), "one probes");
    assert!(matches!(rig.call(&caller(1)).await, Err(Fault::CircuitOpen { .. })), "and opens it again");
}

#[tokio::test(start_paused = true)]
async fn the_circuit_closes_when_the_server_is_back() {
    let rig = Rig::new(|nth, peer| async move {
        if nth >= 5 {
            echo(nth, peer).await;
        }
    });
    for _ in 0..5 {
        assert!(matches!(rig.call(&caller(1)).await, Err(Fault::Start { .. })));
    }
    tokio::time::sleep(S * 11).await;
    rig.call(&caller(1)).await.unwrap();
    rig.call(&caller(1)).await.unwrap();
    assert_eq!(rig.server.status().state, State::Running);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_the_circuit_to_the_next_call() {
    let rig = Rig::new(|nth, peer| async move {
        match nth {
            0..5 => {}
            5 => std::future::pending().await,
            _ => echo(nth, peer).await,
        }
    });
    for _ in 0..5 {
        _ = rig.call(&caller(1)).await;
    }
    tokio::time::sleep(S * 11).await;
    assert!(tokio::time::timeout(S, rig.call(&caller(1))).await.is_err());
    assert_eq!(rig.launched(), 6);
    tokio::time::sleep(S * 61).await;
    tokio::time::sleep(S * 11).await;
    rig.call(&caller(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_survives_the_death_of_its_server() {
    let mut rig = Rig::new(echo);
    let caller = caller(1);
    rig.server.watch(&caller, "a:1").await.unwrap();
    rig.server.watch(&caller, "a:1").await.unwrap();
    assert_eq!(rig.heard("resources/subscribe").len(), 1);
    rig.kill();
    eventually("it is watched again", || rig.heard("resources/subscribe").len() == 2).await;
    let mut told = Vec::new();
    while !told.contains(&Method::ResourceUpdated) {
        told.push(rig.notices.recv().await.unwrap().notice.method);
    }
    rig.server.unwatch(&caller, "a:1").await;
    assert!(rig.heard("resources/unsubscribe").is_empty(), "somebody else still watches");
    rig.server.unwatch(&caller, "a:1").await;
    assert_eq!(rig.heard("resources/unsubscribe").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_lets_calls_finish_and_refuses_new_ones() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        tokio::time::sleep(S * 3).await;
        peer.answer(&request, json!({"done": true})).await;
        peer.echo().await;
    });
    let (first, second) = (caller(1), caller(2));
    let stopping = async {
        eventually("it is under way", || !rig.heard("tools/call").is_empty()).await;
        tokio::join!(rig.server.stop(), async {
            tokio::task::yield_now().await;
            assert_eq!(rig.call(&second).await, Err(Fault::Stopping));
        });
    };
    let (outcome, ()) = tokio::join!(rig.call(&first), stopping);
    assert_eq!(outcome.unwrap(), json!({"done": true}));
    assert_eq!((rig.running(), rig.server.status().state), (0, State::Stopped));
    rig.server.start(&first).await.unwrap();
    assert_eq!(rig.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_can_be_stopped() {
    let rig = Rig::new(|_, _peer| std::future::pending());
    let caller = caller(1);
    let stopping = async {
        eventually("it starts", || rig.running() == 1).await;
        rig.server.stop().await;
    };
    let (outcome, ()) = tokio::join!(rig.call(&caller), stopping);
    assert_eq!(outcome, Err(Fault::Stopping));
    eventually("nothing is left", || rig.running() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_outlives_the_server_or_the_host() {
    let rig = Rig::new(echo);
    rig.call(&caller(1)).await.unwrap();
    let Rig { server, host, .. } = rig;
    drop(server);
    host.tracker.close();
    host.tracker.wait().await;

    let rig = Rig::new(silent);
    let (caller, call) = (caller(1), tool("{}"));
    let (sender, _events) = mpsc::channel(1);
    let stopping = async {
        eventually("it is under way", || !rig.heard("tools/call").is_empty()).await;
        rig.host.stop.cancel();
    };
    let (outcome, ()) = tokio::join!(rig.server.call(&caller, &call, sender), stopping);
    assert!(matches!(outcome, Err(Fault::Stopping | Fault::Gone { .. })), "{outcome:?}");
    rig.host.tracker.close();
    rig.host.tracker.wait().await;
    assert_eq!(rig.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_server_starts_nothing() {
    let rig = Rig::with(|entry| entry.enabled = false, echo);
    assert_eq!(rig.call(&caller(1)).await, Err(Fault::Disabled));
    assert_eq!((rig.launched(), rig.server.status().state), (0, State::Disabled));
}
