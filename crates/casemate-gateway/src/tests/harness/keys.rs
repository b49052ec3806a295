//! Who the keys and tokens of the tests belong to.

use std::sync::{Arc, Mutex};

use casemate_mcp::names::RoleName;
use casemate_policy::{Authentication, Scope, Subject, SubjectId};

use crate::ports::{Asked, Identities, Rejection, Settling};

/// The keys `owner`, `reader`, `asker`, `own-asker` and `office` have the role of their name; `other` is a second owner. Of
/// `asker` an operator is asked before `one/echo`, of `own-asker` the subject.
#[derive(Debug, Default)]
pub(in crate::tests) struct Keys {
    /// Those that were withdrawn.
    pub(in crate::tests) gone: Mutex<Vec<String>>,
    /// How often somebody waited for a token to settle.
    pub(in crate::tests) settled: Mutex<u32>,
}

impl Identities for Keys {
    fn bearer(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        if let Some(scopes) = presented.strip_prefix("token.") {
            return self.token(scopes, asked);
        }
        self.key(presented).map_err(Rejection::Refused)
    }

    fn settled<'a>(&'a self, _: &'a str) -> Settling<'a> {
        *self.settled.lock().unwrap() += 1;
        Box::pin(std::future::ready(()))
    }

    fn current(&self, id: &SubjectId, _: u64) -> Option<Arc<Subject>> {
        let is_of = |key: &&str| SubjectId::key(key) == *id;
        ["owner", "other", "reader", "asker", "own-asker", "own-asker-2", "office"]
            .into_iter()
            .find(is_of)
            .and_then(|key| self.key(key).ok())
    }

    fn local(&self, _: u32) -> Option<Arc<Subject>> {
        let owner = self.key("owner").ok()?;
        Some(Arc::new(Subject { authentication: Authentication::Local, ..Subject::clone(&owner) }))
    }
}

impl Keys {
    fn key(&self, presented: &str) -> Result<Arc<Subject>, String> {
        let role = match presented {
            "owner" | "other" => "owner",
            "reader" => "reader",
            "asker" => "asker",
            "office" => "office",
            "own-asker" | "own-asker-2" => "own-asker",
            _ => return Err("unknown".into()),
        };
        if self.gone.lock().unwrap().iter().any(|gone| gone == presented) {
            return Err("revoked".into());
        }
        let roles = vec![RoleName::parse(role).unwrap()];
        Ok(Arc::new(Subject::new(SubjectId::key(presented), roles, Authentication::Key)))
    }

    /// A token of an owner that may be used for those patterns, split by commas. `token.wait` is good once it settled.
    fn token(&self, scope: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        assert!(asked.base.is_some() && asked.now_unix_s > 0);
        match scope {
            "wait" if *self.settled.lock().unwrap() == 0 => {
                return Err(Rejection::Unsettled("its key".into()));
            }
            "never" => return Err(Rejection::Unsettled("its key".into())),
            "poor" => return Err(Rejection::Scopes(vec!["all:need".into()])),
            _ => {}
        }
        let roles = vec![RoleName::parse("owner").unwrap()];
        let subject = Subject::new(SubjectId::token("corp", "alice"), roles, Authentication::Token);
        let patterns = scope.split(',').filter(|pattern| *pattern != "wait" && !pattern.is_empty());
        Ok(Arc::new(subject.within(Scope::parse(patterns).unwrap())))
    }
}
