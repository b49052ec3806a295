//! Who a call is made for.

use std::fmt;
use std::sync::Arc;

use casemate_mcp::names::RoleName;

use crate::builtin::Builtin;
use crate::scope::Scope;

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

    /// Whom an issuer of tokens vouches for, by our name for the issuer and its own name for them. No issuer has a slash
    /// in its name, so the first one ends it.
    #[must_use]
    pub fn token(issuer: &str, subject: &str) -> Self {
        SubjectId(format!("token:{issuer}/{subject}").into())
    }

    /// The holder of a client certificate, by the name of the configuration's entry for it.
    #[must_use]
    pub fn certificate(name: &str) -> Self {
        SubjectId(format!("certificate:{name}").into())
    }

    /// The gateway itself, where it asks a server something for nobody else.
    #[must_use]
    pub fn gateway() -> Self {
        SubjectId("gateway:self".into())
    }

    /// An id that was written down as [`SubjectId::as_str`] gave it.
    #[must_use]
    pub fn written(text: &str) -> Self {
        SubjectId(text.into())
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

/// How a subject proved who it is. The later of two is the stronger proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authentication {
    /// An API key: a secret that whoever holds it can use, for as long as it is not revoked.
    Key,
    /// A signed token of an issuer: a secret as well, but one that soon ends.
    Token,
    /// A certificate, whose private key was proven to be there.
    Certificate,
    /// A local user: the kernel vouches for them.
    Local,
}

impl Authentication {
    /// All of them, the weakest first.
    pub const ALL: [Authentication; 4] =
        [Authentication::Key, Authentication::Token, Authentication::Certificate, Authentication::Local];

    /// Its name in policies: `key`, `token`, `certificate` or `local`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Authentication::Key => "key",
            Authentication::Token => "token",
            Authentication::Certificate => "certificate",
            Authentication::Local => "local",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Authentication::ALL.into_iter().find(|own| own.as_str() == name)
    }

    /// A number that grows with the strength of the proof: 1 for a key, 2 for a token, 3 for a certificate, 4 for a
    /// local user.
    #[must_use]
    pub fn strength(self) -> u8 {
        match self {
            Authentication::Key => 1,
            Authentication::Token => 2,
            Authentication::Certificate => 3,
            Authentication::Local => 4,
        }
    }
}

/// A person, a service or a local user, with the roles that it acts in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Who it is.
    pub id: SubjectId,
    /// What it acts as. All roles count at once: one of them must allow, and none may deny.
    pub roles: Vec<RoleName>,
    /// How it proved that.
    pub authentication: Authentication,
    /// What its credential is narrowed to; without one, the roles alone decide.
    pub scope: Option<Scope>,
}

impl Subject {
    /// A subject whose roles alone decide what it may do.
    #[must_use]
    pub fn new(id: SubjectId, roles: Vec<RoleName>, authentication: Authentication) -> Self {
        Subject { id, roles, authentication, scope: None }
    }

    /// The same subject with a credential that may be used for no more than the scope holds.
    #[must_use]
    pub fn within(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }
}

/// The subject behind a local connection, by the peer's uid and our own. Our own user owns the installation's
/// files and could change them directly, so it is the owner; any other uid, root included, is nobody here.
#[must_use]
pub fn local_subject(uid: u32, own_uid: u32) -> Option<Subject> {
    if uid != own_uid {
        return None;
    }
    let owner = RoleName::parse(Builtin::Owner.as_str()).ok()?;
    Some(Subject::new(SubjectId::local(uid), vec![owner], Authentication::Local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_proof_has_a_greater_number() {
        assert!(Authentication::ALL.is_sorted_by_key(|kind| kind.strength()));
        assert!(Authentication::ALL.is_sorted());
        for kind in Authentication::ALL {
            assert_eq!(Authentication::find(kind.as_str()), Some(kind));
        }
        assert_eq!(Authentication::find("Local"), None);
    }

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
