//! The roles that every installation has.

use casemate_mcp::names::RoleName;

use crate::request::{Action, Place};

/// A role that exists always and cannot be redefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Everything: uses every server, administers all there is. The local user.
    Owner,
    /// Uses every server and administers servers; sees how the gateway is set up. Neither keys nor records nor
    /// the configuration, through which it could make itself owner.
    Operator,
    /// Uses every server. Administers and sees nothing else.
    User,
    /// Sees how everything is administered, records included. Uses nothing, so it lists nothing either.
    Auditor,
}

impl Builtin {
    /// All of them, the mightiest first.
    pub const ALL: [Builtin; 4] = [Builtin::Owner, Builtin::Operator, Builtin::User, Builtin::Auditor];

    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Builtin::Owner => "owner",
            Builtin::Operator => "operator",
            Builtin::User => "user",
            Builtin::Auditor => "auditor",
        }
    }

    /// The built-in role of that name.
    #[must_use]
    pub fn find(name: &RoleName) -> Option<Self> {
        Builtin::ALL.into_iter().find(|own| own.as_str() == name.as_str())
    }

    pub(crate) fn uses_servers(self) -> bool {
        match self {
            Builtin::Owner | Builtin::Operator | Builtin::User => true,
            Builtin::Auditor => false,
        }
    }

    pub(crate) fn administration(self) -> &'static [(Action, Place)] {
        use Action::{Administer, View};
        match self {
            Builtin::Owner => &[
                (View, Place::Servers),
                (View, Place::Gateway),
                (View, Place::Keys),
                (View, Place::Records),
                (Administer, Place::Servers),
                (Administer, Place::Gateway),
                (Administer, Place::Keys),
                (Administer, Place::Records),
            ],
            Builtin::Operator => {
                &[(View, Place::Servers), (View, Place::Gateway), (Administer, Place::Servers)]
            }
            Builtin::User => &[],
            Builtin::Auditor => {
                &[(View, Place::Servers), (View, Place::Gateway), (View, Place::Keys), (View, Place::Records)]
            }
        }
    }
}
