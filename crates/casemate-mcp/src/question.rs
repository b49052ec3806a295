//! What a server may ask a client in mid-call, and what the client has to have declared for it.
//!
//! Legacy servers ask with a request of their own, modern ones by answering `input_required`. Both ask the same things.

use crate::json::Members;
use crate::method::Method;

/// What a client is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Show a person a form.
    Form,
    /// Have a person open an address.
    Url,
    /// Let the model write something.
    Sample,
    /// The same, with tools that the model may use.
    SampleWithTools,
    /// Name the folders that may be worked in.
    Roots,
}

impl Need {
    /// What a question needs; `None` when it is none that the protocol knows.
    #[must_use]
    pub fn of(method: &Method, params: Option<&Members>) -> Option<Need> {
        let says = |name: &str| params.is_some_and(|params| params.has(name));
        match method {
            Method::ElicitationCreate => {
                let mode = params.and_then(|params| params.string("mode"));
                Some(if mode.as_deref() == Some("url") { Need::Url } else { Need::Form })
            }
            Method::SamplingCreate if says("tools") || says("toolChoice") => Some(Need::SampleWithTools),
            Method::SamplingCreate => Some(Need::Sample),
            Method::RootsList => Some(Need::Roots),
            _ => None,
        }
    }

    /// The capability, and the part of it where it has parts.
    #[must_use]
    pub fn capability(self) -> (&'static str, Option<&'static str>) {
        match self {
            Need::Form => ("elicitation", None),
            Need::Url => ("elicitation", Some("url")),
            Need::Sample => ("sampling", None),
            Need::SampleWithTools => ("sampling", Some("tools")),
            Need::Roots => ("roots", None),
        }
    }

    /// Whether a client that declared these capabilities can be asked.
    #[must_use]
    pub fn is_met(self, capabilities: &Members) -> bool {
        let (name, part) = self.capability();
        let Some(declared) = capabilities.object(name) else { return false };
        match (self, part) {
            // An empty object means forms, as it did before there was anything else.
            (Need::Form, _) => declared.has("form") || !declared.has("url"),
            (_, Some(part)) => declared.has(part),
            (_, None) => true,
        }
    }

    /// Whether a client that declared these capabilities can be asked anything.
    #[must_use]
    pub fn any(capabilities: &Members) -> bool {
        ["elicitation", "sampling", "roots"].iter().any(|name| capabilities.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    fn members(text: &'static str) -> Members {
        Members::check(text.into(), &Limits::default()).unwrap()
    }

    #[test]
    fn a_question_needs_the_part_of_the_capability_that_it_uses() {
        let need = |method: &str, params| Need::of(&Method::parse(method), Some(&members(params))).unwrap();
        let elicit = "elicitation/create";
        assert_eq!(need(elicit, "{}"), Need::Form);
        assert_eq!(need(elicit, r#"{"mode":"form"}"#), Need::Form);
        assert_eq!(need(elicit, r#"{"mode":"url"}"#), Need::Url);
        assert_eq!(need("sampling/createMessage", "{}"), Need::Sample);
        assert_eq!(need("sampling/createMessage", r#"{"tools":[]}"#), Need::SampleWithTools);
        assert_eq!(Need::of(&Method::ToolsCall, None), None);
        let met = |need: Need, capabilities| need.is_met(&members(capabilities));
        assert!(met(Need::Form, r#"{"elicitation":{}}"#) && !met(Need::Url, r#"{"elicitation":{}}"#));
        assert!(met(Need::Url, r#"{"elicitation":{"url":{}}}"#));
        assert!(!met(Need::Form, r#"{"elicitation":{"url":{}}}"#));
        assert!(!met(Need::SampleWithTools, r#"{"sampling":{}}"#) && met(Need::Sample, r#"{"sampling":{}}"#));
        assert!(met(Need::Roots, r#"{"roots":{}}"#) && !met(Need::Roots, "{}"));
    }
}
