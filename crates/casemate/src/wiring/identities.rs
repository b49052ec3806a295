//! Who a credential belongs to: the keys of the store, and the kernel's word about local users.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use casemate_auth::{KeyRecord, KeyTable};
use casemate_gateway::ports::Identities;
use casemate_policy::{Authentication, Subject, SubjectId, local_subject};
use casemate_store::{Store, StoreFault};

/// Who there is. Each change of the keys swaps the whole table, so a call sees one state of it.
#[derive(Debug)]
pub struct Papers {
    store: Store,
    ring: ArcSwap<Ring>,
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
    /// Reads the keys of the store.
    pub async fn open(store: Store) -> Result<Papers, StoreFault> {
        let own_uid = rustix::process::geteuid().as_raw();
        let local = local_subject(own_uid, own_uid).map(Arc::new);
        let papers = Papers { store, ring: ArcSwap::default(), own_uid, local };
        papers.reload().await?;
        Ok(papers)
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
}

impl Ring {
    fn of(records: Vec<KeyRecord>) -> Ring {
        let subject = |record: &KeyRecord| {
            let roles = vec![record.role.clone()];
            Arc::new(Subject::new(SubjectId::key(&record.id), roles, Authentication::Key))
        };
        let subjects: HashMap<String, Arc<Subject>> =
            records.iter().map(|record| (record.id.clone(), subject(record))).collect();
        let is_good = |record: &&KeyRecord| record.revoked.is_none();
        let good = records.iter().filter(is_good).filter_map(|record| {
            let subject = subjects.get(&record.id)?;
            Some((subject.id.clone(), (Arc::clone(subject), record.expires)))
        });
        let good = good.collect();
        Ring { table: KeyTable::from_records(records), subjects, good }
    }
}

impl Identities for Papers {
    fn key(&self, presented: &str, now_unix_s: u64) -> Result<Arc<Subject>, String> {
        let ring = self.ring.load();
        let record = ring.table.verify(presented, now_unix_s).map_err(|fault| fault.to_string())?;
        let subject = ring.subjects.get(&record.id).ok_or("the key has no subject")?;
        self.store.keys().touch(&record.id, now_unix_s);
        Ok(Arc::clone(subject))
    }

    fn current(&self, id: &SubjectId, now_unix_s: u64) -> Option<Arc<Subject>> {
        if let Some(local) = self.local.as_ref().filter(|local| local.id == *id) {
            return Some(Arc::clone(local));
        }
        let ring = self.ring.load();
        let (subject, expires) = ring.good.get(id)?;
        expires.is_none_or(|expires| now_unix_s < expires).then(|| Arc::clone(subject))
    }

    fn local(&self, uid: u32) -> Option<Arc<Subject>> {
        self.local.clone().filter(|_| uid == self.own_uid)
    }
}

#[cfg(test)]
mod tests {
    use casemate_auth::{NewKey, issue};
    use casemate_mcp::names::RoleName;

    use super::*;

    #[tokio::test]
    async fn a_key_stands_for_its_subject_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let papers = Papers::open(store.clone()).await.unwrap();
        let role = RoleName::parse("user").unwrap();
        let wanted = NewKey { name: "laptop".to_owned(), role: role.clone(), expires: Some(200) };
        let (secret, record) = issue(wanted, 100).unwrap();
        let id = record.id.clone();
        assert!(papers.key(secret.expose(), 150).is_err());

        store.keys().insert(record).await.unwrap();
        papers.reload().await.unwrap();
        let subject = papers.key(secret.expose(), 150).unwrap();
        assert_eq!(*subject, Subject::new(SubjectId::key(&id), vec![role], Authentication::Key));
        assert!(papers.key(secret.expose(), 200).unwrap_err().contains("expired"));
        assert_eq!(papers.current(&subject.id, 150).unwrap(), subject);
        assert!(papers.current(&subject.id, 200).is_none(), "its streams end with it");

        store.keys().revoke(&id, 160).await.unwrap();
        papers.reload().await.unwrap();
        assert!(papers.key(secret.expose(), 170).unwrap_err().contains("revoked"));
        assert!(papers.current(&subject.id, 170).is_none(), "its streams end with it");
    }

    #[tokio::test]
    async fn of_local_users_only_our_own_is_somebody() {
        let folder = tempfile::tempdir().unwrap();
        let papers = Papers::open(Store::open(&folder.path().join("data")).unwrap()).await.unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(papers.local(own).unwrap().id, SubjectId::local(own));
        assert!(papers.local(own + 1).is_none());
    }
}
