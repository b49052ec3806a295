//! Judges that are asked over HTTP, behind the gateway's port.
//!
//! The operator names the address, and still nobody is sent elsewhere by it: an address is public, or of a private network where
//! the entry says so, or this machine where it is written so; the metadata service of a cloud is none of them. Redirects are not
//! followed. Connections are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use casemate_gateway::ports::Judges;
use casemate_gateway::snapshot::{HttpJudge, JudgeNetwork};
use casemate_gateway::upstream::Soon;
use casemate_net::SystemResolver;
use casemate_net::fetch::{Fetcher, Line, Reachable, Request, Terms, Trust, Url};

/// Questions at once, over all judges.
const QUESTIONS_MAX: usize = 256;

/// Judges whose connections are kept. An address that is configured no longer goes with the others once there are more.
const LINES_MAX: usize = 64;

/// The gateway bounds the time of each question itself; this is what no entry can go beyond.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Asks judges over HTTP.
#[derive(Debug)]
pub struct HttpJudges {
    fetcher: Fetcher,
    lines: Mutex<HashMap<(String, JudgeNetwork), Arc<Line>>>,
}

impl HttpJudges {
    /// One that has asked nobody.
    pub fn new() -> HttpJudges {
        let fetcher = Fetcher::new(Arc::new(SystemResolver::new()), Trust::system());
        HttpJudges { fetcher: fetcher.with_places(QUESTIONS_MAX), lines: Mutex::default() }
    }

    fn line(&self, judge: &HttpJudge) -> Arc<Line> {
        let key = (judge.url.to_string(), judge.network);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES_MAX && !lines.contains_key(&key) {
            lines.clear();
        }
        Arc::clone(lines.entry(key).or_default())
    }

    async fn post(&self, judge: &HttpJudge, question: Bytes, bytes_max: usize) -> Result<Bytes, String> {
        let url = Url::parse(&judge.url.to_string()).map_err(|fault| fault.to_string())?;
        let terms = Terms {
            reachable: reachable(judge.network, &url),
            body_bytes_max: bytes_max,
            time_max: TIME_MAX,
            ..Terms::default()
        };
        let request = Request::post_json(url, question);
        let headers = judge.headers.iter();
        let request =
            headers.fold(request, |request, (name, value)| request.with_header(name.clone(), value.clone()));
        let line = self.line(judge);
        let answer =
            self.fetcher.fetch_over(&line, &request, &terms).await.map_err(|fault| fault.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("it answers with the status {}", answer.status));
        }
        Ok(answer.body)
    }
}

impl Default for HttpJudges {
    fn default() -> Self {
        HttpJudges::new()
    }
}

impl Judges for HttpJudges {
    fn ask<'a>(
        &'a self,
        judge: &'a HttpJudge,
        question: Bytes,
        bytes_max: usize,
    ) -> Soon<'a, Result<Bytes, String>> {
        Box::pin(self.post(judge, question, bytes_max))
    }
}

fn reachable(network: JudgeNetwork, url: &Url) -> Reachable {
    let reachable = match network {
        JudgeNetwork::Public => Reachable::public(),
        JudgeNetwork::Private => Reachable::public().and_private(),
    };
    if url.is_loopback() { reachable.and_loopback() } else { reachable }
}
