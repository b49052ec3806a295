//! What is recorded of questions to people.

/// A person was asked whether a call may be made, or answered. The arguments appear only as a digest.
#[derive(Debug, Clone, Copy)]
pub struct Approval<'a> {
    /// Name of the question.
    pub approval: &'a str,
    /// `asked`, or the answer: `once`, `session`, `always`, `deny`.
    pub answer: &'a str,
    /// Who asked or answered: a subject, or `operator`.
    pub by: &'a str,
    /// SHA-256 of the call with its arguments, in hexadecimal.
    pub digest: &'a str,
    /// The method of the call.
    pub method: &'a str,
    /// Which tool, prompt or resource.
    pub name: &'a str,
    /// The rules that asked.
    pub rules: &'a [&'a str],
    /// At which server.
    pub server: &'a str,
    /// Who would make the call.
    pub subject: &'a str,
}
