//! `casemate explain`: what an error code means and what to do about it.

use serde::Serialize;

use crate::args::offline::Explain;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Output, Page, Report, Tone};
use crate::pages;

/// Prints one page, or the list of codes.
pub fn run(output: &Output, explain: &Explain) -> anyhow::Result<Exit> {
    let Some(code) = &explain.code else {
        output.print(&Codes(pages::Page::all().map(Code::of).collect()))?;
        return Ok(Exit::Success);
    };
    let page = pages::Page::find(code).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("there is no error code `{code}`"))
            .hint("`casemate explain` lists them all")
    })?;
    output.print(&Explanation { code: page.code, text: page.text })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Explanation {
    code: &'static str,
    text: &'static str,
}

impl Report for Explanation {
    fn lay_out(&self, page: &mut Page) {
        for line in self.text.lines() {
            match line.strip_prefix('#') {
                Some(heading) => page.heading(heading.trim_start_matches('#').trim_start()),
                None => page.line(line),
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Code {
    code: &'static str,
    title: &'static str,
}

impl Code {
    fn of(page: pages::Page) -> Code {
        Code { code: page.code, title: page.title() }
    }
}

#[derive(Debug, Serialize)]
struct Codes(Vec<Code>);

impl Report for Codes {
    fn lay_out(&self, page: &mut Page) {
        let rows = self.0.iter().map(|code| vec![Entry::new(code.code, Tone::Strong), code.title.into()]);
        page.table(&[], &rows.collect::<Vec<_>>());
    }
}
