//! The algorithms that signatures may have.

use std::fmt::{self, Display};

use ring::signature::{self, VerificationAlgorithm};

/// A signature algorithm of RFC 7518 or RFC 8037. None of them is symmetric, and none is `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

    /// Its name in tokens and keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Ps256 => "PS256",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of exactly that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|own| own.as_str() == name)
    }

    /// For keys that are curve points or their like; `None` for RSA, whose keys are two numbers.
    pub(super) fn of_point(self) -> Option<&'static dyn VerificationAlgorithm> {
        match self {
            Algorithm::Rs256 | Algorithm::Ps256 => None,
            Algorithm::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDsa => Some(&signature::ED25519),
        }
    }
}

impl Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
