//! The load: so many clients, each making its next call when the last one was answered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use super::client::{Client, Target};
use super::protocol::Ask;
use super::statistics::quantile;
use crate::clock::Moment;

/// What one run of calls came to. A run in which any call failed is an error instead: a rate that counts
/// failures is worth nothing.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Answered and checked calls per second.
    pub(crate) per_second: f64,
    /// Microseconds from sending a request to having its whole reply: the middle, and the slowest hundredth.
    pub(crate) p50: f64,
    /// See above.
    pub(crate) p99: f64,
    /// Answered calls.
    pub(crate) count: usize,
}

/// What each client does over and over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Call a tool.
    Call(Ask),
    /// Read the whole list of tools.
    List,
    /// Open a session and end it.
    Session,
}

/// Runs the work for a time with so many clients, on this thread.
pub(crate) async fn run(target: &Arc<Target>, work: Work, clients: usize, time: Duration) -> Result<Outcome> {
    let mut ready = Vec::with_capacity(clients);
    for _ in 0..clients {
        let mut client = match work {
            Work::Session => Client::dial(target).await?,
            Work::Call(_) | Work::List => Client::connect(target).await?,
        };
        // The first one fills caches; it is not counted.
        once(&mut client, work).await?;
        ready.push(client);
    }
    let started = Moment::now();
    let mut tasks = JoinSet::new();
    for client in ready {
        tasks.spawn(repeat(client, work, started, time));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done.context("a client panicked")??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    Ok(Outcome {
        per_second: latencies.len() as f64 / elapsed,
        p50: quantile(&latencies, 0.50),
        p99: quantile(&latencies, 0.99),
        count: latencies.len(),
    })
}

async fn repeat(mut client: Client, work: Work, started: Moment, time: Duration) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while started.elapsed() < time {
        let before = Moment::now();
        once(&mut client, work).await?;
        latencies.push(before.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

async fn once(client: &mut Client, work: Work) -> Result<()> {
    match work {
        Work::Call(ask) => client.call(ask).await,
        Work::List => client.list().await.map(drop),
        Work::Session => {
            client.open().await?;
            client.close().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::bench::echo;
    use crate::bench::protocol::Era;

    /// Runs work against the echo server in this process.
    async fn against(path: &str, era: Era, work: Work) -> Result<Outcome> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let target = Target { address: listener.local_addr()?, path: path.to_owned(), key: None, era };
        let mut server = JoinSet::new();
        server.spawn(echo::accept(listener));
        run(&Arc::new(target), work, 2, Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn every_kind_of_work_is_done_in_both_eras() {
        for (path, era) in [("/mcp", Era::Modern), ("/mcp", Era::Legacy), ("/legacy", Era::Legacy)] {
            for work in [Work::Call(Ask::Echo), Work::Call(Ask::Blob(5_000)), Work::List] {
                let outcome = against(path, era, work).await.expect("it works");
                assert!(outcome.count > 0 && outcome.p50 > 0.0 && outcome.p99 >= outcome.p50, "{outcome:?}");
            }
        }
        against("/legacy", Era::Legacy, Work::Session).await.expect("sessions are opened and ended");
    }

    #[tokio::test]
    async fn a_failing_call_fails_the_run() {
        assert!(against("/nothing", Era::Modern, Work::Call(Ask::Echo)).await.is_err());
        assert!(against("/legacy", Era::Modern, Work::List).await.is_ok(), "the server only lists");
    }
}
