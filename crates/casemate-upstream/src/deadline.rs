//! How long a call may take: a time that progress restarts, and a hard maximum that nothing extends.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Fault;

/// Signs of life of one call, written by whoever reads from the server.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    /// Milliseconds from `started` to the last sign of life.
    last_ms: AtomicU64,
    /// Questions that wait for a person. A person's time does not count as the server's.
    questions: AtomicU32,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity { started: Instant::now(), last_ms: AtomicU64::new(0), questions: AtomicU32::new(0) }
    }

    /// The server showed that it still works on the call.
    pub(super) fn touch(&self) {
        let passed = self.started.elapsed().as_millis();
        self.last_ms.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A question was passed on to the client.
    pub(super) fn asked(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    /// A question was answered; the server's time starts anew.
    pub(super) fn answered(&self) {
        self.touch();
        self.questions.fetch_sub(1, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// The times that hold for one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// From the last sign of life.
    pub(super) quiet: Duration,
    /// From the start.
    pub(super) hard: Duration,
}

impl Deadline {
    /// Waits until the time is up, and says which one it was.
    pub(super) async fn passed(self, activity: &Activity) -> Fault {
        let hard_end = activity.started + self.hard;
        loop {
            let is_asking = activity.questions.load(Ordering::Relaxed) > 0;
            // While a person thinks, the quiet time is measured from now on, again and again.
            let from = if is_asking { Instant::now() } else { activity.last() };
            let quiet_end = from + self.quiet;
            sleep_until(quiet_end.min(hard_end)).await;
            let now = Instant::now();
            if now >= hard_end {
                return Fault::Timeout { after: self.hard, hard: true };
            }
            let is_asking = activity.questions.load(Ordering::Relaxed) > 0;
            if !is_asking && now >= activity.last() + self.quiet {
                return Fault::Timeout { after: self.quiet, hard: false };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    async fn times_out_at(activity: &Activity) -> (u64, Fault) {
        let start = activity.started;
        let fault = Deadline { quiet: S * 10, hard: S * 60 }.passed(activity).await;
        (start.elapsed().as_secs(), fault)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_call_after_the_quiet_time() {
        let (at, fault) = times_out_at(&Activity::new()).await;
        assert_eq!((at, fault), (10, Fault::Timeout { after: S * 10, hard: false }));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_restarts_the_quiet_time_but_never_the_hard_one() {
        let activity = Activity::new();
        let report = async {
            for _ in 0..3 {
                tokio::time::sleep(S * 7).await;
                activity.touch();
            }
            std::future::pending::<()>().await
        };
        let (at, _) = tokio::select! { out = times_out_at(&activity) => out, () = report => unreachable!() };
        assert_eq!(at, 31);

        let activity = Activity::new();
        let report = async {
            loop {
                tokio::time::sleep(S).await;
                activity.touch();
            }
        };
        let (at, fault) =
            tokio::select! { out = times_out_at(&activity) => out, () = report => unreachable!() };
        assert_eq!((at, fault), (60, Fault::Timeout { after: S * 60, hard: true }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_who_thinks_does_not_use_up_the_servers_time() {
        let activity = Activity::new();
        activity.asked();
        let answer = async {
            tokio::time::sleep(S * 25).await;
            activity.answered();
            std::future::pending::<()>().await
        };
        let (at, _) = tokio::select! { out = times_out_at(&activity) => out, () = answer => unreachable!() };
        assert!((35..=36).contains(&at), "{at}");
    }
}
