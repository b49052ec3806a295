//! Who a call is made for.

use std::fmt;
use std::sync::Arc;

use casemate_mcp::names::RoleName;

use crate::roles::Builtin;

/// The stable name of a subject, unique in an installation: `local:1000` or `key:3fd1a2`. The part before the
/// colon says how the subject was identified, so that two ways of identifying can never meet in one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(Arc<str>);

impl SubjectId {
    /// A local user, by the uid that the kernel vouches for.
    #[must_use]
    pub fn local(uid: u32) -> Self {
        SubjectId(format!("local:{uid}").into())
    }

    /// The holder of an API key, by the key's public id.
    #[must_use]
    pub fn key(id: &str) -> Self {
        SubjectId(format!("key:{id}").into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A person, a service or a local user, with the roles that it acts in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Who it is.
    pub id: SubjectId,
    /// What it acts as. All roles count at once: one of them must allow, and none may deny.
    pub roles: Vec<RoleName>,
}

/// The subject behind a local connection, by the peer's uid and our own. Our own user owns the installation's
/// files and could change them directly, so it is the owner; any other uid, root included, is nobody here.
#[must_use]
pub fn local_subject(uid: u32, own_uid: u32) -> Option<Subject> {
    if uid != own_uid {
        return None;
    }
    let owner = RoleName::parse(Builtin::Owner.as_str()).ok()?;
    Some(Subject { id: SubjectId::local(uid), roles: vec![owner] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_uid_is_somebody() {
        let own = local_subject(1000, 1000).unwrap();
        assert_eq!(own.id.as_str(), "local:1000");
        assert_eq!(own.roles, [RoleName::parse("owner").unwrap()]);
        assert_eq!(local_subject(0, 1000), None);
        assert_eq!(local_subject(1000, 0), None);
        assert!(local_subject(0, 0).is_some());
    }
}
