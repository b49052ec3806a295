//! Who a credential belongs to: the keys of the store, the tokens of issuers, certificates of clients, and the kernel's
//! word about local users.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use casemate_auth::issuers::{Accepted, Issuers, Memory};
use casemate_auth::token::{Jws, TokenFault};
use casemate_auth::{KeyRecord, KeyTable, certificate};
use casemate_config::Identity;
use casemate_gateway::ports::{Asked, Identities, Rejection, Settling};
use casemate_policy::{Authentication, Scope, Subject, SubjectId, local_subject};
use casemate_store::{Store, StoreFault};

/// Who there is. Each change of the keys swaps the whole table, so a call sees one state of it.
#[derive(Debug)]
pub struct Papers {
    store: Store,
    ring: ArcSwap<Ring>,
    issuers: Issuers,
    memory: Memory<Subject>,
    /// What the configuration says of all this.
    identity: ArcSwap<Identity>,
    own_uid: u32,
    local: Option<Arc<Subject>>,
}

/// All keys, and the subject that each stands for.
#[derive(Debug, Default)]
struct Ring {
    table: KeyTable,
    subjects: HashMap<String, Arc<Subject>>,
    /// Those whose key was not revoked, and when it expires.
    good: HashMap<SubjectId, (Arc<Subject>, Option<u64>)>,
}

impl Papers {
    /// Reads the keys of the store. There are no issuers before [`Papers::configure`].
    pub async fn open(store: Store, issuers: Issuers) -> Result<Papers, StoreFault> {
        let own_uid = rustix::process::geteuid().as_raw();
        let local = local_subject(own_uid, own_uid).map(Arc::new);
        let (ring, identity) = (ArcSwap::default(), ArcSwap::default());
        let papers = Papers { store, ring, issuers, memory: Memory::default(), identity, own_uid, local };
        papers.reload().await?;
        Ok(papers)
    }

    /// Takes what a new configuration says. When it says something else than before, every token is judged anew.
    pub fn configure(&self, identity: Identity) {
        if **self.identity.load() == identity {
            return;
        }
        // First the rules, so that nothing is judged by the old ones and remembered under the new ones.
        self.identity.store(Arc::new(identity.clone()));
        self.issuers.replace(identity.issuers);
    }

    /// Whether there ever was a key with that id, revoked or not.
    pub fn has_key(&self, id: &str) -> bool {
        self.ring.load().subjects.contains_key(id)
    }

