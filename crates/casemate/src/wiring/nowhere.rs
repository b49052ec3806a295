//! Ports of a gateway that lives as long as its one client: nothing has to outlive it.

use bytes::Bytes;
use casemate_gateway::ports::{
    Desk, Judges, KeptResult, Ledger, NotKept, NotThere, ResultId, ResultPart, Results, Spent, Wards,
};
use casemate_gateway::quarantine::Entry;
use casemate_gateway::snapshot::HttpJudge;
use casemate_gateway::upstream::Soon;
use casemate_policy::SubjectId;

/// Keeps nothing.
#[derive(Debug)]
pub struct Nowhere;

impl Ledger for Nowhere {
    fn write(&self, _: Spent) {}
}

impl Wards for Nowhere {
    fn keep(&self, _: &Entry) {}

    fn alarm(&self, _: &str, _: &str) {}
}

impl Judges for Nowhere {
    fn ask<'a>(&'a self, _: &'a HttpJudge, _: Bytes, _: usize) -> Soon<'a, Result<Bytes, String>> {
        Box::pin(async { Err("there are no judges here".to_owned()) })
    }
}

impl Desk for Nowhere {
    fn put<'a>(&'a self, _: &'a str, _: Vec<u8>) -> Soon<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, _: &'a str) -> Soon<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

impl Results for Nowhere {
    fn keep(&self, _: KeptResult) -> Soon<'_, Result<(), NotKept>> {
        Box::pin(async { Err(NotKept::Failed("there is nowhere to keep it".to_owned())) })
    }

    fn part<'a>(&'a self, _: (ResultId, &'a SubjectId), _: usize) -> Soon<'a, Result<ResultPart, NotThere>> {
        Box::pin(async { Err(NotThere::Absent) })
    }

    fn retain(&self, _: &dyn Fn(&SubjectId) -> bool) {}
}
