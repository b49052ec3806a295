//! What a judge answers, read strictly: a member that is there means what the draft SEP-2624 says, or nothing is understood.

use casemate_mcp::json::{Members, Raw};

use crate::snapshot::{Interceptor, InterceptorKind, Phase};

/// Messages of one verdict that are looked at.
const MESSAGES_MAX: usize = 100;

/// What a judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A validator's yes or no.
    Judged {
        /// Which.
        is_valid: bool,
        /// How bad the worst is of what it says; only an error refuses.
        grade: Option<Grade>,
        /// Its first message of that grade, as it came.
        message: Option<String>,
    },
    /// A mutator leaves it as it is.
    Unchanged,
    /// A mutator puts this in its place, an object.
    Changed(Raw),
}

impl Verdict {
    /// The word in the record.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Verdict::Judged { is_valid: true, .. } => "valid",
            Verdict::Judged { is_valid: false, .. } => "invalid",
            Verdict::Unchanged => "unchanged",
            Verdict::Changed(_) => "changed",
        }
    }
}

/// How bad something is, by a judge's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// To be known.
    Info,
    /// To be known by somebody.
    Warn,
    /// To be refused.
    Error,
}

impl Grade {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Grade::Info => "info",
            Grade::Warn => "warn",
            Grade::Error => "error",
        }
    }

    fn of(raw: &Raw) -> Result<Grade, String> {
        let known = [Grade::Info, Grade::Warn, Grade::Error];
        let word = raw.string();
        known
            .into_iter()
            .find(|grade| word.as_deref() == Some(grade.as_str()))
            .ok_or_else(|| "`severity` is none of info, warn and error".to_owned())
    }
}

/// Reads an answer to a question about one way.
///
/// # Errors
/// Why it is none that can be understood.
pub(super) fn read(
    interceptor: &Interceptor,
    (asked, phase): (&str, Phase),
    answer: &Raw,
) -> Result<Verdict, String> {
    let answer = answer.members().ok_or("its answer is no object")?;
    for (name, expected) in [
        ("interceptor", asked),
        ("type", interceptor.kind.as_str()),
        ("phase", phase.as_str()),
        ("resultType", "complete"),
    ] {
        if answer.has(name) && answer.string(name).as_deref() != Some(expected) {
            return Err(format!("`{name}` is not {expected:?}"));
        }
    }
    match interceptor.kind {
        InterceptorKind::Validator => validated(&answer),
        InterceptorKind::Mutator => mutated(&answer),
    }
}

fn validated(answer: &Members) -> Result<Verdict, String> {
    if let Some(name) = ["modified", "payload"].into_iter().find(|name| answer.has(name)) {
        return Err(format!("a validator changes nothing, and its answer has `{name}`"));
    }
    let is_valid = truth(answer, "valid")?;
    let own = answer.get("severity").map(|raw| Grade::of(&raw)).transpose()?;
    let (worst, message) = messages(answer)?;
    // A no without a grade is a no.
    let grade = if is_valid { own.max(worst) } else { own.or(Some(Grade::Error)).max(worst) };
    if is_valid && grade == Some(Grade::Error) {
        return Err("it says that it is valid, and that there is an error".to_owned());
    }
    Ok(Verdict::Judged { is_valid, grade, message })
}

fn messages(answer: &Members) -> Result<(Option<Grade>, Option<String>), String> {
    let Some(messages) = answer.get("messages") else { return Ok((None, None)) };
    let messages = messages.elements().ok_or("`messages` is no list")?;
    if messages.len() > MESSAGES_MAX {
        return Err(format!("there are more than {MESSAGES_MAX} messages"));
    }
    let (mut worst, mut text) = (None, None);
    for message in &messages {
        let message = message.members().ok_or("a message is no object")?;
        let said = message.string("message").ok_or("a message has no text")?;
        let grade = message.get("severity").ok_or("a message has no severity")?;
        let grade = Some(Grade::of(&grade)?);
        if grade > worst {
            (worst, text) = (grade, Some(said));
        }
    }
    Ok((worst, text))
}

fn mutated(answer: &Members) -> Result<Verdict, String> {
    if answer.has("valid") {
        return Err("a mutator judges nothing, and its answer has `valid`".to_owned());
    }
    if !truth(answer, "modified")? {
        return Ok(Verdict::Unchanged);
    }
    let payload = answer.get("payload").ok_or("`payload` is missing")?;
    if payload.members().is_none() {
        return Err("`payload` is no object".to_owned());
    }
    Ok(Verdict::Changed(payload))
}

fn truth(answer: &Members, name: &str) -> Result<bool, String> {
    match answer.get(name).as_ref().map(Raw::as_str) {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(format!("`{name}` is neither true nor false")),
        None => Err(format!("`{name}` is missing")),
    }
}

#[cfg(test)]
mod tests;
