//! The pages of docs/errors, one for each code of a refusal.

/// One page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The code, for example `CM1505`.
    pub code: &'static str,
    /// The page in Markdown, as it stands in docs/errors.
    pub text: &'static str,
}

const TABLE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

impl Page {
    /// All pages, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Page> {
        TABLE.iter().map(|(code, text)| Page { code, text })
    }

    /// The page of a code, however it is capitalized, with or without `CM`.
    pub fn find(code: &str) -> Option<Page> {
        let code = code.trim().to_ascii_uppercase();
        let digits = code.strip_prefix("CM").unwrap_or(&code);
        Page::all().find(|page| page.code.strip_prefix("CM") == Some(digits))
    }

    /// Its first heading, without the code.
    pub fn title(&self) -> &'static str {
        let heading = self.text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
        heading.strip_prefix(self.code).unwrap_or(heading).trim_start_matches([':', ' ', '-', '–'])
    }
}

#[cfg(test)]
mod tests {
    use casemate_gateway::refusal::Code;

    use super::Page;

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let pages: Vec<&str> = Page::all().map(|page| page.code).collect();
        assert_eq!(pages, codes);
        for page in Page::all() {
            assert!(!page.title().is_empty(), "{} has no title", page.code);
        }
    }

    #[test]
    fn a_page_is_found_however_its_code_is_typed() {
        for typed in ["CM1701", "cm1701", "1701", " CM1701\n"] {
            assert_eq!(Page::find(typed).map(|page| page.code), Some("CM1701"), "{typed:?}");
        }
        assert!(Page::find("CM170").is_none() && Page::find("").is_none());
    }
}
