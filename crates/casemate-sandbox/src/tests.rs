//! What needs no process. The rest is in `tests/cells`, which has a `main` of its own.

use crate::{Error, Options, Spawner};

#[test]
fn a_binary_that_never_reenters_is_refused_instead_of_started_again_and_again() {
    // This test's main is libtest's. Executed again, it would run all tests again.
    assert!(matches!(Spawner::start(), Err(Error::NotReentrant)));
}

#[test]
fn a_binary_that_does_not_exist_is_an_error() {
    let options = Options { binary: Some("/no/such/casemate".into()), ..Options::default() };
    let error = Spawner::start_with(options).unwrap_err();
    assert!(matches!(error, Error::Host { .. }), "{error:?}");
}

#[test]
fn a_binary_that_is_no_casemate_contains_nothing() {
    let options = Options { binary: Some("/bin/true".into()), ..Options::default() };
    let error = Spawner::start_with(options).unwrap_err();
    let Error::NoContainment { refused } = error else { panic!("{error:?}") };
    assert_eq!(refused.len(), 3);
}
