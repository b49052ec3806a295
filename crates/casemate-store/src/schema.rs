//! How the database came to have its present form, step by step.
//!
//! A step that was ever released is never edited: a database holds the number of the last step it took
//! (`user_version`), and opening it takes the rest, all in one transaction. There is no way back; a database
//! that is ahead of the program is refused and stays as it is.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::fault::StoreFault;

/// Marks a SQLite file as ours: `CMte` in ASCII.
const APPLICATION_ID: i64 = 0x434d_7465;

/// All steps, the first one making an empty file the first schema.
const STEPS: &[&str] = &[
    include_str!("schema/0001_keys_and_state.sql"),
    include_str!("schema/0002_pins.sql"),
    include_str!("schema/0003_scopes_of_keys.sql"),
    include_str!("schema/0004_quarantine.sql"),
];

/// Brings the database to the schema that this program knows.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreFault> {
    migrate_with(connection, path, STEPS)
}

fn migrate_with(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), StoreFault> {
    // Immediate: of several processes that open a database at once, one takes the steps and the others wait
    // here, and then find nothing left to do.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let read = |pragma: &str| transaction.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = read("PRAGMA application_id")?;
    let taken = read("PRAGMA user_version")?;
    let tables = read("SELECT count(*) FROM sqlite_schema")?;
    let fresh = application == 0 && taken == 0 && tables == 0;
    if application != APPLICATION_ID && !fresh {
        return Err(StoreFault::Foreign { path: path.to_path_buf() });
    }
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let Some(missing) = usize::try_from(taken).ok().and_then(|taken| steps.get(taken..)) else {
        return Err(StoreFault::Newer { path: path.to_path_buf(), found: taken, known });
    };
    if missing.is_empty() {
        return Ok(());
    }
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {known};"
    ))?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn only_the_missing_steps_are_taken() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("x");
        let steps = ["CREATE TABLE one (a)", "ALTER TABLE one ADD COLUMN b", "INSERT INTO one VALUES (1, 2)"];
        for upto in [1, 1, 3, 3] {
            migrate_with(&mut connection, path, &steps[..upto]).unwrap();
            assert_eq!(version(&connection), i64::try_from(upto).unwrap());
        }
        let rows: i64 = connection.query_row("SELECT count(*) FROM one", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "the third step was taken once");
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE one (a)", "CREATE TABLE two (b)", "CREATE TABLE one (again)"];
        assert!(migrate_with(&mut connection, Path::new("x"), &steps).is_err());
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!((version(&connection), tables), (0, 0));
    }
}
