//! What is in quarantine, over restarts.

use rusqlite::{Connection, Row, named_params, params};

use crate::changes::Changes;
use crate::fault::StoreFault;
use crate::keys::integer;
use crate::store::Store;

/// One thing in quarantine. What the ward means is for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confined {
    /// What is kept from calls: `server:git`, `subject:local:1000`.
    pub ward: String,
    /// Why.
    pub reason: String,
    /// Who did it: a subject, or a rule.
    pub by: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Until when; until it is lifted when absent.
    pub until: Option<u64>,
}

/// The quarantine of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct Quarantine<'a> {
    store: &'a Store,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Quarantine { store }
    }

    /// Everything in it, by name, that is over included.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn list(&self) -> Result<Vec<Confined>, StoreFault> {
        self.store.writer().run(|connection| list(connection)).await
    }

    /// Puts something in, in place of what was said of it before. It is on disk when this returns.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn put(&self, confined: Confined) -> Result<(), StoreFault> {
        self.store.writer().run(move |connection| put(connection, &confined)).await?;
        self.store.nudge();
        Ok(())
    }

    /// Puts several in that nobody has put in yet: what is there stays as it is, unless its time is over.
    ///
    /// # Errors
    /// What SQLite refuses; then none of them is in.
    pub async fn put_new(&self, confined: Vec<Confined>, now_unix_s: u64) -> Result<(), StoreFault> {
        self.store
            .writer()
            .run(move |connection| {
                let transaction = connection.transaction()?;
                for one in &confined {
                    let sql = "DELETE FROM quarantine WHERE ward = ?1 AND until <= ?2";
                    transaction.execute(sql, params![one.ward, integer(now_unix_s)])?;
                    let known = "SELECT count(*) FROM quarantine WHERE ward = ?1";
                    if transaction.query_row(known, [&one.ward], |row| row.get::<_, i64>(0))? == 0 {
                        put(&transaction, one)?;
                    }
                }
                Ok(transaction.commit()?)
            })
            .await?;
        self.store.nudge();
        Ok(())
    }

    /// Takes something out. False when it was not in.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn lift(&self, ward: &str) -> Result<bool, StoreFault> {
        let ward = ward.to_owned();
        let lifted = self
            .store
            .writer()
            .run(move |connection| {
                Ok(connection.execute("DELETE FROM quarantine WHERE ward = ?1", [ward])? > 0)
            })
            .await?;
        self.store.nudge();
        Ok(lifted)
    }

    /// Forgets what is over.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn sweep(&self, now_unix_s: u64) -> Result<(), StoreFault> {
        let sql = "DELETE FROM quarantine WHERE until <= ?1";
        self.store
            .writer()
            .run(move |connection| Ok(connection.execute(sql, [integer(now_unix_s)]).map(drop)?))
            .await
    }

    /// A view of the changes that is told at once about the present state.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::of(self.store.clone(), "quarantine")
    }
}

fn put(connection: &Connection, confined: &Confined) -> Result<(), StoreFault> {
    connection.execute(
        "INSERT OR REPLACE INTO quarantine (ward, reason, added_by, since, until)
         VALUES (:ward, :reason, :by, :since, :until)",
        named_params! {
            ":ward": confined.ward,
            ":reason": confined.reason,
            ":by": confined.by,
            ":since": integer(confined.since),
            ":until": confined.until.map(integer),
        },
    )?;
    Ok(())
}

fn list(connection: &Connection) -> Result<Vec<Confined>, StoreFault> {
    let mut statement = connection
        .prepare_cached("SELECT ward, reason, added_by, since, until FROM quarantine ORDER BY ward")?;
    let rows = statement.query_map([], confined)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn confined(row: &Row<'_>) -> rusqlite::Result<Confined> {
    Ok(Confined {
        ward: row.get("ward")?,
        reason: row.get("reason")?,
        by: row.get("added_by")?,
        since: row.get::<_, i64>("since")?.unsigned_abs(),
        until: row.get::<_, Option<i64>>("until")?.map(i64::unsigned_abs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined(ward: &str, reason: &str, until: Option<u64>) -> Confined {
        Confined { ward: ward.into(), reason: reason.into(), by: "local:0".into(), since: 5, until }
    }

    #[tokio::test]
    async fn what_is_put_in_is_there_until_it_is_lifted_or_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let kept = store.quarantine();
        kept.put(confined("server:git", "drift", None)).await.unwrap();
        kept.put(confined("gateway", "all", Some(100))).await.unwrap();
        let other = Store::open(&folder.path().join("data")).unwrap();
        let listed = other.quarantine().list().await.unwrap();
        assert_eq!(listed, [confined("gateway", "all", Some(100)), confined("server:git", "drift", None)]);
        kept.put(confined("server:git", "again", Some(7))).await.unwrap();
        assert_eq!(kept.list().await.unwrap()[1].reason, "again");
        kept.sweep(7).await.unwrap();
        assert_eq!(kept.list().await.unwrap().len(), 1);
        assert!(kept.lift("gateway").await.unwrap());
        assert!(!kept.lift("gateway").await.unwrap());
        assert!(kept.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_rule_changes_nothing_that_a_person_said() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let kept = store.quarantine();
        kept.put(confined("server:a", "a person", None)).await.unwrap();
        kept.put(confined("server:b", "a person", Some(50))).await.unwrap();
        let rules = ["server:a", "server:b", "server:c"].map(|ward| confined(ward, "a rule", None));
        kept.put_new(rules.to_vec(), 50).await.unwrap();
        let reasons: Vec<String> = kept.list().await.unwrap().into_iter().map(|one| one.reason).collect();
        assert_eq!(reasons, ["a person", "a rule", "a rule"]);
    }

    #[tokio::test]
    async fn changes_by_others_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let mut changes = store.quarantine().changes();
        changes.changed().await.unwrap();
        let other = Store::open(&folder.path().join("data")).unwrap();
        other.quarantine().put(confined("gateway", "r", None)).await.unwrap();
        changes.changed().await.unwrap();
        other.quarantine().lift("gateway").await.unwrap();
        changes.changed().await.unwrap();
    }
}