    /// Reads the keys anew. A key that was revoked is refused from here on.
    pub async fn reload(&self) -> Result<(), StoreFault> {
        let ring = Ring::of(self.store.keys().list().await?);
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// Reads the keys anew whenever they change, whoever changes them. Never ends; it is dropped.
    pub async fn follow(&self) {
        let mut changes = self.store.keys().changes();
        loop {
            let seen = match changes.changed().await {
                Ok(()) => self.reload().await,
                Err(fault) => Err(fault),
            };
            if let Err(error) = seen {
                tracing::error!(%error, "the keys cannot be read; those known before stay in force");
            }
        }
    }

    fn key(&self, presented: &str, now_unix_s: u64) -> Result<Arc<Subject>, String> {
        let ring = self.ring.load();
        let record = ring.table.verify(presented, now_unix_s).map_err(|fault| fault.to_string())?;
        let subject = ring.subjects.get(&record.id).ok_or("the key has no subject")?;
        self.store.keys().touch(&record.id, now_unix_s);
        Ok(Arc::clone(subject))
    }

    fn token(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        // Without an address of our own no audience can be ours, unless the issuer's entry names one.
        let resource = asked.base.map(|base| base.of(asked.endpoint)).unwrap_or_default();
        let now = asked.now_unix_s;
        if let Some(subject) = self.memory.find(presented, (&resource, self.issuers.generation(), now)) {
            return Ok(subject);
        }
        let accepted = self.issuers.judge(presented, (&resource, now)).map_err(|fault| match fault {
            TokenFault::UnknownKey => Rejection::Unsettled(fault.to_string()),
            TokenFault::Scope(scopes) => Rejection::Scopes(scopes),
            TokenFault::Refused(_) => Rejection::Refused(fault.to_string()),
        })?;
        let subject = Arc::new(self.subject_of(&accepted));
        self.memory.keep(presented, (accepted, subject.id.as_str(), &subject), now);
        Ok(subject)
    }

    fn subject_of(&self, accepted: &Accepted) -> Subject {
        let verified = &accepted.verified;
        let id = SubjectId::token(&accepted.issuer, &verified.subject);
        let subject = Subject::new(id, verified.roles.clone(), Authentication::Token);
        match self.identity.load().authorization.narrowed(&verified.scopes) {
            Some(scope) => subject.within(scope),
            None => subject,
        }
    }

    /// Whoever is refused by name is refused whatever they present.
    fn unless_refused(&self, subject: Arc<Subject>) -> Result<Arc<Subject>, String> {
        if self.identity.load().refused.contains(subject.id.as_str()) {
            return Err(format!("{} stands in identity.refused", subject.id));
        }
        Ok(subject)
    }
}

impl Ring {
    fn of(records: Vec<KeyRecord>) -> Ring {
        let subjects: HashMap<String, Arc<Subject>> =
            records.iter().map(|record| (record.id.clone(), Arc::new(holder(record)))).collect();
        let is_good = |record: &&KeyRecord| record.revoked.is_none();
        let good = records.iter().filter(is_good).filter_map(|record| {
            let subject = subjects.get(&record.id)?;
            Some((subject.id.clone(), (Arc::clone(subject), record.expires)))
        });
        let good = good.collect();
        Ring { table: KeyTable::from_records(records), subjects, good }
    }
}

/// Whom a key stands for.
fn holder(record: &KeyRecord) -> Subject {
    let roles = vec![record.role.clone()];
    let subject = Subject::new(SubjectId::key(&record.id), roles, Authentication::Key);
    match &record.scope {
        None => subject,
        // One that cannot be read opens nothing: a later version wrote it, or it is damaged.
        Some(patterns) => subject.within(Scope::parse(patterns).unwrap_or_default()),
    }
}

impl Identities for Papers {
    fn bearer(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        let subject = if Jws::is_one(presented) {
            self.token(presented, asked)?
        } else {
            self.key(presented, asked.now_unix_s).map_err(Rejection::Refused)?
        };
        self.unless_refused(subject).map_err(Rejection::Refused)
    }

    fn settled<'a>(&'a self, presented: &'a str) -> Settling<'a> {
        Box::pin(self.issuers.settled(presented))
    }

    fn certificate(&self, der: &[u8], _: u64) -> Result<Arc<Subject>, String> {
        let identity = self.identity.load();
        let holder = certificate::holder(&identity.certificates, der).map_err(|fault| fault.to_string())?;
        let id = SubjectId::certificate(&holder.name);
        let subject = Subject::new(id, holder.roles.clone(), Authentication::Certificate);
        self.unless_refused(Arc::new(subject))
    }

    fn current(&self, id: &SubjectId, now_unix_s: u64) -> Option<Arc<Subject>> {
        let identity = self.identity.load();
        if identity.refused.contains(id.as_str()) {
            return None;
        }
        if let Some(local) = self.local.as_ref().filter(|local| local.id == *id) {
            return Some(Arc::clone(local));
        }
        if let Some((subject, expires)) = self.ring.load().good.get(id) {
            return expires.is_none_or(|expires| now_unix_s < expires).then(|| Arc::clone(subject));
        }
        let holds = |holder: &&certificate::Holder| SubjectId::certificate(&holder.name) == *id;
        if let Some(holder) = identity.certificates.iter().find(holds) {
            let subject = Subject::new(id.clone(), holder.roles.clone(), Authentication::Certificate);
            return Some(Arc::new(subject));
        }
        self.memory.current(id.as_str(), self.issuers.generation(), now_unix_s)
    }

    fn local(&self, uid: u32) -> Option<Arc<Subject>> {
        let local = self.local.clone().filter(|_| uid == self.own_uid)?;
        self.unless_refused(local).ok()
    }
}
